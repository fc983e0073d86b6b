//! How often a key may ask: a bucket for each key that has a rate, in each process.
//!
//! A key without a rate has no bucket, and costs no look-up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::domain::ids::KeyId;
use crate::domain::tenant::Rate;

/// Buckets at which those that no known key uses are thrown away.
const MANY: usize = 10_000;

/// What a key may still ask for.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    limiter: DefaultDirectRateLimiter,
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self { rate, limiter: RateLimiter::direct(quota) }
    }

    /// Takes one request out of it; or the time until there is one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
    }
}

/// The buckets of the keys. They outlive what the keyring remembers of a key, or else a key would be refilled with it.
#[derive(Debug, Default)]
pub(super) struct Buckets(Mutex<HashMap<KeyId, Arc<Bucket>>>);

impl Buckets {
    /// The bucket of a key with this rate: the one it had, unless its rate was another.
    pub(super) fn of(&self, key: KeyId, rate: Rate) -> Arc<Bucket> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = buckets.get(&key).filter(|known| known.rate == rate) {
            return Arc::clone(known);
        }
        if buckets.len() >= MANY {
            buckets.retain(|_, bucket| Arc::strong_count(bucket) > 1);
        }
        let bucket = Arc::new(Bucket::new(rate));
        buckets.insert(key, Arc::clone(&bucket));
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_the_time_to_wait() {
        let rate = Rate::of(Some(1), Some(3)).expect("a rate");
        let buckets = Buckets::default();
        let key = KeyId::from_u128(1);
        for _ in 0..3 {
            assert_eq!(buckets.of(key, rate).take(), Ok(()));
        }
        let wait = buckets.of(key, rate).take().expect_err("it is empty");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(buckets.of(KeyId::from_u128(2), rate).take(), Ok(()), "another key's is full");
        let wider = Rate::of(Some(1), Some(4)).expect("a rate");
        assert_eq!(buckets.of(key, wider).take(), Ok(()), "another rate, another bucket");
    }
}
