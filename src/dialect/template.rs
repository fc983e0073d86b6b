//! Texts with placeholders, parsed once: filled by the sender, and read backwards by the receiver.

/// Part of a template.
#[derive(Debug, Clone)]
pub(super) enum Piece<S> {
    /// Stands as it is.
    Text(Box<str>),
    /// Stands for a value.
    Slot(S),
}

/// A text with placeholders from the set `S`.
#[derive(Debug, Clone)]
pub(super) struct Template<S>(Vec<Piece<S>>);

/// The placeholders that may stand in a template: the word between the braces, and what it means.
pub(super) type Slots<S> = [(&'static str, S)];

impl<S: Copy + PartialEq> Template<S> {
    /// Parses `text`; the error says which placeholders are allowed.
    pub(super) fn parse(text: &str, slots: &Slots<S>) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, opened) = rest.split_at(start);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            let end = opened.find('}').ok_or_else(|| unknown(opened, slots))?;
            let word = &opened[1..end];
            let slot = slots.iter().find(|(name, _)| *name == word);
            let (_, slot) = slot.ok_or_else(|| unknown(&opened[..=end], slots))?;
            pieces.push(Piece::Slot(*slot));
            rest = &opened[end + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Self(pieces))
    }

    /// Its parts in order.
    pub(super) fn pieces(&self) -> &[Piece<S>] {
        &self.0
    }

    /// How often a placeholder stands in it.
    pub(super) fn count(&self, slot: S) -> usize {
        self.0.iter().filter(|piece| matches!(piece, Piece::Slot(found) if *found == slot)).count()
    }

    /// Whether a placeholder stands in it.
    pub(super) fn uses(&self, slot: S) -> bool {
        self.count(slot) > 0
    }

    /// Whether two placeholders touch, so that nobody could tell where one value ends.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.0.windows(2).any(|pair| matches!(pair, [Piece::Slot(_), Piece::Slot(_)]))
    }

    /// The text with a value in each placeholder.
    pub(super) fn fill<'v>(&self, value: impl Fn(S) -> &'v str) -> String {
        let part = |piece: &Piece<S>| match piece {
            Piece::Text(text) => text.len(),
            Piece::Slot(slot) => value(*slot).len(),
        };
        let mut out = String::with_capacity(self.0.iter().map(part).sum());
        for piece in &self.0 {
            out.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Slot(slot) => value(*slot),
            });
        }
        out
    }

    /// The values that [`Template::fill`] would have made `text` from, in the order of the placeholders.
    pub(super) fn read<'t>(&self, text: &'t str) -> Option<Vec<(S, &'t str)>> {
        let mut values = Vec::new();
        let mut rest = text;
        let mut pieces = self.0.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(&**text)?,
                Piece::Slot(slot) => {
                    let end = match pieces.peek() {
                        Some(Piece::Text(next)) => rest.find(&**next)?,
                        _ => rest.len(),
                    };
                    values.push((*slot, &rest[..end]));
                    rest = &rest[end..];
                }
            }
        }
        rest.is_empty().then_some(values)
    }
}

fn unknown<S>(found: &str, slots: &Slots<S>) -> String {
    let allowed: Vec<_> = slots.iter().map(|(name, _)| format!("{{{name}}}")).collect();
    format!("`{found}` is no placeholder here; allowed are {}", allowed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: &Slots<u8> = &[("a", 1), ("b", 2)];

    fn template(text: &str) -> Template<u8> {
        Template::parse(text, SLOTS).expect("a template")
    }

    #[test]
    fn what_is_filled_reads_back() {
        let template = template("t={a},{b}");
        let filled = template.fill(|slot| if slot == 1 { "12" } else { "v1=x,v1=y" });
        assert_eq!(filled, "t=12,v1=x,v1=y");
        assert_eq!(template.read(&filled), Some(vec![(1, "12"), (2, "v1=x,v1=y")]));
        for other in ["", "t=12", "12,3", "x t=1,2"] {
            assert_eq!(template.read(other), None, "{other}");
        }
    }

    #[test]
    fn a_wrong_placeholder_is_told_with_the_right_ones() {
        for (text, found) in
            [("x{c}", "`{c}`"), ("{", "`{`"), ("{}", "`{}`"), ("{a", "`{a`"), ("{é", "`{é`"), ("{{a}}", "`{{a}`")]
        {
            let error = Template::parse(text, SLOTS).expect_err(text);
            assert!(error.starts_with(found) && error.ends_with("{a}, {b}"), "{text}: {error}");
        }
    }

    #[test]
    fn placeholders_that_touch_are_ambiguous() {
        assert!(template("{a}{b}").is_ambiguous() && !template("{a}.{b}").is_ambiguous());
        assert!(template("x{a}").uses(1) && !template("x{a}").uses(2));
    }
}
