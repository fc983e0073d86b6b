//! Identifiers as the database knows them: a `uuid` with the ULID's 128 bits.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};
use uuid::Uuid;

use crate::domain::ids::{DeliveryId, EventId, KeyId, ReplayId, TenantId, WebhookId};

macro_rules! stored_as_uuid {
    ($($id:ident),+) => {$(
        impl Type<Postgres> for $id {
            fn type_info() -> PgTypeInfo {
                <Uuid as Type<Postgres>>::type_info()
            }
        }

        impl PgHasArrayType for $id {
            fn array_type_info() -> PgTypeInfo {
                <Uuid as PgHasArrayType>::array_type_info()
            }
        }

        impl Encode<'_, Postgres> for $id {
            fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                <Uuid as Encode<Postgres>>::encode(Uuid::from_u128(self.as_u128()), buffer)
            }
        }

        impl Decode<'_, Postgres> for $id {
            fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
                Ok(Self::from_u128(<Uuid as Decode<Postgres>>::decode(value)?.as_u128()))
            }
        }
    )+};
}

stored_as_uuid!(TenantId, KeyId, WebhookId, EventId, DeliveryId, ReplayId);
