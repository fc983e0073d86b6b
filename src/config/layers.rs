//! Three layers of settings, each knowing where it comes from.
//!
//! The built-in layer names every key there is and, by its value, each key's type. So the layers above are checked
//! against it first, with the file's line or the variable's name at hand; only then do the rooms' structs read them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Value;
use toml::de::DeTable;

use super::blame::blame;
use super::problem::{self, ConfigError, Problem};

const BUILT_IN: &str = include_str!("../../config/default.toml");

/// What each variable begins with. A single underscore would claim what Kubernetes sets for a service named `tidings`.
const PREFIX: &str = "TIDINGS__";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The program.
    Default,
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One key, its value and where that comes from.
#[derive(Clone, PartialEq)]
pub struct Setting {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Setting {
    /// Section and key, such as `server.listen`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// The variable that sets it.
    fn variable(&self) -> String {
        format!("{PREFIX}{}__{}", self.section, self.key).to_uppercase()
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be a secret.
        write!(f, "{} from {}", self.name(), self.origin)
    }
}

/// All keys, in the order of the built-in file, with what the layers so far say; and what was wrong with them.
pub(super) struct Layers {
    pub(super) settings: Vec<Setting>,
    defaults: Vec<Setting>,
    problems: Vec<Problem>,
}

impl Layers {
    /// The lowest layer.
    pub(super) fn built_in() -> Result<Self, ConfigError> {
        let mut settings = read_toml(BUILT_IN, Path::new("config/default.toml"))?;
        for setting in &mut settings {
            setting.origin = Origin::Default;
        }
        Ok(Self { defaults: settings.clone(), settings, problems: Vec::new() })
    }

    /// Lays a file over what is there.
    pub(super) fn apply_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|error| Problem::at(path.display(), format!("cannot be read: {error}; `--config` names it")))?;
        for setting in read_toml(&text, path)? {
            self.apply(setting);
        }
        Ok(())
    }

    /// Lays environment variables over what is there.
    pub(super) fn apply_environment(&mut self, environment: impl IntoIterator<Item = (OsString, OsString)>) {
        // In the order of their names, so that of two wrong ones the same is told first each time.
        let variables: BTreeMap<_, _> = environment.into_iter().collect();
        for (name, text) in variables {
            let name = name.to_string_lossy().into_owned();
            let Some(own) = self.defaults.iter().find(|setting| setting.variable() == name) else {
                let names = self.defaults.iter().map(Setting::variable);
                self.problems.extend(problem::unknown_variable(&name, PREFIX, names));
                continue;
            };
            let origin = Origin::Variable(name);
            match text.to_str().ok_or_else(|| "is not UTF-8".to_owned()).and_then(|text| from_text(&own.value, text)) {
                Ok(value) => self.apply(Setting { value, origin, ..own.clone() }),
                Err(told) => self.problems.push(Problem::at(origin, told)),
            }
        }
    }

    fn apply(&mut self, given: Setting) {
        if given.key.is_empty() && self.defaults.iter().any(|default| default.section == given.section) {
            return;
        }
        let known = self.settings.iter_mut().find(|known| known.name() == given.name());
        let Some(known) = known else {
            let told = problem::unknown_key(&given, &self.defaults);
            self.problems.push(Problem::at(given.origin, told));
            return;
        };
        let default = self.defaults.iter().find(|default| default.name() == given.name()).unwrap_or(&given);
        match fitting(&default.value, given.value.clone()) {
            Ok(value) => *known = Setting { value, ..given },
            Err(told) => self.problems.push(Problem::at(&given.origin, format!("`{}` {told}", given.name()))),
        }
    }

    /// Reads the settings into `C` and checks it.
    pub(super) fn read<C: DeserializeOwned>(
        &mut self,
        check: impl Fn(&C) -> Result<(), String>,
    ) -> Result<C, ConfigError> {
        let read = |settings: &[Setting]| {
            let config = C::deserialize(tables(settings)).map_err(|error| error.message().to_owned())?;
            check(&config).map(|()| config)
        };
        let whole = read(&self.settings);
        if let Err(told) = &whole {
            let refusal = |given: &[&Setting]| read(&with(&self.defaults, given)).err();
            self.problems.extend(blame(&self.settings, told.clone(), refusal));
        }
        match whole {
            Ok(config) if self.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(std::mem::take(&mut self.problems))),
        }
    }
}

