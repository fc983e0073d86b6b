//! What in a body does not fit, in words for its sender: where, and what should be there.

use serde::Deserialize;
use serde_path_to_error::{Path, Segment};

use crate::actions::Fault;
use crate::actions::Object;
use crate::api::problem::Problem;
use crate::domain::pointer::escape;

/// What about the text does not fit `T`, from what its reader told, and where. The text may yet turn out not to be JSON further
/// on; the first fault is the one that is told.
pub(super) fn misfit<'a, T: Deserialize<'a>>(text: &'a str, told: &str) -> Problem {
    let mut reader = serde_json::Deserializer::from_str(text);
    let path = match serde_path_to_error::deserialize::<_, Object<T>>(&mut reader) {
        Err(error) => pointer(error.path()),
        Ok(_) => String::new(),
    };
    let story = told.rsplit_once(" at line ").map_or(told, |(story, _)| story);
    let (code, member) = [
        ("unknown field `", "unknown_member"),
        ("missing field `", "required"),
        ("duplicate field `", "duplicate_member"),
    ]
    .iter()
    .find_map(|(prefix, code)| Some((*code, story.strip_prefix(prefix)?.split('`').next()?)))
    .unwrap_or(("invalid_value", ""));
    let mut path = path;
    let last = format!("/{}", escape(member));
    if !member.is_empty() && !path.ends_with(&last) {
        path.push_str(&last);
    }
    let detail = match code {
        "unknown_member" => format!("is no member here; {}", members(story)),
        "required" => "must be given".to_owned(),
        "duplicate_member" => "is given twice".to_owned(),
        _ => must_be(story),
    };
    Problem::invalid(vec![Fault::new(path, code, detail)])
}

/// The members that there are, as the reader lists them.
fn members(story: &str) -> String {
    match story.rsplit_once(", expected ") {
        None => "there are none".to_owned(),
        Some((_, names)) => match names.strip_prefix("one of ") {
            Some(names) => format!("there are {names}"),
            None if names.contains("` or `") => format!("there are {}", names.replace("` or `", "` and `")),
            None => format!("there is {names}"),
        },
    }
}

/// What should stand there, from what the reader says. Never what does: whoever puts a secret into the wrong member does not want to
/// see it again in an error, which is logged and passed around.
fn must_be(story: &str) -> String {
    let Some((found, expected)) = story.rsplit_once(", expected ") else {
        return match story {
            // Of a word, before it is read.
            "expected value" => "must be a string".to_owned(),
            story => format!("does not fit: {story}"),
        };
    };
    let expected = match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => {
            if found.starts_with("invalid value: integer") {
                return "is too small or too large".to_owned();
            }
            "a whole number"
        }
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "an array",
        "a map" => "an object",
        shape if shape.starts_with("struct ") => "an object",
        other => other,
    };
    format!("must be {expected}")
}

/// [RFC 6901](https://www.rfc-editor.org/rfc/rfc6901).
fn pointer(path: &Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        })
        .collect()
}
