//! What `tidings bench` is asked to do.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::load::{Extent, MIN_PAYLOAD};
use super::scenarios::Scenario;
use crate::cli::Failure;
use crate::cli::reach::{As, Reach};
use crate::client::ClientError;
use crate::domain::secret::Secret;

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings bench --list                             what can be measured, and the goals
  tidings bench                                    single events, on a Postgres of its own
  tidings bench all --quick --plot bench.svg       everything, in some minutes
  tidings bench batch latency --seconds 60 --json  two scenarios, for a script
  tidings bench single --database-url postgres://… your own Postgres
  tidings bench single --url http://10.0.0.5:8080 --receiver-host 10.0.0.9
                                                   a running Tidings, whose egress.allow has 10.0.0.9;
                                                   its platform key is in TIDINGS_KEY, a --key-file
                                                   or a --profile";

/// The command line.
#[expect(clippy::struct_excessive_bools, reason = "the switches of a command line")]
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Options {
    /// What to measure: names from --list, or `all`
    #[arg(value_name = "SCENARIO", default_value = "single", value_parser = scenarios(), hide_possible_values = true)]
    pub(super) scenarios: Vec<Chosen>,
    /// Describe the scenarios and their goals, and exit
    #[arg(long)]
    pub(super) list: bool,
    /// Measure this running Tidings, such as `http://127.0.0.1:8080`, instead of starting one
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file that holds the platform key of that Tidings and nothing else [default: the variable `TIDINGS_KEY`]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A profile from ~/.config/tidings/profiles.toml that names that Tidings and its platform key
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Process ids of that Tidings, where it runs on this host: their CPU and memory are measured
    #[arg(long, value_name = "PID,…", value_delimiter = ',')]
    pid: Vec<u32>,
    /// The Postgres to use, or that the running Tidings uses: its log, and if it is on this host its CPU, are measured
    #[arg(long, value_name = "URL")]
    pub(super) database_url: Option<Secret>,
    /// The folder of the bench's own Postgres, which is kept [default: a temporary one, which is removed]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "profile", "database_url"])]
    data_dir: Option<PathBuf>,
    /// The address of this host that Tidings reaches the receivers at
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(super) receiver_host: IpAddr,
    /// How long each trial sends [default: 20, or 5 with --quick]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: Option<u32>,
    /// How many events each trial sends, instead
    #[arg(long, value_name = "EVENTS", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Producers, each with a connection and one request under way [default: the scenario's]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub(super) connections: Option<u16>,
    /// Events a second, however long answers take [default: the scenario's, mostly as many as possible]
    #[arg(long, value_name = "EVENTS", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Bytes of an event's data
    #[arg(long, value_name = "BYTES", default_value_t = 1_000, value_parser = payload())]
    pub(super) payload_bytes: usize,
    /// Give each event an idempotency key of its own
    #[arg(long)]
    pub(super) idempotent: bool,
    /// Pending deliveries, where a scenario has them [default: 1000000, or 50000 with --quick]
    #[arg(long, value_name = "NUMBER")]
    pending: Option<u32>,
    /// How long the scenario `snapshot` keeps a transaction open [default: 10, or 1 with --quick]
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=1_440))]
    minutes: Option<u32>,
    /// What the events' text is made from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(super) seed: u64,
    /// Smaller and shorter: to see that everything works
    #[arg(long)]
    pub(super) quick: bool,
    /// Print the figures as one JSON object, for scripts
    #[arg(long)]
    pub(super) json: bool,
    /// Print a section of Markdown for each scenario, for a page such as docs/performance.md
    #[arg(long, conflicts_with = "json")]
    pub(super) markdown: bool,
    /// Draw latencies and rates over time into this file; into a folder, a file for each scenario
    #[arg(long, value_name = "FILE.svg|DIR", value_parser = drawable)]
    pub(super) plot: Option<PathBuf>,
}

/// Where something can be drawn: it is told before the minutes that there is to measure, not after them.
fn drawable(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() {
        return Ok(path);
    }
    if path.extension().is_none_or(|extension| extension != "svg") {
        return Err("must be a folder that is there, or a file whose name ends in .svg".to_owned());
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(format!("there is no folder {}: make it first", folder.display()))
        }
        _ => Ok(path),
    }
}

/// A word on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    All,
    One(Scenario),
}

/// Where to measure.
#[derive(Debug)]
pub(super) enum Site {
    /// A Tidings that runs.
    Running { address: SocketAddr, authority: String, key: Secret, pids: Vec<u32> },
    /// Processes of our own on a Postgres that runs.
    Database(Secret),
    /// Processes and a Postgres of our own, in this folder or in one that goes with them.
    Embedded(Option<PathBuf>),
}

