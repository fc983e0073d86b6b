//! A list, fitted to the terminal.

use comfy_table::{
    Attribute, Cell as Drawn, CellAlignment, ColumnConstraint, ContentArrangement, Row, TableStyle, Width,
};
use serde_json::Value;

use super::Screen;
use super::cell::{Cell, Tone};
use super::width::{self, GAP, Need};

/// A column: its title, and its cell of each row.
pub(in crate::cli) struct Column {
    title: &'static str,
    of: Box<dyn Fn(&Value) -> Cell>,
    /// The width that it may be cut to.
    least: Option<usize>,
    rank: Option<u8>,
    to_the_right: bool,
}

impl Column {
    /// A column that is never cut nor left out.
    pub(in crate::cli) fn new(title: &'static str, of: impl Fn(&Value) -> Cell + 'static) -> Self {
        Self { title, of: Box::new(of), least: None, rank: None, to_the_right: false }
    }

    /// A member's text.
    pub(in crate::cli) fn text(title: &'static str, member: &'static str) -> Self {
        Self::new(title, move |row| Cell::of(&row[member]))
    }

    /// A member that is a time.
    pub(in crate::cli) fn time(title: &'static str, member: &'static str) -> Self {
        Self::new(title, move |row| Cell::time(&row[member]))
    }

    /// A member that is a state.
    pub(in crate::cli) fn word(title: &'static str, member: &'static str) -> Self {
        Self::new(title, move |row| Cell::word(&row[member]))
    }

    /// May be cut to this width.
    pub(in crate::cli) const fn cut(mut self, least: usize) -> Self {
        self.least = Some(least);
        self
    }

    /// Is left out where there is no room, the lowest rank first.
    pub(in crate::cli) const fn spare(mut self, rank: u8) -> Self {
        self.rank = Some(rank);
        self
    }

    /// Numbers.
    pub(in crate::cli) const fn right(mut self) -> Self {
        self.to_the_right = true;
        self
    }
}

/// Columns, and how wide they were so far: a list is printed page by page.
pub(in crate::cli) struct Table {
    columns: Vec<Column>,
    widest: Vec<usize>,
    has_heading: bool,
}

impl Table {
    pub(in crate::cli) fn new(columns: Vec<Column>) -> Self {
        let widest = columns.iter().map(|column| column.title.len()).collect();
        Self { columns, widest, has_heading: false }
    }

    /// These rows, under the titles if they are the first.
    pub(in crate::cli) fn text(&mut self, rows: &[Value], screen: Screen) -> String {
        let cells: Vec<Vec<Cell>> =
            rows.iter().map(|row| self.columns.iter().map(|column| (column.of)(row)).collect()).collect();
        let widths = self.widths(&cells, screen.width);
        let mut drawn = comfy_table::Table::new();
        drawn.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
        if screen.paint.is_on() {
            drawn.enforce_styling();
        } else {
            drawn.force_no_tty();
        }
        if !std::mem::replace(&mut self.has_heading, true) {
            let titles = self.columns.iter().zip(&widths).filter_map(|(column, width)| {
                let title = Drawn::new(column.title).add_attribute(Attribute::Dim);
                width.map(|_| title.set_alignment(column.alignment()))
            });
            drawn.add_row(Row::from(titles.collect::<Vec<_>>()));
        }
        for row in &cells {
            let row = row.iter().zip(&self.columns).zip(&widths);
            let row =
                row.filter_map(|((cell, column), width)| Some(draw(cell, (*width)?).set_alignment(column.alignment())));
            drawn.add_row(Row::from(row.collect::<Vec<_>>()));
        }
        let shown: Vec<_> = widths.iter().flatten().copied().collect();
        for (column, width) in drawn.column_iter_mut().zip(&shown) {
            let gap = u16::try_from(GAP).unwrap_or_default();
            column.set_padding((0, gap));
            let width = u16::try_from(*width).unwrap_or(u16::MAX).saturating_add(gap);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        drawn.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    fn widths(&mut self, rows: &[Vec<Cell>], total: Option<usize>) -> Vec<Option<usize>> {
        for (index, widest) in self.widest.iter_mut().enumerate() {
            let own = rows.iter().map(|row| row[index].text.chars().count()).max().unwrap_or_default();
            *widest = own.max(*widest);
        }
        let is_empty = |index: usize| !self.has_heading && rows.iter().all(|row| row[index].is_nothing());
        let need = |(index, (column, whole)): (usize, (&Column, &usize))| {
            // What nobody has anything in is the first to go.
            let rank = if column.rank.is_some() && is_empty(index) { Some(0) } else { column.rank };
            Need { whole: *whole, least: column.least.map_or(*whole, |least| least.min(*whole)), rank }
        };
        let needs: Vec<_> = self.columns.iter().zip(&self.widest).enumerate().map(need).collect();
        width::fit(&needs, total)
    }
}

impl Column {
    const fn alignment(&self) -> CellAlignment {
        if self.to_the_right { CellAlignment::Right } else { CellAlignment::Left }
    }
}

fn draw(cell: &Cell, width: usize) -> Drawn {
    let drawn = Drawn::new(cut(&cell.text, width));
    match (cell.tone, cell.tone.color()) {
        (Tone::Aside, _) => drawn.add_attribute(Attribute::Dim),
        (_, Some(color)) => drawn.fg(color),
        (_, None) => drawn,
    }
}

/// The text, or its beginning and a sign that it went on.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}
