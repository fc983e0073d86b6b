//! Why a command ended early: one sentence that says what to do, and what lies beneath it.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use super::operator::SomeFailed;
use super::paint::Paint;
use super::show::is_closed;
use crate::client::ClientError;

/// Why a command ended early. Any error becomes one; its text is the sentence.
#[derive(Debug)]
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    /// A sentence with nothing beneath it.
    pub(super) fn told(sentence: impl Into<String>) -> Self {
        Self(sentence.into().into())
    }

    /// The same, where the command line is at fault in a way that its parser cannot see: the exit code is the parser's.
    pub(super) fn misused(sentence: impl Into<String>) -> Self {
        Self(Misused(sentence.into()).into())
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
                let _ = write!(text, "\n  {} {}", paint.dim("caused by:"), without_place(&told));
            }
            before = told;
            cause = error.source();
        }
        text
    }

    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        if self.is_closed() {
            return ExitCode::SUCCESS;
        }
        if self.0.is::<Misused>() {
            return 2.into();
        }
        let (mut layer, mut code) = (Some(&*self.0 as &dyn Error), 1);
        while let Some(error) = layer {
            let some = error.downcast_ref::<SomeFailed>().map(|some| &some.last);
            code = error.downcast_ref::<ClientError>().or(some).map_or(code, code_of);
            layer = error.source();
        }
        code.into()
    }

    /// Whether it is only that nobody reads any more what is printed (`| head`).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.downcast_ref::<io::Error>().is_some_and(is_closed)
    }
}

/// What Postgres says, without the line of its own source.
fn without_place(told: &str) -> &str {
    match told.rsplit_once(" at line ") {
        Some((rest, line)) if told.starts_with("error returned from database: ") && line.parse::<u32>().is_ok() => rest,
        _ => told,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misused(String);

fn code_of(error: &ClientError) -> u8 {
    match error {
        ClientError::BadUrl(given) if given.origin.starts_with("--") => 2,
        ClientError::Unreachable { .. } | ClientError::Lost { .. } => 5,
        error => match error.status() {
            Some(404) => 3,
            Some(401 | 403) => 4,
            _ => 1,
        },
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}
