//! A data folder for Postgres: is there one, of which version, and how a new one is made.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::EmbeddedError;
use super::binaries::Binaries;
use super::folder::Folder;
use super::server::{DATABASE, USER};

/// While a data folder is being made its name begins so.
const UNFINISHED: &str = "postgres.new-";

/// The major version that wrote the data, or none where there are no data yet.
pub(super) fn major(folder: &Folder) -> Result<Option<u32>, EmbeddedError> {
    let path = folder.postgres().join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let number = text.trim().parse().map_err(|_| io::Error::other("it is not a version number"));
            number.map(Some).map_err(EmbeddedError::io("read", &path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::io("read", &path)(error)),
    }
}

/// Makes the data folder with its user and its database. It gets its name when it is complete and on disk, so that a
/// crash on the way leaves nothing to repair.
pub(super) async fn make(folder: &Folder, binaries: &Binaries) -> Result<(), EmbeddedError> {
    remove_unfinished(folder);
    let new = folder.root().join(format!("{UNFINISHED}{}", hex::encode(rand::random::<[u8; 4]>())));
    DirBuilder::new().mode(0o700).create(&new).map_err(EmbeddedError::io("make", &new))?;
    let owned = File::open(&new).and_then(|new| folder.account().own(&new));
    owned.map_err(EmbeddedError::io("change the owner of", &new))?;
    folder.renew_password()?;

    let command = |program| {
        let mut command = folder.account().command(program);
        command.current_dir(folder.root());
        Command::from(command)
    };
    // Synced below, once for everything. The C locale sorts by bytes: the fastest, and the same on every system.
    // Checksums cost WAL for hint bits on every table page that is read first after a write, and the file system
    // below a developer's machine or a cloud disk has its own: left off.
    let mut initdb = command(binaries.initdb());
    initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--username", USER]);
    initdb.arg("--pwfile").arg(folder.password_file()).arg("--pgdata").arg(&new);
    run(initdb, "initdb", "", &new).await?;

    let mut single = command(binaries.postgres());
    single.args(["--single", "-F", "-j", "-c", "exit_on_error=true", "-D"]).arg(&new).arg("template1");
    run(single, "postgres --single", &format!("CREATE DATABASE {DATABASE}\n"), &new).await?;

    let mut sync = command(binaries.initdb());
    sync.arg("--sync-only").arg("--pgdata").arg(&new);
    run(sync, "initdb --sync-only", "", &new).await?;

    let postgres = folder.postgres();
    fs::rename(&new, &postgres).map_err(EmbeddedError::io("name", &postgres))?;
    let sync_names = File::open(folder.root()).and_then(|root| root.sync_all());
    sync_names.map_err(EmbeddedError::io("sync", folder.root()))
}

/// What a crash left behind. A leftover that cannot be removed harms nothing but space.
fn remove_unfinished(folder: &Folder) {
    for entry in fs::read_dir(folder.root()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

async fn run(mut command: Command, program: &str, input: &str, folder: &Path) -> Result<(), EmbeddedError> {
    let failed = |output: String| EmbeddedError::Initdb {
        folder: folder.to_owned(),
        program: program.to_owned(),
        output: output.trim().to_owned(),
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended already says why below.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())) }
}
