//! Numbers that are drawn from a seed.

/// `SplitMix64` (Steele, Lea, Flood 2014): eight bytes of state, and every seed is a good one. Masking keys and ping
/// payloads need to be hard to guess from outside, which is the seed's matter, not this function's.
#[derive(Clone, Copy, Debug)]
pub struct Entropy(pub u64);

impl Entropy {
    /// From one state to the next.
    pub const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// Sixty-four bits.
    #[expect(clippy::should_implement_trait, reason = "an iterator may end, this does not")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The payload of a ping.
    pub fn payload(&mut self) -> [u8; 8] {
        self.next().to_be_bytes()
    }

    /// A masking key (RFC 6455 §5.3).
    pub fn key(&mut self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.next().to_be_bytes();
        [a, b, c, d]
    }

    /// Uniform enough in `0..=max` for spreading timers.
    pub fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(choices) => self.next() % choices,
            None => self.next(),
        }
    }
}
