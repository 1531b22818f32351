//! Out: the read API, the pages and the metrics, all over the same stored figures.
