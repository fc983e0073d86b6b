//! A meter that runs beside a trial: CPU from its start to its end, the most memory in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::process::{Usage, usage, usage_of_family};

/// Between two looks at the memory.
const EVERY: Duration = Duration::from_millis(100);

/// The processes that are measured as one.
#[derive(Debug, Clone)]
pub(super) enum Group {
    /// Tidings: each process alone.
    Each(Vec<u32>),
    /// Postgres: one with its children.
    Family(u32),
}

/// A running meter; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct Meter {
    group: Group,
    before: Option<Usage>,
    most: Arc<AtomicU64>,
    watch: JoinHandle<()>,
}

impl Group {
    fn usage(&self) -> Option<Usage> {
        match self {
            Self::Each(pids) if pids.is_empty() => None,
            Self::Each(pids) => pids.iter().try_fold(Usage::default(), |sum, pid| {
                let own = usage(*pid)?;
                Some(Usage { cpu: sum.cpu + own.cpu, memory_bytes: sum.memory_bytes + own.memory_bytes })
            }),
            Self::Family(pid) => usage_of_family(*pid),
        }
    }
}

impl Meter {
    /// Begins to measure.
    pub(super) fn start(group: Group) -> Self {
        let before = group.usage();
        let most = Arc::new(AtomicU64::new(before.map_or(0, |usage| usage.memory_bytes)));
        let (watched, noted) = (group.clone(), Arc::clone(&most));
        let watch = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let now = watched.usage().map_or(0, |usage| usage.memory_bytes);
                noted.fetch_max(now, Ordering::Relaxed);
            }
        });
        Self { group, before, most, watch }
    }

    /// CPU since the start, and the most memory at any time since; `None` where it cannot be known.
    pub(super) fn read(&self) -> Option<Usage> {
        let (before, now) = (self.before?, self.group.usage()?);
        let most = self.most.load(Ordering::Relaxed).max(now.memory_bytes);
        Some(Usage { cpu: now.cpu.saturating_sub(before.cpu), memory_bytes: most })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
