//! The dialects that a process knows: the built-in files, and those of an operator's folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::DialectError;
use super::profile::Profile;

/// The dialect of a tenant that has not chosen one.
pub const DEFAULT_DIALECT: &str = "standard";

const BUILT_IN: [(&str, &str); 6] = [
    ("standard", include_str!("../../config/dialects/standard.toml")),
    ("numora", include_str!("../../config/dialects/numora.toml")),
    ("number7ai", include_str!("../../config/dialects/number7ai.toml")),
    ("beltic", include_str!("../../config/dialects/beltic.toml")),
    ("limai", include_str!("../../config/dialects/limai.toml")),
    ("docintell", include_str!("../../config/dialects/docintell.toml")),
];

/// A set of dialects by name, in the order of their names.
#[derive(Debug, Clone)]
pub struct Dialects(BTreeMap<String, Arc<Profile>>);

impl Dialects {
    /// The six that are part of the program.
    pub fn builtin() -> Result<Self, DialectError> {
        let mut dialects = Self(BTreeMap::new());
        for (name, text) in BUILT_IN {
            dialects.add(name, text).map_err(|error| error.within(format!("built-in dialect `{name}`")))?;
        }
        Ok(dialects)
    }

    /// The built-in ones and every `*.toml` of a folder. A file named like a built-in dialect takes its place. The
    /// error names the file, and the key in it.
    pub fn load(folder: Option<&Path>) -> Result<Self, DialectError> {
        let mut dialects = Self::builtin()?;
        for path in folder.map_or(Ok(Vec::new()), toml_files)? {
            let place = path.display().to_string();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            fs::read_to_string(&path)
                .map_err(|error| DialectError::whole(format!("cannot be read: {error}")))
                .and_then(|text| dialects.add(&stem, &text))
                .map_err(|error| error.within(place))?;
        }
        Ok(dialects)
    }

    fn add(&mut self, stem: &str, text: &str) -> Result<(), DialectError> {
        let profile = Profile::parse(text)?;
        if profile.name() != stem {
            return Err(DialectError::at("name", format!("is `{}`, but must be that of the file", profile.name())));
        }
        self.0.insert(stem.to_owned(), Arc::new(profile));
        Ok(())
    }

    /// The dialect of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Profile>> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.0.values()
    }
}

/// The TOML files of a folder in the order of their names, so that of two wrong ones the same is reported each time.
fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, DialectError> {
    let unreadable = |error| {
        DialectError::whole(format!("cannot be read: {error}")).within(format!("dialects.dir = {}", folder.display()))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
