//! As much of Postgres' protocol as it takes to see that a statement was committed: before its answer is passed on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Statements whose answers are worth losing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Accept = 1,
    Claim,
    Settle,
    Commit,
}

/// What they are told apart by.
pub const MARKS: [(&str, Kind); 4] = [
    ("WITH stale AS", Kind::Accept),
    ("WITH claimed AS", Kind::Claim),
    ("WITH result AS", Kind::Settle),
    ("COMMIT", Kind::Commit),
];

impl Kind {
    fn of(sql: &str) -> Option<Self> {
        MARKS.iter().find(|(mark, _)| sql.contains(mark)).map(|(_, kind)| *kind)
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Accept, Self::Claim, Self::Settle, Self::Commit].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// What a connection's client has asked for last; 0 for nothing that matters.
#[derive(Debug, Clone, Default)]
pub struct UnderWay(Arc<AtomicU8>);

/// Messages of one direction, cut out of the stream. Each is a letter, four bytes of length and a body.
#[derive(Debug, Default)]
struct Messages(Vec<u8>);

impl Messages {
    fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole message; `has_letter` is false for the client's first one.
    fn next(&mut self, has_letter: bool) -> Option<(u8, Vec<u8>)> {
        let head = usize::from(has_letter);
        let length: [u8; 4] = self.0.get(head..head + 4)?.try_into().ok()?;
        let end = head + usize::try_from(u32::from_be_bytes(length)).ok()?;
        if self.0.len() < end {
            return None;
        }
        let rest = self.0.split_off(end);
        let whole = std::mem::replace(&mut self.0, rest);
        Some((if has_letter { whole[0] } else { 0 }, whole[head + 4..].to_vec()))
    }
}

/// The client's side: learns the statements' names.
#[derive(Debug)]
pub struct Frontend {
    messages: Messages,
    greeted: bool,
    statements: HashMap<Vec<u8>, Option<Kind>>,
    under_way: UnderWay,
}

impl Frontend {
    pub fn new(under_way: UnderWay) -> Self {
        Self { messages: Messages::default(), greeted: false, statements: HashMap::new(), under_way }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.messages.feed(bytes);
        while let Some((letter, body)) = self.messages.next(self.greeted) {
            self.greeted = true;
            let mut words = body.split(|byte| *byte == 0);
            let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let kind = match letter {
                b'P' => {
                    self.statements.insert(first.to_vec(), Kind::of(&String::from_utf8_lossy(second)));
                    continue;
                }
                b'B' => self.statements.get(second).copied().flatten(),
                b'Q' => Kind::of(&String::from_utf8_lossy(first)),
                _ => continue,
            };
            self.under_way.0.store(kind.map_or(0, |kind| kind as u8), Ordering::Relaxed);
        }
    }
}

/// The server's side: sees when what was asked for is committed.
#[derive(Debug)]
pub struct Backend {
    messages: Messages,
    completed: bool,
    under_way: UnderWay,
}

impl Backend {
    pub fn new(under_way: UnderWay) -> Self {
        Self { messages: Messages::default(), completed: false, under_way }
    }

    /// What these bytes say was committed: a statement was completed, and the server is ready for the next outside a transaction.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Kind> {
        self.messages.feed(bytes);
        let mut committed = Vec::new();
        while let Some((letter, body)) = self.messages.next(true) {
            match letter {
                b'C' => self.completed = true,
                b'Z' => {
                    let kind = Kind::from_number(self.under_way.0.swap(0, Ordering::Relaxed));
                    if std::mem::take(&mut self.completed) && body == b"I" {
                        committed.extend(kind);
                    }
                }
                _ => {}
            }
        }
        committed
    }
}
