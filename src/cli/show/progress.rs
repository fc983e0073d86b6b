//! A bar on standard error, where that is a terminal; nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Something long that is under way.
pub(in crate::cli) struct Progress(ProgressBar);

impl Progress {
    /// Of a known length, counted in `unit`.
    pub(in crate::cli) fn of(length: u64, unit: &str) -> Self {
        let bar = ProgressBar::new(length);
        bar.set_style(style(&format!("{{bar:30}} {{human_pos}}/{{human_len}} {unit}  {{eta}} left  {{msg}}")));
        Self(bar)
    }

    /// Done elsewhere, where its length and its pace are known: both are told.
    pub(in crate::cli) fn elsewhere(unit: &str) -> Self {
        let bar = ProgressBar::new(0);
        bar.set_style(style(&format!("{{bar:30}} {{human_pos}}/{{human_len}} {unit}  {{msg}}")));
        Self(bar)
    }

    /// In bytes of a file.
    pub(in crate::cli) fn of_bytes(length: u64) -> Self {
        let bar = ProgressBar::new(length);
        bar.set_style(style("{bar:30} {bytes}/{total_bytes}  {eta} left  {msg}"));
        Self(bar)
    }

    /// Of no known length.
    pub(in crate::cli) fn endless() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style("{spinner} {msg}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    pub(in crate::cli) fn is_at(&self, position: u64) {
        self.0.set_position(position);
    }

    pub(in crate::cli) fn grows_to(&self, length: u64) {
        self.0.set_length(length);
    }

    pub(in crate::cli) fn tells(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }
}

/// It leaves nothing behind, however the command ends.
impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}
