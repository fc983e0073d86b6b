//! `tidings` as a person runs it at a prompt: what it prints, and its exit code.

use std::collections::BTreeMap;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A prompt, with its environment.
pub struct Shell {
    variables: Vec<(String, String)>,
    home: tempfile::TempDir,
    /// Texts that differ from run to run, and what stands for them.
    pub known: Vec<(String, String)>,
}

/// What a command printed.
pub struct Printed {
    pub line: String,
    pub output: String,
    pub errors: String,
    pub code: i32,
}

impl Shell {
    /// A prompt of a terminal this wide.
    pub fn new(width: u16) -> Self {
        let home = tempfile::tempdir().expect("a home");
        let mut shell = Self { variables: Vec::new(), home, known: Vec::new() };
        shell.set("COLUMNS", &width.to_string());
        shell
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(own, _)| own != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Writes a file below its home.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// The command, ready to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command.args(arguments).env_clear().envs(self.variables.iter().cloned());
        command.env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin").current_dir(self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Printed {
        self.run_with("", arguments).await
    }

    /// With this on standard input.
    pub async fn run_with(&self, input: &str, arguments: &[&str]) -> Printed {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("started");
        let mut pipe = child.stdin.take().expect("a pipe");
        pipe.write_all(input.as_bytes()).await.expect("read");
        drop(pipe);
        let ended = child.wait_with_output().await.expect("ended");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let quoted = arguments.iter().map(|argument| {
            let plain = !argument.contains([' ', '*', '{', '\'']);
            if plain { (*argument).to_owned() } else { format!("'{argument}'") }
        });
        Printed {
            line: format!("$ tidings {}", quoted.collect::<Vec<_>>().join(" ")),
            output: text(ended.stdout),
            errors: text(ended.stderr),
            code: ended.status.code().unwrap_or(-1),
        }
    }
}

impl Printed {
    /// The lines of JSON.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.output.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// As at a prompt, errors after output.
    pub fn transcript(&self) -> String {
        let code = if self.code == 0 { String::new() } else { format!("[exit {}]\n", self.code) };
        format!("{}\n{}{}{code}", self.line, self.output, self.errors)
    }
}

/// Transcripts in which whatever differs from run to run stands under a fixed name of the same length.
pub fn masked(shell: &Shell, transcripts: &[String]) -> String {
    let mut text = transcripts.join("\n");
    for (from, to) in &shell.known {
        text = text.replace(from, to);
    }
    text = text.replace(&shell.home.path().display().to_string(), "~");
    let mut names = BTreeMap::new();
    for prefix in ["ten_", "key_", "wh_", "evt_", "dlv_", "att_", "rpl_", "req_"] {
        text = runs(
            &text,
            prefix,
            |c| c.is_ascii_lowercase() || c.is_ascii_digit(),
            |run| {
                if run.len() != 26 {
                    return run.to_owned();
                }
                let count = names.len() + 1;
                format!("{:0>26}", names.entry(run.to_owned()).or_insert(count))
            },
        );
    }
    for prefix in ["whsec_", ": v1,", " v1,", "webhook-timestamp: ", "tk_sandbox_", "\"duration_ms\":", "\n  date: "] {
        let part =
            |c: char| c.is_ascii_alphanumeric() || "+/=.".contains(c) || (prefix.contains("date") && " ,:".contains(c));
        text = runs(&text, prefix, part, |_| "…".to_owned());
    }
    // A part of a port that is left over after a cut, too.
    text = runs(
        &text,
        "127.0.0.1:",
        |c| c.is_ascii_digit(),
        |port| match port {
            "8080" | "1" => port.to_owned(),
            port => "5".repeat(port.len()),
        },
    );
    times(&text)
}

/// Each run of such characters after a prefix, replaced.
fn runs(text: &str, prefix: &str, part: impl Fn(char) -> bool, mut with: impl FnMut(&str) -> String) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(prefix) {
        let start = at + prefix.len();
        let length = rest[start..].find(|c| !part(c)).unwrap_or(rest.len() - start);
        shown += &rest[..start];
        shown += &with(&rest[start..start + length]);
        rest = &rest[start + length..];
    }
    shown + rest
}

/// Times and durations, replaced.
fn times(text: &str) -> String {
    let mut shown = Vec::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        while let Some((at, length)) = time_in(&line) {
            line.replace_range(at..at + length, "2026-··-·· ··:··:··Z");
        }
        shown.push(line);
    }
    shown.join("\n")
}

/// `2026-03-21T14:24:11.123Z`, or with a space.
fn time_in(line: &str) -> Option<(usize, usize)> {
    for (at, _) in line.match_indices("20") {
        let Some(bytes) = line.as_bytes().get(at..at + 19) else { continue };
        let fits = bytes.iter().zip(b"dddd-dd-dd dd:dd:dd").all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            b' ' => matches!(byte, b' ' | b'T'),
            shape => byte == shape,
        });
        if fits {
            let rest = &line[at + 19..];
            let fraction = rest.find('Z').filter(|end| rest[..*end].chars().all(|c| c == '.' || c.is_ascii_digit()))?;
            return Some((at, 19 + fraction + 1));
        }
    }
    None
}
