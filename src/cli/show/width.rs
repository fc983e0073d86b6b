//! Which columns a terminal has room for, and how wide each is: pure.

/// Spaces between two columns.
pub(super) const GAP: usize = 2;

/// What a column needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// To show everything.
    pub(super) whole: usize,
    /// To be worth showing; the same as `whole` for what may not be cut.
    pub(super) least: usize,
    /// Left out where there is no room, the lowest first; `None` never is.
    pub(super) rank: Option<u8>,
}

/// The width of each column; `None` for those left out.
pub(super) fn fit(needs: &[Need], total: Option<usize>) -> Vec<Option<usize>> {
    let mut shown: Vec<bool> = vec![true; needs.len()];
    let Some(total) = total else { return needs.iter().map(|need| Some(need.whole)).collect() };
    while least(needs, &shown) > total {
        let candidates = (0..needs.len()).filter(|index| shown[*index] && needs[*index].rank.is_some());
        let Some(first) = candidates.min_by_key(|index| needs[*index].rank) else { break };
        shown[first] = false;
    }
    let mut spare = total.saturating_sub(least(needs, &shown));
    let mut widths: Vec<_> = needs.iter().zip(&shown).map(|(need, shown)| shown.then_some(need.least)).collect();
    // What is over goes to those who can use it, a column at a time, so that all are cut alike.
    while spare > 0 {
        let before = spare;
        for (width, need) in widths.iter_mut().zip(needs) {
            if let Some(width) = width.as_mut().filter(|width| **width < need.whole && spare > 0) {
                *width += 1;
                spare -= 1;
            }
        }
        if spare == before {
            break;
        }
    }
    widths
}

fn least(needs: &[Need], shown: &[bool]) -> usize {
    let widths: Vec<_> = needs.iter().zip(shown).filter(|(_, shown)| **shown).map(|(need, _)| need.least).collect();
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Need = Need { whole: 30, least: 30, rank: None };
    const URL: Need = Need { whole: 60, least: 12, rank: None };
    const TIME: Need = Need { whole: 20, least: 20, rank: Some(1) };
    const NOTE: Need = Need { whole: 9, least: 9, rank: Some(0) };

    #[test]
    fn columns_are_cut_then_left_out_and_ids_never() {
        let all = [ID, URL, TIME, NOTE];
        for (total, expected) in [
            (None, [Some(30), Some(60), Some(20), Some(9)]),
            (Some(200), [Some(30), Some(60), Some(20), Some(9)]),
            (Some(100), [Some(30), Some(35), Some(20), Some(9)]),
            (Some(70), [Some(30), Some(16), Some(20), None]),
            (Some(65), [Some(30), Some(33), None, None]),
            (Some(10), [Some(30), Some(12), None, None]),
        ] {
            assert_eq!(fit(&all, total), expected, "{total:?}");
        }
    }

    #[test]
    fn two_that_are_cut_share_what_is_there() {
        assert_eq!(fit(&[URL, URL], Some(62)), [Some(30), Some(30)]);
    }
}
