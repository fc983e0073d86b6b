//! Sessions: the key of whoever signed in, sealed with the master key, in a cookie. The server keeps nothing, so every process with the same
//! master key knows every session, and a key that was revoked ends its sessions.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;

use super::Console;
use super::caller::{Caller, Refusal};
use super::page::Detour;
use crate::domain::secret::{MasterKeys, Sealed, Secret, SecretError};
use crate::domain::tenant::Principal;

const COOKIE_NAME: &str = "tidings_console";
/// What the key is sealed for: it opens as nothing else.
const CONTEXT: &[u8] = b"console session";
/// A working day.
const LASTS: TimeDelta = TimeDelta::hours(12);

/// Whoever has signed in.
pub(super) struct Session {
    pub(super) caller: Caller,
    pub(super) principal: Arc<Principal>,
}

impl FromRequestParts<Console> for Session {
    type Rejection = Detour;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Detour> {
        let key = read(&parts.headers, &console.api.master_keys, console.api.clock.now()).ok_or(Detour::SignIn)?;
        Self::begin(console, key).await
    }
}

impl Session {
    /// For whom this key is good.
    pub(super) async fn begin(console: &Console, key: Secret) -> Result<Self, Detour> {
        let principal = console.api.principal(&key).await.map_err(|problem| Refusal::from(&problem))?;
        Ok(Self { caller: Caller::new(console.front.clone(), key), principal })
    }
}

/// The cookie of a session that begins now.
pub(super) fn cookie(
    keys: &MasterKeys,
    key: &Secret,
    now: DateTime<Utc>,
    headers: &HeaderMap,
) -> Result<HeaderValue, SecretError> {
    let text = format!("{} {}", (now + LASTS).timestamp(), key.expose_secret());
    let Sealed { key_id, ciphertext } = keys.seal(&text.into(), CONTEXT, rand::random())?;
    let value = format!("{key_id}.{}", BASE64_URL_SAFE_NO_PAD.encode(ciphertext));
    Ok(header(&value, LASTS.num_seconds(), headers))
}

/// The cookie that ends a session.
pub(super) fn no_cookie(headers: &HeaderMap) -> HeaderValue {
    header("", 0, headers)
}

/// Over a network it is sent by HTTPS alone; a browser on this machine may have come without. `Lax`: a link elsewhere may lead to a page, and
/// no page elsewhere sends a form with it.
fn header(value: &str, seconds: i64, headers: &HeaderMap) -> HeaderValue {
    let secure = if is_on_this_machine(headers) { "" } else { "; Secure" };
    let text =
        format!("{COOKIE_NAME}={value}; Path={}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", super::PATH);
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn is_on_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// The key of the session that a request belongs to, unless that is over.
fn read(headers: &HeaderMap, keys: &MasterKeys, now: DateTime<Utc>) -> Option<Secret> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    // Another Tidings on this host, on another port, may have set one, too.
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
        .find_map(|value| open(value, keys, now))
}

/// The key in a cookie.
fn open(value: &str, keys: &MasterKeys, now: DateTime<Utc>) -> Option<Secret> {
    let (key_id, ciphertext) = value.split_once('.')?;
    let ciphertext = BASE64_URL_SAFE_NO_PAD.decode(ciphertext).ok()?;
    let opened = keys.open(&Sealed { key_id: key_id.to_owned(), ciphertext }, CONTEXT).ok()?;
    let (until, key) = opened.expose_secret().split_once(' ')?;
    (now.timestamp() < until.parse().ok()?).then(|| key.into())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;
    use crate::domain::secret::MasterKey;

    fn keys(byte: u8) -> MasterKeys {
        let text = base64::prelude::BASE64_STANDARD.encode([byte; 32]);
        MasterKeys::new(MasterKey::from_base64(&text).expect("a key"), []).expect("keys")
    }

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a value"))])
    }

    #[test]
    fn a_session_lasts_twelve_hours_and_nobody_else_makes_one() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let set = cookie(&keys(1), &"tk_live_x".into(), now, &headers(HOST, "tidings.example")).expect("a cookie");
        let set = set.to_str().expect("a text");
        assert!(set.ends_with("; Path=/console; Max-Age=43200; HttpOnly; SameSite=Lax; Secure"), "{set}");
        assert!(!set.contains("tk_live_x"));
        let pair = set.split(';').next().expect("a pair");
        let key = |cookies: &str, keys: &MasterKeys, now| {
            read(&headers(COOKIE, cookies), keys, now).map(|key| key.expose_secret().to_owned())
        };
        assert_eq!(key(&format!("a=b; {pair}; c=d"), &keys(1), now).as_deref(), Some("tk_live_x"));
        assert_eq!(
            key(&format!("tidings_console=x.y; {pair}"), &keys(1), now).as_deref(),
            Some("tk_live_x"),
            "two of them"
        );
        assert_eq!(key(pair, &keys(1), now + LASTS), None, "it is over");
        assert_eq!(key(pair, &keys(2), now), None, "another master key");
        let last = if pair.ends_with('A') { "B" } else { "A" };
        let altered = format!("{}{last}", &pair[..pair.len() - 1]);
        assert_eq!(key(&altered, &keys(1), now), None, "altered");
        for nonsense in ["", "tidings_console", "tidings_console=", "tidings_console=x.y", "tidings_consoles=a.b"] {
            assert_eq!(key(nonsense, &keys(1), now), None, "{nonsense}");
        }
    }

    #[test]
    fn only_on_this_machine_a_cookie_goes_without_https() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:8080"] {
            assert!(is_on_this_machine(&headers(HOST, host)), "{host}");
        }
        for host in ["", "10.0.0.1:8080", "localhost.example", "[::2]:8080", "127.0.0.1.example", "tidings"] {
            assert!(!is_on_this_machine(&headers(HOST, host)), "{host}");
        }
    }
}
