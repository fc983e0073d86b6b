//! How deep a JSON text nests, found before anything parses it: no recursion, whatever comes.

/// The deepest nesting of arrays and objects in a text. Brackets inside strings do not count; whether it is JSON at all
/// is the parser's business.
pub(super) fn of(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_unless_they_stand_in_strings() {
        for (json, depth) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[{}],"b":{}}"#, 3),
            (r#"{"a[[[":"\"{{{\\"}"#, 1),
            (r#"["\\",["]"]]"#, 2),
            ("]]]][[", 2),
            ("\"[[[", 0),
            ("\"\\", 0),
        ] {
            assert_eq!(of(json.as_bytes()), depth, "{json}");
        }
    }

    #[test]
    fn a_bomb_is_measured_not_followed() {
        assert_eq!(of("[".repeat(1_000_000).as_bytes()), 1_000_000);
    }
}
