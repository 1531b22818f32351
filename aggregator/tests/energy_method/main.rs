//! The mathematics of an energy baseline against published and computed vectors, and its laws on random data.

mod group;
mod nist;
mod regression;
mod vector;
