//! A prepared POST of one event or a batch: all bytes are there but the tokens and the event types, which are patched in
//! place.

use secrecy::ExposeSecret;

use super::Flow;
use crate::cli::bench::wire::Token;
use crate::domain::secret::Secret;

const TYPE_PREFIX: &str = "bench.";
const TYPE_DIGITS: usize = 5;
/// An event's data around its token and its padding.
const BEFORE_TOKEN: &str = r#"{"token":""#;
const AFTER_TOKEN: &str = r#"","document_id":"doc_01HZX3Q7M8N9P0R1S2T3V4W5X6","pages":12,"confidence":0.9731,"note":""#;
const END: &str = r#""}"#;

/// Bytes that an event's data has at least.
pub(in crate::cli) const MIN_PAYLOAD: usize = BEFORE_TOKEN.len() + Token::LEN + AFTER_TOKEN.len() + END.len();

/// The event type of a tenant's webhook, where events are routed.
pub(in crate::cli) fn event_type(webhook: usize) -> String {
    format!("{TYPE_PREFIX}{webhook:0TYPE_DIGITS$}")
}

/// The request.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Request {
    bytes: Vec<u8>,
    events: Vec<Places>,
}

/// Where an event's variable parts are.
#[derive(Debug, Clone, Copy)]
struct Places {
    type_digits: usize,
    /// Its token, which is its key as well, where it has one.
    key: Option<usize>,
    token: usize,
}

impl Request {
    /// Prepares a flow's requests for one tenant. `authority` is the service's host and port.
    pub(in crate::cli) fn prepare(authority: &str, key: &Secret, flow: &Flow, seed: u64) -> Self {
        let padding = words(seed, flow.payload_bytes.saturating_sub(MIN_PAYLOAD));
        let mut body = String::new();
        let mut events = Vec::with_capacity(flow.batch);
        let is_batch = flow.batch > 1;
        body.push_str(if is_batch { r#"{"events":["# } else { "" });
        for index in 0..flow.batch {
            body.push_str(if index > 0 { r#",{"type":""# } else { r#"{"type":""# });
            let type_digits = body.len() + TYPE_PREFIX.len();
            body.push_str(&event_type(0));
            let key = flow.is_keyed.then(|| {
                body.push_str(r#"","idempotency_key":""#);
                hole(&mut body)
            });
            body.push_str(r#"","data":"#);
            body.push_str(BEFORE_TOKEN);
            events.push(Places { type_digits, key, token: hole(&mut body) });
            body.extend([AFTER_TOKEN, &padding, END, "}"]);
        }
        body.push_str(if is_batch { "]}" } else { "" });
        let path = if is_batch { "/v1/events/batch" } else { "/v1/events" };
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            key.expose_secret(),
            body.len()
        )
        .into_bytes();
        for place in &mut events {
            place.type_digits += bytes.len();
            place.key = place.key.map(|key| key + bytes.len());
            place.token += bytes.len();
        }
        bytes.extend_from_slice(body.as_bytes());
        Self { bytes, events }
    }

    /// The bytes to send for the events from `first` on; `webhook` says which of the tenant's webhooks takes each.
    pub(in crate::cli) fn fill(&mut self, first: Token, webhook: impl Fn(u32) -> usize) -> &[u8] {
        for (offset, place) in (0..).zip(&self.events) {
            let token = Token { number: first.number + offset, ..first };
            for at in [Some(place.token), place.key].into_iter().flatten() {
                token.write(&mut self.bytes[at..]);
            }
            let mut kind = webhook(token.number);
            for digit in self.bytes[place.type_digits..][..TYPE_DIGITS].iter_mut().rev() {
                *digit = b"0123456789"[kind % 10];
                kind /= 10;
            }
        }
        &self.bytes
    }
}

/// Leaves room for a token, and says where.
fn hole(body: &mut String) -> usize {
    let at = body.len();
    body.push_str(&"-".repeat(Token::LEN));
    at
}

/// So many bytes of made-up words: as compressible as real text, and the same for the same seed.
fn words(seed: u64, bytes: usize) -> String {
    const SYLLABLES: [&str; 16] =
        ["ta", "ri", "no", "ke", "lu", "sam", "pol", "ver", "din", "gos", "mi", "bar", "tel", "ong", "u", "fi"];
    let mut state = seed;
    let mut text = String::with_capacity(bytes + 8);
    while text.len() < bytes {
        // A step of SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        text.push_str(SYLLABLES[usize::try_from(mixed >> 60).unwrap_or_default()]);
        if mixed.is_multiple_of(3) {
            text.push(' ');
        }
    }
    text.truncate(bytes);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cli::bench::load::Behaviour;
    use crate::cli::bench::wire::Head;

    fn flow(batch: usize, payload_bytes: usize) -> Flow {
        Flow {
            name: "main".into(),
            tenants: 1,
            webhooks: 200,
            is_routed: true,
            behaviour: Behaviour::Taking,
            batch,
            is_keyed: false,
            payload_bytes,
            connections: 1,
            rate: None,
        }
    }

    fn json(request: &[u8]) -> Value {
        let head = Head::of(request).expect("a head");
        assert_eq!(head.body, Some(request.len() - head.end));
        serde_json::from_slice(&request[head.end..]).expect("JSON")
    }

    #[test]
    fn an_event_is_as_large_as_asked_for_and_carries_its_token_and_its_type() {
        let first = Token { run: 1, flow: 2, number: 34, sent_ns: 5 };
        let mut request = Request::prepare("localhost", &"tk_1".into(), &flow(1, 1_000), 7);
        let sent = request.fill(first, |number| number as usize * 3).to_vec();
        let body = json(&sent);
        assert_eq!(body["data"].to_string().len(), 1_000);
        assert_eq!(body["type"], event_type(102));
        assert_eq!(Token::find(&sent), Some(first));
        assert!(sent.starts_with(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer tk_1\r\n"));
    }

    #[test]
    fn each_event_of_a_batch_has_a_number_of_its_own() {
        let first = Token { run: 1, flow: 2, number: 10, sent_ns: 5 };
        let mut request = Request::prepare("localhost", &"tk_1".into(), &flow(3, 0), 7);
        let body = json(request.fill(first, |_| 1));
        let events = body["events"].as_array().expect("events");
        let numbers = events.iter().map(|event| Token::find(event.to_string().as_bytes()).expect("a token").number);
        assert_eq!(numbers.collect::<Vec<_>>(), [10, 11, 12]);
        assert_eq!(events[0]["data"].to_string().len(), MIN_PAYLOAD);
    }

    #[test]
    fn an_event_has_a_key_of_its_own_where_that_is_asked_for() {
        let first = Token { run: 1, flow: 2, number: 10, sent_ns: 5 };
        let mut request = Request::prepare("localhost", &"tk_1".into(), &Flow { is_keyed: true, ..flow(2, 500) }, 7);
        let body = json(request.fill(first, |_| 1));
        for (event, number) in body["events"].as_array().expect("events").iter().zip(10..) {
            let key = event["idempotency_key"].as_str().expect("a key");
            assert_eq!(Token::find(key.as_bytes()).expect("a token").number, number);
            assert_eq!((&event["data"]["token"], event["data"].to_string().len()), (&key.into(), 500));
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_words() {
        assert_eq!(words(1, 300), words(1, 300));
        assert_ne!(words(1, 300), words(2, 300));
    }
}
