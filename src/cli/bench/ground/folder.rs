//! A folder for a database that nobody needs afterwards.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// The folder; removed when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one where temporary things belong. The user that Postgres runs as must be able to enter it.
    pub(super) fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("tidings-bench-{:08x}", rand::random::<u32>()));
        let made = DirBuilder::new().mode(0o755).create(&path);
        made.map_err(|error| {
            Failure::told(format!("cannot make {}: {error}. --data-dir chooses another folder", path.display()))
        })?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "cannot remove the bench's folder: remove it by hand");
        }
    }
}
