//! Bodies that are almost right: a valid one, changed in one of many ways by a seed that makes it again.

use serde_json::{Map, Value, json};

/// Chance from a seed: <https://prng.di.unimi.it/splitmix64.c>.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(limit.max(1)).expect("a limit")).expect("below it")
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A body and the headers that go with it.
pub struct Mangled {
    pub body: Vec<u8>,
    pub headers: Vec<(&'static str, &'static str)>,
}

/// What stands for a text that is put in later, which `serde_json` could not write.
const HOLE: &str = "\u{1}hole";

/// Values that a careless reader trips over, as they are written.
const ODD: [&str; 36] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.0",
    "1e2",
    "-1",
    "1e400",
    "-1e-400",
    "18446744073709551616",
    "9223372036854775808",
    "-9223372036854775809",
    "2147483648",
    "32768",
    "65536",
    "0.1e310",
    "\"\"",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\uffff\u{202e}\u{feff}\"",
    "\"\u{10ffff}\"",
    "\"%00%0a\"",
    "\"\\r\\nX: y\"",
    "\"'; DROP TABLE tidings.events; --\"",
    "\"{data}\"",
    "\"../../etc/passwd\"",
    "\"２０２６-02-30\"",
    "[]",
    "{}",
    "[[]]",
    "{\"\":{\"\":{}}}",
    "{\"a\":1,\"a\":2}",
    "NaN",
];

/// Changes a valid body once or twice, or leaves it as it is.
pub fn mangle(valid: &Value, dice: &mut Dice) -> Mangled {
    let mut headers = vec![("content-type", "application/json")];
    let mut value = valid.clone();
    let mut odd = *dice.pick(&ODD);
    let long;
    match dice.below(16) {
        1..=5 => *place(&mut value, dice) = json!(HOLE),
        6 => {
            long = format!("\"{}\"", "x".repeat(*dice.pick(&[129, 256, 2_049, 20_000, 300_000])));
            odd = &long;
            *place(&mut value, dice) = json!(HOLE);
        }
        7 => {
            let depth = *dice.pick(&[60, 64, 65, 66, 1_000, 50_000]);
            long = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            odd = &long;
            *place(&mut value, dice) = json!(HOLE);
        }
        8 => drop(object(&mut value, dice).map(|members| members.insert(odd.to_owned(), json!(HOLE)))),
        9 => {
            if let Some(members) = object(&mut value, dice) {
                let name = members.keys().nth(dice.below(members.len())).cloned();
                drop(name.and_then(|name| members.remove(&name)));
            }
        }
        10 => value = json!([value]),
        _ => {}
    }
    let text = value.to_string().replace(&json!(HOLE).to_string(), odd);
    let mut body = text.into_bytes();
    for _ in 0..dice.below(3) {
        spoil(&mut body, &mut headers, dice);
    }
    Mangled { body, headers }
}

/// Changes bytes or headers, of which most spoil the JSON.
fn spoil(body: &mut Vec<u8>, headers: &mut Vec<(&'static str, &'static str)>, dice: &mut Dice) {
    let at = dice.below(body.len());
    match dice.below(14) {
        0 => body.truncate(at),
        1 => body.insert(at, (dice.roll() & 0xff) as u8),
        2 if !body.is_empty() => body[at] ^= 1 << dice.below(8),
        3 => drop(body.drain(at..(at + dice.below(8)).min(body.len()))),
        4 => body.extend_from_slice(dice.pick(&["{}", " x", "\0", "]", "}", "/**/"]).as_bytes()),
        5 => drop(body.splice(0..0, *b"\xef\xbb\xbf")),
        6 => *body = body.iter().flat_map(|&byte| [byte, 0]).collect(),
        7 => drop(body.splice(at..at, b" ".repeat(*dice.pick(&[1, 10_000, 300_000])))),
        8 => {
            if let Some(comma) = body.iter().position(|byte| *byte == b',') {
                // The first member once more.
                let first = body[1..=comma].to_vec();
                body.splice(1..1, first);
            }
        }
        9 => {
            headers[0].1 =
                *dice.pick(&["text/plain", "application/json; charset=utf-16", "application/json;charset=UTF-8", ""]);
        }
        10 => headers.push(*dice.pick(&[
            ("content-encoding", "gzip"),
            ("content-encoding", "identity"),
            ("content-type", "application/json"),
        ])),
        11 => headers.push(*dice.pick(&[
            ("idempotency-key", "k"),
            ("idempotency-key", "é"),
            ("if-match", "\"7\""),
            ("traceparent", "00-x"),
        ])),
        _ => {}
    }
}

/// Any value within, itself included.
fn place<'v>(value: &'v mut Value, dice: &mut Dice) -> &'v mut Value {
    let inside = match value {
        Value::Object(members) => members.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if inside == 0 || dice.below(8) == 0 {
        return value;
    }
    let chosen = dice.below(inside);
    let within = match value {
        Value::Object(members) => members.values_mut().nth(chosen),
        Value::Array(items) => items.get_mut(chosen),
        _ => None,
    };
    place(within.expect("one of those inside"), dice)
}

/// Any object within.
fn object<'v>(value: &'v mut Value, dice: &mut Dice) -> Option<&'v mut Map<String, Value>> {
    if let Value::Array(items) = value {
        let chosen = dice.below(items.len());
        return items.get_mut(chosen).and_then(|item| object(item, dice));
    }
    let members = value.as_object_mut()?;
    let inner: Vec<_> = members
        .iter()
        .filter(|(_, value)| value.is_object() || value.is_array())
        .map(|(name, _)| name.clone())
        .collect();
    if inner.is_empty() || dice.below(2) == 0 {
        return Some(members);
    }
    let chosen = dice.pick(&inner).clone();
    members.get_mut(&chosen).and_then(|value| object(value, dice))
}
