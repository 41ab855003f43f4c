//! How long ago what clients know was the whole truth.

use hdrhistogram::Histogram;

const SIGNIFICANT_DIGITS: u8 = 3;
/// Longer than any scenario, in microseconds; what is longer counts as this.
const LONGEST_US: u64 = 48 * 3600 * 1_000_000;

/// Samples of each group.
#[derive(Clone, Default)]
pub(super) struct Staleness(Vec<Histogram<u64>>);

impl Staleness {
    pub(super) fn new(groups: usize) -> Self {
        Self(vec![histogram(); groups])
    }

    pub(super) fn record(&mut self, group: usize, us: u64) {
        self.0[group].saturating_record(us.min(LONGEST_US));
    }

    /// Of one group, or of all.
    pub(super) fn of(&self, group: Option<usize>) -> Histogram<u64> {
        let mut sum = histogram();
        for (_, samples) in self.0.iter().enumerate().filter(|(index, _)| group.is_none_or(|group| group == *index)) {
            sum.add(samples).expect("all have the same bounds");
        }
        sum
    }
}

/// For times of any length.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, SIGNIFICANT_DIGITS).expect("the bounds are apart")
}
