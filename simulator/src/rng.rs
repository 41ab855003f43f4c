//! Randomness from a seed, in named streams: what one stream draws, no other stream can change.
//!
//! Each stream is xoshiro256** (Blackman and Vigna, 2018), its state filled by splitmix64 from the seed and an FNV-1a
//! hash of the stream's name. Both are fixed for good: another generator would change every history.

/// One stream of randomness. Not for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    state: [u64; 4],
}

impl Stream {
    /// The stream of this name, such as `faults/3`; the same seed and name give the same stream for ever.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut mixer = seed ^ fnv1a(name.as_bytes());
        // Mixing once more keeps seeds and names that differ in the same bits from meeting.
        mixer = splitmix64(&mut mixer) ^ seed.rotate_left(32);
        Self { state: std::array::from_fn(|_| splitmix64(&mut mixer)) }
    }

    /// A stream that has no name, for whoever has a seed of its own already.
    pub fn unnamed(seed: u64) -> Self {
        let mut mixer = seed;
        Self { state: std::array::from_fn(|_| splitmix64(&mut mixer)) }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let state = &mut self.state;
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

    /// A whole number from 0 to `bound - 1`, without bias; `bound` is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is a number below the bound");
        // The high half of the product, as by Lemire (2019); the few products that would favour some numbers are
        // drawn again.
        let reject_below = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            let (high, low) = ((product >> 64) as u64, product & u128::from(u64::MAX));
            if low >= u128::from(reject_below) {
                return high;
            }
        }
    }

    /// A whole number from `from` to `to`, both included; `from` is not above `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        match (to - from).checked_add(1) {
            Some(bound) => from + self.below(bound),
            None => self.next_u64(),
        }
    }

    /// From 0 up to, but without, 1: a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit into a double exactly")]
        let bits = (self.next_u64() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// True `parts` out of `whole` times; `whole` is not 0.
    pub fn chance(&mut self, parts: u64, whole: u64) -> bool {
        self.below(whole) < parts
    }

    /// One of the items; there is at least one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let index = self.below(items.len() as u64);
        &items[usize::try_from(index).expect("an index into a slice fits into usize")]
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_xoshiro256_starstar() {
        // The first outputs for the state 1, 2, 3, 4, as in the reference implementation.
        let mut stream = Stream { state: [1, 2, 3, 4] };
        let drawn: Vec<u64> = (0..5).map(|_| stream.next_u64()).collect();
        assert_eq!(drawn, [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360]);
    }

    #[test]
    fn the_mixer_is_splitmix64() {
        assert_eq!(splitmix64(&mut 0), 0xe220_a839_7b1d_cdaf);
        let mut state = 1_234_567;
        let drawn: Vec<u64> = (0..3).map(|_| splitmix64(&mut state)).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn streams_differ_by_seed_and_by_name_and_nothing_else() {
        let draw = |seed, name: &str| Stream::new(seed, name).next_u64();
        assert_eq!(draw(7, "faults/3"), draw(7, "faults/3"));
        let mut drawn: Vec<u64> = (0..100).flat_map(|n| [draw(n, "a"), draw(0, &format!("faults/{n}"))]).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 200);
    }

    #[test]
    fn draws_stay_in_their_bounds_and_reach_them() {
        let mut stream = Stream::new(1, "bounds");
        let drawn: Vec<u64> = (0..1_000).map(|_| stream.between(3, 7)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&7)));
        assert_eq!(stream.between(5, 5), 5);
        assert!(stream.between(0, u64::MAX) != stream.between(0, u64::MAX));
        assert!((0..1_000).map(|_| stream.unit()).all(|drawn| (0.0..1.0).contains(&drawn)));
        let hits = (0..10_000).filter(|_| stream.chance(1, 4)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        assert!([1, 2, 3].contains(stream.pick(&[1, 2, 3])));
    }

    #[test]
    fn bytes_of_any_length_are_filled() {
        let mut bytes = [0; 13];
        Stream::new(1, "bytes").fill(&mut bytes);
        let first = Stream::new(1, "bytes").next_u64().to_le_bytes();
        assert_eq!(bytes[..8], first);
        assert_ne!(bytes[8..], [0; 5]);
    }
}
