//! The host that figures belong to.

use std::fmt;
use std::fs;
use std::thread;

use serde::Serialize;

/// What of a host matters to figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Machine {
    pub(super) system: &'static str,
    pub(super) cores: usize,
    /// The processor's name, and the memory of the host in GiB; `None` where Linux does not tell.
    pub(super) processor: Option<String>,
    pub(super) memory_gib: Option<u64>,
}

impl Machine {
    /// This one.
    pub(in crate::cli) fn here() -> Self {
        Self {
            system: std::env::consts::OS,
            cores: thread::available_parallelism().map_or(1, Into::into),
            processor: value(&read("/proc/cpuinfo"), "model name"),
            memory_gib: value(&read("/proc/meminfo"), "MemTotal").and_then(|text| gibibytes(&text)),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system, cores, processor, memory_gib } = self;
        let plural = if *cores == 1 { "" } else { "s" };
        write!(f, "{system}, {cores} core{plural}")?;
        if let Some(processor) = processor {
            write!(f, " ({processor})")?;
        }
        memory_gib.map_or(Ok(()), |memory| write!(f, ", {memory} GiB"))
    }
}

/// Empty where there is no such file.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first value under a name, in a file of lines `name : value`.
fn value(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(own, _)| own.trim() == name).map(|(_, value)| value.trim());
    values.next().map(str::to_owned)
}

fn gibibytes(kibibytes: &str) -> Option<u64> {
    let kibibytes: u64 = kibibytes.strip_suffix("kB")?.trim().parse().ok()?;
    Some((kibibytes + (1 << 19)) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_told_and_the_rest_left_out() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(value(cpuinfo, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(gibibytes("24682416 kB"), Some(24));
        let mut machine =
            Machine { system: "linux", cores: 2, processor: Some("AMD EPYC".into()), memory_gib: Some(24) };
        assert_eq!(machine.to_string(), "linux, 2 cores (AMD EPYC), 24 GiB");
        (machine.cores, machine.processor, machine.memory_gib) = (1, None, None);
        assert_eq!(machine.to_string(), "linux, 1 core");
    }
}
