//! Numbers as people read them.

/// A whole number in groups of three digits.
pub(in crate::cli) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits that count, or all before the point.
pub(super) fn short(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and far below 2^52")]
    match number {
        number if number >= 99.95 => grouped(number.round() as u64),
        number if number >= 9.995 => format!("{number:.1}"),
        number if number.fract() == 0.0 => format!("{number:.0}"),
        _ => format!("{number:.2}"),
    }
}

/// The same, or that it is not known.
pub(super) fn known(number: Option<f64>) -> String {
    number.map_or("n/a".to_owned(), short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.5911, 3.0, 9.999, 48.25, 99.99, 1_720.4, 1_234_567.0].map(short);
        assert_eq!(all, ["0", "0.59", "3", "10.0", "48.2", "100", "1,720", "1,234,567"]);
        assert_eq!(known(None), "n/a");
    }
}
