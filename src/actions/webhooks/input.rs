//! What a caller may say of a webhook, at registration and in a change.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::notes::Notes;
use crate::actions::Member;
use crate::domain::webhook::RetryOverride;

/// The members of a registration or a change; which of them must be there, and their ranges, is checked afterwards.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    pub(super) url: Member<String>,
    pub(super) events: Member<Vec<String>>,
    pub(super) dialect: Member<String>,
    pub(super) description: Member<String>,
    pub(super) headers: Member<Pairs>,
    pub(super) retry: Member<RetryOverride>,
    pub(super) timeout_seconds: Member<i64>,
    pub(super) rate_limit: Member<i64>,
    pub(super) max_in_flight: Member<i64>,
    pub(super) metadata: Member<Notes>,
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
