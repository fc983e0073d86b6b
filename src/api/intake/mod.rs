//! JSON in: what a body must be, and what its sender is told where it is not.

mod misfit;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::problem::Problem;
use super::{Api, body, depth, kinds};
use crate::actions::Object;
use misfit::misfit;

/// Levels of arrays and objects that a body may have.
pub const MAX_DEPTH: usize = 64;

/// A JSON body, read into `T` (which must deny unknown fields), at most `DEPTH` levels deep.
///
/// Put it last among a handler's arguments, behind the one that says who asks.
#[derive(Debug)]
pub struct Json<T, const DEPTH: usize = MAX_DEPTH>(pub T);

impl<T: DeserializeOwned, const DEPTH: usize> FromRequest<Api> for Json<T, DEPTH> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        check_headers(request.headers())?;
        parse::<T>(&body::read(request, api).await?, DEPTH).map(Self)
    }
}

/// A JSON body that may be left out, which stands for `{}`.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let body = body::read(request, api).await?;
        if body.is_empty() {
            return parse(b"{}", MAX_DEPTH).map(Self);
        }
        check_headers(&headers)?;
        parse(&body, MAX_DEPTH).map(Self)
    }
}

/// For actions that take no body: `{}` and `null` are as good as none, and anything else is refused.
#[derive(Debug, Clone, Copy)]
pub struct NoBody;

impl FromRequest<Api> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        match body::read(request, api).await?.trim_ascii() {
            b"" | b"{}" | b"null" => Ok(Self),
            _ => {
                let detail = "leave it out; parameters, if this path has any, go after the `?`";
                Err(Problem::new(kinds::UNWANTED_BODY, detail))
            }
        }
    }
}

/// A JSON body whose bytes are wanted as they came; [`parse`] reads them.
#[derive(Debug)]
pub struct JsonBytes(pub Bytes);

impl FromRequest<Api> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        check_headers(request.headers())?;
        body::read(request, api).await.map(Self)
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail: &'static str| Err(Problem::new(kinds::UNSUPPORTED_MEDIA_TYPE, detail));
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        (values.next().map(|value| value.to_str().unwrap_or("?").trim()), values.next().is_some())
    };
    match one(CONTENT_TYPE) {
        (Some(value), false) if is_json(value) => {}
        _ => return refuse("send the header `Content-Type: application/json`, in UTF-8"),
    }
    match one(CONTENT_ENCODING) {
        (None, _) => Ok(()),
        (Some(value), false) if value.eq_ignore_ascii_case("identity") => Ok(()),
        _ => refuse("send the body as it is, without `Content-Encoding`"),
    }
}

/// `application/json`, with no parameter but `charset=utf-8`.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            })
        })
}

/// Reads a JSON text, which must be an object. The path to what is wrong is looked for only once something is.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], max_depth: usize) -> Result<T, Problem> {
    if depth::of(body) > max_depth {
        let detail = format!("the body nests arrays and objects more than {max_depth} levels deep");
        return Err(Problem::new(kinds::INVALID_JSON, detail));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::new(kinds::INVALID_JSON, format!("the body is not UTF-8 at byte {}", error.valid_up_to() + 1))
    })?;
    if text.trim().is_empty() {
        return Err(Problem::new(kinds::INVALID_JSON, "the body is empty: send a JSON object"));
    }
    if text.starts_with('\u{feff}') {
        return Err(Problem::new(kinds::INVALID_JSON, "the body begins with a byte order mark: leave it out"));
    }
    serde_json::from_str(text).map(|Object(value)| value).map_err(|error| {
        let told = error.to_string();
        // To the reader, a number where a word should stand is a fault of the syntax, too.
        let is_json = || told.starts_with("expected value at ") && serde_json::from_str::<IgnoredAny>(text).is_ok();
        if error.classify() == Category::Data || is_json() {
            return misfit::<T>(text, &told);
        }
        Problem::new(kinds::INVALID_JSON, format!("the body is not JSON: {told}"))
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::domain::tenant::Environment;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Outer {
        name: String,
        #[serde(default)]
        inner: Vec<Inner>,
        environment: Option<Environment>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Inner {
        #[serde(rename = "a/b")]
        count: u8,
    }

    fn told(body: &str) -> serde_json::Value {
        let problem = parse::<Outer>(body.as_bytes(), 4).expect_err(body);
        problem.told()
    }

    #[test]
    fn a_misfit_is_told_with_its_pointer() {
        for (body, pointer, code) in [
            (r#"{"name":1}"#, "/name", "invalid_value"),
            (r#"{"nam":"x"}"#, "/nam", "unknown_member"),
            ("{}", "/name", "required"),
            (r#"{"name":"x","name":"y"}"#, "/name", "duplicate_member"),
            (r#"{"name":"x","inner":[{"a/b":1},{"a/b":-1}]}"#, "/inner/1/a~1b", "invalid_value"),
            (r#"{"name":"x","inner":[{"a/b":1,"c":2}]}"#, "/inner/0/c", "unknown_member"),
            (r#"{"name":"x","inner":[{}]}"#, "/inner/0/a~1b", "required"),
            ("[]", "", "invalid_value"),
            (r#"["x",[]]"#, "", "invalid_value"),
            ("null", "", "invalid_value"),
        ] {
            let told = told(body);
            assert_eq!((&told["status"], &told["errors"][0]["pointer"]), (&422.into(), &pointer.into()), "{body}");
            assert_eq!(told["errors"][0]["code"], code, "{body}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_not_repeated() {
        for (body, detail) in [
            (r#"{"name":17}"#, "must be a string"),
            (r#"{"name":null}"#, "must be a string"),
            (r#"{"name":"x","inner":"hush, expected `\"quiet"}"#, "must be an array"),
            (r#"{"name":"x","inner":[[]]}"#, "must be an object"),
            (r#"{"name":"x","inner":[{"a/b":-1.5}]}"#, "must be a whole number"),
            (r#"{"name":"x","inner":[{"a/b":300}]}"#, "is too small or too large"),
            (r#"{"name":"x","environment":"hush"}"#, "must be `live` or `sandbox`"),
            (r#"{"name":"x","environment":17}"#, "must be a string"),
            (r#"{"hush":1}"#, "is no member here; there are `name`, `inner`, `environment`"),
            (r#"{"name":"x","inner":[{"hush, expected `name`":1}]}"#, "is no member here; there is `a/b`"),
            (r"[17]", "must be an object"),
        ] {
            assert_eq!(told(body)["errors"][0]["detail"], detail, "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for body in ["", "{", r#"{"name":"x",}"#, r#"{"name":NaN}"#, "{\"name\":\"x\"} x", "\u{feff}{}", "[[[[[]]]]]"] {
            assert_eq!(told(body)["code"], "invalid_json", "{body}");
        }
        for empty in ["", " \n"] {
            assert_eq!(told(empty)["detail"], "the body is empty: send a JSON object");
        }
        assert!(parse::<Outer>(b"{\"name\":\"\xff\"}", 4).is_err());
        let bomb = "[".repeat(1_000_000);
        assert!(parse::<Outer>(bomb.as_bytes(), 64).is_err());
    }

    #[test]
    fn only_json_in_utf8_is_read() {
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["", "text/json", "application/jsonx", "application/json; charset=utf-16", "application/json; x"] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
