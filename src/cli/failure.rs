//! Why a command ended early: one sentence that says what to do, and what lies beneath it.

use std::error::Error;
use std::fmt::Write;

use super::paint::Paint;

/// Why a command ended early. Any error becomes one; its text is the sentence.
#[derive(Debug)]
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    /// A sentence with nothing beneath it.
    pub(super) fn told(sentence: impl Into<String>) -> Self {
        Self(sentence.into().into())
    }

    /// The sentence, and a line for each cause.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} {}", paint.red("error:"), self.0);
        let mut before = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let told = error.to_string();
            // Some errors repeat their cause in their own text.
            if !before.contains(&told) {
                let _ = write!(text, "\n  {} {told}", paint.dim("caused by:"));
            }
            before = told;
            cause = error.source();
        }
        text
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}
