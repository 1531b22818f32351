//! Answers on standard output.
//!
//! Whoever closes the pipe has read enough: that is no failure, and no reason to panic.

use std::fmt::Arguments;
use std::io::Write;

/// Prints a line.
pub(crate) fn line(text: Arguments<'_>) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Like `println!`, without its panic.
macro_rules! say {
    ($($text:tt)*) => { crate::say::line(format_args!($($text)*)) };
}
pub(crate) use say;
