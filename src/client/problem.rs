//! An answer that is not a success, as a sentence.

use std::fmt;

use serde::Deserialize;

/// The members of an `application/problem+json` that a person needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem it is, in a few words.
    #[serde(default)]
    pub title: Box<str>,
    /// The stable word.
    pub code: String,
    /// What to do about it.
    pub detail: String,
    /// Finds it in the log.
    #[serde(default)]
    pub request_id: String,
    /// What is wrong with the input, member by member.
    #[serde(default)]
    pub errors: Vec<Fault>,
}

/// One thing that is wrong with the input.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Fault {
    /// Which member, such as `/url`.
    pub pointer: String,
    /// Continues the sentence that begins with the member's name.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Here they follow.
        let detail = self.detail.strip_suffix("; see `errors`").map(|detail| format!("{detail}:"));
        write!(f, "{}", detail.as_deref().unwrap_or(&self.detail))?;
        for fault in self.errors.iter().filter(|fault| !self.detail.contains(&fault.detail)) {
            write!(f, "\n  {} {}", member(&fault.pointer), fault.detail)?;
        }
        if self.code == "invalid_tenant_header" {
            write!(f, "\n  here: --tenant ten_…, or TIDINGS_TENANT")?;
        }
        write!(f, "\n  ({} {}, request {})", self.status, self.code, self.request_id)
    }
}

fn member(pointer: &str) -> &str {
    if pointer.is_empty() { "the body" } else { pointer.trim_start_matches('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_told_once() {
        let problem: Problem = serde_json::from_str(
            r#"{"type": "urn:x", "title": "T", "status": 422, "code": "validation_failed", "request_id": "req_1",
                "detail": "2 members are not valid; see `errors`", "errors": [
                    {"pointer": "/url", "code": "invalid_url", "detail": "must be an absolute URL"},
                    {"pointer": "", "code": "odd", "detail": "is odd"}]}"#,
        )
        .expect("a problem");
        insta::assert_snapshot!(problem, @"
        2 members are not valid:
          url must be an absolute URL
          the body is odd
          (422 validation_failed, request req_1)
        ");
        let one = Problem {
            detail: "`url` must be an absolute URL".into(),
            errors: vec![Fault { pointer: "/url".into(), detail: "must be an absolute URL".into() }],
            ..problem
        };
        assert_eq!(one.to_string().lines().count(), 2, "{one}");
    }
}
