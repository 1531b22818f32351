//! Progress bars on standard error, only where it is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `total` units; hidden by itself where standard error is no terminal.
pub(crate) fn bar(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    // Safe because the template is a constant that a test parses.
    let style = ProgressStyle::with_template(TEMPLATE).expect("a well-formed template");
    bar.set_style(style.progress_chars("━╸─"));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Units of a bar that shows a share.
pub(crate) const STEPS: u64 = 1_000;

/// Moves a bar of [`STEPS`] to a share between 0 and 1.
pub(crate) fn move_to(bar: &ProgressBar, share: f64) {
    #[allow(clippy::cast_possible_truncation, reason = "between 0 and STEPS")]
    bar.set_position((share.clamp(0.0, 1.0) * STEPS as f64) as u64);
}

const TEMPLATE: &str = "{msg} {wide_bar} {human_pos}/{human_len} {percent:>3} % {elapsed}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_well_formed() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
