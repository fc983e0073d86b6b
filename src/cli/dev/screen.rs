//! What a newcomer is shown.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;

use super::furnish::Furniture;
use super::sample::Sample;
use crate::cli::paint::Paint;
use crate::embedded::{DATABASE, PASSWORD_FILE, USER};

/// What is known before there is anything to show.
#[derive(Debug)]
pub(super) struct Screen<'a> {
    /// Where the API is.
    pub(super) address: SocketAddr,
    /// Whether the console is there, too.
    pub(super) has_console: bool,
    /// Where the data is.
    pub(super) folder: &'a Path,
    /// Whether commands in the working folder find this Tidings by themselves.
    pub(super) is_found: bool,
    /// The port of the private Postgres, where it is one.
    pub(super) postgres: Option<u16>,
    /// When the start began.
    pub(super) begun: Instant,
}

impl Screen<'_> {
    /// The whole screen. `is_first` shows what is shown once.
    pub(super) fn text(&self, home: &Furniture, sample: &Sample, is_first: bool, paint: Paint) -> String {
        let Self { address, has_console, folder, is_found, postgres, begun } = self;
        let label = |label: &str| paint.dim(format!("  {label:<13}"));
        let key = home.api_key.expose_secret();
        let mut lines = vec![
            format!("{} (after {}).\n", paint.bold("Tidings is running"), seconds(begun.elapsed())),
            format!("{}{}", label("API"), paint.bold(format!("http://{address}/v1"))),
            format!("{}{}  (tenant {}, sandbox)", label("API key"), paint.bold(key), home.tenant_id),
        ];
        if *has_console {
            let link = format!("http://{address}/console#{key}");
            lines.insert(1, format!("{}{}  (signs you in)", label("Console"), paint.bold(link)));
        }
        if is_first {
            let note = "manages tenants and keys";
            lines.push(format!("{}{}  ({note})", label("Platform key"), home.platform_key.expose_secret()));
        }
        lines.extend([
            format!("{}{}  → {} (a receiver in this process)", label("Webhook"), home.webhook_id, home.webhook_url),
            format!("{}{}  (keys: dev.toml and master.key)", label("Data"), folder.display()),
        ]);
        lines.extend(postgres.map(|port| format!("{}{}", label("Postgres"), psql(folder, port))));
        let export = format!("  export TIDINGS_URL=http://{address} TIDINGS_KEY={key}");
        let commands = "  tidings events send invoice.paid '{\"invoice\": 17}'\n  tidings deliveries list";
        lines.extend([format!("\n{}", outcome(sample, paint))]);
        lines.extend(if *is_found {
            vec![
                format!("\n{}\n\n{commands}", paint.bold("In another terminal, in this folder:")),
                format!("\n{}\n\n{export}", paint.bold("From anywhere else, first:")),
            ]
        } else {
            vec![format!("\n{}\n\n{export}\n{commands}", paint.bold("In another terminal:"))]
        });
        lines.extend([
            format!("\n{}\n", paint.bold("Or without this program:")),
            format!("  curl -i http://{address}/v1/events \\"),
            format!("    -H 'Authorization: Bearer {key}' \\"),
            "    -H 'Content-Type: application/json' \\".to_owned(),
            "    -d '{\"type\": \"invoice.paid\", \"data\": {\"invoice\": 17}}'".to_owned(),
            format!("\n{}", paint.bold("Then:")),
            "  your own receiver   tidings listen, and tidings webhooks create: see README.md".to_owned(),
            "  every attempt       TIDINGS__LOG__LEVEL=info tidings dev".to_owned(),
            "  the end             Ctrl-C; the next run continues with the same data and keys".to_owned(),
            format!("\n{}", paint.bold("Received here:")),
        ]);
        lines.join("\n")
    }
}

/// How to look into the private Postgres.
fn psql(folder: &Path, port: u16) -> String {
    let password = quoted(&folder.join(PASSWORD_FILE).display().to_string());
    format!("PGPASSWORD=$(cat {password}) psql -h 127.0.0.1 -p {port} -U {USER} {DATABASE}")
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn outcome(sample: &Sample, paint: Paint) -> String {
    match sample.took {
        Some(took) => format!(
            "{} A sample event was accepted, stored, signed, delivered and verified in {}.",
            paint.green("✓"),
            paint.bold(milliseconds(took))
        ),
        None => format!(
            "{} The sample event {} has not arrived within 10 s. GET /v1/events/{} says where its delivery stands.",
            paint.red("✗"),
            sample.event_id,
            sample.event_id
        ),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Furniture {
        Furniture {
            tenant_id: "ten_01k".into(),
            api_key: "tk_sandbox_1".into(),
            platform_key: "tk_platform_1".into(),
            webhook_id: "wh_01k".into(),
            webhook_url: "http://127.0.0.1:40001/".into(),
            webhook_secret: "whsec_1".into(),
        }
    }

    fn screen() -> Screen<'static> {
        let (address, folder) = (([127, 0, 0, 1], 8080).into(), Path::new("/data"));
        Screen { address, has_console: true, folder, is_found: true, postgres: Some(5433), begun: Instant::now() }
    }

    #[test]
    fn it_shows_what_a_newcomer_needs() {
        let screen = screen();
        let took = Some(Duration::from_micros(4_210));
        let sample = Sample { event_id: "evt_01k".into(), took, others: Vec::new() };
        insta::assert_snapshot!(screen.text(&home(), &sample, true, Paint::OFF));
    }

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        for (path, word) in [
            ("/data/x-1", "/data/x-1"),
            ("/my data", "'/my data'"),
            ("/it's $HOME", "'/it'\\''s $HOME'"),
            ("/é", "'/é'"),
        ] {
            assert_eq!(quoted(path), word);
        }
        assert!(psql(Path::new("/a b"), 1).starts_with("PGPASSWORD=$(cat '/a b/"));
    }

    #[test]
    fn what_is_not_found_by_itself_is_named_first() {
        let screen = Screen { is_found: false, has_console: false, postgres: None, ..screen() };
        let sample = Sample { event_id: "evt_01k".into(), took: None, others: Vec::new() };
        insta::assert_snapshot!(screen.text(&home(), &sample, false, Paint::OFF));
    }

    #[test]
    fn a_later_run_leaves_out_the_platform_key_and_a_lost_sample_is_told() {
        let screen = screen();
        let text = screen.text(
            &home(),
            &Sample { event_id: "evt_01k".into(), took: None, others: Vec::new() },
            false,
            Paint::OFF,
        );
        assert!(!text.contains("tk_platform_") && text.contains("✗ The sample event evt_01k has not arrived"));
    }
}
