//! Many events from a file, an event a line, in batches that the API takes whole or not at all.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

use super::data;
use crate::cli::Failure;
use crate::cli::operator::Desk;
use crate::cli::show::cell::{count, counted};
use crate::cli::show::progress::Progress;
use crate::client::{Call, ClientError, Item};

/// Events of a batch at most, as the API takes them.
const EVENTS: usize = 1_000;
/// Bytes of a batch: well below what the API takes.
const BYTES: usize = 8 * 1024 * 1024;

/// What has been sent so far.
struct Sent {
    /// Lines that were read and need not be sent again.
    lines: usize,
    bytes: u64,
    events: u64,
    duplicates: u64,
    deliveries: u64,
}

/// Lines that go out together.
#[derive(Default)]
struct Batch {
    text: String,
    events: usize,
    /// The last of them, from 1.
    last_line: usize,
    /// The number of each event's line.
    lines: Vec<usize>,
}

/// Sends the file's lines after the first `skip`.
pub(super) async fn send(desk: &Desk, file: &Path, skip: usize) -> Result<(), Failure> {
    let begun = Instant::now();
    let (mut lines, length) = open(file)?;
    let progress = length.map_or_else(Progress::endless, Progress::of_bytes);
    let (mut sent, mut batch) =
        (Sent { lines: skip, bytes: 0, events: 0, duplicates: 0, deliveries: 0 }, Batch::default());
    let (mut line, mut number) = (String::new(), 0);
    let run = data::new_key();
    loop {
        line.clear();
        let read = lines.read_line(&mut line).map_err(|error| sent.failed(file, &error.to_string()))?;
        number += 1;
        if read > 0 && number > skip && !line.trim().is_empty() {
            if line.trim_start().starts_with('[') {
                let told = format!("line {number} is a JSON array: write one event a line, not an array");
                return Err(sent.failed(file, &told));
            }
            let keyed = data::keyed(line.trim(), &format!("{run}-{number}"));
            let keyed = keyed.map_err(|error| {
                // Of its own, the text has but one line.
                let told = error.to_string().replace(" at line 1 column ", " at column ");
                sent.failed(file, &format!("line {number} is no JSON object: {told}"))
            })?;
            batch.push(&keyed, number);
        }
        if batch.events == EVENTS || batch.text.len() > BYTES || (read == 0 && batch.events > 0) {
            let full = std::mem::take(&mut batch);
            full.send(desk, file, &mut sent).await?;
        }
        sent.bytes += read as u64;
        progress.is_at(sent.bytes);
        progress.tells(format!("{} accepted", counted(sent.events, "event", "events")));
        if read == 0 {
            break;
        }
    }
    drop(progress);
    let told = match number - 1 {
        _ if sent.events > 0 => sent.summary(begun.elapsed().as_secs_f64()),
        lines if lines < skip => {
            format!("{} has {}: --skip {skip} leaves none.", shown(file), counted(lines as u64, "line", "lines"))
        }
        _ => format!("{} has no event{}: nothing was sent.", shown(file), if skip > 0 { " left" } else { "" }),
    };
    desk.screen.note(told);
    Ok(())
}

/// The file, for people.
fn shown(file: &Path) -> Cow<'_, str> {
    if file == Path::new("-") { "standard input".into() } else { file.to_string_lossy() }
}

type Lines = Box<dyn BufRead>;

/// The file, and its length where that is known.
fn open(path: &Path) -> Result<(Lines, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let unable = |error: io::Error| Failure::told(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unable)?;
    let length = file.metadata().map_err(unable)?.len();
    Ok((Box::new(BufReader::new(file)), Some(length)))
}

impl Batch {
    fn push(&mut self, event: &str, line: usize) {
        self.text.push(if self.events == 0 { '[' } else { ',' });
        self.text.push_str(event);
        self.events += 1;
        self.last_line = line;
        self.lines.push(line);
    }

