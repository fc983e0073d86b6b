//! Everything that can go wrong with a call, as sentences that say what to do.

use std::error::Error;

use super::call::Call;
use super::problem::Problem;
use super::{Given, Place};
use crate::domain::ids::TenantId;

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is no URL to call.
    #[error("`{}` (from {}) is no address of an API: it must be like http://127.0.0.1:8080", .0.value, .0.origin)]
    BadUrl(Given<String>),
    /// The key cannot be sent.
    #[error("the key from {0} has characters that no key has: copy it again, without quotes or line breaks")]
    BadKey(String),
    /// This host lacks something.
    #[error("this host cannot make requests: {0}")]
    Setup(String),
    /// No connection was made.
    #[error(
        "cannot reach Tidings at {url} (from {origin}): {cause}. Start `tidings dev` or `tidings serve` there, or name another address with --api or TIDINGS_URL"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// Where it was set.
        origin: String,
        /// What the system says.
        cause: String,
    },
    /// The answer did not arrive.
    #[error("no answer from {url}: {cause}. It may have been done: look before you repeat it")]
    Lost {
        /// The address.
        url: String,
        /// What the system says.
        cause: String,
    },
    /// A key is needed, and none was given.
    #[error(
        "no API key: set TIDINGS_KEY, or name a file with --key-file, or a profile with --profile; `tidings dev` prints one"
    )]
    NoKey,
    /// The API knows no such key.
    #[error(
        "the key from {origin} is not valid at {url}: it was mistyped, deleted, or belongs to another Tidings\n  (401, request {request_id})"
    )]
    Unauthenticated {
        /// Where the key was set.
        origin: String,
        /// The address.
        url: String,
        /// Finds it in the log.
        request_id: String,
    },
    /// The API said no.
    #[error("{0}")]
    Refused(Problem),
    /// Something answered that is not the API.
    #[error("{url} (from {origin}) answered {status}, and not as Tidings does: is that its address?{hint}")]
    NotTidings {
        /// The address.
        url: String,
        /// Where it was set.
        origin: String,
        /// The HTTP status.
        status: u16,
        /// Where it leads to, if it does.
        hint: String,
    },
    /// A success without the JSON that belongs to it.
    #[error("the answer is not what this version of `tidings` expects: is the API of another version?")]
    NotJson,
}

impl ClientError {
    /// Why no answer arrived.
    pub(super) fn of(error: &reqwest::Error, place: &Place) -> Self {
        let (Given { value: url, origin }, cause) = (place.url.clone(), root(error));
        if error.is_connect() { Self::Unreachable { url, origin, cause } } else { Self::Lost { url, cause } }
    }

    /// Why an answer is no success.
    pub(super) fn refused(status: u16, body: &[u8], location: Option<&str>, _: &Call, place: &Place) -> Self {
        let Given { value: url, origin } = place.url.clone();
        let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
            let hint = location.map(|to| format!(" It leads to {to}")).unwrap_or_default();
            return Self::NotTidings { url, origin, status, hint };
        };
        match (status, &place.key) {
            (401, None) => Self::NoKey,
            (401, Some(key)) => {
                Self::Unauthenticated { origin: key.origin.clone(), url, request_id: problem.request_id }
            }
            (403, Some(key)) => {
                Self::Refused(Problem { detail: why_not(&problem, &key.origin, place.tenant), ..problem })
            }
            _ => Self::Refused(problem),
        }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::NoKey | Self::Unauthenticated { .. } => Some(401),
            Self::Refused(problem) => Some(problem.status),
            Self::NotTidings { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Why a key may not do something, and what to do about it at the command line: the API speaks of a header there, which nobody typed.
fn why_not(problem: &Problem, origin: &str, tenant: Option<TenantId>) -> String {
    const HOW: &str = "with --key-file, --profile or TIDINGS_KEY";
    match tenant.filter(|_| problem.code == "other_tenant") {
        Some(tenant) => format!(
            "the key from {origin} is another tenant's than {tenant}: give that one's key {HOW}, or name no tenant by --tenant, TIDINGS_TENANT or a profile"
        ),
        None => format!("the key from {origin} is not enough: {}; give another {HOW}", problem.detail),
    }
}

/// What lies at the bottom of an error: the layers above it repeat the URL.
pub(super) fn root(error: &dyn Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
