//! CPU and memory of processes, from Linux' `/proc`. Elsewhere nothing is known, and the report says so.

use std::fs;
use std::time::Duration;

use super::figures::f;

/// A tick of the kernel's accounts, on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// What a process, and where asked for its children, has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// CPU time, user and system.
    pub(super) cpu: Duration,
    /// Memory now.
    pub(super) memory_bytes: u64,
}

/// A process alone.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    Some(Usage { cpu: Stat::of(pid)?.own, memory_bytes: resident_bytes(pid)? })
}

/// A process with its children, living and gone: a postmaster. Memory that they share is counted once.
pub(super) fn usage_of_family(pid: u32) -> Option<Usage> {
    let Stat { own, gone, .. } = Stat::of(pid)?;
    let (mut cpu, mut private, mut shared) = (own + gone, 0, 0);
    for member in children(pid).into_iter().chain([pid]) {
        // It may have ended just now; then its parent has its time, next time.
        let status = fs::read_to_string(format!("/proc/{member}/status")).unwrap_or_default();
        private += kibibytes(&status, "RssAnon:");
        shared = kibibytes(&status, "RssShmem:").max(shared);
        if member != pid {
            cpu += single_threaded(member).unwrap_or_default();
        }
    }
    Some(Usage { cpu, memory_bytes: (private + shared) * 1_024 })
}

/// CPU time of a process with one thread, to the nanosecond: ticks of many backends that each did little would add up
/// to nothing.
fn single_threaded(pid: u32) -> Option<Duration> {
    let exact = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok();
    let exact = exact.and_then(|text| text.split_whitespace().next()?.parse().ok()).map(Duration::from_nanos);
    exact.or_else(|| Some(Stat::of(pid)?.own))
}

/// Time of all processors since the start, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Processors {
    all: u64,
    /// When something wanted to run and the host of this virtual machine let others run.
    stolen: u64,
}

impl Processors {
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // Of user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of the first two.
        let ticks = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let ticks = ticks.map(|ticks| ticks.parse().ok()).collect::<Option<Vec<u64>>>()?;
        Some(Self { all: ticks.iter().sum(), stolen: *ticks.get(7)? })
    }

    /// The share of the time since then that was stolen; `None` where no time has passed.
    pub(super) fn stolen_since(self, before: Self) -> Option<f64> {
        let (all, stolen) = (self.all.checked_sub(before.all)?, self.stolen.checked_sub(before.stolen)?);
        (all > 0).then(|| f(stolen) / f(all))
    }
}

/// Memory of a process now.
pub(in crate::cli) fn resident_bytes(pid: u32) -> Option<u64> {
    Some(kibibytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:") * 1_024)
}

/// The postmaster that a backend belongs to, if this is one.
pub(in crate::cli) fn postmaster_of(backend: u32) -> Option<u32> {
    let title = fs::read(format!("/proc/{backend}/cmdline")).ok()?;
    title.starts_with(b"postgres").then(|| Stat::of(backend)).flatten().map(|stat| stat.parent)
}

fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn kibibytes(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// The numbers of `/proc/PID/stat` that count here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: Duration,
    /// Of children that have ended and were waited for.
    gone: Duration,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The program's name comes second, in parentheses, and may hold anything.
        let after_name = &text[text.rfind(')')? + 1..];
        let fields: Vec<_> = after_name.split_whitespace().collect();
        let ticks = |index: usize| Some(TICK * fields.get(index)?.parse().ok()?);
        Some(Self { parent: fields.get(1)?.parse().ok()?, own: ticks(11)? + ticks(12)?, gone: ticks(13)? + ticks(14)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_anything_in_it_does_not_shift_the_numbers() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 9 9 9 9 150 50 20 5 20 0 3 0 1 2 3";
        let stat = Stat { parent: 7, own: Duration::from_secs(2), gone: Duration::from_millis(250) };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("42 (a"), None);
    }

    #[test]
    fn stolen_time_is_a_share_of_all() {
        let before = Processors::parse("cpu  100 0 50 800 0 0 0 50 7 0\ncpu0 1 2 3\n").expect("a line of Linux");
        let after = Processors::parse("cpu  150 0 70 810 0 0 10 60 9 0\n").expect("a line of Linux");
        assert_eq!((before.stolen, after.stolen_since(before)), (50, Some(0.1)));
        assert_eq!(after.stolen_since(after), None);
        assert_eq!(Processors::parse("cpu  100 0 50 800"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_work_is_seen() {
        let own = std::process::id();
        let before = usage(own).expect("ourselves");
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(60) {
            std::hint::black_box(begun.elapsed());
        }
        let after = usage(own).expect("ourselves");
        assert!(after.cpu > before.cpu && after.memory_bytes > 1 << 20);
        assert_eq!(postmaster_of(own), None);
    }
}
