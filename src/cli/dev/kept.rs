//! What a second run continues with: files in the data folder that only their owner may read.
//!
//! ```text
//! master.key   seals the secrets in the database beside it; the same text serves as `secrets.master_key`
//! dev.toml     platform key, tenant, API key, webhook
//! dev.lock     held while a `tidings dev` runs here: two would keep redirecting the one webhook
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::cli::Failure;
use crate::config::Config;
use crate::domain::secret::{MasterKey, Secret};

const MASTER_KEY: &str = "master.key";
const NOTES: &str = "dev.toml";
const LOCK: &str = "dev.lock";
const HEADING: &str = "# Made by `tidings dev`, which continues with these. They belong to the database beside them.\n";

/// What is kept, and where.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    master_key: Secret,
    /// The master key is not written yet.
    is_new: bool,
    notes: Notes,
    /// Given up with it.
    _lock: File,
}

/// The content of `dev.toml`. Empty texts are for what is not made yet.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Notes {
    pub(super) platform_key: String,
    /// Where its API was last.
    pub(super) api_url: String,
    pub(super) tenant_id: String,
    pub(super) api_key: String,
    pub(super) webhook_id: String,
    pub(super) webhook_secret: String,
    pub(super) receiver_port: u16,
}

impl std::fmt::Debug for Notes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tenant_id, webhook_id, receiver_port, .. } = self;
        write!(f, "Notes({tenant_id}, {webhook_id}, {receiver_port}, …)")
    }
}

impl Kept {
    /// Reads what the run before left in the folder; makes keys where there are none, and does not yet write them.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| unable("make", folder, &error))?;
        let lock = lock(folder)?;
        let (master_key, is_new) = match read(&folder.join(MASTER_KEY))? {
            Some(text) => (text.trim().into(), false),
            None => (BASE64_STANDARD.encode(rand::random::<[u8; 32]>()).into(), true),
        };
        let text = read(&folder.join(NOTES))?.unwrap_or_default();
        let mut notes: Notes = toml::from_str(&text).map_err(|_| {
            let path = folder.join(NOTES);
            Failure::told(format!(
                "{} was changed and cannot be read: delete it, and new keys are made",
                path.display()
            ))
        })?;
        if notes.platform_key.is_empty() {
            notes.platform_key = format!("tk_platform_{}", hex::encode(rand::random::<[u8; 24]>()));
        }
        Ok(Self { folder: folder.to_owned(), master_key, is_new, notes, _lock: lock })
    }

    /// Sets the master key and the platform key, where nobody has. `is_sealed` says whether the database has something that a master
    /// key sealed, which one that is made now would not open.
    pub(super) fn lend_keys(&self, config: &mut Config, is_sealed: bool) -> Result<(), Failure> {
        config.server.platform_key.get_or_insert_with(|| self.notes.platform_key.clone().into());
        if config.secrets.master_key.is_some() {
            return Ok(());
        }
        let path = self.folder.join(MASTER_KEY);
        let way_out = format!(
            "put a copy of it back, or name the key as `secrets.master_key`; to begin anew, without what is in the database, delete {}",
            self.folder.display()
        );
        if self.is_new && is_sealed {
            let told = format!("{} is missing, and the database has secrets that it sealed: {way_out}", path.display());
            return Err(Failure::told(told));
        }
        if MasterKey::from_base64(self.master_key.expose_secret()).is_err() {
            return Err(Failure::told(format!(
                "{} is damaged: it is not 32 bytes in base64: {way_out}",
                path.display()
            )));
        }
        if self.is_new {
            // Before anything is sealed with it.
            self.write(MASTER_KEY, self.master_key.expose_secret())?;
        }
        config.secrets.master_key = Some(self.master_key.clone());
        Ok(())
    }

    /// What is kept.
    pub(super) const fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Keeps something else.
    pub(super) fn keep(&mut self, notes: Notes) -> Result<(), Failure> {
        self.notes = notes;
        let text = toml::to_string(&self.notes)?;
        self.write(NOTES, &format!("{HEADING}{text}"))
    }

    /// Writes a file that only its owner may read, whole or not at all.
    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let (path, new) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        let written = || {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        written().map_err(|error| unable("write", &path, &error))
    }
}

