//! Words as the database knows them: texts and enum labels for the states and classes of the domain.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

use crate::domain::delivery::{DeadReason, State};
use crate::domain::outcome::Class;
use crate::domain::{replay, webhook};

macro_rules! stored_as_word {
    ($($word:ty),+) => {$(
        impl Type<Postgres> for $word {
            fn type_info() -> PgTypeInfo {
                <str as Type<Postgres>>::type_info()
            }
        }

        impl Decode<'_, Postgres> for $word {
            fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
                let word = <&str as Decode<Postgres>>::decode(value)?;
                Self::parse(word).ok_or_else(|| format!("`{word}` is not a {}", stringify!($word)).into())
            }
        }
    )+};
}

stored_as_word!(State, DeadReason, Class, webhook::State, replay::State, replay::Source);
