//! One stream of random numbers for each actor, so that adding or removing one reshuffles no other.

use std::time::Duration;

/// xoshiro256** (Blackman, Vigna), its state filled from a seed by splitmix64, as its authors advise.
///
/// Floating point here is addition, multiplication and division alone: the standard library's logarithm comes from
/// the platform, and its last bit differs between platforms.
#[derive(Debug, Clone)]
pub struct Rng([u64; 4]);

impl Rng {
    /// A stream of its own for every seed.
    pub fn new(seed: u64) -> Self {
        let mut at = seed;
        Self(std::array::from_fn(|_| splitmix(&mut at)))
    }

    /// Another stream, which does not depend on how much is drawn from this one afterwards.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }

    pub fn next_u64(&mut self) -> u64 {
        let state = &mut self.0;
        let result = state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// Uniform in `0..=most`, by the high half of a product; its bias is below 2^-32 for any `most` of 32 bits.
    pub fn up_to(&mut self, most: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * (u128::from(most) + 1);
        u64::try_from(wide >> 64).expect("a product of two numbers, each at most 2^64, has a high half of 64 bits")
    }

    /// Uniform in `[0, 1)`, in steps of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds exactly")]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
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
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

fn splitmix(at: &mut u64) -> u64 {
    *at = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *at;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
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
    fn is_the_published_generator() {
        // From the authors' C code with the state 1, 2, 3, 4.
        let mut rng = Rng([1, 2, 3, 4]);
        assert_eq!([rng.next_u64(), rng.next_u64(), rng.next_u64()], [11520, 0, 1_509_978_240]);
        assert_eq!(splitmix(&mut 0), 0xe220_a839_7b1d_cdaf);
    }

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
