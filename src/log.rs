//! The log: to standard error, as text or JSON lines; `RUST_LOG` chooses what is written.

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// Starts it, once per process.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
