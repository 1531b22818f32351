//! The programme's data, reviewed like code: targets, taxonomy, conversion factors, and the demo fleet.

pub mod factors;
pub mod fleet;
pub mod programme;
