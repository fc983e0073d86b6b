//! Tenants, their keys and what a key may do.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::{KeyId, TenantId};

/// What a tenant's traffic is: real, or for trying things out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Real traffic: webhooks must be HTTPS.
    Live,
    /// For development: webhooks may be plain HTTP.
    Sandbox,
}

impl Environment {
    /// The word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Sandbox => "sandbox",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Sandbox].into_iter().find(|environment| environment.as_str() == text)
    }
}

/// A tenant: the isolation boundary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// For people.
    pub name: String,
    /// What its traffic is; never changes.
    pub environment: Environment,
    /// The dialect of its webhooks that name none.
    pub default_dialect: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// An API key, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is; `None` for a platform key.
    pub tenant_id: Option<TenantId>,
    /// What it may do; none for a platform key, which may do everything.
    pub roles: Vec<Role>,
    /// For people.
    pub description: String,
    /// Requests a second in each process; `None`: as the configuration says.
    pub requests_per_second: Option<i32>,
    /// Requests at once, out of rest; exactly where there is a rate.
    pub burst: Option<i32>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// How often a key may ask, in each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second.
    pub per_second: NonZeroU32,
    /// Requests at once, after a rest.
    pub burst: NonZeroU32,
}

impl Rate {
    /// The rate of two stored numbers.
    #[must_use]
    pub fn of(per_second: Option<i32>, burst: Option<i32>) -> Option<Self> {
        let number = |number: i32| u32::try_from(number).ok().and_then(NonZeroU32::new);
        Some(Self { per_second: number(per_second?)?, burst: number(burst?)? })
    }
}

/// What a key of a tenant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Registers and changes webhooks.
    Manager,
    /// Reports events.
    Producer,
    /// Resends and gives up deliveries.
    Operator,
    /// Reads.
    Viewer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Manager, Self::Producer, Self::Operator, Self::Viewer];

    /// The word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Producer => "producer",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// Whether a key with this role may do what requires `other`. Whoever manages or operates may also read; a producer's key, which lies
    /// in many services, shows nothing.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        self == other || (other == Self::Viewer && self != Self::Producer)
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// Who a request's key speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A platform key: manages tenants and keys, and acts for any tenant that the request names.
    Platform {
        /// The key, or `None` for the one from the configuration.
        key: Option<KeyId>,
        /// How often it may ask, where that is limited.
        rate: Option<Rate>,
    },
    /// A key of one tenant.
    Tenant {
        /// The key.
        key: KeyId,
        /// The tenant it is bound to.
        tenant: TenantId,
        /// What it may do.
        roles: Vec<Role>,
        /// How often it may ask, where it has a rate of its own.
        rate: Option<Rate>,
    },
}

impl Principal {
    /// Whether it may do what takes this role.
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        match self {
            Self::Platform { .. } => true,
            Self::Tenant { roles, .. } => roles.iter().any(|own| own.includes(role)),
        }
    }
}
