//! Problems as the description shows them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::api::kinds;

/// Why a request failed (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "`Problem::render` writes it; this describes it")]
pub(super) struct ProblemBody {
    /// Names the code.
    #[schema(example = "urn:tidings:problem:validation_failed")]
    r#type: String,
    title: String,
    /// The HTTP status.
    status: u16,
    /// What to do about it.
    detail: String,
    /// A stable word.
    code: String,
    /// Names the request in the operator's log.
    #[schema(pattern = "^req_[0-9a-z]{26}$")]
    request_id: String,
    /// Where input is at fault: what, and where.
    #[schema(nullable = false)]
    errors: Option<Vec<FaultBody>>,
}

/// One thing that is wrong with an input.
#[derive(ToSchema)]
#[schema(as = Fault)]
#[expect(dead_code, reason = "`Problem::render` writes it; this describes it")]
struct FaultBody {
    /// A JSON pointer into the body; for a query, the parameter's name.
    #[schema(example = "/url")]
    pointer: String,
    /// A stable word.
    #[schema(example = "invalid_url")]
    code: String,
    detail: String,
}

/// The codes that an operation can answer with, by status.
pub(super) type Codes = BTreeMap<u16, BTreeSet<String>>;

/// Adds a code under its status.
pub(super) fn add(codes: &mut Codes, kind: kinds::Kind) {
    codes.entry(kind.status.as_u16()).or_default().insert(kind.code.to_owned());
}

/// An answer of an operation with one of these codes.
pub(super) fn response(status: u16, codes: &BTreeSet<String>) -> Value {
    match codes.iter().next() {
        Some(only) if codes.len() == 1 => json!({ "$ref": format!("#/components/responses/{only}") }),
        _ => described(status, &codes.iter().map(String::as_str).collect::<Vec<_>>()),
    }
}

/// An answer for each code, and an example, for operations to refer to.
pub(super) fn components() -> (Map<String, Value>, Map<String, Value>) {
    let all = kinds::ALL.iter().map(|kind| (kind.status.as_u16(), kind.code));
    let all: Vec<_> = all.chain(kinds::CONFLICTS.iter().map(|(code, _)| (409, *code))).collect();
    let responses = all.iter().map(|(status, code)| ((*code).to_owned(), described(*status, &[code])));
    let examples = all.iter().map(|(status, code)| ((*code).to_owned(), json!({ "value": example(*status, code) })));
    (responses.collect(), examples.collect())
}

fn described(status: u16, codes: &[&str]) -> Value {
    let lines: Vec<_> = codes.iter().map(|code| format!("`{code}`: {}", meaning(code))).collect();
    let examples =
        codes.iter().map(|code| ((*code).to_owned(), json!({ "$ref": format!("#/components/examples/{code}") })));
    let special = json!({ "properties": { "status": { "const": status }, "code": { "enum": codes } } });
    json!({
        "description": lines.join("  \n"),
        "headers": headers(status),
        "content": { "application/problem+json": {
            "schema": { "allOf": [{ "$ref": "#/components/schemas/Problem" }, special] },
            "examples": examples.collect::<Map<_, _>>(),
        } },
    })
}

fn headers(status: u16) -> Value {
    let mut headers = json!({ "X-Request-Id": { "$ref": "#/components/headers/RequestId" } });
    match status {
        401 => headers["WWW-Authenticate"] = json!({ "schema": { "type": "string" } }),
        429 | 503 => headers["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" }),
        _ => {}
    }
    headers
}

fn example(status: u16, code: &str) -> Value {
    let title = kinds::ALL.iter().find(|kind| kind.code == code).map_or(kinds::CONFLICT.title, |kind| kind.title);
    let mut example = json!({
        "type": format!("urn:tidings:problem:{code}"),
        "title": title,
        "status": status,
        "detail": meaning(code),
        "code": code,
        "request_id": "req_01jq8v9h3k0000000000000000",
    });
    if code == kinds::INVALID.code {
        example["detail"] = "`url` must be given".into();
        example["errors"] = json!([{ "pointer": "/url", "code": "required", "detail": "must be given" }]);
    }
    example
}

fn meaning(code: &str) -> &'static str {
    let kind = kinds::ALL.iter().find(|kind| kind.code == code).map(|kind| kind.title);
    kind.or_else(|| kinds::CONFLICTS.iter().find(|(own, _)| *own == code).map(|(_, meaning)| *meaning)).unwrap_or("")
}
