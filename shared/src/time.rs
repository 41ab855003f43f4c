//! The one unit of time in this crate.

use std::ops::Add;
use std::time::Duration;

/// Microseconds since an epoch that the driver picks. Arithmetic saturates: a timer that lies past the end of time
/// simply never fires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Micros(pub u64);

impl Micros {
    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Micros {
    type Output = Self;

    fn add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Micros(5) + Duration::from_micros(7), Micros(12));
        assert_eq!(Micros(5) + Duration::MAX, Micros(u64::MAX));
        assert_eq!(Micros(12).since(Micros(5)), Duration::from_micros(7));
        assert_eq!(Micros(5).since(Micros(12)), Duration::ZERO);
    }
}
