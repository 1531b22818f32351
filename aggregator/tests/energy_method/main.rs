//! The mathematics of an energy baseline against published and computed vectors, and its laws on random data.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test itself")]

mod grid;
mod group;
mod laws;
mod nist;
mod reference_tool;
mod regression;
mod uncertainty;
mod vector;
