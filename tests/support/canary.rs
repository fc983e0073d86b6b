//! Canaries: secrets that are like no other text, and the search for them in everything that Tidings lets out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

/// A text that nothing else contains, with the word for what it is.
pub fn canary(word: &str) -> String {
    format!("{word}-{}", hex::encode(rand::random::<[u8; 12]>()))
}

/// Secrets that must not be found, each in every spelling that a program gives to a text or to bytes.
#[derive(Default)]
pub struct Canaries {
    /// Spellings, with the names of what they spell.
    spellings: BTreeMap<String, String>,
}

impl Canaries {
    /// Watches for a secret from now on.
    pub fn plant(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 12, "{name} is too short to be told from chance");
        self.spell(name, secret.as_bytes());
        // The prefix alone is no secret; what it introduces may be shown without it.
        let bare = secret.trim_start_matches("whsec_");
        self.spellings.insert(bare.to_owned(), name.to_owned());
        if let Ok(key) = BASE64_STANDARD.decode(bare)
            && key.len() >= 16
        {
            self.spell(&format!("{name}, decoded"), &key);
        }
    }

    fn spell(&mut self, name: &str, bytes: &[u8]) {
        let mut add = |how: &str, spelling: String| self.spellings.insert(spelling, format!("{name} ({how})"));
        if let Ok(text) = std::str::from_utf8(bytes) {
            add("as it is", text.to_owned());
            add("as JSON", serde_json::to_string(text).expect("JSON").trim_matches('"').to_owned());
            add("in a URL", url::form_urlencoded::byte_serialize(bytes).collect());
        }
        add("hex", hex::encode(bytes));
        add("HEX", hex::encode_upper(bytes));
        let numbers = format!("{bytes:?}");
        add("numbers", numbers.trim_matches(['[', ']']).to_owned());
        add("escaped", bytes.escape_ascii().to_string());
        for start in 0..3 {
            // Where it lies in the middle of what is encoded, its first and last letters depend on the neighbours.
            let padded = [&[b'-'; 2][..start], bytes, b"--"].concat();
            let (encoded, url) = (BASE64_STANDARD.encode(&padded), BASE64_URL_SAFE_NO_PAD.encode(&padded));
            let inside = [0, 2, 3][start]..(start + bytes.len()) * 4 / 3 - 1;
            add("base64", encoded[inside.clone()].to_owned());
            add("base64url", url[inside].to_owned());
        }
    }

    /// What is found in a text, by name. Each is found once, however often it is there.
    pub fn found_in(&self, text: &str) -> Vec<&str> {
        let mut found: Vec<_> =
            self.spellings.iter().filter(|(spelling, _)| text.contains(*spelling)).map(|(_, name)| &**name).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Adds a line for each that is found, with what stands around it.
    pub fn search(&self, place: &str, text: &str, report: &mut String) {
        for (spelling, name) in &self.spellings {
            if let Some(at) = text.find(spelling.as_str()) {
                let (before, after) = (text.floor_char_boundary(at.saturating_sub(160)), at + spelling.len());
                let after = text.ceil_char_boundary((after + 60).min(text.len()));
                let around = text[before..after].replace('\n', " ");
                writeln!(report, "{place} holds {name}: …{around}…").expect("a text");
            }
        }
    }
}

#[test]
fn the_search_finds_what_is_planted_in_every_spelling() {
    let (text, key) = (canary("basic"), rand::random::<[u8; 32]>());
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(key));
    let mut canaries = Canaries::default();
    canaries.plant("text", &text);
    canaries.plant("secret", &secret);
    let bare = secret.trim_start_matches("whsec_");
    for (name, line) in [
        ("text", format!("authorization: {text}\n")),
        ("text", format!("\\x{}", hex::encode(format!("{{\"a\":\"{text}\"}}")))),
        ("text", format!("Basic {}", BASE64_STANDARD.encode(format!("user:{text}")))),
        ("text", format!("Basic {}", BASE64_STANDARD.encode(format!("{text}:password")))),
        ("text", format!("Basic {}", BASE64_STANDARD.encode(format!("me:{text}:x")))),
        ("text", BASE64_URL_SAFE_NO_PAD.encode(format!("a{text}b"))),
        ("text", format!("{:?}", [b"x: ", text.as_bytes()].concat())),
        ("secret", format!("secret={secret}")),
        ("secret", bare.to_owned()),
        ("secret, decoded", hex::encode(key)),
        ("secret, decoded", hex::encode_upper(key)),
        ("secret, decoded", format!("{key:?}")),
        ("secret, decoded", format!("b\"{}\"", key.escape_ascii())),
        ("secret, decoded", BASE64_URL_SAFE_NO_PAD.encode(key)),
    ] {
        let found = canaries.found_in(&line);
        assert!(found.iter().any(|found| found.starts_with(name)), "{name} in {line}: {found:?}");
        let mut report = String::new();
        canaries.search("a line", &line, &mut report);
        assert!(report.starts_with("a line holds "), "{report}");
    }
    assert_eq!(canaries.found_in("whsec_ basic- Basic ********"), Vec::<&str>::new());
}
