//! Which of the settings that were given are to blame, where all of them together are refused.

use toml::Value;

use super::layers::{Origin, Setting};
use super::problem::{self, Problem};

/// Of `settings` as a whole, `whole` is said. `refusal` says what is wrong, if anything, with some of them over the defaults.
pub(super) fn blame(
    settings: &[Setting],
    whole: String,
    refusal: impl Fn(&[&Setting]) -> Option<String>,
) -> Vec<Problem> {
    let given: Vec<_> = settings.iter().filter(|setting| setting.origin != Origin::Default).collect();
    let (mut problems, mut rest) = (Vec::new(), Vec::new());
    for setting in given.iter().copied() {
        // Where the others that the refusal names were given too, it speaks of values that are not in force, unless it is the same
        // beside them.
        let stands = |told: &String| {
            let company = given.iter().copied().filter(|other| *other == setting || told.contains(&other.name()));
            refusal(&company.collect::<Vec<_>>()).as_ref() == Some(told)
        };
        if let Some(told) = refusal(&[setting]).filter(stands) {
            let told = beyond(setting, &told, |probe| refusal(&[probe])).unwrap_or(told);
            problems.push(Problem::at(&setting.origin, problem::wrong_value(&setting.name(), &told)));
        } else {
            rest.push(setting);
        }
    }
    problems.extend(contradictions(&given, rest, refusal));
    if problems.is_empty() {
        problems.push(Problem::at("configuration", whole));
    }
    problems
}

/// What is wrong with the `rest`, each of which may be right beside others: told at the places of all that are named.
fn contradictions(
    given: &[&Setting],
    mut rest: Vec<&Setting>,
    refusal: impl Fn(&[&Setting]) -> Option<String>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    while let Some(told) = refusal(&rest) {
        let is_named = |setting: &&Setting| told.contains(&setting.name());
        let (named, left): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_named);
        if named.is_empty() {
            break;
        }
        // Of one that depends on a wrong one, there is nothing to say yet.
        if named.len() == given.iter().copied().filter(is_named).count() {
            let mut places: Vec<_> = named.iter().map(|setting| setting.origin.to_string()).collect();
            places.dedup();
            problems.push(Problem::at(places.join(" and "), told));
        }
        rest = left;
    }
    problems
}

/// What the room says of a number that its type cannot hold: what it says of the largest that it can, which names the range.
fn beyond(setting: &Setting, told: &str, refusal: impl Fn(&Setting) -> Option<String>) -> Option<String> {
    let given = setting.value.as_integer().filter(|_| told.starts_with("invalid value: integer"))?.to_string();
    [u32::MAX, u16::MAX.into()].into_iter().find_map(|largest| {
        let told = refusal(&Setting { value: Value::Integer(largest.into()), ..setting.clone() })?;
        told.contains("it must be").then(|| told.replacen(&largest.to_string(), &given, 1))
    })
}
