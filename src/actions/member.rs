//! A member of a JSON object, as a PATCH must distinguish it: absent, null, or present.

use serde::{Deserialize, Deserializer};

use super::Fault;

/// A member of an input. Give it `#[serde(default)]`: then an absent one is [`Member::Absent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Member<T> {
    /// It is not there: as it was, or the default.
    #[default]
    Absent,
    /// It is `null`: the default, where there is one.
    Null,
    /// It has a value.
    Is(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Is))
    }
}

impl<T> Member<T> {
    /// The value of a member that may not be null. With a `default`, it may be absent.
    pub fn required(self, pointer: &str, default: Option<T>, faults: &mut Vec<Fault>) -> Option<T> {
        match (self, default) {
            (Self::Is(value), _) => return Some(value),
            (Self::Absent, Some(default)) => return Some(default),
            (Self::Absent, None) => faults.push(Fault::new(pointer, "required", "must be given")),
            (Self::Null, _) => faults.push(Fault::new(pointer, "null", "must not be null")),
        }
        None
    }

    /// The value of a member that may be absent, but not null.
    pub fn unless_absent(self, pointer: &str, faults: &mut Vec<Fault>) -> Option<T> {
        if matches!(self, Self::Absent) { None } else { self.required(pointer, None, faults) }
    }

    /// The value of a member that null clears, and that may have none.
    pub fn or_none(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent => current,
            Self::Null => None,
        }
    }

    /// The value of a member that null clears.
    pub fn or_default(self, current: T, cleared: T) -> T {
        match self {
            Self::Is(value) => value,
            Self::Absent => current,
            Self::Null => cleared,
        }
    }
}
