//! Section `dispatch` of the configuration.

use std::time::Duration;

use serde::Deserialize;

/// How this process dispatches.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds after which a process that stopped renewing loses its deliveries to others; 5 to 600.
    pub lease_seconds: u32,
    /// Requests under way in this process, 1 to 65,535.
    pub max_in_flight: u32,
    /// Milliseconds between two looks for due deliveries and changed webhooks, 10 to 900.
    pub poll_milliseconds: u32,
    /// Seconds that requests under way get to end at shutdown.
    pub grace_seconds: u32,
    /// Days after which finished replays are forgotten: `retention.days`.
    #[serde(skip)]
    pub retention_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { lease_seconds: 30, max_in_flight: 1_024, poll_milliseconds: 100, grace_seconds: 35, retention_days: 30 }
    }
}

impl Config {
    /// Checks the ranges; the error names the key.
    pub fn validate(&self) -> Result<(), String> {
        let checks = [
            ("lease_seconds", self.lease_seconds, 5..=600),
            ("max_in_flight", self.max_in_flight, 1..=65_535),
            ("poll_milliseconds", self.poll_milliseconds, 10..=900),
            ("grace_seconds", self.grace_seconds, 0..=3_600),
        ];
        for (key, value, allowed) in checks {
            if !allowed.contains(&value) {
                return Err(format!(
                    "dispatch.{key} is {value}; it must be from {} to {}",
                    allowed.start(),
                    allowed.end()
                ));
            }
        }
        Ok(())
    }

    pub(super) const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds as u64)
    }

    pub(super) const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_milliseconds as u64)
    }

    pub(super) const fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds as u64)
    }
}
