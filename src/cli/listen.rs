//! `tidings listen`: a receiver in a terminal.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use clap::{ArgGroup, Args};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::layout::{harmless, indented};
use super::paint::Paint;
use super::reach::warn_if_open;
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
  tidings listen --secret-file secret              a secret that nobody else on this host sees
  tidings listen --status 500 --delay-ms 2000      what does the sender do when this fails?";

/// What `tidings listen` is asked to do.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("secrets").multiple(true))]
pub(super) struct Options {
    /// The dialect that requests are signed in
    #[arg(long, value_name = "NAME", default_value = crate::dialect::DEFAULT_DIALECT)]
    dialect: String,
    /// The webhook's signing secret; twice while a rotation lasts. Without it nothing is verified
    #[arg(long, value_name = "SECRET", group = "secrets")]
    secret: Vec<Secret>,
    /// A file with the signing secret, or several, one a line: others on this host can see an argument
    #[arg(long, value_name = "FILE", group = "secrets")]
    secret_file: Option<PathBuf>,
    /// The webhook's static token, where the dialect has one
    #[arg(long, value_name = "TOKEN", requires = "secrets")]
    token: Option<Secret>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen on; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    port: u16,
    /// Always answer with this status [default: 200, or 401 to a wrong signature]
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<StatusCode>,
    /// Answer after this many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,
    /// Never answer
    #[arg(long, conflicts_with_all = ["status", "delay_ms"])]
    hang: bool,
    /// Show bodies whole and as they came, instead of formatted and shortened
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
        let keys = match self.secrets()?.as_slice() {
            [] => None,
            _ if profile.has_token() && self.token.is_none() => {
                return Err(Failure::misused(format!(
                    "a webhook of the dialect `{}` has a token beside its secret: give it with --token",
                    profile.name()
                )));
            }
            secrets => {
                let keys = profile.keys(secrets, self.token.as_ref());
                Some(keys.map_err(|error| Failure::misused(error.to_string()))?)
            }
        };
        Ok(Judge { profile: Arc::clone(profile), keys, clock: app::wall_clock() })
    }

    /// The secrets that were named, and those of the file.
    fn secrets(&self) -> Result<Vec<Secret>, Failure> {
        let mut secrets = self.secret.clone();
        if let Some(path) = &self.secret_file {
            let shown = path.display();
            let text = fs::read_to_string(path)
                .map_err(|error| Failure::told(format!("cannot read the secret in {shown}: {error}")))?;
            warn_if_open(path);
            secrets.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::from));
            if secrets.is_empty() {
                return Err(Failure::told(format!(
                    "{shown} is empty: it should hold a secret, or several, one a line"
                )));
            }
        }
        Ok(secrets)
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn judge(dialect: &str, arguments: &[&str]) -> Result<Judge, String> {
        let dialects = Dialects::builtin().expect("dialects");
        let line = Line::try_parse_from([&["listen"], arguments].concat()).map_err(|error| error.to_string())?;
        line.options.judge(dialects.get(dialect).expect(dialect)).map_err(|failure| failure.text(Paint::OFF))
    }

    #[test]
    fn secrets_are_taken_from_a_file_too_and_a_token_that_is_needed_is_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets");
        let file = path.to_str().expect("a path");
        fs::write(&path, "0123456789abcdef0123456789abcdef\n\n fedcba9876543210fedcba9876543210 \n").expect("written");
        assert!(judge("number7ai", &["--secret-file", file]).expect("a judge").keys.is_some());
        assert!(judge("beltic", &["--secret-file", file, "--token", "0123"]).expect("a judge").keys.is_some());
        assert!(judge("beltic", &["--secret-file", file]).expect_err("no token").contains("--token"));
        fs::write(&path, "\n").expect("written");
        assert!(judge("beltic", &["--secret-file", file]).expect_err("no secret").contains("is empty"));
        assert!(judge("standard", &[]).expect("a judge").keys.is_none());
    }
}
