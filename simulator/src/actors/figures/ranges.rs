//! A set of numbers that mostly come in order.

use std::collections::BTreeMap;

/// Disjoint ranges that do not touch: first number to last number.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Whether the number was not there yet.
    pub(super) fn insert(&mut self, n: u64) -> bool {
        if self.contains(n) {
            return false;
        }
        let (mut first, mut last) = (n, n);
        if let Some((&start, &end)) = self.0.range(..n).next_back()
            && end + 1 == n
        {
            first = start;
        }
        if let Some(end) = n.checked_add(1).and_then(|next| self.0.remove(&next)) {
            last = end;
        }
        self.0.insert(first, last);
        true
    }

    pub(super) fn contains(&self, n: u64) -> bool {
        self.0.range(..=n).next_back().is_some_and(|(_, &end)| n <= end)
    }

    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start + 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_what_touches_and_knows_what_was_there() {
        let mut ranges = Ranges::default();
        assert!([5, 1, 3, u64::MAX, 2].iter().all(|&n| ranges.insert(n)));
        assert!(!ranges.insert(3));
        assert_eq!(ranges.0, BTreeMap::from([(1, 3), (5, 5), (u64::MAX, u64::MAX)]));
        assert!(ranges.insert(4));
        assert_eq!(ranges.0, BTreeMap::from([(1, 5), (u64::MAX, u64::MAX)]));
        assert_eq!(ranges.len(), 6);
        assert!(ranges.contains(5) && !ranges.contains(6) && !ranges.contains(0));
    }
}
