//! Where a form comes from. The session's cookie is not sent with what other sites' pages send; this is for browsers and
//! proxies that see that otherwise, and for signing in, which needs no cookie.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// Whether it changes nothing, or is a form of one of our pages.
pub(super) fn is_ours(request: &Request) -> bool {
    request.method().is_safe() || is_from_here(request.headers())
}

/// Whether a browser says that one of our pages sent it, or no browser says anything.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text(ORIGIN.as_str()) else { return true };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some_and(|host| text(HOST.as_str()) == Some(host))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_its_own_pages_may_send_forms() {
        let judge = |pairs: &[(&'static str, &'static str)]| {
            let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
            is_from_here(&pairs.iter().map(pair).collect())
        };
        let host = ("host", "tidings.example:8080");
        assert!(judge(&[host]), "no browser");
        assert!(judge(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(judge(&[host, ("origin", "https://tidings.example:8080")]));
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("origin", "https://tidings.example"),
            ("origin", "https://evil.example:8080"),
            ("origin", "null"),
        ] {
            assert!(!judge(&[host, (name, value)]), "{name}: {value}");
        }
        assert!(!judge(&[host, ("sec-fetch-site", "cross-site"), ("origin", "https://tidings.example:8080")]));
    }
}
