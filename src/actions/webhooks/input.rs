//! What a caller may say of a webhook, at registration and in a change.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::notes::Notes;
use crate::actions::{Member, Object};
use crate::domain::webhook::RetryOverride;

/// The members of a registration or a change; which of them must be there, and their ranges, is checked afterwards.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookInput)]
pub struct Input {
    /// Where to POST: HTTPS; HTTP only where the tenant is `sandbox`.
    #[serde(default)]
    #[schema(value_type = String, max_length = 2048, example = "https://hooks.example.com/tidings")]
    pub(super) url: Member<String>,
    /// Exact event types, `*`, or prefixes ending in `.*`.
    #[serde(default)]
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 100, example = json!(["document.*", "run.failed"]))]
    pub(super) events: Member<Vec<String>>,
    /// The wire language; the tenant's default one where it is left out. Never changes.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "standard")]
    pub(super) dialect: Member<String>,
    /// For people.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1000)]
    pub(super) description: Member<String>,
    /// Sent with every request, beside the dialect's own.
    #[serde(default)]
    #[schema(value_type = Option<HashMap<String, String>>, example = json!({"X-Team": "billing"}))]
    pub(super) headers: Member<Pairs>,
    /// In place of the dialect's schedule.
    #[serde(default, deserialize_with = "Object::member")]
    #[schema(value_type = Option<RetryOverride>)]
    pub(super) retry: Member<RetryOverride>,
    /// From the start of an attempt to the end of the answer; the dialect's where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<i16>, minimum = 1, maximum = 30)]
    pub(super) timeout_seconds: Member<i64>,
    /// Requests a second, over all processes; without limit where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 10_000)]
    pub(super) rate_limit: Member<i64>,
    /// Requests under way in each process; 32 where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<i16>, minimum = 1, maximum = 256)]
    pub(super) max_in_flight: Member<i64>,
    /// Your own notes, at most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<HashMap<String, Value>>)]
    pub(super) metadata: Member<Notes>,
    /// `false` registers or leaves it paused.
    #[serde(default)]
    #[schema(value_type = bool)]
    pub(super) is_active: Member<bool>,
}

impl Input {
    /// A change that only switches a webhook on or off.
    #[must_use]
    pub fn switch(is_active: bool) -> Self {
        Self { is_active: Member::Is(is_active), ..Self::default() }
    }
}

/// Names and texts of an object, in their order; a name may stand twice, which is for others to refuse.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

/// Values may be credentials.
impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of header names and texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
