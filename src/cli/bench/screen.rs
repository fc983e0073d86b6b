//! How far a bench is, for somebody who watches a terminal. Nothing is shown to a file or a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::load::Extent;

/// A line that changes, on standard error.
#[derive(Debug)]
pub(in crate::cli) struct Screen(ProgressBar);

impl Screen {
    /// Shows nothing yet.
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(5));
        // The template is fixed and right; were it not, the bar would look otherwise.
        if let Ok(style) = ProgressStyle::with_template("{prefix:20} {bar:24} {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self(bar)
    }

    /// Says what is done beside the trials.
    pub(in crate::cli) fn say(&self, what: &str) {
        self.0.set_length(1);
        self.0.set_position(0);
        self.0.set_prefix("");
        self.0.set_message(what.to_owned());
        self.0.tick();
    }

    /// Shows how far a trial is.
    pub(in crate::cli) fn show(&self, name: &str, accepted: u64, delivered: u64, since: Duration, extent: Extent) {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (length, position) = match extent {
            Extent::Count(events) => (events, accepted),
            Extent::Time(time) => (milliseconds(time), milliseconds(since)),
        };
        self.0.set_length(length);
        self.0.set_position(position.min(length));
        self.0.set_prefix(name.to_owned());
        let rate = delivered * 1_000 / milliseconds(since).max(1);
        self.0.set_message(format!("{accepted} accepted, {delivered} delivered, {rate}/s"));
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
