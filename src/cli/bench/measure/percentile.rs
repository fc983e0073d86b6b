//! Percentiles, exact: every latency is kept.

/// Latencies in microseconds, sorted.
#[derive(Debug, Default, Clone)]
pub(in crate::cli) struct Latencies(Vec<u32>);

impl Latencies {
    /// Of all these.
    pub(in crate::cli) fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        Self(micros)
    }

    /// The smallest latency that this share of all, above 0 and up to 1, does not exceed; in milliseconds. `None`
    /// where there are none.
    pub(in crate::cli) fn at(&self, share: f64) -> Option<f64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank from 0 to the number of latencies"
        )]
        // A share such as 0.07 is a little more or less than it says.
        let rank = (share * self.0.len() as f64 - 1e-6).ceil() as usize;
        let micros = self.0.get(rank.max(1) - 1).or(self.0.last())?;
        Some(f64::from(*micros) / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_are_the_nearest_above() {
        let hundred = Latencies::of((1..=100).rev().map(|number| number * 1_000).collect());
        assert_eq!(
            [0.001, 0.5, 0.99, 0.999, 1.0].map(|share| hundred.at(share)),
            [1.0, 50.0, 99.0, 100.0, 100.0].map(Some)
        );
        assert_eq!(Latencies::of(vec![7_500]).at(0.5), Some(7.5));
        assert_eq!(Latencies::default().at(0.5), None);
    }

    proptest! {
        #[test]
        fn at_least_the_share_lies_at_or_below_and_fewer_lie_below(
            micros in prop::collection::vec(0_u32..1_000, 1..200), percent in 1_u32..=100,
        ) {
            let at = Latencies::of(micros.clone()).at(f64::from(percent) / 100.0).expect("a percentile") * 1_000.0;
            let percents = |holds: &dyn Fn(f64) -> bool| 100 * micros.iter().filter(|one| holds(f64::from(**one))).count();
            let wanted = percent as usize * micros.len();
            prop_assert!(percents(&|one| one <= at + 1e-6) >= wanted);
            prop_assert!(percents(&|one| one < at - 1e-6) < wanted);
        }
    }
}
