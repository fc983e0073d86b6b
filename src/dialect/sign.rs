//! Stamping and signing: from a body to the exact headers and bytes of one attempt.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;

use super::keys::{Algorithm, Encoding, Key, Keys};
use super::profile::Profile;
use super::template::{Piece, Slots, Template};
use crate::domain::event::Event;
use crate::domain::ids::EventId;

/// What a placeholder in a header stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderSlot {
    Id,
    Type,
    Timestamp,
    Signatures,
    Token,
}

/// Placeholders of a header.
pub(super) const HEADER_SLOTS: &Slots<HeaderSlot> = &[
    ("id", HeaderSlot::Id),
    ("type", HeaderSlot::Type),
    ("timestamp", HeaderSlot::Timestamp),
    ("signatures", HeaderSlot::Signatures),
    ("token", HeaderSlot::Token),
];

/// What a placeholder in the signed bytes stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedSlot {
    Id,
    Type,
    Timestamp,
    Body,
}

/// Placeholders of the signed bytes.
pub(super) const SIGNED_SLOTS: &Slots<SignedSlot> = &[
    ("id", SignedSlot::Id),
    ("type", SignedSlot::Type),
    ("timestamp", SignedSlot::Timestamp),
    ("body", SignedSlot::Body),
];

/// A header that a dialect sets.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) name: Arc<str>,
    pub(super) value: Template<HeaderSlot>,
}

/// How a dialect signs.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub(super) algorithm: Algorithm,
    pub(super) signed: Template<SignedSlot>,
    pub(super) encoding: Encoding,
    pub(super) prefix: String,
    /// Between the signatures of several secrets; without one, only the newest secret signs.
    pub(super) separator: Option<String>,
}

/// What the headers tell of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The event's id.
    pub id: EventId,
    /// The event's type; for a challenge, the challenge's.
    pub event_type: &'a str,
    /// When the event happened.
    pub time: DateTime<Utc>,
}

impl<'a> From<&'a Event> for Subject<'a> {
    fn from(event: &'a Event) -> Self {
        Self { id: event.id, event_type: &event.event_type, time: event.time() }
    }
}

/// One request, ready to send: the headers that the dialect sets, `Content-Type` among them, and the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// Names as the vendor spells them, and values; no name stands twice.
    pub headers: Vec<(Arc<str>, String)>,
    /// The exact bytes of the body.
    pub body: Bytes,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Signed").field("headers", &names).field("body_bytes", &self.body.len()).finish()
    }
}

/// The texts that the signed bytes are made of, beside the body.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stamped<'a> {
    pub(super) id: &'a str,
    pub(super) event_type: &'a str,
    pub(super) timestamp: &'a str,
}

impl Signature {
    /// One signature, without its prefix.
    pub(super) fn digest(&self, key: &Key, stamped: &Stamped<'_>, body: &[u8]) -> String {
        let mut mac = key.clone();
        for piece in self.signed.pieces() {
            mac.update(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Slot(SignedSlot::Id) => stamped.id.as_bytes(),
                Piece::Slot(SignedSlot::Type) => stamped.event_type.as_bytes(),
                Piece::Slot(SignedSlot::Timestamp) => stamped.timestamp.as_bytes(),
                Piece::Slot(SignedSlot::Body) => body,
            });
        }
        mac.finish(self.encoding)
    }

    /// The signatures of all keys that sign, as they stand in the header.
    fn all(&self, keys: &[Key], stamped: &Stamped<'_>, body: &[u8]) -> String {
        if keys.is_empty() {
            return Keys::FORGOTTEN.to_owned();
        }
        let signing = if self.separator.is_some() { keys.len() } else { 1 };
        let mut out = String::new();
        for (index, key) in keys.iter().take(signing).enumerate() {
            if index > 0 {
                out.push_str(self.separator.as_deref().unwrap_or_default());
            }
            out.push_str(&self.prefix);
            out.push_str(&self.digest(key, stamped, body));
        }
        out
    }
}

impl Profile {
    /// Stamps and signs a body for the attempt that starts at `attempted_at`. `keys` come from this dialect's
    /// [`Profile::keys`]; the newest signs, and older ones beside it where the dialect can carry several signatures.
    #[must_use]
    pub fn sign<'a>(
        &self,
        subject: impl Into<Subject<'a>>,
        body: Bytes,
        keys: &Keys,
        attempted_at: DateTime<Utc>,
    ) -> Signed {
        let subject = subject.into();
        let id = subject.id.to_string();
        let timestamp = self.stamp.map(|stamp| stamp.text(subject.time, attempted_at)).unwrap_or_default();
        let stamped = Stamped { id: &id, event_type: subject.event_type, timestamp: &timestamp };
        let signatures = self.signature.all(&keys.signing, &stamped, &body);
        let token = keys.token.as_ref().map_or("", |token| token.expose_secret());
        let value = |slot| match slot {
            HeaderSlot::Id => stamped.id,
            HeaderSlot::Type => stamped.event_type,
            HeaderSlot::Timestamp => stamped.timestamp,
            HeaderSlot::Signatures => &signatures,
            HeaderSlot::Token => token,
        };
        let headers = self.headers.iter().map(|header| (header.name.clone(), header.value.fill(value))).collect();
        Signed { headers, body }
    }
}
