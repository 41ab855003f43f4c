//! One stream of random numbers for each actor, so that adding or removing one reshuffles no other.

use std::time::Duration;

use crate::rng::Stream;

/// What actors draw from a [`Stream`] of their own: spans of time, on top of what every stream gives.
///
/// Floating point here is addition, multiplication and division alone: the standard library's logarithm comes from
/// the platform, and its last bit differs between platforms.
#[derive(Debug, Clone)]
pub struct Rng(Stream);

impl Rng {
    /// A stream of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Self(Stream::unnamed(seed))
    }

    /// Another stream, which does not depend on how much is drawn from this one afterwards.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..=most`, by the high half of a product; its bias is below 2^-32 for any `most` of 32 bits.
    pub fn up_to(&mut self, most: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * (u128::from(most) + 1);
        u64::try_from(wide >> 64).expect("a product of two numbers, each at most 2^64, has a high half of 64 bits")
    }

    /// Uniform in `[0, 1)`, in steps of 2^-53.
    pub fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// Uniform from `min` to `max`, both included, in steps of a microsecond; `min` where `max` is less.
    pub fn between(&mut self, min: Duration, max: Duration) -> Duration {
        let width = max.saturating_sub(min).as_micros();
        min + Duration::from_micros(self.up_to(u64::try_from(width).unwrap_or(u64::MAX - 1)))
    }

    /// The waiting time of a Poisson process whose events come once in `mean` on average.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-ln(1.0 - self.unit()))
    }

    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill(out);
    }
}

/// The natural logarithm of a number in `(0, 1]`: halvings are counted, and the rest is the series of
/// 2·artanh((m−1)/(m+1)), whose argument is at most a third: 16 terms reach the last bits of an f64.
fn ln(x: f64) -> f64 {
    const TERMS: u32 = 16;
    let (mut mantissa, mut halvings) = (x, 0_u32);
    while mantissa < 0.5 {
        mantissa *= 2.0;
        halvings += 1;
    }
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let (mut power, mut sum) = (ratio, 0.0);
    for term in 0..TERMS {
        sum += power / f64::from(2 * term + 1);
        power *= square;
    }
    2.0 * sum - f64::from(halvings) * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_stream_and_others_differ() {
        let draw =
            |seed| (0..4).map(|_| 0).scan(Rng::new(seed), |rng, _: i32| Some(rng.next_u64())).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn stays_in_its_bounds() {
        let mut rng = Rng::new(1);
        let mut seen = [false; 4];
        for _ in 0..200 {
            seen[usize::try_from(rng.up_to(3)).unwrap()] = true;
            assert!((0.0..1.0).contains(&rng.unit()));
            let drawn = rng.between(Duration::from_millis(5), Duration::from_millis(6));
            assert!((5000..=6000).contains(&drawn.as_micros()));
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(rng.between(Duration::from_secs(2), Duration::from_secs(1)), Duration::from_secs(2));
    }

    #[test]
    fn exponential_has_its_mean() {
        let mut rng = Rng::new(2);
        let sum: Duration = (0..20_000).map(|_| rng.exponential(Duration::from_secs(1))).sum();
        assert!((19_500..20_500).contains(&sum.as_secs()), "{sum:?}");
    }

    #[test]
    fn logarithm_agrees_with_the_platform() {
        for x in [1.0, 0.999, 0.75, 0.5, 0.3, 1e-3, 1e-12, 2.0_f64.powi(-53)] {
            assert!((ln(x) - x.ln()).abs() <= 1e-14 * (1.0 + x.ln().abs()), "{x}");
        }
    }
}
