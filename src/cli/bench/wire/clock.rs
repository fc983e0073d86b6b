//! The clock that every process on this host shares, so that a receiver's time less a sender's is a latency.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since some moment in the past, the same for all processes; never set back.
pub(in crate::cli) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::now_ns;

    #[test]
    fn it_goes_forward() {
        let before = now_ns();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(now_ns() - before >= 2_000_000);
    }
}
