//! A set of small numbers, a bit each: what was accepted, what arrived.

/// The set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number; `false` if it was there.
    pub(in crate::cli) fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = place(number);
        if word >= self.0.len() {
            self.0.resize((word + 1).next_power_of_two(), 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// Whether a number is there.
    pub(in crate::cli) fn contains(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.0.get(word).is_some_and(|own| own & bit != 0)
    }

    /// The numbers, in their order.
    pub(in crate::cli) fn iter(&self) -> impl Iterator<Item = u64> {
        (0..self.0.len() as u64 * 64).filter(|number| self.contains(*number))
    }
}

fn place(number: u64) -> (usize, u64) {
    (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn a_number_is_new_once() {
        let mut bits = Bits::default();
        assert_eq!([3, 64, 3, 1_000].map(|number| bits.insert(number)), [true, true, false, true]);
        assert!(bits.contains(64) && !bits.contains(65) && !bits.contains(1 << 40));
        assert_eq!(bits.iter().collect::<Vec<_>>(), [3, 64, 1_000]);
    }
}
