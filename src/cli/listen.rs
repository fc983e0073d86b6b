//! `tidings listen`: a receiver in a terminal.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::layout::{harmless, indented};
use super::paint::Paint;
use super::receiver::{Behaviour, Judge, Receipt, Receiver, Verdict};
use super::show::cell::time_of_day;
use crate::app::{self, ListenError};
use crate::config::Config;
use crate::dialect::{Dialects, Profile};
use crate::domain::secret::Secret;

/// Bytes of a body that are shown, unless all are asked for.
const SHOWN: usize = 4 * 1024;

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings listen --secret whsec_…                  Standard Webhooks, on port 9000
  tidings listen --dialect limai --secret 0123…    answers LimAI's challenge, too
  tidings listen --status 500 --delay-ms 2000      what does the sender do when this fails?";

/// What `tidings listen` is asked to do.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The dialect that requests are signed in
    #[arg(long, value_name = "NAME", default_value = crate::dialect::DEFAULT_DIALECT)]
    dialect: String,
    /// The webhook's signing secret; twice while a rotation lasts. Without it nothing is verified
    #[arg(long, value_name = "SECRET")]
    secret: Vec<Secret>,
    /// The webhook's static token, where the dialect has one
    #[arg(long, value_name = "TOKEN", requires = "secret")]
    token: Option<Secret>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen on; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    port: u16,
    /// Answer always with this status [default: 200, or 401 to a wrong signature]
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<StatusCode>,
    /// Answer after this many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,
    /// Never answer
    #[arg(long, conflicts_with_all = ["status", "delay_ms"])]
    hang: bool,
    /// Show bodies as they came and whole, instead of laid out and cut
    #[arg(long)]
    raw: bool,
    /// Print one JSON object a line, for scripts
    #[arg(long, conflicts_with = "raw")]
    json: bool,
}

fn status(text: &str) -> Result<StatusCode, String> {
    let status = text.parse::<StatusCode>().ok().filter(|status| (200..=599).contains(&status.as_u16()));
    status.ok_or_else(|| "a status is a number from 200 to 599".to_owned())
}

/// Receives and prints until told to stop.
pub(super) async fn run(options: Options, config: &Config, shutdown: CancellationToken) -> Result<(), Failure> {
    let dialects = Dialects::load(config.dialects.dir.as_deref())?;
    let Some(profile) = dialects.get(&options.dialect).cloned() else {
        let names: Vec<_> = dialects.iter().map(|profile| profile.name()).collect();
        return Err(Failure::misused(format!(
            "there is no dialect `{}`; there are {}",
            options.dialect,
            names.join(", ")
        )));
    };
    let judge = options.judge(&profile)?;
    let wanted = SocketAddr::new(options.host, options.port);
    let unable = |source| ListenError { address: wanted, setting: "--port or --host", source };
    let receiver = Receiver::bind(wanted).await.map_err(unable)?;
    let paint = Paint::for_stdout();
    let greeting = greeting(receiver.address(), &profile, judge.keys.is_some(), paint);
    if options.json {
        // Where a script finds the port that was free, apart from what it reads line by line.
        drop(writeln!(std::io::stderr(), "{greeting}"));
    } else {
        say!("{greeting}");
    }
    let behaviour =
        Behaviour { status: options.status, delay: Duration::from_millis(options.delay_ms), hang: options.hang };
    let on_receipt = move |receipt: Receipt| {
        if options.json {
            say!("{}", as_json(&receipt));
        } else {
            say!("{}\n{}", line(&receipt, "", paint), paint.dim(body(&receipt, options.raw)));
        }
    };
    Ok(receiver.serve(judge, behaviour, on_receipt, shutdown).await.map_err(unable)?)
}

impl Options {
    fn judge(&self, profile: &Arc<Profile>) -> Result<Judge, Failure> {
        let keys = match self.secret.as_slice() {
            [] => None,
            secrets => {
                let keys = profile.keys(secrets, self.token.as_ref());
                Some(keys.map_err(|error| Failure::misused(error.to_string()))?)
            }
        };
        Ok(Judge { profile: Arc::clone(profile), keys, clock: app::wall_clock() })
    }
}

fn greeting(address: SocketAddr, profile: &Profile, verifies: bool, paint: Paint) -> String {
    let name = profile.name();
    let how = if verifies {
        format!("Signatures are verified in the dialect {name}.")
    } else {
        format!("Nothing is verified without a secret: add --secret (and the right --dialect; this is {name}).")
    };
    format!("Listening on {}. {how} Ctrl-C ends.\n", paint.bold(format!("http://{address}/")))
}

/// One line for a request: whether to believe it, what it says it is, the answer.
pub(super) fn line(receipt: &Receipt, note: &str, paint: Paint) -> String {
    let text =
        |value: &Option<String>, missing: &str| harmless(value.as_deref().unwrap_or(missing)).replace('\n', "\\n");
    let (mark, why) = match &receipt.verdict {
        Verdict::Verified => (paint.green("✓"), String::new()),
        Verdict::Unverified => (paint.dim("?"), "  not verified: no --secret".to_owned()),
        Verdict::Rejected(error) => (paint.red("✗"), format!("  {}", paint.red(harmless(&error.to_string())))),
    };
    let kind = if receipt.is_challenge { "  challenge, answered" } else { "" };
    let answer = receipt.status.map_or("no answer".to_owned(), |status| status.as_u16().to_string());
    format!(
        "{mark} {}  {}  {}{note}{kind}{why}  → {answer}",
        time_of_day(receipt.at),
        paint.bold(text(&receipt.says.event_type, "(no type)")),
        text(&receipt.says.event_id, "(no id)"),
    )
}

fn body(receipt: &Receipt, raw: bool) -> String {
    if raw {
        return harmless(&String::from_utf8_lossy(&receipt.body));
    }
    let laid_out = indented(&receipt.body).unwrap_or_else(|| String::from_utf8_lossy(&receipt.body).into_owned());
    let cut = laid_out.floor_char_boundary(SHOWN);
    let rest = laid_out.len() - cut;
    let more = if rest > 0 { format!("\n… {rest} bytes more; --raw shows all") } else { String::new() };
    harmless(&laid_out[..cut]).lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n") + &more
}

fn as_json(receipt: &Receipt) -> serde_json::Value {
    let headers =
        receipt.headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
    json!({
        "at": receipt.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "path": receipt.path,
        "verified": match receipt.verdict {
            Verdict::Verified => Some(true),
            Verdict::Rejected(_) => Some(false),
            Verdict::Unverified => None,
        },
        "problem": match &receipt.verdict {
            Verdict::Rejected(error) => Some(error.to_string()),
            _ => None,
        },
        "challenge": receipt.is_challenge,
        "event_id": receipt.says.event_id,
        "event_type": receipt.says.event_type,
        "status": receipt.status.map(|status| status.as_u16()),
        "headers": headers.collect::<Vec<_>>(),
        "body": String::from_utf8_lossy(&receipt.body),
    })
}