/// The defaults, with some of the settings over them.
fn with(defaults: &[Setting], given: &[&Setting]) -> Vec<Setting> {
    let over = |default: &Setting| given.iter().copied().find(|given| given.name() == default.name());
    defaults.iter().map(|default| over(default).unwrap_or(default).clone()).collect()
}

/// The settings as TOML tables, without those that are not set.
fn tables(settings: &[Setting]) -> toml::Table {
    let mut tables = toml::Table::new();
    for Setting { section, key, value, .. } in settings {
        let table = tables.entry(section).or_insert_with(|| Value::Table(toml::Table::new()));
        if let (Value::Table(table), false) = (table, is_unset(value)) {
            table.insert(key.clone(), value.clone());
        }
    }
    tables
}

/// An empty text means "not set".
pub(super) fn is_unset(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty)
}

/// The settings in a TOML text, in the order of their lines.
fn read_toml(text: &str, path: &Path) -> Result<Vec<Setting>, Problem> {
    let origin = |at: usize| Origin::File { path: path.to_owned(), line: text[..at].matches('\n').count() + 1 };
    // The parser's own picture of the place would show the line, and with it perhaps a secret.
    let broken = |error: toml::de::Error| {
        let place = origin(error.span().map_or(0, |span| span.start));
        Problem::at(place, format!("is not TOML: {}", error.message()))
    };
    let places = DeTable::parse(text).map_err(broken)?;
    let values: toml::Table = toml::from_str(text).map_err(broken)?;
    let mut settings = Vec::new();
    for (section, keys) in places.get_ref() {
        let name = section.get_ref().to_string();
        let place = section.span().start;
        let (Some(keys), Some(Value::Table(values))) = (keys.get_ref().as_table(), values.get(&name)) else {
            return Err(Problem::at(
                origin(place),
                format!("`{name}` is no section: every key stands in one, such as [server]"),
            ));
        };
        if keys.is_empty() {
            // Kept without a key, so that its name is checked.
            let (section, key, value) = (name.clone(), String::new(), Value::Boolean(true));
            settings.push((place, Setting { section, key, value, origin: origin(place) }));
        }
        for (key, value) in keys.keys().filter_map(|key| Some((key, values.get(&**key.get_ref())?))) {
            let place = key.span().start;
            let (key, value) = (key.get_ref().to_string(), value.clone());
            settings.push((place, Setting { section: name.clone(), key, value, origin: origin(place) }));
        }
    }
    settings.sort_by_key(|(place, _)| *place);
    Ok(settings.into_iter().map(|(_, setting)| setting).collect())
}

/// The value, if it is of the default's type.
fn fitting(default: &Value, given: Value) -> Result<Value, String> {
    if is_unset(&given) && default.is_str() && !is_unset(default) {
        return Err("must not be empty".to_owned());
    }
    match (default, given) {
        (Value::Float(_), Value::Integer(whole)) => from_text(default, &whole.to_string()),
        (default, given) if default.same_type(&given) => Ok(given),
        (Value::Integer(_), Value::Float(_)) => Err("must be a whole number, without a point".to_owned()),
        (default, given) => Err(format!("must be {}, not {}", kind(default), kind(&given))),
    }
}

/// A variable's text as a value of the default's type.
fn from_text(default: &Value, text: &str) -> Result<Value, String> {
    let wrong = || format!("is `{text}`, but must be {}", kind(default));
    match default {
        Value::Integer(_) => text.trim().parse().map(Value::Integer).map_err(|_| wrong()),
        Value::Float(_) => text.trim().parse().map(Value::Float).map_err(|_| wrong()),
        Value::Boolean(_) => text.trim().parse().map(Value::Boolean).map_err(|_| wrong()),
        Value::Array(_) => {
            Ok(Value::Array(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(item).collect()))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// An item of a list in a variable: digits alone are a number.
fn item(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
        Value::Datetime(_) => "a date",
    }
}
