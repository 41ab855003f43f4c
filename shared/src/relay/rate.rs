//! Token buckets in whole microseconds, without rounding.

use crate::time::Micros;

/// One token, in the unit of [`Bucket::level`].
const TOKEN: i64 = 1_000_000;

/// A token bucket that may go into debt: what is over the rate is waited for afterwards.
///
/// The level counts millionths of a token, so `per_second` tokens a second are `per_second` units a microsecond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    level: i64,
    filled_at: Micros,
}

/// How fast a bucket fills, and how much it holds; both at least 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    per_second: i64,
    full: i64,
}

impl Flow {
    pub(super) fn new(per_second: u64, burst: u64) -> Self {
        let clamp = |n: u64| i64::try_from(n.max(1)).unwrap_or(i64::MAX);
        Self { per_second: clamp(per_second), full: clamp(burst).saturating_mul(TOKEN) }
    }
}

impl Bucket {
    pub(super) fn full(flow: Flow, now: Micros) -> Self {
        Self { level: flow.full, filled_at: now }
    }

    pub(super) fn refill(&mut self, flow: Flow, now: Micros) {
        let elapsed = i64::try_from(now.0.saturating_sub(self.filled_at.0)).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(elapsed.saturating_mul(flow.per_second)).min(flow.full);
        self.filled_at = self.filled_at.max(now);
    }

    pub(super) fn take(&mut self, tokens: u64) {
        let units = i64::try_from(tokens).unwrap_or(i64::MAX).saturating_mul(TOKEN);
        self.level = self.level.saturating_sub(units);
    }

    /// Whole tokens left.
    pub(super) fn tokens(&self) -> u64 {
        u64::try_from(self.level / TOKEN).unwrap_or(0)
    }

    pub(super) fn overdrawn(&self) -> bool {
        self.level < 0
    }

    /// When there is a token, provided that none is taken meanwhile. In the past, if there is one.
    pub(super) fn ready_at(&self, flow: Flow) -> Micros {
        let missing = TOKEN.saturating_sub(self.level).max(0);
        let micros = (missing / flow.per_second).saturating_add(i64::from(missing % flow.per_second != 0));
        Micros(self.filled_at.0.saturating_add(micros.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_exactly_and_never_over_its_burst() {
        let flow = Flow::new(3, 2);
        let mut bucket = Bucket::full(flow, Micros(0));
        bucket.take(2);
        assert_eq!(bucket.tokens(), 0);
        assert!(!bucket.overdrawn());
        // A third of a second per token, rounded up to the microsecond.
        assert_eq!(bucket.ready_at(flow), Micros(333_334));
        bucket.refill(flow, Micros(333_333));
        assert_eq!(bucket.tokens(), 0);
        bucket.refill(flow, Micros(333_334));
        assert_eq!(bucket.tokens(), 1);
        bucket.refill(flow, Micros(u64::MAX));
        assert_eq!(bucket.tokens(), 2);
    }

    #[test]
    fn a_debt_is_waited_for() {
        let flow = Flow::new(10, 1);
        let mut bucket = Bucket::full(flow, Micros(0));
        bucket.take(6);
        assert!(bucket.overdrawn());
        assert_eq!(bucket.ready_at(flow), Micros(600_000));
    }

    #[test]
    fn extremes_saturate() {
        let flow = Flow::new(u64::MAX, u64::MAX);
        let mut bucket = Bucket::full(flow, Micros(0));
        bucket.take(u64::MAX);
        bucket.refill(flow, Micros(u64::MAX));
        assert!(bucket.tokens() > 0);
        bucket.take(u64::MAX);
        bucket.take(u64::MAX);
        assert_eq!(bucket.tokens(), 0);
        let slow = Flow::new(0, 0);
        bucket.take(u64::MAX);
        assert!(bucket.ready_at(slow) > Micros(1 << 60));
    }
}