/// What whoever calls a `tidings dev` needs to know of it.
pub(in crate::cli) struct Known {
    pub(in crate::cli) url: String,
    pub(in crate::cli) api_key: Secret,
    pub(in crate::cli) platform_key: Secret,
}

/// What the last run left in a folder, if one came as far as that.
pub(in crate::cli) fn known(folder: &Path) -> Option<Known> {
    let notes: Notes = toml::from_str(&read(&folder.join(NOTES)).ok()??).ok()?;
    let is_whole = !notes.api_url.is_empty() && !notes.api_key.is_empty();
    is_whole.then(|| Known {
        url: notes.api_url,
        api_key: notes.api_key.into(),
        platform_key: notes.platform_key.into(),
    })
}

/// Makes sure that nobody else runs here.
fn lock(folder: &Path) -> Result<File, Failure> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = opened.map_err(|error| unable("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::told(format!(
            "another `tidings dev` runs on {}: stop it, or set `database.data_dir` to another folder",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unable("lock", &path, &error)),
    }
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unable("read", path, &error)),
    }
}

fn unable(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::told(format!("cannot {what} {}: {error}. `database.data_dir` chooses another folder", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::cli::paint::Paint;

    #[test]
    fn a_second_run_has_the_keys_of_the_first_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = Kept::open(folder.path()).expect("kept");
        first.keep(Notes { tenant_id: "ten_x".into(), ..first.notes().clone() }).expect("written");
        assert!(known(folder.path()).is_none(), "not before there is a key");

        let refusal = Kept::open(folder.path()).expect_err("the first still runs").text(Paint::OFF);
        assert!(refusal.contains("another `tidings dev` runs"), "{refusal}");
        let mut left = Config::default();
        first.lend_keys(&mut left, false).expect("lent");
        drop(first);

        let mut second = Kept::open(folder.path()).expect("kept");
        assert_eq!(second.notes().tenant_id, "ten_x");
        second
            .keep(Notes { api_url: "http://x".into(), api_key: "tk_x".into(), ..second.notes().clone() })
            .expect("written");
        assert_eq!(known(folder.path()).map(|known| known.url).as_deref(), Some("http://x"));
        let mut right = Config::default();
        second.lend_keys(&mut right, true).expect("lent");
        let key = |config: &Config| config.secrets.master_key.as_ref().map(|key| key.expose_secret().to_owned());
        assert!(key(&left).is_some() && key(&left) == key(&right));
        for name in [MASTER_KEY, NOTES] {
            let mode = fs::metadata(folder.path().join(name)).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn keys_that_somebody_configured_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        config.server.platform_key = Some("tk_platform_mine".into());
        Kept::open(folder.path()).expect("kept").lend_keys(&mut config, false).expect("lent");
        let key = config.server.platform_key.expect("a key");
        assert_eq!(key.expose_secret(), "tk_platform_mine");
    }

    #[test]
    fn a_master_key_that_is_damaged_or_gone_is_told_and_none_is_made_in_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(MASTER_KEY);
        let refusal = |is_sealed| {
            let lent = Kept::open(folder.path()).expect("kept").lend_keys(&mut Config::default(), is_sealed);
            lent.expect_err("refused").text(Paint::OFF)
        };
        let gone = refusal(true);
        assert!(gone.contains(&format!("{} is missing", path.display())) && gone.contains("put a copy"), "{gone}");
        assert!(!path.exists());
        fs::write(&path, "c2hvcnQ=\n").expect("written");
        let damaged = refusal(true);
        assert!(damaged.contains(&format!("{} is damaged", path.display())), "{damaged}");
        let mut config = Config::default();
        config.secrets.master_key = Some("mine".into());
        Kept::open(folder.path()).expect("kept").lend_keys(&mut config, true).expect("another is configured");
    }
}
