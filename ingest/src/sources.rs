//! Every source that was heard: last message, rate, gaps, deviations and rejections by reason. In memory: it answers "why does
//! nothing arrive?", and what was counted for good is in the store.
//!
//! Invariants:
//! - counting costs a connection no lock while its source stays the same;
//! - the number of sources is bounded: beyond it new ones are counted together.

/// See the module's comment.
#[derive(Default)]
pub struct Sources {}
