//! What operator commands print: tables and cards for people, JSON lines for scripts.
//!
//! | file | does |
//! |---|---|
//! | [`cell`] | one value as people read it: times, texts, states with their colour |
//! | [`table`] | a list, fitted to the terminal |
//! | [`width`] | which columns a terminal has room for: pure |
//! | [`card`] | one thing, member by member |
//! | [`progress`] | a bar on standard error, where that is a terminal |
//!
//! **Invariants**
//! - Ids are never cut: they are what a person copies.
//! - What strangers wrote cannot steer the terminal.
//! - Whoever stops reading (`| head`) ends the command in good order.

pub(super) mod card;
pub(super) mod cell;
pub(super) mod progress;
pub(super) mod table;
mod width;

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

use super::Failure;
use super::paint::Paint;
use crate::client::Item;
use card::Card;
use table::Table;

/// Where a command prints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// One JSON object a line.
    pub(super) json: bool,
    /// Colours.
    pub(super) paint: Paint,
    /// Columns of the terminal; `None` where what is printed goes elsewhere and need not be cut.
    pub(super) width: Option<usize>,
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        Self { json, paint: Paint::for_stdout(), width: width() }
    }

    /// A line of text, or several.
    #[expect(clippy::unused_self, reason = "only who has a screen prints")]
    pub(super) fn say(self, text: impl AsRef<str>) -> Result<(), Failure> {
        Ok(writeln!(io::stdout(), "{}", text.as_ref())?)
    }

    /// Something beside the point, for people only.
    pub(super) fn note(self, text: impl AsRef<str>) {
        if !self.json {
            let paint = Paint::for_stderr();
            drop(writeln!(io::stderr(), "{}", paint.dim(text.as_ref())));
        }
    }

    /// Something that whoever reads must know, people or not.
    #[expect(clippy::unused_self, reason = "only who has a screen prints")]
    pub(super) fn warn(self, text: &str) {
        drop(writeln!(io::stderr(), "{} {text}", Paint::for_stderr().yellow("warning:")));
    }

    /// A thing: its JSON, or its card.
    pub(super) fn item(self, item: &Item, card: impl FnOnce(&serde_json::Value) -> Card) -> Result<(), Failure> {
        if self.json {
            return self.say(item.line());
        }
        self.say(card(&item.value()).text(self))
    }

    /// Things: a JSON object each, or a table.
    pub(super) fn items(self, items: &[Item], table: &mut Table) -> Result<(), Failure> {
        if self.json {
            return items.iter().try_for_each(|item| self.say(item.line()));
        }
        let rows: Vec<_> = items.iter().map(Item::value).collect();
        self.say(table.text(&rows, self))
    }
}

/// Whether a failure is only that nobody reads any more.
pub(super) fn is_closed(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

fn width() -> Option<usize> {
    let told = env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|width| *width > 0);
    if told.is_some() || !io::stdout().is_terminal() {
        return told;
    }
    comfy_table::Table::new().width().map(usize::from)
}

/// Asks before something is destroyed; without a terminal to ask on, `--yes` must say so beforehand.
pub(super) fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let told = format!("{} cannot be undone: add --yes to say that it is meant", uncapitalised(what));
        return Err(Failure::misused(told));
    }
    let mut errors = io::stderr();
    write!(errors, "{what} cannot be undone. Type `yes` to go on: ")?;
    errors.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::told("nothing was done")) }
}

/// A sentence as it continues after a colon.
fn uncapitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}
