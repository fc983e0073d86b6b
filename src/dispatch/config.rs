//! Section `dispatch` of the configuration.

use std::time::Duration;

use serde::Deserialize;

/// The shortest lease: a process that is only slow should not lose its own.
const SHORTEST_LEASE: u32 = if cfg!(feature = "failpoints") { 1 } else { 5 };

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
    /// Seconds of nothing but failures after which `webhook.failing` is reported, 60 to 604,800.
    pub failing_after_seconds: u32,
    /// Seconds of nothing but failures after which a webhook is disabled, up to 7,776,000; 0 for never.
    pub disable_after_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_seconds: 30,
            max_in_flight: 1_024,
            poll_milliseconds: 100,
            grace_seconds: 35,
            failing_after_seconds: 3_600,
            disable_after_seconds: 432_000,
        }
    }
}

impl Config {
    /// Checks the ranges; the error names the key.
    pub fn validate(&self) -> Result<(), String> {
        let checks = [
            ("lease_seconds", self.lease_seconds, SHORTEST_LEASE..=600),
            ("max_in_flight", self.max_in_flight, 1..=65_535),
            ("poll_milliseconds", self.poll_milliseconds, 10..=900),
            ("grace_seconds", self.grace_seconds, 0..=3_600),
            ("failing_after_seconds", self.failing_after_seconds, 60..=604_800),
            ("disable_after_seconds", self.disable_after_seconds, 0..=7_776_000),
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
        if (1..self.failing_after_seconds).contains(&self.disable_after_seconds) {
            return Err(format!(
                "dispatch.disable_after_seconds is {}; it must be 0, for never, or at least dispatch.failing_after_seconds, which is {}",
                self.disable_after_seconds, self.failing_after_seconds
            ));
        }
        Ok(())
    }

    pub(super) const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds as u64)
    }

    pub(super) const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_milliseconds as u64)
    }

    pub(super) const fn failing_after(&self) -> Duration {
        Duration::from_secs(self.failing_after_seconds as u64)
    }

    /// `None` for never.
    pub(super) const fn disable_after(&self) -> Option<Duration> {
        match self.disable_after_seconds {
            0 => None,
            seconds => Some(Duration::from_secs(seconds as u64)),
        }
    }

    pub(super) const fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds as u64)
    }
}
