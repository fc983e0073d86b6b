//! What the cycles came to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cycle::Done;

#[derive(Debug, Default)]
struct Sum {
    cycles: usize,
    missed: usize,
    failed: usize,
    requests: usize,
    unrecorded: usize,
    duplicates: usize,
    took: Duration,
}

#[derive(Debug, Default)]
pub struct Report {
    faults: BTreeMap<&'static str, Sum>,
    acknowledged: Vec<Duration>,
    delivered: Vec<Duration>,
    events: usize,
    refused: u32,
    lapses: usize,
    strained: usize,
    stall: Duration,
}

impl Report {
    /// Takes a cycle in, and prints its line.
    pub fn add(&mut self, seed: u64, name: &'static str, done: &Done) {
        let tally = done.tally;
        let sum = self.faults.entry(name).or_default();
        sum.cycles += 1;
        sum.missed += usize::from(done.missed.is_some());
        sum.failed += usize::from(!done.complaints.is_empty());
        sum.requests += tally.requests;
        sum.unrecorded += tally.unrecorded;
        sum.duplicates += tally.duplicates;
        sum.took += done.took;
        self.events += tally.events;
        self.refused += done.refused;
        self.lapses += done.lapses;
        self.strained += usize::from(done.strain > 1);
        self.stall = self.stall.max(done.stall);
        if let Some((acknowledged, delivered)) = done.recovery {
            self.acknowledged.push(acknowledged);
            self.delivered.push(delivered);
        }
        let verdict = if done.complaints.is_empty() { "ok" } else { "FAILED" };
        let recovery = done.recovery.map(|(acknowledged, delivered)| {
            format!(", back after {} and {} ms", acknowledged.as_millis(), delivered.as_millis())
        });
        println!(
            "{verdict:6} seed {seed:<6} {name:24} {:5.1} s  {} events, {} requests, {} unrecorded, {} twice, {} dead, {} refused, settled in {} ms{}{}{}{}",
            done.took.as_secs_f64(),
            tally.events,
            tally.requests,
            tally.unrecorded,
            tally.duplicates,
            tally.dead,
            done.refused,
            done.settled_in.as_millis(),
            recovery.unwrap_or_default(),
            done.missed.map(|why| format!(", NOT DONE: {why}")).unwrap_or_default(),
            if done.lapses > 0 { format!(", {} leases lost to slowness", done.lapses) } else { String::new() },
            if done.strain > 1 { format!(", limits ×{}", done.strain) } else { String::new() },
        );
        for complaint in &done.complaints {
            println!("  {complaint}");
        }
    }

    pub fn failures(&self) -> usize {
        self.faults.values().map(|sum| sum.failed).sum()
    }

    pub fn print(&self) {
        println!(
            "\n{:24} {:>6} {:>8} {:>6} {:>9} {:>10} {:>6} {:>7}",
            "fault", "cycles", "not done", "failed", "requests", "unrecorded", "twice", "s each"
        );
        for (name, sum) in &self.faults {
            let each = sum.took.as_secs_f64() / f64::from(u32::try_from(sum.cycles.max(1)).unwrap_or(u32::MAX));
            let Sum { cycles, missed, failed, requests, unrecorded, duplicates, .. } = sum;
            println!(
                "{name:24} {cycles:>6} {missed:>8} {failed:>6} {requests:>9} {unrecorded:>10} {duplicates:>6} {each:>7.1}"
            );
        }
        let total = |of: fn(&Sum) -> usize| self.faults.values().map(of).sum::<usize>();
        println!(
            "{} cycles, {} failed; {} events, {} requests, {} results lost, {} taken twice, {} times refused with 503",
            total(|sum| sum.cycles),
            self.failures(),
            self.events,
            total(|sum| sum.requests),
            total(|sum| sum.unrecorded),
            total(|sum| sum.duplicates),
            self.refused,
        );
        println!(
            "{} cycles on an overloaded machine, in which {} leases were lost to that; it stood still for {:?} at most",
            self.strained, self.lapses, self.stall
        );
        println!(
            "Postgres back: first acknowledgement after {}, first delivery after {}",
            spread(&self.acknowledged),
            spread(&self.delivered)
        );
    }
}

fn spread(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    match (times.get(times.len() / 2), times.last()) {
        (Some(median), Some(longest)) => {
            format!("{} ms (median), {} ms (longest)", median.as_millis(), longest.as_millis())
        }
        _ => "-".to_owned(),
    }
}
