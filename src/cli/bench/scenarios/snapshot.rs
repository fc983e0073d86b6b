//! A transaction that somebody left open: vacuum can remove nothing that was there when it began.

use super::{Shown, Stage};
use crate::cli::Failure;
use crate::cli::bench::load::Extent;
use crate::cli::bench::measure::{FlowFigures, Moment};
use crate::cli::bench::report::{Finding, ratio};

/// Bytes of the outbox and its indexes that a delivery leaves behind at most while nothing can be removed: its row once, its
/// index entries, and no version of it for each thing that was done to it.
const KEPT: f64 = 250.0;

impl Stage<'_> {
    pub(super) async fn snapshot(&self) -> Result<Shown, Failure> {
        let Some(store) = &self.ground.store else {
            return Err(Failure::misused(
                "`snapshot` opens a transaction: give the --database-url of the running Tidings",
            ));
        };
        let tidings = self.ground.tidings(1).await?;
        let full = self.furnish(self.flow("single"), &tidings).await?;
        let flows = [full];
        let time = Extent::Time(self.options.time());
        let before = self.trial("full load before", &flows, time, &tidings).await?;
        let size_before = store.outbox_bytes().await?;

        let snapshot = store.hold_snapshot().await?;
        let half = before.flows[0].delivered_per_second / 2.0;
        let halved = [flows[0].with(&tidings, self.options.seed, |flow| flow.rate = Some(half.max(1.0)))];
        let held = Extent::Time(self.options.held());
        let during = self.trial("half load, transaction open", &halved, held, &tidings).await?;
        let after = self.trial("full load, still open", &flows, time, &tidings).await?;
        let size_after = store.outbox_bytes().await?;
        drop(snapshot);
        self.leave(&flows, tidings).await?;

        #[expect(clippy::cast_precision_loss, reason = "bytes and deliveries are far below 2^52")]
        let kept = {
            let made = during.flows[0].delivered + after.flows[0].delivered;
            (made > 0).then(|| (size_after - size_before) as f64 / made as f64)
        };
        let rate = |figures: &FlowFigures| Some(figures.delivered_per_second);
        let slower = ratio(rate(&after.flows[0]), rate(&before.flows[0]));
        let line = &during.flows[0].timeline;
        let tenth = line.len().div_ceil(10);
        let p99 = ratio(middle_p99(&line[line.len() - tenth..]), middle_p99(&line[..tenth]));
        let findings = vec![
            Finding::at_least("full load at the end / before", slower, 0.85, "×"),
            Finding::told("p99 at half load, last tenth / first tenth", p99, "×"),
            Finding::told("outbox before", Some(mebibytes(size_before)), "MiB"),
            Finding::told("outbox at the end", Some(mebibytes(size_after)), "MiB"),
            Finding::at_most("outbox bytes kept for each delivery made meanwhile", kept, KEPT, "bytes"),
        ];
        Ok((vec![before, during, after], findings))
    }
}

/// The middle one of the moments' p99.
fn middle_p99(moments: &[Moment]) -> Option<f64> {
    let mut all: Vec<_> = moments.iter().filter_map(|moment| moment.p99_ms).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

#[expect(clippy::cast_precision_loss, reason = "bytes on disk are far below 2^52")]
fn mebibytes(bytes: i64) -> f64 {
    bytes as f64 / 1_048_576.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_moment_does_not_stand_for_all() {
        let moment = |p99_ms| Moment { at_seconds: 0.0, delivered_per_second: 0.0, p50_ms: None, p99_ms };
        let moments = [Some(1.0), Some(900.0), None, Some(2.0)].map(moment);
        assert_eq!(middle_p99(&moments), Some(2.0));
        assert_eq!(middle_p99(&[]), None);
    }
}
