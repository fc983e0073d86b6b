//! Pages: how much of a list is shown at once.

/// Bytes of a page. One item may have more; of several, a page ends before the one that would be too much.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A page that is being filled.
#[derive(Debug, Default)]
pub struct Filling {
    bytes: usize,
    has_items: bool,
}

impl Filling {
    /// Counts a further item of so many bytes; whether the page has room for it, which it always has for the first.
    pub fn takes(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        !std::mem::replace(&mut self.has_items, true) || self.bytes <= MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_what_is_too_much_and_has_one_item_at_least() {
        let taken = |items: &[usize]| {
            let mut page = Filling::default();
            items.iter().take_while(|bytes| page.takes(**bytes)).count()
        };
        assert_eq!(taken(&[MAX_BYTES - 1, 1, 0, 1]), 3);
        assert_eq!(taken(&[usize::MAX, usize::MAX]), 1);
    }
}
