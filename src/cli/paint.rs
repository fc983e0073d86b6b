//! Colours, on a terminal that wants them.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};

use super::show::cell::{Cell, Tone};

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Never paints.
    pub const OFF: Self = Self { on: false };

    /// Paints if standard output is a terminal.
    #[must_use]
    pub fn for_stdout() -> Self {
        Self { on: io::stdout().is_terminal() && wanted() }
    }

    /// Paints if standard error is a terminal.
    #[must_use]
    pub fn for_stderr() -> Self {
        Self { on: io::stderr().is_terminal() && wanted() }
    }

    /// Whether it paints.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.on
    }

    /// For what matters most.
    #[must_use]
    pub fn bold(self, text: impl fmt::Display) -> String {
        self.with("1", text)
    }

    /// For what may be overlooked.
    #[must_use]
    pub fn dim(self, text: impl fmt::Display) -> String {
        self.with("2", text)
    }

    /// For what went well.
    #[must_use]
    pub fn green(self, text: impl fmt::Display) -> String {
        self.with("32", text)
    }

    /// For what went wrong.
    #[must_use]
    pub fn red(self, text: impl fmt::Display) -> String {
        self.with("31", text)
    }

    /// For what waits, and for warnings.
    #[must_use]
    pub fn yellow(self, text: impl fmt::Display) -> String {
        self.with("33", text)
    }

    /// As the cell's tone asks for.
    pub(super) fn tone(self, cell: &Cell) -> String {
        match cell.tone {
            Tone::Plain => cell.text.clone(),
            Tone::Good => self.green(&cell.text),
            Tone::Bad => self.red(&cell.text),
            Tone::Waiting => self.yellow(&cell.text),
            Tone::Aside => self.dim(&cell.text),
        }
    }

    fn with(self, code: &str, text: impl fmt::Display) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// See <https://no-color.org>.
fn wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
