//! The one place that reads the wall clock, for the doors and the command. Logic takes time as an argument.

use crate::UnixMillis;

/// The current time of this machine, in milliseconds UTC.
///
/// # Panics
/// If the machine's clock is before 1970 or after the year 292 million.
pub fn now() -> UnixMillis {
    // The doors and the command may ask; `clippy.toml` bans the call everywhere else.
    #[allow(clippy::disallowed_methods, reason = "this is the door's clock")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // Safe because a machine whose clock stands before 1970 cannot stamp a receipt that means anything.
    let since = since.expect("the machine's clock is before 1970");
    UnixMillis(i64::try_from(since.as_millis()).expect("the machine's clock is beyond the year 292 million"))
}