impl Options {
    /// What to measure, each once.
    pub(super) fn chosen(&self) -> Vec<Scenario> {
        let is_chosen = |scenario: &Scenario| {
            self.scenarios.iter().any(|chosen| matches!(chosen, Chosen::All) || *chosen == Chosen::One(*scenario))
        };
        Scenario::ALL.into_iter().filter(is_chosen).collect()
    }

    /// Whether scenarios that cannot be carried out here are left out, rather than an error.
    pub(super) fn is_lenient(&self) -> bool {
        self.scenarios.contains(&Chosen::All)
    }

    /// Where to measure.
    pub(super) fn site(&self) -> Result<Site, Failure> {
        if self.url.is_some() || self.profile.is_some() {
            return self.running();
        }
        for (name, is_given) in [("--key-file", self.key_file.is_some()), ("--pid", !self.pid.is_empty())] {
            if is_given {
                return Err(Failure::misused(format!(
                    "{name} is of a running Tidings: name that with --url or --profile"
                )));
            }
        }
        Ok(match &self.database_url {
            Some(database) => Site::Database(database.clone()),
            None => Site::Embedded(self.data_dir.clone()),
        })
    }

    /// A Tidings that runs, found as every command finds one.
    fn running(&self) -> Result<Site, Failure> {
        let reach = Reach::of(self.url.clone(), self.key_file.clone(), self.profile.clone());
        let place = reach.place_here(As::Platform)?;
        let origin = if self.url.is_some() { "--url" } else { &place.url.origin };
        let (authority, address) = locate(origin, &place.url.value)?;
        let key = place.key.ok_or(ClientError::NoKey)?;
        Ok(Site::Running { address, authority, key: key.value, pids: self.pid.clone() })
    }

    /// How long each trial goes on.
    pub(super) fn extent(&self) -> Extent {
        match self.count {
            Some(events) => Extent::Count(events.into()),
            None => Extent::Time(self.time()),
        }
    }

    /// The same as a time, for what cannot be counted.
    pub(super) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { 5 } else { 20 }).into())
    }

    /// Pending deliveries.
    pub(super) fn pending(&self) -> u32 {
        self.pending.unwrap_or(if self.quick { 50_000 } else { 1_000_000 })
    }

    /// How long a snapshot is held.
    pub(super) fn held(&self) -> Duration {
        Duration::from_mins(self.minutes.unwrap_or(if self.quick { 1 } else { 10 }).into())
    }
}

fn scenarios() -> impl TypedValueParser<Value = Chosen> {
    let words = Scenario::ALL.map(Scenario::as_str).into_iter().chain(["all"]);
    PossibleValuesParser::new(words.map(PossibleValue::new)).try_map(|word| match word.as_str() {
        "all" => Ok(Chosen::All),
        word => Scenario::parse(word).map(Chosen::One).ok_or("no such scenario"),
    })
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=1e6).contains(rate));
    rate.ok_or_else(|| "a rate is a number from 0.1 to 1000000".to_owned())
}

fn payload() -> impl TypedValueParser<Value = usize> {
    let least = u32::try_from(MIN_PAYLOAD).unwrap_or(u32::MAX);
    clap::value_parser!(u32).range(i64::from(least)..=1_048_576).map(|bytes| bytes as usize)
}

/// Host and port of a URL as requests name them, and the address that leads there.
fn locate(origin: &str, url: &str) -> Result<(String, SocketAddr), Failure> {
    let told = |why: &str| format!("{origin} {url}: {why}, such as http://127.0.0.1:8080");
    let wrong = |why: &str| if origin == "--url" { Failure::misused(told(why)) } else { Failure::told(told(why)) };
    let rest = url.strip_prefix("http://").ok_or_else(|| wrong("must be the plain HTTP address of Tidings itself"))?;
    let authority = rest.trim_end_matches('/');
    if authority.is_empty() || authority.contains(['/', '?', '@']) {
        return Err(wrong("must be a host and a port"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let place = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let address = place.to_socket_addrs().ok().and_then(|mut all| all.next());
    Ok((authority.to_owned(), address.ok_or_else(|| Failure::told(told("leads nowhere: give a host that resolves")))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::paint::Paint;

    #[test]
    fn a_url_leads_to_an_address() {
        for (url, authority, address) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:9", "[::1]:9", "[::1]:9"),
            ("http://127.0.0.1", "127.0.0.1", "127.0.0.1:80"),
        ] {
            assert_eq!(locate("--url", url).expect(url), (authority.to_owned(), address.parse().expect("an address")));
        }
        for wrong in ["https://127.0.0.1", "127.0.0.1:8080", "http://", "http://127.0.0.1:8080/v1"] {
            let told = locate("--url", wrong).expect_err(wrong).text(Paint::OFF);
            assert!(told.contains("such as http://127.0.0.1:8080"), "{told}");
        }
    }
}
