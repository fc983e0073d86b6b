//! Finds `postgres` and `initdb`: where `PG_BIN_DIR` says, else on the PATH, else in the usual folders, newest first,
//! else by downloading them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::folder::Folder;
use super::{Config, EmbeddedError, download};

/// The oldest major version that the schema runs on.
pub(super) const OLDEST: u32 = 14;

/// The usual places: below the first, folders whose names begin with the second; in each of those, the third.
const USUAL: [(&str, &str, &str); 5] = [
    ("usr/lib/postgresql", "", "bin"),
    ("usr", "pgsql-", "bin"),
    ("opt/homebrew/opt", "postgresql", "bin"),
    ("usr/local/opt", "postgresql", "bin"),
    ("Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A folder of Postgres programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// The server.
    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    /// The program that makes a data folder.
    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    /// Binaries for a new data folder (`wanted` is none) or for one that a certain major version wrote.
    pub(super) async fn find(config: &Config, folder: &Folder, wanted: Option<u32>) -> Result<Self, EmbeddedError> {
        let probe = |dir: &Path| probe(folder.account(), dir);
        if let Some(dir) = &config.bin_dir {
            let fits = probe(dir).and_then(|major| fits(major, wanted));
            return fits
                .map(|()| Self { dir: real(dir) })
                .map_err(|reason| EmbeddedError::BinDir { dir: dir.clone(), reason });
        }
        let mut places: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
        places.extend(newest_first(&folder.binaries(), "", "bin"));
        places.extend(usual(Path::new("/")));
        let looked = match choose(&places, wanted, probe) {
            Ok(dir) => return Ok(Self { dir }),
            Err(looked) => looked,
        };
        let failed = |download: String| missing(folder, wanted, looked, download);
        let dir = download::download(&folder.binaries(), wanted).await.map_err(failed)?;
        Ok(Self { dir })
    }
}

fn missing(folder: &Folder, wanted: Option<u32>, looked: String, download: String) -> EmbeddedError {
    match wanted {
        Some(major) => EmbeddedError::OtherMajor { folder: folder.postgres(), major, looked, download },
        None => EmbeddedError::NoBinaries { wanted: format!("{OLDEST} or newer"), looked, download },
    }
}

/// The first place whose version fits, or what was seen instead.
fn choose(
    places: &[PathBuf],
    wanted: Option<u32>,
    probe: impl Fn(&Path) -> Result<u32, String>,
) -> Result<PathBuf, String> {
    let mut seen = Vec::new();
    for dir in places.iter().filter(|dir| dir.join("postgres").is_file()) {
        match probe(dir).and_then(|major| fits(major, wanted)) {
            // Postgres finds its libraries beside its real self: distributions put links on the PATH.
            Ok(()) => return Ok(real(dir)),
            Err(reason) => seen.push(format!("{}: {reason}", dir.display())),
        }
    }
    if seen.is_empty() { Err("neither on the PATH nor in the usual folders".into()) } else { Err(seen.join("; ")) }
}

fn real(dir: &Path) -> PathBuf {
    let program = dir.join("postgres").canonicalize().ok();
    program.and_then(|program| program.parent().map(Path::to_owned)).unwrap_or_else(|| dir.to_owned())
}

fn fits(major: u32, wanted: Option<u32>) -> Result<(), String> {
    match wanted {
        Some(wanted) if major != wanted => Err(format!("it is PostgreSQL {major}, the data need {wanted}")),
        None if major < OLDEST => Err(format!("it is PostgreSQL {major}, {OLDEST} or newer is needed")),
        _ => Ok(()),
    }
}

/// Asks the binary itself, as the user that will run it: a folder's name proves nothing.
fn probe(account: &Account, dir: &Path) -> Result<u32, String> {
    if !dir.join("initdb").is_file() {
        return Err("`initdb` is not there".into());
    }
    let dir = real(dir);
    if let Some(barrier) = account.barrier(&dir) {
        return Err(format!("the user that Postgres runs as may not enter {}", barrier.display()));
    }
    let output = account.command(dir.join("postgres")).arg("--version").output();
    let output = output.map_err(|error| format!("`postgres` does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    major(&text).ok_or_else(|| format!("`postgres --version` says {:?}", text.trim()))
}

/// `postgres (PostgreSQL) 15.18 (Debian …)`, `… 17rc1`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    leading_number(number)
}

fn usual(root: &Path) -> Vec<PathBuf> {
    USUAL.iter().flat_map(|(base, prefix, inside)| newest_first(&root.join(base), prefix, inside)).collect()
}

/// `base/prefix*/inside`, by the first number in the name, newest first; names without one (`latest`) last.
fn newest_first(base: &Path, prefix: &str, inside: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(base).into_iter().flatten().flatten();
    let mut found: Vec<(u32, String)> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .map(|name| {
            (name.find(|c: char| c.is_ascii_digit()).and_then(|at| leading_number(&name[at..])).unwrap_or(0), name)
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, name)| base.join(name).join(inside)).collect()
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like binaries, and says its version to [`fake_probe`].
    fn fake(dir: &Path, major: u32) {
        fs::create_dir_all(dir).expect("a folder");
        fs::write(dir.join("postgres"), major.to_string()).expect("a file");
    }

    fn fake_probe(dir: &Path) -> Result<u32, String> {
        fs::read_to_string(dir.join("postgres")).map(|text| text.parse().expect("a number")).map_err(|e| e.to_string())
    }

    #[test]
    fn the_usual_folders_are_searched_newest_first() {
        let root = tempfile::tempdir().expect("a folder");
        for (dir, major) in [
            ("usr/lib/postgresql/9.6/bin", 9),
            ("usr/lib/postgresql/16/bin", 16),
            ("usr/lib/postgresql/14/bin", 14),
            ("usr/pgsql-17/bin", 17),
            ("usr/share/bin", 1),
        ] {
            fake(&root.path().join(dir), major);
        }
        let places = usual(root.path());
        let names: Vec<_> = places.iter().map(|dir| dir.strip_prefix(root.path()).expect("inside").to_str()).collect();
        let expected = [
            "usr/lib/postgresql/16/bin",
            "usr/lib/postgresql/14/bin",
            "usr/lib/postgresql/9.6/bin",
            "usr/pgsql-17/bin",
        ];
        assert_eq!(names, expected.map(Some));

        let chosen = |wanted| choose(&places, wanted, fake_probe);
        assert!(chosen(None).expect("the newest").ends_with("postgresql/16/bin"));
        assert!(chosen(Some(14)).expect("the same major").ends_with("postgresql/14/bin"));
        let reasons = chosen(Some(15)).expect_err("not there");
        assert!(reasons.contains("it is PostgreSQL 16, the data need 15"), "{reasons}");
    }

    #[test]
    fn the_path_goes_before_newer_ones_and_its_links_are_followed() {
        let root = tempfile::tempdir().expect("a folder");
        let (real, linked, newer) = (root.path().join("real"), root.path().join("linked"), root.path().join("newer"));
        fake(&real, 15);
        fake(&newer, 17);
        fs::create_dir(&linked).expect("a folder");
        std::os::unix::fs::symlink(real.join("postgres"), linked.join("postgres")).expect("a link");
        let chosen = choose(&[root.path().join("empty"), linked, newer], None, fake_probe).expect("found");
        assert_eq!(chosen, real.canonicalize().expect("real"));
    }

    #[test]
    fn too_old_or_none_at_all_is_said() {
        let root = tempfile::tempdir().expect("a folder");
        fake(root.path(), 13);
        let old = choose(&[root.path().to_owned()], None, fake_probe).expect_err("too old");
        assert!(old.contains("it is PostgreSQL 13, 14 or newer is needed"), "{old}");
        let none = choose(&[], None, fake_probe).expect_err("nothing");
        assert_eq!(none, "neither on the PATH nor in the usual folders");
    }

    #[test]
    fn a_failed_download_says_what_was_tried_and_what_to_do() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(home.path(), Account::Own).expect("a folder");
        let message = |wanted| missing(&folder, wanted, "LOOKED".into(), "OFFLINE".into()).to_string();
        for (message, version) in [(message(None), "PostgreSQL 14 or newer"), (message(Some(16)), "PostgreSQL 16")] {
            for part in ["LOOKED", "OFFLINE", &format!("Install {version}"), "PG_BIN_DIR"] {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
    }

    #[test]
    fn versions_are_read_as_postgres_prints_them() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major("postgres: command not found"), None);
    }
}
