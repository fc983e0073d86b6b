//! The process itself, as the kernel sees it. Where there is no `/proc`, there are no such numbers.

use std::fs;

use metrics::Gauge;

use super::register::Register;

/// Ticks in a second, in which Linux tells user space CPU time, on every architecture there is a Rust for.
const TICKS: f64 = 100.0;

/// Metrics that every Prometheus client has, under the names they have everywhere.
pub(super) struct Process {
    cpu: metrics::Counter,
    memory: Gauge,
    files: Gauge,
    files_limit: Gauge,
    threads: Gauge,
    started: Gauge,
}

impl Process {
    pub(super) fn new(register: &Register) -> Self {
        let gauge = |name, help| register.gauge(name, help, &[]);
        Self {
            cpu: register.counter("process_cpu_seconds_total", "CPU time in user and system mode, whole seconds.", &[]),
            memory: gauge("process_resident_memory_bytes", "Memory that is in RAM."),
            files: gauge("process_open_fds", "Open file descriptors, connections included."),
            files_limit: gauge("process_max_fds", "File descriptors that the process may have."),
            threads: gauge("process_threads", "Threads."),
            started: gauge("process_start_time_seconds", "When the process started, in seconds since 1970."),
        }
    }

    /// Reads what the kernel says now.
    pub(super) fn read(&self) {
        let Ok(stat) = fs::read_to_string("/proc/self/stat") else { return };
        // The name in parentheses may hold anything; what follows is numbers, the third field of the line first.
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let field = |place: usize| fields.get(place - 3).and_then(|text| text.parse::<f64>().ok());
        if let (Some(user), Some(system)) = (field(14), field(15)) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of CPU time")]
            self.cpu.absolute(((user + system) / TICKS) as u64);
        }
        set(&self.threads, field(20));
        set(&self.memory, number("/proc/self/status", "VmRSS:").map(|kilobytes| kilobytes * 1_024.0));
        set(&self.files_limit, number("/proc/self/limits", "Max open files"));
        set(&self.started, number("/proc/stat", "btime").zip(field(22)).map(|(boot, ticks)| boot + ticks / TICKS));
        #[expect(clippy::cast_precision_loss, reason = "few")]
        set(&self.files, fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64));
    }
}

fn set(gauge: &Gauge, value: Option<f64>) {
    if let Some(value) = value {
        gauge.set(value);
    }
}

/// The first number of the line with this title.
fn number(file: &str, title: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(title))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::Meters;

    #[test]
    fn the_kernel_is_asked() {
        let text = Meters::default().render();
        let value = |name: &str| -> f64 {
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
            line.trim().parse().expect("a number")
        };
        assert!(value("process_resident_memory_bytes ") > 1e6);
        assert!(value("process_open_fds ") >= 3.0 && value("process_open_fds ") <= value("process_max_fds "));
        assert!(value("process_threads ") >= 1.0);
        assert!(value("process_start_time_seconds ") > 1.6e9);
    }
}
