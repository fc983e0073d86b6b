//! What a schema may cost, found before anything is compiled or checked with it.

use std::collections::HashMap;

use serde_json::Value;

use super::Misfit;
use crate::domain::pointer::escape;

/// Subschemas that may look at one value at most.
const MAX_WEIGHT: usize = 5_000;
/// Patterns in a schema at most: each is compiled to a machine of its own.
const MAX_PATTERNS: usize = 100;
/// Subschemas inside one another at most, references followed: each takes its share of a thread's stack.
const MAX_DEPTH: usize = 200;
/// Values of an `enum`, or names that are `required`, that cost as much as a subschema.
const LISTED: usize = 8;

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

/// Counts the subschemas that may look at one value, each as often as it is referred to. It sees at least what a check does:
/// a member that it does not know is taken for a schema.
pub(super) fn weigh(root: &Value) -> Result<usize, Misfit> {
    let mut scale = Scale { root, known: HashMap::new(), following: Vec::new(), patterns: 0, depth: 0 };
    scale.schema(root, "")
}

struct Scale<'a> {
    root: &'a Value,
    /// What the targets of references weigh.
    known: HashMap<&'a str, usize>,
    /// The references that are being followed.
    following: Vec<&'a str>,
    patterns: usize,
    depth: usize,
}

impl<'a> Scale<'a> {
    fn schema(&mut self, schema: &'a Value, at: &str) -> Result<usize, Misfit> {
        let Value::Object(members) = schema else { return Ok(1) };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep(at));
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
        match (name, value) {
            ("$ref", Value::String(target)) => self.reference(target, &place),
            ("pattern", Value::String(_)) => self.count_patterns(1, &place),
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
                let patterns = if name == "patternProperties" { named.len() } else { 0 };
                let weight = self.count_patterns(patterns, &place)?;
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

    fn count_patterns(&mut self, more: usize, place: &str) -> Result<usize, Misfit> {
        self.patterns += more;
        if self.patterns > MAX_PATTERNS {
            return Err(Misfit::new(place, "too_complex", format!("is one pattern too many: at most {MAX_PATTERNS}")));
        }
        Ok(more)
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

fn too_deep(place: &str) -> Misfit {
    Misfit::new(place, "too_complex", format!("lies more than {MAX_DEPTH} subschemas deep, references followed"))
}
