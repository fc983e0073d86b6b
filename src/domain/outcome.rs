//! What came of an attempt: a value, whatever the receiver did.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// The class of an outcome: all that a tenant is told about a failure that is not an answer, so that Tidings cannot
/// be used to map a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Outcome)]
pub enum Class {
    /// A status from 200 to 299 arrived in time.
    Success,
    /// Any other status arrived in time.
    HttpStatus,
    /// The time for the attempt, or for connecting, ran out.
    Timeout,
    /// No connection could be made, or it broke before the status line.
    Connect,
    /// The host's name did not resolve.
    Dns,
    /// The TLS handshake or the certificate failed.
    Tls,
    /// What arrived is not HTTP.
    Protocol,
    /// The address is one that Tidings does not send to.
    BlockedAddress,
}

impl Class {
    /// Every class, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Success,
        Self::HttpStatus,
        Self::Timeout,
        Self::Connect,
        Self::Dns,
        Self::Tls,
        Self::Protocol,
        Self::BlockedAddress,
    ];

    /// The word for this class in SQL, JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::HttpStatus => "http_status",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::BlockedAddress => "blocked_address",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// One attempt's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What kind of result it is.
    pub class: Class,
    /// What the receiver answered, where a status line arrived.
    pub answer: Option<Answer>,
    /// What went wrong, for the operator's log only; `None` on success.
    pub error: Option<String>,
    /// From the start of the attempt to its end.
    pub duration: Duration,
}

/// A receiver's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status, 100 to 999.
    pub status: u16,
    /// Response headers in the order of arrival, one `name: value` a line; at most [`Answer::MAX_HEADERS`] bytes.
    pub headers: String,
    /// The first [`Answer::MAX_BODY`] bytes of the body.
    pub body: Bytes,
    /// `Retry-After` in seconds or as a date, read but not yet clamped.
    pub retry_after: Option<RetryAfter>,
}

impl Answer {
    /// Bytes of response headers that are kept.
    pub const MAX_HEADERS: usize = 8 * 1024;
    /// Bytes of response body that are kept.
    pub const MAX_BODY: usize = 16 * 1024;
}

/// A `Retry-After` header ([RFC 9110, 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// This long from now.
    Delay(Duration),
    /// Not before this time.
    Date(DateTime<Utc>),
}

impl RetryAfter {
    /// Reads the header's value: whole seconds, or an HTTP date in any of its
    /// [three forms](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7). Anything else is as if there were no header.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than fit mean "very long", which the caller clamps.
            return Some(Self::Delay(Duration::from_secs(value.parse().unwrap_or(u64::MAX))));
        }
        let usual = DateTime::parse_from_rfc2822(value).ok().map(|date| date.to_utc());
        usual.or_else(|| httpdate::parse_http_date(value).ok().map(DateTime::from)).map(Self::Date)
    }

    /// The time it names, seen from `now`, at most `limit` away.
    #[must_use]
    pub fn until(self, now: DateTime<Utc>, limit: Duration) -> DateTime<Utc> {
        let latest = super::clock::later(now, limit);
        match self {
            Self::Delay(delay) => super::clock::later(now, delay).min(latest),
            Self::Date(date) => date.clamp(now, latest),
        }
    }
}

impl Outcome {
    /// Nothing was sent, since the destination may not be sent to.
    #[must_use]
    pub const fn blocked(error: String) -> Self {
        Self { class: Class::BlockedAddress, answer: None, error: Some(error), duration: Duration::ZERO }
    }

    /// The status, where one arrived.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|answer| answer.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    proptest::proptest! {
        #[test]
        fn whatever_a_receiver_asks_for_it_is_not_before_now_and_not_beyond_the_limit(
            value in "[0-9]{0,40}|\\PC{0,40}|(Mon|Fri), [0-3][0-9] (Jan|Feb) [0-9]{4,6} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] (GMT|[+-][0-9]{4})",
            now in 0_i64..253_402_300_000,
            limit in 0_u64..1 << 40,
        ) {
            let now = DateTime::from_timestamp(now, 0).expect("a time");
            let digits = !value.trim().is_empty() && value.trim().bytes().all(|byte| byte.is_ascii_digit());
            match RetryAfter::parse(&value) {
                None => proptest::prop_assert!(!digits, "{value}"),
                Some(after) => {
                    let until = after.until(now, Duration::from_secs(limit));
                    let latest = super::super::clock::later(now, Duration::from_secs(limit));
                    proptest::prop_assert!(now <= until && until <= latest, "{value}: {until}");
                }
            }
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_date_and_clamped() {
        let now = DateTime::UNIX_EPOCH;
        let until = |value: &str| RetryAfter::parse(value).map(|after| after.until(now, HOUR).timestamp());
        assert_eq!(until("120"), Some(120));
        assert_eq!(until(" 5 "), Some(5));
        assert_eq!(until("Thu, 01 Jan 1970 00:00:42 GMT"), Some(42));
        assert_eq!(until("Thursday, 01-Jan-70 00:00:42 GMT"), Some(42), "as in RFC 850");
        assert_eq!(until("Thu Jan  1 00:00:42 1970"), Some(42), "as asctime writes it");
        assert_eq!(until("Wed, 31 Dec 1969 00:00:00 GMT"), Some(0), "a past date means now");
        assert_eq!(until("999999999999999999999999"), Some(3600));
        assert_eq!(until("Fri, 01 Jan 2100 00:00:00 GMT"), Some(3600));
        for nonsense in ["", "soon", "-1", "1.5", "1 2"] {
            assert_eq!(until(nonsense), None, "{nonsense}");
        }
    }
}
