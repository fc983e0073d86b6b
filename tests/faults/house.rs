//! Where the suite lives: a folder, which is a small file system of its own where that is allowed, and processes that end with it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Says to the second start of this program that it is in namespaces of its own.
const INSIDE: &str = "TIDINGS_FAULTS_INSIDE";
/// Room for Postgres; it takes memory only as it is used.
const SIZE: &str = "size=1500m,mode=0755";

pub struct House {
    folder: TempDir,
    own: bool,
}

impl House {
    /// Starts this program again where mounts are its own and no process outlives it, if this user may; else stays outside.
    pub fn enter(keep: bool) -> Self {
        let namespaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let inside = std::env::var_os(INSIDE).is_some();
        if !inside && Command::new("unshare").args(namespaces).arg("true").status().is_ok_and(|status| status.success())
        {
            let own = std::env::current_exe().expect("this program");
            let mut again = Command::new("unshare");
            again.args(namespaces).arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1");
            panic!("unshare: {}", again.exec());
        }
        let mut folder = tempfile::Builder::new().prefix("tidings-faults-").tempdir().expect("a folder");
        folder.disable_cleanup(keep);
        // Postgres, which does not run as root, must be able to enter it.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder");
        let own = inside && mount(&data);
        if keep {
            println!("what is kept: {}", folder.path().display());
        }
        Self { folder, own }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether `data` in the folder is a file system of its own, which may be filled up.
    pub const fn is_own(&self) -> bool {
        self.own
    }
}

fn mount(at: &PathBuf) -> bool {
    Command::new("mount")
        .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
        .arg(at)
        .status()
        .is_ok_and(|status| status.success())
}
