//! Observe: every number that this process can tell, for Prometheus.

use std::time::Duration;

use super::Context;

/// A scrape waits no longer than this for the database; without its answer, what was last read is told again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The numbers, in Prometheus' text format. The database is asked every ten seconds at most, however often this is called.
pub async fn observe(context: &Context) -> String {
    let Context { store, telemetry, clock, .. } = context;
    let meters = &telemetry.meters;
    if meters.database.is_due() {
        let survey = tokio::time::timeout(PATIENCE, store.survey(clock.now()));
        // The pools first: how they are used without this.
        let (pools, holdings) = tokio::join!(store.pools(PATIENCE), survey);
        let holdings = holdings.ok().and_then(|answer| {
            let told =
                |error| tracing::warn!(error = &error as &dyn std::error::Error, "the database cannot be surveyed");
            answer.map_err(told).ok()
        });
        meters.database.read(holdings);
        for pool in pools {
            meters.database.pool(pool);
        }
    }
    meters.render()
}