    async fn send(self, desk: &Desk, file: &Path, sent: &mut Sent) -> Result<(), Failure> {
        let body = format!("{{\"events\":{}]}}", self.text);
        let call = Call::post(&[&super::NOUN, &"batch"]).raw(body).keyed();
        let answer = desk.client.send(call).await;
        let receipts = answer.and_then(|answer| answer.rows("events"));
        let receipts = receipts.map_err(|error| sent.refused(file, error, &self.lines))?;
        for receipt in &receipts {
            if desk.screen.json {
                desk.screen.say(receipt.line())?;
            }
            sent.count(receipt);
        }
        sent.lines = self.last_line;
        Ok(())
    }
}

/// A batch was not accepted.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
struct NotAccepted {
    told: String,
    #[source]
    source: ClientError,
}

impl Sent {
    fn count(&mut self, receipt: &Item) {
        let receipt = receipt.value();
        self.events += 1;
        self.duplicates += u64::from(receipt["duplicate"] == true);
        self.deliveries += receipt["deliveries"].as_u64().unwrap_or_default();
    }

    fn summary(&self, seconds: f64) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rate for people"
        )]
        let rate = (self.events as f64 / seconds.max(0.001)) as u64;
        let owed = counted(self.deliveries, "delivery", "deliveries");
        let mut text = format!(
            "{} accepted in {seconds:.1} s ({} a second), {owed} owed",
            counted(self.events, "event", "events"),
            count(rate)
        );
        if self.duplicates > 0 {
            text = format!("{text}; {} of them had been accepted before", count(self.duplicates));
        }
        text + "."
    }

    /// Where to go on after something that concerns the file.
    fn failed(&self, file: &Path, told: &str) -> Failure {
        Failure::told(format!("{}: {told}{}", shown(file), self.go_on()))
    }

    fn refused(&self, file: &Path, error: ClientError, lines: &[usize]) -> Failure {
        let place = match lines {
            [] => String::new(),
            [first, .., last] => format!("lines {first} to {last} of {} were not accepted", shown(file)),
            [only] => format!("line {only} of {} was not accepted", shown(file)),
        };
        let told = format!("{place}{}", self.go_on());
        NotAccepted { told, source: by_line(error, lines) }.into()
    }

    fn go_on(&self) -> String {
        match self.lines {
            0 => "; nothing was accepted before".to_owned(),
            lines => format!("; the first {lines} lines were accepted: add --skip {lines} to go on after them"),
        }
    }
}

/// The API counts the events of a batch; a person counts the lines of the file.
fn by_line(error: ClientError, lines: &[usize]) -> ClientError {
    let ClientError::Refused(mut problem) = error else { return error };
    let mut told = Vec::new();
    for fault in &mut problem.errors {
        let place = fault.pointer.strip_prefix("/events/").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        let line = place.and_then(|(index, member)| Some((lines.get(index.parse::<usize>().ok()?)?, member)));
        if let Some((line, member)) = line {
            fault.pointer = format!("line {line}: {}", if member.is_empty() { "the event" } else { member });
            told.push(format!("{} {}", fault.pointer, fault.detail));
        }
    }
    if let ([only], [_]) = (&told[..], &problem.errors[..]) {
        problem.detail.clone_from(only);
    }
    ClientError::Refused(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::problem::{Fault, Problem};

    #[test]
    fn a_fault_names_its_line() {
        let fault = |pointer: &str| Fault { pointer: pointer.into(), detail: "is odd".into() };
        let told = |errors| {
            let problem = Problem {
                status: 422,
                title: "T".into(),
                code: "x".into(),
                detail: "y".into(),
                request_id: "r".into(),
                errors,
            };
            by_line(ClientError::Refused(problem), &[7, 9]).to_string()
        };
        assert_eq!(told(vec![fault("/events/1/type")]), "line 9: type is odd\n  (422 x, request r)");
        let both = told(vec![fault("/events/0"), fault("/events/5/type")]);
        assert_eq!(both, "y\n  line 7: the event is odd\n  events/5/type is odd\n  (422 x, request r)");
    }
}
