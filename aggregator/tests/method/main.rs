//! The method reference held against the code: every value of its vector files, the values in its text, its properties.
//!
//! One module a subject. `vectors/README.md` says where each file comes from.

mod identities;
mod lmdi;
mod path;
mod proportion;
mod rate;
mod shift;
mod standardised;
mod survival;
mod vector;
