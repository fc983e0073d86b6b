//! Schemas: what an event's data must be, in JSON Schema (drafts 4, 6, 7, 2019-09 and 2020-12; without `$schema` the latest).
//!
//! A tenant writes the schema, another process pays for checking with it, so both are bounded before anything runs:
//!
//! - Nothing is fetched: `$ref` leads to a place in the same document (`#/$defs/address`), or the schema is refused.
//! - A schema may not refer to itself. Recursion, and references that fan out, can make a check take time that grows
//!   exponentially; without recursion the number of subschemas that may look at one value is known beforehand (its [`weight`]).
//! - Patterns are matched in linear time: look-around and back-references are refused.
//! - Data is checked only if it has few enough values for the schema's weight.
//! - What a schema takes of memory is estimated before it is compiled (its [`size`](Schema::size)), and one that takes too much is refused.
//!
//! `format` is checked, not just noted.
//!
//! Data that has no one meaning cannot be checked: a member given twice, half of a surrogate pair, a number beyond the range of a
//! double. Where a type has a schema such data is refused; where it has none it is delivered as it came.

mod bounds;
mod patterns;
mod strict;

use std::fmt;

use crate::domain::pointer::escape;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

pub use bounds::values;

/// Bytes of a schema's text at most.
pub const MAX_BYTES: usize = 64 * 1024;
/// Faults that are told of one text at most.
const MAX_FAULTS: usize = 20;
/// Bytes that a schema may take compiled.
pub const MAX_SIZE: usize = 16 * 1024 * 1024;
/// Characters of a fault's story.
const MAX_DETAIL_CHARS: usize = 300;

/// What is wrong with a schema or with data, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// A JSON pointer into the text.
    pub pointer: String,
    /// A stable word.
    pub code: &'static str,
    /// What is wrong; in the case of a schema, also what would be right.
    pub detail: String,
}

impl Misfit {
    fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// A schema, ready to check with.
pub struct Schema {
    validator: Validator,
    weight: usize,
    size: usize,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("weight", &self.weight).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Schema {
    /// Compiles a new schema; a text that is none, or that could cost too much, is refused.
    pub fn compile(text: &str) -> Result<Self, Misfit> {
        Self::within(MAX_SIZE, text)
    }

    /// Compiles a schema that was taken before, perhaps by a version of this program that did not ask for its size.
    pub fn compile_stored(text: &str) -> Result<Self, Misfit> {
        Self::within(usize::MAX, text)
    }

    fn within(max_size: usize, text: &str) -> Result<Self, Misfit> {
        if text.len() > MAX_BYTES {
            return Err(Misfit::new("", "too_large", format!("must be at most {MAX_BYTES} bytes")));
        }
        let schema = strict::parse(text.as_bytes())?;
        let cost = bounds::weigh(&schema, max_size)?;
        let size = cost.size + cost.patterns.iter().map(|pattern| patterns::size(pattern)).sum::<usize>();
        if size > max_size {
            return Err(bounds::too_big());
        }
        let validator = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(true)
            .with_pattern_options(patterns::options())
            .build(&schema)
            .map_err(|error| {
                let detail = format!("is no JSON Schema: {}", shortened(&error.to_string()));
                Misfit::new(error.instance_path().as_str(), "invalid_schema", detail)
            })?;
        Ok(Self { validator, weight: cost.weight, size })
    }

    /// Bytes that it takes, as far as can be known: never less than it takes when compiled, and the room that searches with its
    /// patterns take in one thread.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// How many subschemas may look at one value: checking data takes at most about this, times the data's [`values`], steps.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.weight
    }

    /// Checks data, which must be JSON; says what does not fit, at most 20 things.
    #[must_use]
    pub fn check(&self, data: &[u8]) -> Vec<Misfit> {
        let value = match strict::parse(data) {
            Ok(value) => value,
            Err(misfit) => return vec![misfit],
        };
        // Nearly all data fits, and finding that out is cheaper than listing what does not.
        if self.validator.is_valid(&value) {
            return Vec::new();
        }
        self.validator.iter_errors(&value).take(MAX_FAULTS).map(|error| misfit(&error)).collect()
    }
}

/// The values themselves are left out: data is the tenant's, and errors are what people copy into tickets.
fn misfit(error: &jsonschema::ValidationError<'_>) -> Misfit {
    let mut pointer = error.instance_path().as_str().to_owned();
    if let ValidationErrorKind::Required { property: Value::String(name) } = error.kind() {
        pointer = format!("{pointer}/{}", escape(name));
        return Misfit::new(pointer, "schema_violation", "must be given, by the schema of this event type");
    }
    let story = shortened(&error.masked_with("the value").to_string());
    let detail = format!("does not fit the schema of this event type at `{}`: {story}", error.schema_path());
    Misfit::new(pointer, "schema_violation", detail)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_DETAIL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
