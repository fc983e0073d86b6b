//! The documentation's commands work: each block marked `sh` is run, in order, in a folder where a `tidings dev` runs.
//!
//! A block marked `console` or `text` is only shown. A line that a test cannot run is listed here, with the reason.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;
use tidings::dialect::Profile;
use tokio::process::Command;

use crate::support::process::Process;

/// Lines that are left out of what is run, by how they begin.
const NOT_RUN: [(&str, &str); 8] = [
    ("cargo ", "it builds, which running this test has done"),
    ("PROPTEST_CASES=", "so does this"),
    ("TIDINGS_SEED=", "so does this"),
    ("docker ", "it needs a container runtime"),
    ("tests/contract/run", "it needs schemathesis"),
    ("tidings dev", "the test has started it"),
    ("tidings listen", "it does not end by itself"),
    ("tidings serve", "it does not end by itself, and needs a database of its own"),
];

/// A block of a document: the line where it begins, and its text.
struct Block {
    line: usize,
    text: String,
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let pages = std::fs::read_dir(root.join("docs")).expect("docs");
    documents
        .extend(pages.flatten().map(|page| page.path()).filter(|path| path.extension().is_some_and(|e| e == "md")));
    documents.sort();
    documents
}

/// The blocks with this mark.
fn blocks(text: &str, mark: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<(bool, Block)>);
    for (index, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take().filter(|(wanted, _)| *wanted).map(|(_, block)| block)),
            (Some(found), None) => open = Some((found.trim() == mark, Block { line: index + 1, text: String::new() })),
            (None, Some((_, block))) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    blocks
}

fn runs(line: &str) -> bool {
    !NOT_RUN.iter().any(|(start, _)| line.trim_start().starts_with(start))
}

/// One script of all blocks, which says where it is.
fn script(blocks: &[Block]) -> String {
    let mut script = "set -euo pipefail\n".to_owned();
    for block in blocks {
        writeln!(script, "echo '== line {}' >&2", block.line).expect("a text");
        let lines: Vec<_> = block.text.lines().filter(|line| runs(line)).collect();
        writeln!(script, "{}", lines.join("\n")).expect("a text");
    }
    script
}

async fn run(document: &Path, blocks: &[Block]) {
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("open to Postgres");
    let program = Path::new(env!("CARGO_BIN_EXE_tidings")).parent().expect("a folder").display().to_string();
    let data = folder.path().join("data").display().to_string();
    let settings = [("database.data_dir", data.as_str()), ("server.listen", "127.0.0.1:0")];
    let dev = Process::start(&["dev"], &settings);
    let api = dev.line("  API  ").await;
    let api = api.split_whitespace().last().and_then(|url| url.strip_suffix("/v1")).expect("its address").to_owned();
    dev.line("Received here").await;
    let path = format!("{program}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    // The pages name the usual address; this one is whichever was free.
    let script = script(blocks).replace("http://127.0.0.1:8080", &api);
    shell.args(["-c", &script]).current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    shell.env("PATH", path).env("HOME", folder.path()).env("TIDINGS__DATABASE__DATA_DIR", &data);
    for name in ["TIDINGS_URL", "TIDINGS_KEY", "TIDINGS_TENANT", "TIDINGS_PROFILE", "XDG_CONFIG_HOME"] {
        shell.env_remove(name);
    }
    let ended = tokio::time::timeout(std::time::Duration::from_mins(2), shell.output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{} does not end", document.display())).expect("bash");
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        ended.status.success(),
        "{}: a command failed after the last line named here:\n{}\n{}",
        document.display(),
        told(&ended.stdout),
        told(&ended.stderr)
    );
    let end = dev.stop(Signal::INT).await;
    assert_eq!(end.code, Some(0), "{}", end.text);
}

#[tokio::test]
async fn the_commands_of_the_documentation_work() {
    let mut count = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        let blocks = blocks(&text, "sh");
        count += blocks.len();
        if blocks.iter().any(|block| block.text.lines().any(|line| runs(line) && !line.trim().is_empty())) {
            run(&document, &blocks).await;
        }
    }
    assert!(count >= 5, "the blocks were found");
}

#[test]
fn every_block_is_marked() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        let unmarked: Vec<_> = blocks(&text, "").into_iter().map(|block| block.line).collect();
        assert!(
            unmarked.is_empty(),
            "{}: say `sh`, `console`, `toml` or `text` at line {unmarked:?}",
            document.display()
        );
    }
}

#[test]
fn the_dialect_that_is_shown_is_one() {
    let text = include_str!("../docs/dialects.md");
    let shown = blocks(text, "toml");
    assert_eq!(shown.len(), 1);
    let acme = Profile::parse(&shown[0].text).unwrap_or_else(|error| panic!("line {}: {error}", shown[0].line));
    assert!(acme.has_token() && acme.challenge().is_some() && acme.example("order.paid").is_some());
    for table in shown[0].text.lines().filter(|line| line.starts_with('[')) {
        assert!(text.contains(&format!("**`{table}`**")), "{table} is explained");
    }
}

#[test]
fn a_command_that_fails_is_noticed() {
    let text = "a\n```sh\ncargo run\ntrue\n```\n```text\nfalse\n```\n";
    let found = blocks(text, "sh");
    assert_eq!((found.len(), found[0].line), (1, 2));
    assert_eq!(script(&found), "set -euo pipefail\necho '== line 2' >&2\ntrue\n");
}
