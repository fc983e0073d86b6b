//! Text from strangers, made fit for a terminal: JSON laid out without a change to its tokens, control characters shown.

use std::ops::RangeInclusive;

use serde::de::IgnoredAny;

/// One line or many of text, with whatever steers the terminal shown as an escape: control characters but the line feed, other ends of
/// lines, and what turns the direction of the text about, after which a line reads as another one.
#[must_use]
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || !(character.is_control() || STEERING.iter().any(|range| range.contains(&character))) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

/// Marks, embeddings, overrides and isolates of direction (UAX #9), and the separators of lines and paragraphs.
const STEERING: [RangeInclusive<char>; 4] =
    ['\u{61c}'..='\u{61c}', '\u{200e}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2066}'..='\u{2069}'];

/// JSON with a member a line, its numbers and escapes spelt as they came; `None` if it is not JSON.
#[must_use]
pub(super) fn indented(json: &[u8]) -> Option<String> {
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    let mut layout = Layout::default();
    std::str::from_utf8(json).ok()?.chars().for_each(|character| layout.push(character));
    Some(layout.text)
}

#[derive(Default)]
struct Layout {
    text: String,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// A bracket was opened, and nothing has come since.
    just_opened: bool,
}

impl Layout {
    fn push(&mut self, character: char) {
        if self.in_string {
            self.text.push(character);
            self.in_string = self.escaped || character != '"';
            self.escaped = !self.escaped && character == '\\';
            return;
        }
        if character.is_ascii_whitespace() {
            return;
        }
        let closes = matches!(character, '}' | ']');
        if closes {
            self.depth = self.depth.saturating_sub(1);
        }
        if self.just_opened != closes {
            self.new_line();
        }
        self.just_opened = matches!(character, '{' | '[');
        self.text.push(character);
        match character {
            '{' | '[' => self.depth += 1,
            ',' => self.new_line(),
            ':' => self.text.push(' '),
            _ => self.in_string = character == '"',
        }
    }

    fn new_line(&mut self) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_its_tokens_are_left_alone() {
        let laid_out = indented(br#" {"a":1.0,"b" : [1e2,{}, []],"c":{"d":"\u00e9,\"{x}\\"}}"#).expect("JSON");
        insta::assert_snapshot!(laid_out, @r#"
        {
          "a": 1.0,
          "b": [
            1e2,
            {},
            []
          ],
          "c": {
            "d": "\u00e9,\"{x}\\"
          }
        }
        "#);
        assert_eq!(indented(b"\"text\"").as_deref(), Some("\"text\""));
        assert_eq!(indented(b"{\"a\":}"), None);
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(harmless("é\n\x1b[2J\r\u{9b}"), "é\n\\u{1b}[2J\\r\\u{9b}");
        assert_eq!(harmless("\u{202e}fdp.\u{2066}\u{2028}שלום"), "\\u{202e}fdp.\\u{2066}\\u{2028}שלום");
    }
}
