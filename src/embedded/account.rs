//! Who Postgres runs as: ourselves, or, as it refuses to run as root, the user `postgres` or else `nobody`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::EmbeddedError;

/// In the order of preference.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// The user that Postgres and its tools run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// The user that we run as.
    Own,
    /// A user that we, as root, become in the child process.
    Lesser {
        /// The name, for messages.
        name: String,
        /// The numeric user.
        uid: u32,
        /// Its only group: the others are given up.
        gid: u32,
    },
}

impl Account {
    /// Decides by our own user and `/etc/passwd`.
    pub(super) fn of_server() -> Result<Self, EmbeddedError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self::from_passwd(&passwd).ok_or(EmbeddedError::NoAccount)
    }

    fn from_passwd(passwd: &str) -> Option<Self> {
        let lesser = |wanted: &str| {
            passwd.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next().filter(|name| *name == wanted)?;
                let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
                let gid = fields.next()?.parse().ok()?;
                Some(Self::Lesser { name: name.to_owned(), uid, gid })
            })
        };
        NAMES.into_iter().find_map(lesser)
    }

    /// The owner of data that exist already, in place of the user that new data would belong to: a folder made by an
    /// ordinary user stays that user's after a start as root.
    pub(super) fn or_owner_of(self, data: &Path) -> Self {
        match (self, fs::metadata(data)) {
            (Self::Lesser { uid, .. }, Ok(meta)) if meta.uid() != uid && meta.uid() != 0 => {
                Self::Lesser { name: format!("number {}", meta.uid()), uid: meta.uid(), gid: meta.gid() }
            }
            (account, _) => account,
        }
    }

    /// A command that runs as this user; becoming another user clears the supplementary groups too.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Self::Lesser { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        // Messages in English, whatever the terminal speaks: `launch.rs` reads some of them.
        command.env("LC_ALL", "C").env_remove("PGDATA");
        command
    }

    /// Gives an open file or folder to this user.
    pub(super) fn own(&self, file: &File) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Lesser { uid, gid, .. } => fchown(file, Some(*uid), Some(*gid)),
        }
    }

    /// The topmost folder on the way to `path`, itself included, that this user may not enter. What does not exist
    /// yet is no barrier.
    pub(super) fn barrier(&self, path: &Path) -> Option<PathBuf> {
        let Self::Lesser { uid, gid, .. } = self else { return None };
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        let shut =
            |folder: &&Path| fs::metadata(folder).is_ok_and(|meta| meta.is_dir() && !may_enter(&meta, *uid, *gid));
        way.into_iter().find(shut).map(Path::to_owned)
    }

    /// Fails where [`Account::barrier`] finds one.
    pub(super) fn check_reach(&self, path: &Path) -> Result<(), EmbeddedError> {
        match (self, self.barrier(path)) {
            (Self::Lesser { name, .. }, Some(barrier)) => {
                Err(EmbeddedError::Unreachable { user: name.clone(), barrier, path: path.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// The first class that applies decides, as in the kernel: an owner without the right is not helped by the others'.
fn may_enter(meta: &fs::Metadata, uid: u32, gid: u32) -> bool {
    let bit = match (meta.uid() == uid, meta.gid() == gid) {
        (true, _) => 0o100,
        (false, true) => 0o010,
        (false, false) => 0o001,
    };
    meta.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn postgres_goes_before_nobody_and_root_is_never_chosen() {
        let account = |name: &str, uid, gid| Account::Lesser { name: name.into(), uid, gid };
        let nobody = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/false\n";
        let both = format!("{nobody}postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(Account::from_passwd(nobody), Some(account("nobody", 65534, 65533)));
        assert_eq!(Account::from_passwd(&both), Some(account("postgres", 101, 104)));
        assert_eq!(Account::from_passwd("postgres:x:0:0::/:\nnobody:x:-2:-2::/:\n"), None);
    }

    #[test]
    fn a_folder_that_the_server_user_cannot_enter_is_named() {
        let shut = tempfile::tempdir().expect("a folder");
        fs::set_permissions(shut.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
        let inside = shut.path().join("data");
        let stranger = Account::Lesser { name: "stranger".into(), uid: 54_321, gid: 54_321 };

        assert_eq!(stranger.barrier(&inside), Some(shut.path().to_owned()));
        assert_eq!(Account::Own.barrier(&inside), None);
        let message = stranger.check_reach(&inside).expect_err("out of reach").to_string();
        assert!(message.contains("`stranger`") && message.contains("set `database.data_dir`"), "{message}");

        fs::set_permissions(shut.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        assert_eq!(stranger.barrier(&inside), None);
    }
}
