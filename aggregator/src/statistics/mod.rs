//! The pure statistics behind a figure: distributions, intervals and tests.
//!
//! Functions of numbers alone: no clock, no store, no type of the programme. Section numbers are those of the method
//! reference. Every interval comes with the test that it inverts, so that a standing, its significance and its interval
//! cannot disagree.
//!
//! Invariants:
//! - `ln`, `exp` and their like come from `libm`, never from the C library: the same input gives the same bits anywhere;
//! - an unbounded limit is `f64::INFINITY`, an undefined result is a named one or `None`: nothing returns NaN;
//! - sums are compensated; nothing depends on a hash map's order.

pub mod distribution;

pub use distribution::Confidence;
