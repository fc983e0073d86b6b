//! The tables of a dialect's file about retries and registration.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::dialect::error::DialectError;
use crate::domain::retry::{
    DEFAULT_JITTER, DEFAULT_MAX_SECONDS, LONGEST_WAIT_SECONDS, MOST_ATTEMPTS, RetryPolicy, StatusRange,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryTable {
    waits_seconds: Option<Vec<f64>>,
    max_attempts: Option<u16>,
    initial_seconds: Option<f64>,
    factor: Option<f64>,
    max_seconds: Option<f64>,
    #[serde(default = "default_jitter")]
    jitter: f64,
    #[serde(default)]
    terminal_statuses: Vec<Status>,
}

const fn default_jitter() -> f64 {
    DEFAULT_JITTER
}

/// One status, or two with a dash between them.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a status such as 410 or a range such as \"400-499\"")]
enum Status {
    One(u16),
    Range(String),
}

impl RetryTable {
    pub(crate) fn compile(&self) -> Result<RetryPolicy, DialectError> {
        let waits = match &self.waits_seconds {
            Some(waits) => self.listed(waits)?,
            None => self.backoff()?,
        };
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(DialectError::at("retry.jitter", "must be from 0 to 1"));
        }
        let terminal =
            self.terminal_statuses.iter().map(Status::range).collect::<Option<Vec<_>>>().ok_or_else(|| {
                DialectError::at(
                    "retry.terminal_statuses",
                    "must be statuses from 300 to 599, or ranges like \"400-499\"",
                )
            })?;
        Ok(RetryPolicy { waits, jitter: self.jitter, terminal })
    }

    fn listed(&self, waits: &[f64]) -> Result<Vec<Duration>, DialectError> {
        let others = [self.initial_seconds, self.factor, self.max_seconds];
        if self.max_attempts.is_some() || others.iter().any(Option::is_some) {
            let problem = "must stand alone, without `max_attempts`, `initial_seconds`, `factor` and `max_seconds`";
            return Err(DialectError::at("retry.waits_seconds", problem));
        }
        if waits.len() >= usize::from(MOST_ATTEMPTS)
            || !waits.iter().all(|wait| (0.0..=LONGEST_WAIT_SECONDS).contains(wait))
        {
            return Err(DialectError::at("retry.waits_seconds", "must be at most 49 waits of 0 to 604800 seconds"));
        }
        Ok(waits.iter().copied().map(Duration::from_secs_f64).collect())
    }

    fn backoff(&self) -> Result<Vec<Duration>, DialectError> {
        let (Some(attempts), Some(initial)) = (self.max_attempts, self.initial_seconds) else {
            return Err(DialectError::at(
                "retry",
                "must have `waits_seconds`, or `max_attempts` and `initial_seconds`",
            ));
        };
        let factor = self.factor.unwrap_or(2.0);
        let max = self.max_seconds.unwrap_or(DEFAULT_MAX_SECONDS);
        if !(1..=MOST_ATTEMPTS).contains(&attempts) {
            return Err(DialectError::at("retry.max_attempts", "must be from 1 to 50"));
        }
        for (key, seconds) in [("retry.initial_seconds", initial), ("retry.max_seconds", max)] {
            if !(0.0..=LONGEST_WAIT_SECONDS).contains(&seconds) {
                return Err(DialectError::at(key, "must be from 0 to 604800"));
            }
        }
        if !(1.0..=10.0).contains(&factor) {
            return Err(DialectError::at("retry.factor", "must be from 1 to 10"));
        }
        let seconds = Duration::from_secs_f64;
        Ok(RetryPolicy::backoff(attempts, seconds(initial), factor, seconds(max)))
    }
}

impl Status {
    /// `None` unless it lies among the statuses that are failures and speaks of the request.
    fn range(&self) -> Option<StatusRange> {
        let (first, last) = match self {
            Self::One(status) => (*status, *status),
            Self::Range(text) => {
                let (first, last) = text.split_once('-')?;
                (first.trim().parse().ok()?, last.trim().parse().ok()?)
            }
        };
        (300 <= first && first <= last && last <= 599).then_some(StatusRange(first, last))
    }
}

/// Members of a webhook that an alias can repeat.
const ALIASED: [&str; 6] = ["id", "url", "events", "dialect", "is_active", "signing_secret"];

/// Members of the answer to a registration.
const ANSWERED: [&str; 20] = [
    "id",
    "url",
    "events",
    "dialect",
    "description",
    "headers",
    "retry",
    "timeout_seconds",
    "rate_limit",
    "max_in_flight",
    "metadata",
    "state",
    "is_active",
    "disabled_reason",
    "created_at",
    "updated_at",
    "verified_at",
    "skipped_deliveries",
    "signing_secret",
    "token",
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistrationTable {
    #[serde(default)]
    aliases: BTreeMap<String, String>,
}

impl RegistrationTable {
    /// An alias may not hide what the answer tells under that name.
    pub(super) fn check_aliases(&self) -> Result<(), DialectError> {
        match self.aliases.keys().find(|alias| ANSWERED.contains(&alias.as_str())) {
            None => Ok(()),
            Some(alias) => {
                let problem = "must have another name: the answer to a registration has a member of this name already";
                Err(DialectError::at(format!("registration.aliases.{alias}"), problem))
            }
        }
    }

    pub(crate) fn checked(&self) -> Result<BTreeMap<String, String>, DialectError> {
        match self.aliases.iter().find(|(_, member)| !ALIASED.contains(&member.as_str())) {
            None => Ok(self.aliases.clone()),
            Some((alias, _)) => {
                let problem = format!("must be one of {}", ALIASED.join(", "));
                Err(DialectError::at(format!("registration.aliases.{alias}"), problem))
            }
        }
    }
}
