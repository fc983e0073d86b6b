//! What arrived in a trial, delivery by delivery.

use std::time::Duration;

use crate::cli::bench::load::Bits;
use crate::cli::bench::wire::Record;

/// The arrivals of a trial; those of an earlier one are not noted.
#[derive(Debug, Default)]
pub(in crate::cli) struct Ledger {
    run: u32,
    begun_ns: u64,
    /// By flow.
    pub(in crate::cli) flows: Vec<Arrivals>,
}

/// The arrivals of a flow.
#[derive(Debug, Default)]
pub(in crate::cli) struct Arrivals {
    /// Deliveries that each event is owed to.
    fan: u32,
    seen: Bits,
    /// Deliveries that were taken, each counted once.
    pub(in crate::cli) delivered: u64,
    /// Those taken once more.
    pub(in crate::cli) duplicates: u64,
    /// When the last one was taken for the first time.
    pub(in crate::cli) last_ns: u64,
    /// Microseconds from sent to taken, by the time of arrival, [`Arrivals::MOMENT`] each.
    pub(in crate::cli) moments: Vec<Vec<u32>>,
}

impl Ledger {
    /// Of a trial that begins then; `fans` has the deliveries of an event for each flow.
    pub(in crate::cli) fn new(run: u32, begun_ns: u64, fans: impl IntoIterator<Item = u32>) -> Self {
        let flows = fans.into_iter().map(|fan| Arrivals { fan, ..Arrivals::default() }).collect();
        Self { run, begun_ns, flows }
    }

    /// Notes a request.
    pub(in crate::cli) fn note(&mut self, record: &Record) {
        if record.token.run != self.run || !record.is_taken {
            return;
        }
        if let Some(flow) = self.flows.get_mut(usize::from(record.token.flow)) {
            flow.note(record, self.begun_ns);
        }
    }
}

impl Arrivals {
    /// The time that latencies are kept together for.
    pub(in crate::cli) const MOMENT: Duration = Duration::from_millis(250);

    fn note(&mut self, record: &Record, begun_ns: u64) {
        // Where an event goes to one webhook alone, which one says nothing.
        let webhook = if self.fan == 1 { 0 } else { u64::from(record.webhook) };
        if !self.seen.insert(u64::from(record.token.number) * u64::from(self.fan) + webhook) {
            self.duplicates += 1;
            return;
        }
        self.delivered += 1;
        self.last_ns = self.last_ns.max(record.arrived_ns);
        let moment = u128::from(record.arrived_ns.saturating_sub(begun_ns)) / Self::MOMENT.as_nanos();
        let moment = usize::try_from(moment).unwrap_or_default();
        if moment >= self.moments.len() {
            self.moments.resize_with(moment + 1, Vec::new);
        }
        let micros = record.arrived_ns.saturating_sub(record.token.sent_ns) / 1_000;
        self.moments[moment].push(u32::try_from(micros).unwrap_or(u32::MAX));
    }

    /// Deliveries of accepted events that were not taken.
    pub(in crate::cli) fn lost(&self, acknowledged: &Bits) -> u64 {
        let deliveries = acknowledged
            .iter()
            .flat_map(|event| (0..u64::from(self.fan)).map(move |webhook| event * u64::from(self.fan) + webhook));
        deliveries.filter(|delivery| !self.seen.contains(*delivery)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::wire::Token;

    fn record(run: u32, number: u32, webhook: u16, is_taken: bool) -> Record {
        let token = Token { run, flow: 0, number, sent_ns: 1_000_000 };
        Record { token, webhook, is_taken, arrived_ns: 301_000_000 }
    }

    #[test]
    fn each_delivery_counts_once_and_what_did_not_arrive_is_lost() {
        let mut ledger = Ledger::new(7, 1_000_000, [2]);
        for (run, number, webhook, is_taken) in
            [(7, 0, 0, true), (7, 0, 1, true), (7, 0, 1, true), (7, 1, 0, true), (7, 1, 1, false), (6, 2, 0, true)]
        {
            ledger.note(&record(run, number, webhook, is_taken));
        }
        let flow = &ledger.flows[0];
        assert_eq!((flow.delivered, flow.duplicates), (3, 1));
        assert_eq!(flow.moments, [vec![], vec![300_000; 3]]);
        let mut acknowledged = Bits::default();
        acknowledged.insert(0);
        assert_eq!(flow.lost(&acknowledged), 0);
        acknowledged.insert(1);
        assert_eq!(flow.lost(&acknowledged), 1);
    }

    #[test]
    fn where_an_event_goes_to_one_webhook_it_counts_whichever_that_is() {
        let mut ledger = Ledger::new(7, 0, [1]);
        ledger.note(&record(7, 3, 55, true));
        ledger.note(&record(7, 4, 56, true));
        assert_eq!((ledger.flows[0].delivered, ledger.flows[0].duplicates), (2, 0));
    }
}
