//! The built-in profiles: mapping files like any other, compiled into the program.

/// `(file, text)` of every profile, in the order in which their rules are tried.
pub(super) const FILES: &[(&str, &str)] = &[];
