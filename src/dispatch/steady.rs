//! Loops at a steady pace.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::store::StoreError;

/// While the database is away or slow, it is tried this often.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Does something at a steady pace until the end, and more slowly as long as it fails.
pub(super) async fn steadily<F: Future<Output = Result<(), StoreError>>>(
    poll: Duration,
    end: &CancellationToken,
    trouble: &str,
    step: impl Fn() -> F,
) {
    let mut pause = poll;
    while !end.is_cancelled() {
        pause = match step().await {
            Ok(()) => poll,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "{trouble}");
                (pause * 2).min(LONGEST_PAUSE)
            }
        };
        end.run_until_cancelled(sleep(pause)).await;
    }
}
