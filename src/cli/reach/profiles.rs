//! Named profiles, from a file of the person's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Variables, read_key, warn_if_open};
use crate::cli::Failure;
use crate::client::Given;
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;

/// What one source says of address, key and tenant.
#[derive(Debug, Clone, Default)]
pub(super) struct Profile {
    pub(super) url: Option<Given<String>>,
    pub(super) key: Option<Given<Secret>>,
    /// Taken in place of `key` by what only a platform key may do.
    pub(super) platform_key: Option<Given<Secret>>,
    pub(super) tenant: Option<TenantId>,
}

/// A table of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    url: Option<String>,
    key: Option<Secret>,
    key_file: Option<PathBuf>,
    platform_key: Option<Secret>,
    tenant: Option<String>,
}

impl Profile {
    /// The profile of this name, which `asked_by` asked for.
    pub(super) fn named(name: &str, asked_by: &str, variable: Variables<'_>) -> Result<Self, Failure> {
        let unknown =
            |told: String| if asked_by.starts_with("--") { Failure::misused(told) } else { Failure::told(told) };
        let path = file(variable).ok_or_else(|| {
            Failure::told(format!("{asked_by} names a profile, but neither HOME nor XDG_CONFIG_HOME is set"))
        })?;
        let shown = path.display();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(unknown(format!(
                    "there is no profile `{name}` (from {asked_by}): {shown} does not exist. It has a table for each profile:\n  [{name}]\n  url = \"https://…\"\n  key_file = \"…\""
                )));
            }
            Err(error) => return Err(Failure::told(format!("cannot read {shown}: {error}"))),
        };
        // What toml quotes of the file could be a key.
        let mut tables: BTreeMap<String, Table> = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            Failure::told(format!("{shown}:{line}: {}", error.message()))
        })?;
        let Some(table) = tables.remove(name) else {
            let known = tables.into_keys().collect::<Vec<_>>().join(", ");
            return Err(unknown(format!("{shown} has no profile `{name}` (from {asked_by}); it has {known}")));
        };
        table.profile(name, &path)
    }
}

impl Table {
    fn profile(self, name: &str, path: &Path) -> Result<Profile, Failure> {
        let origin = format!("profile `{name}`");
        if self.key.is_some() || self.platform_key.is_some() {
            warn_if_open(path);
        }
        let given = |value: Secret| Given { value, origin: origin.clone() };
        let key = match (self.key, self.key_file) {
            (Some(_), Some(_)) => {
                return Err(Failure::told(format!("{origin} has `key` and `key_file`: leave one of them out")));
            }
            (Some(key), None) => Some(given(key)),
            (None, Some(file)) => Some(read_key(&file, &origin)?),
            (None, None) => None,
        };
        let tenant = self.tenant.map(|text| text.parse()).transpose();
        let tenant =
            tenant.map_err(|error| Failure::told(format!("`tenant` of {origin} is no tenant's id: {error}")))?;
        let url = self.url.map(|value| Given { value, origin: origin.clone() });
        Ok(Profile { url, key, platform_key: self.platform_key.map(given), tenant })
    }
}

/// Where the file is, after <https://specifications.freedesktop.org/basedir-spec/latest/>.
fn file(variable: Variables<'_>) -> Option<PathBuf> {
    let configured = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = configured.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")))?;
    Some(folder.join("tidings").join("profiles.toml"))
}
