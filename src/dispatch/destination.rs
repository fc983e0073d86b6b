//! A destination: a webhook with its secrets opened and its URL vetted, ready to be sent to.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::error;

use crate::actions::vault::{self, Kind};
use crate::actions::{ActionError, Context};
use crate::dialect::{DialectError, Keys, Profile};
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::lease::DialectRevision;
use crate::domain::retry::{RetryPolicy, StatusRange};
use crate::domain::secret::Secret;
use crate::domain::webhook::{DEFAULT_MAX_IN_FLIGHT, DEFAULT_TIMEOUT_SECONDS, RetryOverride};
use crate::net::{Headers, Target, UrlError};
use crate::store::outbox::destinations::DestinationRow;

/// All that sending to a webhook takes.
pub(super) struct Destination {
    pub(super) revision: i32,
    pub(super) max_in_flight: usize,
    /// The URL, or why it may not be sent to (any more).
    pub(super) target: Result<Target, UrlError>,
    pub(super) headers: Headers,
    is_active: bool,
    parked_until: Option<DateTime<Utc>>,
    timeout: Option<Duration>,
    retry: Option<RetryOverride>,
    signing: Vec<TimedSecret>,
    token: Option<Secret>,
    prepared: Mutex<Option<Prepared>>,
}

struct TimedSecret {
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    secret: Secret,
}

impl TimedSecret {
    fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

/// Keys for one dialect, good until a secret begins or ends.
struct Prepared {
    dialect: DialectRevision,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    keys: Arc<Keys>,
}

impl Destination {
    /// Opens what the database keeps sealed.
    pub(super) fn open(
        context: &Context,
        tenant_id: TenantId,
        webhook_id: WebhookId,
        row: DestinationRow,
    ) -> Result<Self, ActionError> {
        let keys = &context.master_keys;
        let headers = Headers::allowed(&vault::open_headers(keys, tenant_id, webhook_id, row.headers.as_ref())?);
        let mut signing = Vec::new();
        let mut token = None;
        for stored in row.secrets {
            let kind = if stored.kind == Kind::Token.as_str() { Kind::Token } else { Kind::Signing };
            let has_ended = stored.valid_until.is_some_and(|until| until <= context.clock.now());
            let secret = match vault::open(keys, tenant_id, webhook_id, kind, &stored.sealed) {
                // It signs nothing any more, and must not stand in the way of the one that took its place.
                Err(_) if has_ended => continue,
                opened => opened?,
            };
            if kind == Kind::Token {
                token.get_or_insert(secret);
            } else {
                signing.push(TimedSecret { from: stored.valid_from, until: stored.valid_until, secret });
            }
        }
        let limit = row.max_in_flight.map_or(DEFAULT_MAX_IN_FLIGHT, i16::cast_unsigned);
        Ok(Self {
            revision: row.revision,
            max_in_flight: usize::from(limit),
            target: Target::parse(&row.url, row.is_sandbox, context.sender.guard()),
            headers,
            is_active: row.is_active,
            parked_until: row.parked_until,
            timeout: row.timeout_seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs().into())),
            retry: row.retry.and_then(|json| {
                // It was checked before it was stored, perhaps by another version of this program.
                let read = serde_json::from_str(&json);
                read.inspect_err(|error| error!(%error, "stored retry rules cannot be used: the dialect's apply")).ok()
            }),
            signing,
            token,
            prepared: Mutex::new(None),
        })
    }

    /// Whether it may be sent to now.
    pub(super) fn takes(&self, now: DateTime<Utc>) -> bool {
        self.is_active && self.parked_until.is_none_or(|until| until <= now)
    }

    /// From the start of an attempt to the end of the answer.
    pub(super) fn timeout(&self, profile: &Profile) -> Duration {
        let default = Duration::from_secs(DEFAULT_TIMEOUT_SECONDS.into());
        self.timeout.or(profile.timeout()).unwrap_or(default)
    }

    /// The webhook's own retry rules, else its dialect's. Statuses that are terminal in the dialect stay so.
    pub(super) fn retry<'a>(&self, profile: &'a Profile) -> Cow<'a, RetryPolicy> {
        let Some(own) = &self.retry else { return Cow::Borrowed(profile.retry()) };
        let waits = RetryPolicy::backoff(
            own.max_attempts,
            Duration::from_secs_f64(own.initial_seconds),
            own.factor,
            Duration::from_secs_f64(own.max_seconds),
        );
        let terminal = own.terminal_statuses.iter().map(|&status| StatusRange(status, status));
        Cow::Owned(RetryPolicy {
            waits,
            jitter: own.jitter,
            terminal: profile.retry().terminal.iter().copied().chain(terminal).collect(),
        })
    }

    /// Whether it has a signing secret at `now`, of whatever form.
    pub(super) fn has_secret(&self, now: DateTime<Utc>) -> bool {
        self.signing.iter().any(|one| one.is_live(now))
    }

    /// Whether a signing secret begins after `now`.
    pub(super) fn awaits_secret(&self, now: DateTime<Utc>) -> bool {
        self.signing.iter().any(|one| now < one.from)
    }

    /// What signs at `now` in a dialect.
    pub(super) fn keys(
        &self,
        profile: &Profile,
        dialect: DialectRevision,
        now: DateTime<Utc>,
    ) -> Result<Arc<Keys>, DialectError> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(good) = prepared.as_ref().filter(|one| one.dialect == dialect && one.from <= now && now < one.until)
        {
            return Ok(Arc::clone(&good.keys));
        }
        let secrets: Vec<_> =
            self.signing.iter().filter(|one| one.is_live(now)).map(|one| one.secret.clone()).collect();
        let keys = Arc::new(profile.keys(&secrets, self.token.as_ref())?);
        let changes = self.signing.iter().flat_map(|one| [Some(one.from), one.until]).flatten();
        let until = changes.filter(|&change| change > now).min().unwrap_or(DateTime::<Utc>::MAX_UTC);
        *prepared = Some(Prepared { dialect, from: now, until, keys: Arc::clone(&keys) });
        Ok(keys)
    }
}
