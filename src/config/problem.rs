//! What is wrong with a configuration, in sentences: where, what, and what is allowed.

use std::fmt;

use super::layers::Setting;

/// Everything that is wrong with a configuration, a line each.
#[derive(Debug)]
pub struct ConfigError(pub(super) Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    place: String,
    told: String,
}

impl Problem {
    /// `place` is a file and line, or a variable.
    pub(super) fn at(place: impl fmt::Display, told: impl fmt::Display) -> Self {
        Self { place: place.to_string(), told: told.to_string() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.told)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// About a section or key that there is not.
pub(super) fn unknown_key(given: &Setting, known: &[Setting]) -> String {
    let mut sections: Vec<_> = known.iter().map(|setting| setting.section.as_str()).collect();
    sections.dedup();
    if !sections.contains(&given.section.as_str()) {
        let near = hint(nearest(&given.section, sections.iter().copied()));
        return format!("there is no section [{}].{near} The sections are {}", given.section, sections.join(", "));
    }
    let own = known.iter().filter(|setting| setting.section == given.section);
    let keys: Vec<_> = own.map(|setting| setting.key.as_str()).collect();
    let elsewhere = known.iter().find(|setting| setting.key == given.key).map(Setting::name);
    let near = hint(elsewhere.or_else(|| nearest(&given.key, keys.iter().copied())));
    format!("there is no key `{}`.{near} The keys of [{}] are {}", given.name(), given.section, keys.join(", "))
}

/// About a variable that looks like ours and is not: our prefix before an unknown name, or a known name with
/// underscores missing. `None` about any other.
pub(super) fn unknown_variable(name: &str, prefix: &str, known: impl Iterator<Item = String>) -> Option<Problem> {
    let bare = |name: &str| name.replace('_', "").to_uppercase();
    let known: Vec<_> = known.collect();
    let meant = known.iter().find(|known| bare(known) == bare(name)).cloned();
    if meant.is_none() && !name.to_uppercase().starts_with(prefix) {
        return None;
    }
    let near = hint(meant.or_else(|| nearest(name, known.iter().map(String::as_str))));
    Some(Problem::at(
        name,
        format!("no setting has this variable.{near} Each key of config/default.toml has one, {prefix}SECTION__KEY"),
    ))
}

/// About a value that its room refuses.
pub(super) fn wrong_value(name: &str, told: &str) -> String {
    const WORDS: [(&str, &str); 2] = [("expected i64", "expected a whole number"), ("variant ", "value ")];
    let told = WORDS.iter().fold(told.trim().to_owned(), |told, (from, to)| told.replace(from, to));
    if told.contains(name) { told } else { format!("`{name}`: {told}") }
}

fn hint(meant: Option<String>) -> String {
    meant.map(|meant| format!(" Did you mean `{meant}`?")).unwrap_or_default()
}

/// The candidate that differs least, if it is but a slip of the finger away.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let distances = candidates.map(|candidate| (distance(word, candidate), candidate));
    let (least, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (least <= 1 + word.len() / 5).then(|| candidate.to_owned())
}

/// Letters to insert, drop or change until one word is the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        let keys = ["listen", "platform_key"];
        for (word, meant) in [("lissten", Some("listen")), ("platform_keys", Some("platform_key")), ("port", None)] {
            assert_eq!(nearest(word, keys.into_iter()).as_deref(), meant, "{word}");
        }
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("same", "same")), (3, 3, 0));
    }
}
