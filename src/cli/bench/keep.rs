//! The Postgres of a bench, kept by a process of its own: `tidings bench-postgres`. However the bench ends, be it by `kill -9`,
//! this process sees its standard input close, stops Postgres, and removes the folder if it was made for the bench.
//!
//! The first line of its standard output is the database's address.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::{Failure, lifeline};
use crate::embedded::{Config, DATABASE, Server};

/// What it is told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The folder of the database, which is kept
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// Keeps Postgres until its parent is gone.
pub(in crate::cli) async fn run(options: Options, shutdown: CancellationToken) -> Result<(), Failure> {
    lifeline::watch(shutdown.clone());
    if let Some(folder) = options.data_dir {
        return keep(&folder, shutdown).await;
    }
    let folder = Passing::new()?;
    keep(&folder.0, shutdown).await
}

async fn keep(folder: &Path, shutdown: CancellationToken) -> Result<(), Failure> {
    let server = Server::start(&Config::new(folder)).await?;
    say!("{}", server.url(DATABASE));
    shutdown.cancelled().await;
    Ok(server.stop().await?)
}

/// A folder for a database that nobody needs afterwards; removed when this is dropped.
struct Passing(PathBuf);

impl Passing {
    /// Makes one where temporary things belong. The user that Postgres runs as must be able to enter it.
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("tidings-bench-{:08x}", rand::random::<u32>()));
        let made = DirBuilder::new().mode(0o755).create(&path);
        made.map_err(|error| {
            Failure::told(format!("cannot make {}: {error}. --data-dir chooses another folder", path.display()))
        })?;
        Ok(Self(path))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "cannot remove the bench's folder: remove it by hand");
        }
    }
}
