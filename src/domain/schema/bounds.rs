//! What a schema may cost, found before anything is compiled or checked with it.

use std::collections::HashMap;

use serde_json::Value;

use super::{MAX_SIZE, Misfit};
use crate::domain::pointer::escape;

/// Subschemas that may look at one value at most.
const MAX_WEIGHT: usize = 5_000;
/// Patterns in a schema at most: each is compiled to a machine of its own.
const MAX_PATTERNS: usize = 100;
/// Bytes that a value of a schema's text takes compiled, at most: 437 were measured, of an `enum` of objects.
const VALUE_BYTES: usize = 448;
/// Subschemas inside one another at most, references followed: each takes its share of a thread's stack.
const MAX_DEPTH: usize = 200;
/// Values of an `enum`, or names that are `required`, that cost as much as a subschema.
const LISTED: usize = 8;

/// Members whose value is kept as it is written too, besides what is compiled from it.
const COPIED: [&str; 2] = ["not", "contentSchema"];
/// Members that hold values, not schemas.
const VALUES: [&str; 4] = ["const", "default", "examples", "example"];
/// Members that hold schemas by names of the writer's choosing.
const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// How many values a JSON text has, at most: found without parsing it.
#[must_use]
pub fn values(json: &[u8]) -> usize {
    1 + json.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
}

/// What a schema costs.
pub(super) struct Cost<'a> {
    /// The subschemas that may look at one value, each counted as often as it is referred to.
    pub(super) weight: usize,
    /// Bytes that it takes compiled, at most, but for its patterns.
    pub(super) size: usize,
    pub(super) patterns: Vec<&'a str>,
}

/// Counts what a schema costs. It sees at least what a check does: a member that it does not know is taken for a schema.
pub(super) fn weigh(root: &Value, max_size: usize) -> Result<Cost<'_>, Misfit> {
    let (known, following, patterns) = (HashMap::new(), Vec::new(), Vec::new());
    let mut scale = Scale { root, known, following, patterns, size: written(root), max_size, depth: 0 };
    let weight = scale.schema(root, "")?;
    Ok(Cost { weight, size: scale.size, patterns: scale.patterns })
}

/// Bytes that a value and what is compiled from it take at most, but for the places of subschemas.
fn written(value: &Value) -> usize {
    let text = value.to_string();
    values(text.as_bytes()) * VALUE_BYTES + text.len() * 8
}

struct Scale<'a> {
    root: &'a Value,
    /// What the targets of references weigh.
    known: HashMap<&'a str, usize>,
    /// The references that are being followed.
    following: Vec<&'a str>,
    patterns: Vec<&'a str>,
    size: usize,
    max_size: usize,
    depth: usize,
}

impl<'a> Scale<'a> {
    fn schema(&mut self, schema: &'a Value, at: &str) -> Result<usize, Misfit> {
        self.size += place_bytes(at);
        let Value::Object(members) = schema else { return Ok(1) };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        if self.size > self.max_size {
            return Err(too_big());
        }
        let mut weight = 1_usize;
        for (name, value) in members {
            weight += self.member(name, value, at)?;
            if weight > MAX_WEIGHT {
                let detail =
                    format!("has more than {MAX_WEIGHT} subschemas, each counted as often as it is referred to");
                return Err(Misfit::new("", "too_complex", detail));
            }
        }
        self.depth -= 1;
        Ok(weight)
    }

    fn member(&mut self, name: &'a str, value: &'a Value, at: &str) -> Result<usize, Misfit> {
        let place = format!("{at}/{}", escape(name));
        self.size += place_bytes(&place) + if COPIED.contains(&name) { written(value) } else { 0 };
        match (name, value) {
            ("$ref", Value::String(target)) => self.reference(target, &place),
            ("pattern", Value::String(pattern)) => self.take_patterns([pattern], &place),
            ("$id" | "id", Value::String(_)) if !at.is_empty() => {
                let detail =
                    "only the whole schema may have an id: refer to a part by its place, such as `#/$defs/address`";
                Err(Misfit::new(place, "nested_id", detail))
            }
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                let detail = "is not supported: use `$ref` with a place in this schema, such as `#/$defs/address`";
                Err(Misfit::new(place, "dynamic_reference", detail))
            }
            ("enum" | "required", Value::Array(items)) => Ok(items.len() / LISTED),
            (name, _) if VALUES.contains(&name) => Ok(0),
            (name, Value::Object(named)) if NAMED.contains(&name) => {
                let patterns = named.keys().filter(|_| name == "patternProperties");
                let weight = self.take_patterns(patterns, &place)?;
                named.iter().try_fold(weight, |sum, (key, one)| {
                    Ok(sum + self.schema(one, &format!("{place}/{}", escape(key)))?)
                })
            }
            (_, Value::Object(_)) => self.schema(value, &place),
            (_, Value::Array(items)) => items
                .iter()
                .enumerate()
                .try_fold(0, |sum, (index, item)| Ok(sum + self.schema(item, &format!("{place}/{index}"))?)),
            _ => Ok(0),
        }
    }

    fn take_patterns(&mut self, more: impl IntoIterator<Item = &'a String>, place: &str) -> Result<usize, Misfit> {
        let before = self.patterns.len();
        self.patterns.extend(more.into_iter().map(String::as_str));
        if self.patterns.len() > MAX_PATTERNS {
            return Err(Misfit::new(place, "too_complex", format!("is one pattern too many: at most {MAX_PATTERNS}")));
        }
        Ok(self.patterns.len() - before)
    }

    fn reference(&mut self, target: &'a str, place: &str) -> Result<usize, Misfit> {
        let Some(pointer) = target.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))
        else {
            let detail =
                "leads elsewhere, and nothing is fetched: put what it means below `$defs` and write `#/$defs/<name>`";
            return Err(Misfit::new(place, "remote_reference", detail));
        };
        if let Some(weight) = self.known.get(pointer) {
            return Ok(*weight);
        }
        if self.following.contains(&pointer) || pointer.is_empty() {
            let detail = "makes the schema refer to itself, which could make a check endless: write the levels out that are needed";
            return Err(Misfit::new(place, "recursive_schema", detail));
        }
        let Some(schema) = self.root.pointer(&decoded(pointer)) else {
            return Err(Misfit::new(place, "dangling_reference", "leads to nothing in this schema"));
        };
        self.following.push(pointer);
        let weight = self.schema(schema, pointer)?;
        self.following.pop();
        self.known.insert(pointer, weight);
        Ok(weight)
    }
}

/// A node keeps its place, and each of its keywords too.
const fn place_bytes(place: &str) -> usize {
    2 * place.len()
}

/// The fragment of a URI, with its escapes resolved.
fn decoded(pointer: &str) -> String {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| byte == b'%').and_then(|two| hex::decode(two).ok());
        let (plain, left) = escaped.map_or((byte, after), |one| (one[0], &after[2..]));
        bytes.push(plain);
        rest = left;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn too_big() -> Misfit {
    let mib = MAX_SIZE / (1024 * 1024);
    let detail = format!(
        "would take more than {mib} MiB of memory to check with: use fewer or simpler patterns, shorter names, less nesting"
    );
    Misfit::new("", "too_complex", detail)
}

fn too_deep(place: &str) -> Misfit {
    Misfit::new(place, "too_complex", format!("lies more than {MAX_DEPTH} subschemas deep, references followed"))
}
