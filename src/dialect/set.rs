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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::*;
    use crate::dialect::{Subject, Unrenderable};
    use crate::domain::event::Event;
    use crate::domain::ids::{EventId, TenantId};

    const ACME: &str = r#"
        name = "acme"
        title = "Acme"
        headers = [
          "content-type: application/vnd.acme+json",
          "Acme-Event: {type}",
          "Acme-Proof: at={timestamp};{signatures}",
          "Acme-Key: Bearer {token}",
        ]
        timestamp = { source = "attempt", format = "unix-seconds" }
        secret = { prefix = "acme-", random_bytes = 16, encoding = "base64", key = "text" }
        token = { prefix = "tok_", random_bytes = 16, encoding = "hex" }

        [signature]
        algorithm = "sha512"
        signed = "{timestamp}:{type}:{body}"
        encoding = "base64"
        prefix = "s="
        separator = ";"

        [body]
        time_format = "unix-seconds"
        template = '{"kind": "{type}", "...": "{data}", "at": "{occurred_at}"}'

        [retry]
        waits_seconds = [0.5, 60]
        terminal_statuses = [404, "410-419"]
    "#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        folder
    }

    #[test]
    fn a_seventh_dialect_is_one_more_file() {
        let folder = folder(&[("acme.toml", ACME), ("README.md", "not a dialect")]);
        let dialects = Dialects::load(Some(folder.path())).expect("dialects");
        assert_eq!(dialects.iter().count(), 7);
        let acme = dialects.get("acme").expect("acme");
        assert_eq!(acme.source(), ACME);
        assert_eq!((acme.retry().max_attempts(), acme.retry().terminal.len()), (3, 2));

        let (secret, token) = (acme.new_secret(&[5; 32]), acme.new_token(&[6; 32]));
        let keys = acme.keys(&[secret], token.as_ref()).expect("keys");
        let event = Event {
            tenant_id: TenantId::from_u128(1),
            id: EventId::from_u128(1 << 40),
            event_type: "order.paid".into(),
            occurred_at: DateTime::from_timestamp(1_774_103_051, 0),
            data: Bytes::from_static(b"{\"n\":1.50}"),
        };
        let body = acme.render_body(&event).expect("a body");
        assert_eq!(body, &br#"{"kind":"order.paid","n":1.50,"at":1774103051}"#[..]);
        let attempted_at = DateTime::from_timestamp(1_774_103_060, 0).expect("a time");
        let signed = acme.sign(Subject::from(&event), body, &keys, attempted_at);
        let headers: Vec<_> = signed.headers.iter().map(|(name, value)| (&**name, value.as_str())).collect();
        // The signature was computed with Python's hmac.
        let proof =
            "at=1774103060;s=ph+vECj+E1emjfnf7U7/tG+Y47yNtuK5cQ0jdGCtfMBiRqQuJ4c14U964TstlO1n0DYTdGRp9Oh9U7SnUz7y2Q==";
        assert_eq!(
            headers,
            [
                ("content-type", "application/vnd.acme+json"),
                ("Acme-Event", "order.paid"),
                ("Acme-Proof", proof),
                ("Acme-Key", "Bearer tok_06060606060606060606060606060606"),
            ]
        );
        let collision = acme.render_body(&Event { data: Bytes::from_static(b"{\"at\":0}"), ..event });
        assert_eq!(collision, Err(Unrenderable::Collision { member: "at".into() }));
    }

    #[test]
    fn a_file_takes_the_place_of_a_built_in_dialect() {
        let text = ACME.replace("\"acme\"", "\"numora\"");
        let folder = folder(&[("numora.toml", &text)]);
        let dialects = Dialects::load(Some(folder.path())).expect("dialects");
        assert_eq!(dialects.iter().count(), 6);
        assert_eq!(dialects.get("numora").map(|profile| profile.title()), Some("Acme"));
    }

    #[test]
    fn a_wrong_file_is_named_with_the_key() {
        for (file, text, key) in [
            ("other.toml", ACME.to_owned(), "`name` is `acme`"),
            ("acme.toml", ACME.replace("sha512", "md5"), "expected `sha256` or `sha512`"),
            ("acme.toml", ACME.replace("title", "titel"), "unknown field `titel`"),
        ] {
            let folder = folder(&[(file, &text)]);
            let error = Dialects::load(Some(folder.path())).expect_err(file).to_string();
            assert!(error.contains(file) && error.contains(key), "{error}");
        }
        let error = Dialects::load(Some(Path::new("no/such/folder"))).expect_err("missing").to_string();
        assert!(error.contains("no/such/folder"), "{error}");
    }

    #[test]
    fn a_receiver_can_tell_the_built_in_examples_from_events() {
        let dialects = Dialects::builtin().expect("the built-in dialects");
        for (name, count) in [("numora", 3), ("number7ai", 2), ("beltic", 2), ("limai", 2), ("docintell", 3)] {
            let profile = dialects.get(name).expect(name);
            assert_eq!(profile.types_with_example().count(), count, "{name}");
            for event_type in profile.types_with_example() {
                let example = profile.example(event_type).expect("an example");
                let text = String::from_utf8_lossy(&example);
                let first = text.trim_start_matches('{').trim_start();
                assert!(first.starts_with("\"test\": true,"), "{name}: {text}");
            }
            assert!(!profile.revision_source().contains("examples"), "{name}");
        }
    }

    #[test]
    fn the_built_in_dialects_keep_their_vendors_rules() {
        let dialects = Dialects::builtin().expect("the built-in dialects");
        for (name, attempts, waited, terminal) in [
            ("standard", 10, 272_105, "410-410"),
            ("numora", 8, 5_465, "410-410"),
            ("number7ai", 4, 7, "410-410"),
            ("beltic", 5, 15, "410-410"),
            ("limai", 5, 15, "410-410"),
            ("docintell", 5, 15, "400-499"),
        ] {
            let profile = dialects.get(name).expect(name);
            let retry = profile.retry();
            let total: std::time::Duration = retry.waits.iter().sum();
            let statuses: Vec<_> = retry.terminal.iter().map(|range| format!("{}-{}", range.0, range.1)).collect();
            assert_eq!(
                (retry.max_attempts(), total.as_secs(), statuses.join(",").as_str()),
                (attempts, waited, terminal)
            );
            assert_eq!(profile.has_token(), name == "beltic");
            assert_eq!(profile.challenge().is_some(), name == "limai");
            assert_eq!(profile.signs_side_by_side(), matches!(name, "standard" | "numora"));
            assert_eq!(profile.event_types().is_none(), name == "standard");
            assert_eq!(profile.header_names().next(), Some("Content-Type"));
            let aliases: Vec<_> = profile.registration_aliases().collect();
            assert_eq!(aliases == [("webhook_config_id", "id")], name == "docintell");
        }
    }
}
