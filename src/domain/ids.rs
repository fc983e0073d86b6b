//! Identifiers: a prefix that names the noun and a lowercase [ULID](https://github.com/ulid/spec).
//!
//! An event's id leaves its last 20 bits zero; each of its deliveries has the same id with an ordinal in those bits
//! (the last four characters). So a delivery names its event without a column or an index for it, and the deliveries
//! of one event lie side by side in every table.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Bits at the end of a delivery's id that number it within its event.
const ORDINAL_BITS: u32 = 20;
const ORDINAL_MASK: u128 = (1 << ORDINAL_BITS) - 1;
/// Deliveries owed at accept are numbered below this, those that a resend made from here on.
const FIRST_RESEND: u32 = 1 << (ORDINAL_BITS - 1);

/// Why a text is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is `{prefix}` followed by 26 lowercase characters of a ULID")]
pub struct InvalidId {
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id as the 128-bit number that the database stores as a `uuid`.
            #[must_use]
            pub const fn as_u128(self) -> u128 {
                self.0.0
            }

            /// The id with this 128-bit number.
            #[must_use]
            pub const fn from_u128(number: u128) -> Self {
                Self(Ulid(number))
            }

            /// The time in the id's first 48 bits, to the millisecond.
            #[must_use]
            pub fn created_at(self) -> DateTime<Utc> {
                i64::try_from(self.0.timestamp_ms())
                    .ok()
                    .and_then(DateTime::from_timestamp_millis)
                    .unwrap_or_default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0; ulid::ULID_LEN];
                let text = self.0.array_to_str(&mut buffer);
                text.make_ascii_lowercase();
                f.write_str($prefix)?;
                f.write_str(text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId { prefix: $prefix };
                let ulid = text.strip_prefix($prefix).ok_or(invalid.clone())?;
                if ulid.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err(invalid);
                }
                let id = Self(Ulid::from_string(ulid).map_err(|_| invalid.clone())?);
                // The decoder forgives look-alike letters; an id has one spelling.
                if id.to_string() == text { Ok(id) } else { Err(invalid) }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                RefOr::T(id_schema($prefix).into())
            }
        }

        impl ToSchema for $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// How an id looks, for the API's description.
fn id_schema(prefix: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!("^{prefix}[0-7][0-9a-hjkmnp-tv-z]{{25}}$")))
        .examples([format!("{prefix}01jq8v9h3k0000000000000000")])
        .build()
}

macro_rules! fresh {
    ($($name:ident),+) => {$(
        impl $name {
            /// A new id from the time and 80 bits of chance.
            #[must_use]
            pub fn new(now: DateTime<Utc>, random: u128) -> Self {
                Self(Ulid::from_parts(milliseconds(now), random))
            }
        }
    )+};
}

id!(
    /// Names a tenant.
    TenantId, "ten_"
);
id!(
    /// Names an API key (not the key itself).
    KeyId, "key_"
);
id!(
    /// Names a webhook.
    WebhookId, "wh_"
);
id!(
    /// Names an event; its last four characters are `0000`.
    EventId, "evt_"
);
id!(
    /// Names a delivery: its event's id with an ordinal in the last four characters.
    DeliveryId, "dlv_"
);
id!(
    /// Names an attempt; derived from the delivery, the number and the time, never stored.
    AttemptId, "att_"
);
id!(
    /// Names a replay.
    ReplayId, "rpl_"
);
fresh!(TenantId, KeyId, WebhookId, ReplayId);

impl EventId {
    /// A new event id from the time and the upper 60 of 80 bits of chance.
    #[must_use]
    pub fn new(now: DateTime<Utc>, random: u128) -> Self {
        Self(Ulid(Ulid::from_parts(milliseconds(now), random).0 & !ORDINAL_MASK))
    }

    /// The id of this event's delivery with the given ordinal (from 1; at most 2²⁰ − 1, higher bits are dropped).
    #[must_use]
    pub const fn delivery(self, ordinal: u32) -> DeliveryId {
        DeliveryId(Ulid(self.0.0 | (ordinal as u128 & ORDINAL_MASK)))
    }

    /// The id of the first delivery of this event that a resend makes; those owed at accept come before it.
    #[must_use]
    pub const fn first_resend(self) -> DeliveryId {
        self.delivery(FIRST_RESEND)
    }

    /// The last id that a delivery of this event can have.
    #[must_use]
    pub const fn last_delivery(self) -> DeliveryId {
        DeliveryId(Ulid(self.0.0 | ORDINAL_MASK))
    }
}

impl DeliveryId {
    /// The event that this delivery is of.
    #[must_use]
    pub const fn event(self) -> EventId {
        EventId(Ulid(self.0.0 & !ORDINAL_MASK))
    }

    /// The id after this one, where the event has room for it.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        (self < self.event().last_delivery()).then_some(Self(Ulid(self.0.0 + 1)))
    }
}

impl AttemptId {
    /// The id of a delivery's attempt: the time it started, then the delivery's chance bits and the attempt's number.
    #[must_use]
    pub fn of(delivery: DeliveryId, number: u16, started_at: DateTime<Utc>) -> Self {
        let mixed = delivery.0.random() ^ (u128::from(number) << ORDINAL_BITS);
        Self(Ulid::from_parts(milliseconds(started_at), mixed))
    }
}

fn milliseconds(time: DateTime<Utc>) -> u64 {
    u64::try_from(time.timestamp_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EventId {
        EventId::new(DateTime::from_timestamp_millis(1_770_000_000_123).unwrap_or_default(), u128::MAX)
    }

    #[test]
    fn an_id_reads_back_as_itself_and_tells_its_time() {
        let id = event();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 30);
        assert_eq!(id.created_at().timestamp_millis(), 1_770_000_000_123);
    }

    #[test]
    fn a_delivery_shares_its_events_id_but_for_the_last_four_characters() {
        let delivery = event().delivery(33);
        assert_eq!(delivery.event(), event());
        assert_eq!(&delivery.to_string()[4..26], &event().to_string()[4..26]);
        assert!(delivery.to_string().ends_with("0011"));
        assert!(delivery < event().last_delivery());
    }

    #[test]
    fn resends_are_numbered_in_the_upper_half() {
        let first = event().first_resend();
        assert!(event().delivery(500_000) < first && first.event() == event());
        assert_eq!(first.next(), Some(event().delivery(FIRST_RESEND + 1)));
        assert_eq!(event().last_delivery().next(), None);
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = event().to_string();
        for wrong in [text.to_uppercase(), text.replace("evt_", "dlv_"), text[..29].into(), format!("{text}0")] {
            assert!(wrong.parse::<EventId>().is_err(), "{wrong}");
        }
        assert!("evt_o0000000000000000000000000".parse::<EventId>().is_err(), "look-alike letters");
    }
}
