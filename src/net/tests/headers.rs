//! Headers that tenants and dialects may set, and those that they may not.

use hyper::header::HeaderValue;

use crate::dialect::Profile;
use crate::net::headers::{FRAMING, HeaderFault, Headers, check_custom_headers};

fn check(headers: &[(&str, &str)]) -> Result<Headers, HeaderFault> {
    check_custom_headers(headers.iter().copied(), &["Webhook-Id", "webhook-signature"]).map_err(|error| error.why)
}

#[test]
fn a_tenants_own_headers_pass_and_their_values_stay_out_of_debug_output() {
    let headers = check(&[("X-Team", "a, b"), ("authorization", "Bearer t0p"), ("x-empty", "")]).expect("headers");
    let lines: Vec<_> = headers.iter().collect();
    assert_eq!(lines, [("x-team", "a, b"), ("authorization", "Bearer t0p"), ("x-empty", "")]);
    assert_eq!(format!("{headers:?}"), r#"{"x-team", "authorization", "x-empty"}"#);
    assert!(
        headers.into_map().values().all(HeaderValue::is_sensitive),
        "other requests of a connection cannot probe for them"
    );
}

#[test]
fn names_that_are_not_the_tenants_are_refused_in_any_case_and_with_underscores() {
    let forbidden = "Host host CONTENT-LENGTH Content_Length Content-Type content-encoding Transfer-Encoding \
        Connection Keep-Alive TE Trailer Upgrade Proxy-Authorization proxy-connection Expect Cookie Set-Cookie \
        Accept-Encoding User-Agent traceparent tracestate X-Forwarded-For X_Forwarded_Host Forwarded Via \
        HTTP2-Settings Tidings-Tenant";
    for name in forbidden.split_ascii_whitespace() {
        assert_eq!(check(&[(name, "x")]), Err(HeaderFault::Forbidden), "{name}");
    }
    for name in ["webhook-id", "WEBHOOK_ID", "Webhook-Signature"] {
        assert_eq!(check(&[(name, "x")]), Err(HeaderFault::Reserved), "{name}");
    }
    assert_eq!(check(&[("X-A", "1"), ("x_a", "2")]), Err(HeaderFault::Duplicate));
}

#[test]
fn nothing_can_be_injected() {
    for name in ["", " x", "x ", "x:y", "x\r\ny", "é", "x\0", "(x)", &"n".repeat(129)] {
        assert_eq!(check(&[(name, "x")]), Err(HeaderFault::Name), "{name:?}");
    }
    for value in [" x", "x ", "x\r\nHost: evil", "x\n", "a\tb", "\u{7f}", "é", "\0"] {
        assert_eq!(check(&[("x", value)]), Err(HeaderFault::Value), "{value:?}");
    }
}

proptest::proptest! {
    /// What passes is one line of a request each, by the grammar of RFC 9110 as written down here once more.
    #[test]
    fn what_passes_is_one_line_each_and_none_of_ours(
        pairs in proptest::collection::vec(("[A-Za-z_-]{0,12}|\\PC{0,6}|[\\x00-\\x7f]{0,6}", "[ -~]{0,20}|\\PC{0,8}|[\\x00-\\xff]{0,8}"), 0..4),
    ) {
        let given: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let Ok(headers) = check(&given) else { return Ok(()) };
        proptest::prop_assert_eq!(headers.iter().count(), given.len());
        for (name, value) in headers.iter() {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            proptest::prop_assert!(!name.is_empty() && name.bytes().all(is_token), "{name:?}");
            proptest::prop_assert!(value.chars().all(|c| (' '..='~').contains(&c)) && value.trim() == value, "{value:?}");
            let folded = name.replace('_', "-");
            for ours in ["host", "content-length", "transfer-encoding", "connection", "te", "webhook-id"] {
                proptest::prop_assert_ne!(&folded, ours);
            }
            proptest::prop_assert!(given.iter().any(|(own, same)| own.eq_ignore_ascii_case(name) && *same == value));
        }
    }
}

#[test]
fn number_and_size_are_bounded() {
    let names: Vec<_> = (0..33).map(|n| format!("x-{n}")).collect();
    let some = |count: usize| check(&names[..count].iter().map(|name| (name.as_str(), "v")).collect::<Vec<_>>());
    assert!(some(32).is_ok());
    assert_eq!(some(33), Err(HeaderFault::TooMany));
    let (fits, long) = ("v".repeat(4_096), "v".repeat(4_097));
    assert_eq!(check(&[("x", &long)]), Err(HeaderFault::TooLong));
    assert_eq!(check(&[("x", &fits), ("y", &fits)]), Err(HeaderFault::TooMany));
}

#[test]
fn one_that_is_not_allowed_any_more_does_not_take_the_others_along() {
    let own =
        [("Host", "x"), ("X-Team", "a"), ("Authorization", "Bearer t0p")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let signed = [("x-team".into(), "b".to_owned()), ("webhook-id".into(), "1".to_owned())];
    let headers = Headers::allowed(&own).with_signed(&signed).expect("headers");
    let lines: Vec<_> = headers.iter().collect();
    assert_eq!(lines, [("x-team", "b"), ("authorization", "Bearer t0p"), ("webhook-id", "1")]);
    let refused = headers.with_signed(&[("te".into(), "x".to_owned())]).expect_err("framing");
    assert_eq!(refused.why, HeaderFault::Forbidden);
}

#[test]
fn a_dialect_may_set_the_content_type_but_not_the_framing() {
    let mut headers = Headers::default();
    headers.set("Content-Type", "application/json").expect("a dialect's");
    headers.set("content-type", "text/plain").expect("again");
    assert_eq!(headers.iter().collect::<Vec<_>>(), [("content-type", "text/plain")]);
    let error = headers.set("Content-Length", "0").expect_err("framing");
    assert_eq!(error.to_string(), "header `Content-Length` cannot be set: Tidings or the connection decides it");
}

#[test]
fn what_is_refused_to_dialects_is_refused_when_their_files_are_read() {
    let standard = include_str!("../../../config/dialects/standard.toml");
    let with = |name: &str| {
        Profile::parse(&standard.replace("webhook-id: {id}", &format!("webhook-id: {{id}}\", \"{name}: x")))
    };
    for name in FRAMING.iter().copied().chain(["Proxy-Authorization", "proxy-anything", "Expect"]) {
        let refused = Headers::default().set(name, "x").expect_err(name);
        assert_eq!(refused.why, HeaderFault::Forbidden, "{name}");
        let told = with(name).expect_err(name).to_string();
        assert!(told.contains(&format!("may not set `{name}`")), "{told}");
    }
}
