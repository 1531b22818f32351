//! The committer: one thread that takes all that is ready, judges duplicates, writes one journal row, fsyncs, and then
//! releases the acknowledgements.
