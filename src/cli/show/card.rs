//! One thing, member by member.

use serde_json::Value;

use super::Screen;
use super::cell::{Cell, Tone};
use super::table::Table;

/// Lines of a name and a value, and what stands below them.
#[derive(Default)]
pub(in crate::cli) struct Card {
    title: Option<Cell>,
    lines: Vec<(String, Cell)>,
    below: Vec<Below>,
}

enum Below {
    Text(String, String),
    Rows(String, Table, Vec<Value>),
}

impl Card {
    /// A card that begins with a sentence.
    pub(in crate::cli) fn titled(text: impl Into<String>, tone: Tone) -> Self {
        Self { title: Some(Cell::new(text, tone)), ..Self::default() }
    }

    /// A line, also where there is nothing to say.
    pub(in crate::cli) fn line(mut self, name: impl Into<String>, cell: Cell) -> Self {
        self.lines.push((name.into(), cell));
        self
    }

    /// A line, where there is something to say.
    pub(in crate::cli) fn some(self, name: impl Into<String>, cell: Cell) -> Self {
        if cell.is_nothing() { self } else { self.line(name, cell) }
    }

    /// A line for each of these members, where it is there.
    pub(in crate::cli) fn members(self, value: &Value, members: &[(&'static str, &'static str)]) -> Self {
        members.iter().fold(self, |card, (name, member)| card.some(*name, Cell::of(&value[*member])))
    }

    /// A text of many lines under a heading.
    pub(in crate::cli) fn text_below(mut self, heading: impl Into<String>, text: impl Into<String>) -> Self {
        self.below.push(Below::Text(heading.into(), text.into()));
        self
    }

    /// A table under a heading.
    pub(in crate::cli) fn rows_below(mut self, heading: &str, table: Table, rows: &Value) -> Self {
        let rows = rows.as_array().cloned().unwrap_or_default();
        if !rows.is_empty() {
            self.below.push(Below::Rows(heading.to_owned(), table, rows));
        }
        self
    }

    pub(in crate::cli) fn text(self, screen: Screen) -> String {
        let paint = screen.paint;
        let widest = self.lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let mut parts = Vec::new();
        if let Some(title) = &self.title {
            parts.push(paint.bold(paint.tone(title)));
        }
        parts.extend(self.lines.iter().map(|(name, cell)| {
            let name = paint.dim(format!("{name:widest$}"));
            let room = screen.width.map(|width| width.saturating_sub(widest + 2));
            let text = wrapped(&cell.text, room, widest + 2);
            format!("{name}  {}", paint.tone(&Cell { text, tone: cell.tone }))
        }));
        for below in self.below {
            let (heading, text) = match below {
                Below::Text(heading, text) => (heading, text),
                Below::Rows(heading, mut table, rows) => (heading, table.text(&rows, screen)),
            };
            let gap = if parts.is_empty() { "" } else { "\n" };
            parts.push(format!("{gap}{}", paint.bold(heading)));
            parts.extend(text.lines().map(|line| format!("  {line}").trim_end().to_owned()));
        }
        parts.join("\n")
    }
}

/// The text in lines of at most `room`, where it has spaces to break at; each line but the first is indented.
fn wrapped(text: &str, room: Option<usize>, indent: usize) -> String {
    let Some(room) = room.filter(|room| *room >= 20 && text.chars().count() > *room) else { return text.to_owned() };
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_broken_at_spaces_and_ids_never() {
        let id = "evt_01m7ygpcdqnx8qvm0htgh20000";
        assert_eq!(wrapped(&format!("aaa {id} bbb"), Some(20), 2), format!("aaa\n  {id}\n  bbb"));
        assert_eq!(wrapped(id, Some(20), 2), id);
        assert_eq!(wrapped("a b", None, 2), "a b");
    }
}
