//! The effective configuration as TOML that says where each value comes from.

use std::fmt;

use toml::Value;

use super::layers::{Setting, is_unset};
use super::{Loaded, Origin};
use crate::store::around_hosts;

/// Keys whose values are never shown.
const SECRET: [&str; 4] =
    ["secrets.master_key", "secrets.further_master_keys", "server.platform_key", "telemetry.otlp_headers"];

const MASK: &str = "********";

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.settings.iter().map(|own| format!("{} = {}", own.key, shown(own))).collect();
        let width = lines.iter().map(String::len).filter(|len| *len <= 60).max().unwrap_or_default();
        let mut section = "";
        for (setting, line) in self.settings.iter().zip(lines) {
            if setting.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = &setting.section;
                writeln!(f, "{gap}[{section}]")?;
            }
            let unset = if is_unset(&setting.value) { ", not set" } else { "" };
            writeln!(f, "{line:width$}  # {}{unset}", setting.origin)?;
        }
        Ok(())
    }
}

fn shown(setting: &Setting) -> String {
    let name = setting.name();
    match &setting.value {
        value if is_unset(value) => "\"\"".to_owned(),
        value if value.as_array().is_some_and(Vec::is_empty) => value.to_string(),
        _ if SECRET.contains(&name.as_str()) => format!("\"{MASK}\""),
        Value::String(url) if name == "database.url" => Value::String(without_password(url)).to_string(),
        Value::String(url) if name == "telemetry.otlp_endpoint" => Value::String(without_query(url)).to_string(),
        value => value.to_string(),
    }
}

/// A URL whose query, which may hold a credential, is masked. (One with a user or a password is refused before it is shown.)
fn without_query(url: &str) -> String {
    let Some(end) = url.find(['?', '#']) else { return url.to_owned() };
    format!("{}?{MASK}", &url[..end])
}

/// A database URL with its password masked.
#[must_use]
pub fn without_password(url: &str) -> String {
    let (before, hosts, after) = around_hosts(url);
    if let Some((first, _)) = hosts.split_once(',') {
        let masked = without_password(&format!("{before}{first}{after}"));
        let (before, _, after) = around_hosts(&masked);
        return format!("{before}{hosts}{after}");
    }
    let Ok(mut parsed) = url::Url::parse(url) else {
        return if url.contains('@') { MASK.to_owned() } else { url.to_owned() };
    };
    let query: Vec<_> = parsed.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    if query.iter().any(|(key, _)| key == "password") {
        let masked = query.iter().map(|(key, value)| (key, if key == "password" { MASK } else { value }));
        parsed.query_pairs_mut().clear().extend_pairs(masked);
    }
    if parsed.password().is_some() && parsed.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    parsed.to_string()
}

impl Loaded {
    /// How many values were set by someone.
    #[must_use]
    pub fn count_set(&self) -> usize {
        self.settings.iter().filter(|setting| setting.origin != Origin::Default).count()
    }
}
