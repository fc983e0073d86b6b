//! The data folder: its paths, its two locks, its password.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::EmbeddedError;
use super::account::Account;
use crate::domain::secret::Secret;

/// How often a lock or a starting server is looked at: far below what a person notices.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// The file in `database.data_dir` with the password of [`super::USER`].
pub const PASSWORD_FILE: &str = "password";

/// `database.data_dir`, existing and reachable for the user that Postgres runs as.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    account: Account,
}

impl Folder {
    /// Makes the folder where it is missing.
    pub(super) fn open(data_dir: &Path, account: Account) -> Result<Self, EmbeddedError> {
        let root = std::path::absolute(data_dir).map_err(EmbeddedError::io("find", data_dir))?;
        // Before anything is made, so that nothing is left behind where it cannot be used.
        account.check_reach(&root)?;
        DirBuilder::new().recursive(true).mode(0o755).create(&root).map_err(EmbeddedError::io("make", &root))?;
        let root = root.canonicalize().map_err(EmbeddedError::io("find", &root))?;
        let account = account.or_owner_of(&root.join("postgres"));
        account.check_reach(&root)?;
        Ok(Self { root, account })
    }

    /// Who owns the data, and runs Postgres.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// The folder itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Postgres' own data folder.
    pub(super) fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// The log of the server.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// Downloaded binaries, a folder for each version.
    pub(super) fn binaries(&self) -> PathBuf {
        self.root.join("binaries")
    }

    /// The password file, which `initdb` reads.
    pub(super) fn password_file(&self) -> PathBuf {
        self.root.join(PASSWORD_FILE)
    }

    /// Draws a new password.
    pub(super) fn renew_password(&self) -> Result<(), EmbeddedError> {
        let path = self.password_file();
        let password = hex::encode(rand::random::<[u8; 24]>());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(EmbeddedError::io("remove", &path)(error));
            }
            _ => {}
        }
        let mut file = self.open_file(&path)?;
        let written = file.write_all(password.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(EmbeddedError::io("write", &path))
    }

    /// Reads the password.
    pub(super) fn password(&self) -> Result<Secret, EmbeddedError> {
        let path = self.password_file();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(EmbeddedError::NoPassword { path }),
            Err(error) => Err(EmbeddedError::io("read", &path)(error)),
        }
    }

    /// Waits until no other process starts, attaches to or stops the server; holds until dropped.
    pub(super) async fn lock_start(&self) -> Result<File, EmbeddedError> {
        let path = self.root.join("start.lock");
        let file = self.open_file(&path)?;
        let mut told = false;
        // Polled rather than awaited in a thread, so that a caller who gives up leaves nothing behind.
        while !lock_alone(&file).map_err(EmbeddedError::io("lock", &path))? {
            if !std::mem::replace(&mut told, true) {
                tracing::info!(folder = %self.root.display(), "another process is starting or stopping Postgres here");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(file)
    }

    /// Counts the caller among the users of the server, until dropped. Only while holding `start.lock`.
    pub(super) fn join_users(&self) -> Result<File, EmbeddedError> {
        let path = self.root.join("users.lock");
        let file = self.open_file(&path)?;
        file.lock_shared().map_err(EmbeddedError::io("lock", &path))?;
        Ok(file)
    }

    /// Leaves the users and says whether there are others. Only while holding `start.lock`, which also makes up for
    /// the change from a common to an exclusive lock not being atomic.
    pub(super) fn leave_users(&self, mine: File) -> Result<bool, EmbeddedError> {
        let path = self.root.join("users.lock");
        drop(mine);
        let alone = lock_alone(&self.open_file(&path)?).map_err(EmbeddedError::io("lock", &path))?;
        Ok(!alone)
    }

    /// Opens one of our files for appending, or makes it, the property of whoever runs Postgres. Only what is made
    /// here changes its owner: as root we may be in another user's folder, whose links could lead anywhere.
    pub(super) fn open_file(&self, path: &Path) -> Result<File, EmbeddedError> {
        let mut options = OpenOptions::new();
        options.append(true).mode(0o600);
        let opened = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
            made => made.and_then(|file| self.account.own(&file).map(|()| file)),
        };
        opened.map_err(EmbeddedError::io("open", path))
    }
}

fn lock_alone(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
