//! The machine's own pulse: how long, beside everything else, a small write to disk may take to come back.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Between two beats.
const BEAT: Duration = Duration::from_millis(50);

/// Beats as long as it lives.
#[derive(Debug)]
pub struct Pulse {
    /// The longest that a beat came late since the last reset, in milliseconds.
    longest: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Pulse {
    /// Beats on the disk that this folder is on.
    pub fn start(folder: &Path) -> Self {
        let file = File::create(folder.join("pulse")).expect("a file");
        let (longest, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let pulse = Self { longest: Arc::clone(&longest), over: Arc::clone(&over) };
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(BEAT);
                // A full disk is one of the faults.
                let _ = file.write_at(b"beat", 0).and_then(|_| file.sync_data());
                let late = begun.elapsed().saturating_sub(BEAT);
                longest.fetch_max(u64::try_from(late.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        pulse
    }

    pub fn reset(&self) {
        self.longest.store(0, Ordering::Relaxed);
    }

    /// The longest that a beat came late since the last reset.
    pub fn longest(&self) -> Duration {
        Duration::from_millis(self.longest.load(Ordering::Relaxed))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
