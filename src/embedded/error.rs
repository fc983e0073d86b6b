//! Why the private Postgres does not run, each time with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the private Postgres could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Postgres refuses to run as root, and there is nobody else.
    #[error(
        "Postgres does not run as root, and /etc/passwd has neither a user `postgres` nor `nobody` to run it as: add one of them, or set `database.url` to a Postgres server"
    )]
    NoAccount,
    /// The user that Postgres runs as cannot enter a folder.
    #[error(
        "Postgres runs as the user `{user}`, who may not enter {barrier}, and so cannot use {path}: set `database.data_dir` to a folder that user can reach, for example /var/lib/tidings"
    )]
    Unreachable {
        /// The user that Postgres runs as.
        user: String,
        /// The folder whose mode keeps that user out.
        barrier: PathBuf,
        /// What lies below it.
        path: PathBuf,
    },
    /// `PG_BIN_DIR` is set, and what it names cannot be used.
    #[error(
        "PG_BIN_DIR names {dir}, which cannot be used: {reason}. Set it to a folder with `postgres` and `initdb`, or unset it to search the usual folders"
    )]
    BinDir {
        /// The folder named.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No binaries, and no way to download them.
    #[error(
        "no PostgreSQL {wanted} was found here ({looked}), and downloading it failed: {download}. Install PostgreSQL {wanted} (any package will do), name its folder in PG_BIN_DIR, or set `database.url` to a Postgres server"
    )]
    NoBinaries {
        /// The version needed: `14 or newer`, or the major version of the data folder.
        wanted: String,
        /// Where was looked, and what was found there.
        looked: String,
        /// Why the download failed.
        download: String,
    },
    /// As above, for data that exists already.
    #[error(
        "the data in {folder} was written by PostgreSQL {major}, which only PostgreSQL {major} can read; it was not found here ({looked}), and downloading it failed: {download}. Install PostgreSQL {major}, name its folder in PG_BIN_DIR, or set `database.data_dir` to a new folder"
    )]
    OtherMajor {
        /// Postgres' data folder.
        folder: PathBuf,
        /// What its file `PG_VERSION` says.
        major: u32,
        /// Where was looked, and what was found there.
        looked: String,
        /// Why the download failed.
        download: String,
    },
    /// A new data folder could not be made.
    #[error("a new database could not be made in {folder}: {program} says: {output}")]
    Initdb {
        /// Where it was to be.
        folder: PathBuf,
        /// Which program failed.
        program: String,
        /// What it printed.
        output: String,
    },
    /// There is data, but no password to it.
    #[error(
        "{path} is missing, and without this password the data beside it cannot be used: restore the file, or set `database.data_dir` to a new folder"
    )]
    NoPassword {
        /// The password file.
        path: PathBuf,
    },
    /// Postgres ended before it was ready.
    #[error("Postgres ended while starting. The end of its log {log}:\n{tail}")]
    Died {
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// Postgres has ended, and who uses it has not.
    #[error(
        "Postgres has ended, and not because it was told to here. What was accepted is kept: start again. The end of its log {log}:\n{tail}"
    )]
    Gone {
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// Postgres is not ready in time.
    #[error(
        "Postgres is not ready after {seconds} s. It goes on starting: try again in a while. The end of its log {log}:\n{tail}"
    )]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// Postgres takes longer to stop than was waited.
    #[error(
        "Postgres (process {pid}) has not stopped after {seconds} s. It goes on stopping, and no data is at risk; see {log}"
    )]
    NotStopped {
        /// The postmaster.
        pid: u32,
        /// How long was waited.
        seconds: u64,
        /// Its log file.
        log: PathBuf,
    },
    /// The operating system said no.
    #[error("cannot {action} {path}: {source}{hint}", hint = owner_hint(source))]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file, folder or program.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl EmbeddedError {
    /// Wraps what the operating system says: `.map_err(EmbeddedError::io("read", &path))`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// The usual reason for a permission error here, and its cure.
fn owner_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            ". If another user (root, say) made this folder, start Tidings as that user, or set `database.data_dir` to a folder of your own"
        }
        _ => "",
    }
}
