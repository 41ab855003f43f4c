//! Whom an update is for.

use std::sync::Arc;

use crate::rng::Stream;

/// A whole, in ten thousandths.
const ALL_PER_10K: u64 = 10_000;
/// Spreads an update's number over all bits: 2^64 by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Says for each update which clients it is for. Clones say the same, so that apps and whoever keeps the account agree.
#[derive(Debug, Clone, Default)]
pub struct Audience(Option<Arc<Drawn>>);

#[derive(Debug)]
struct Drawn {
    per_10k: u16,
    keys: Vec<u64>,
}

impl Audience {
    /// Every update is for every client.
    pub fn everybody() -> Self {
        Self(None)
    }

    /// Each update is for so many of 10,000 clients: every client draws for every update by itself. `keys` has one
    /// random number for each client, by its number; who has none gets everything.
    pub fn drawn(per_10k: u16, keys: Vec<u64>) -> Self {
        Self(Some(Arc::new(Drawn { per_10k, keys })))
    }

    pub fn is_for(&self, client: u32, seq: u64) -> bool {
        let Some(drawn) = &self.0 else { return true };
        let key = usize::try_from(client).ok().and_then(|client| drawn.keys.get(client));
        key.is_none_or(|key| {
            let mut stream = Stream::unnamed(key ^ seq.wrapping_mul(SPREAD));
            stream.chance(drawn.per_10k.into(), ALL_PER_10K)
        })
    }

    /// How many updates after `since`, up to `last`, are for the client.
    pub fn count(&self, client: u32, since: u64, last: u64) -> u64 {
        if self.0.is_none() {
            return last.saturating_sub(since);
        }
        (since.saturating_add(1)..=last).filter(|seq| self.is_for(client, *seq)).count() as u64
    }

    /// The first update after `since`, up to `last`, that is for the client.
    pub fn first_after(&self, client: u32, since: u64, last: u64) -> Option<u64> {
        (since.saturating_add(1)..=last).find(|seq| self.is_for(client, *seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_clients_is_drawn_for_each_update_and_by_each_client_alone() {
        let keys: Vec<u64> = (0..200).map(|n| Stream::new(1, &format!("client {n}")).next_u64()).collect();
        let audience = Audience::drawn(2_500, keys.clone());
        let listening = |seq| (0..200).filter(|client| audience.is_for(*client, seq)).collect::<Vec<u32>>();
        let sizes: Vec<usize> = (1..=400).map(|seq| listening(seq).len()).collect();
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((48..=52).contains(&mean), "{mean} of 200");
        assert!(sizes.iter().min() < Some(&40) && sizes.iter().max() > Some(&60), "{sizes:?}");
        assert_ne!(listening(1), listening(2));
        let fewer = Audience::drawn(2_500, keys[..10].to_vec());
        assert!((0..10).all(|client| (1..100).all(|seq| fewer.is_for(client, seq) == audience.is_for(client, seq))));
        let of_one: Vec<u64> = (1..=400).filter(|seq| audience.is_for(7, *seq)).collect();
        assert_eq!(audience.count(7, 0, 400), of_one.len() as u64);
        assert_eq!(audience.count(7, of_one[0], of_one[1]), 1);
        assert_eq!(audience.first_after(7, of_one[3], 400), Some(of_one[4]));
        assert_eq!(audience.first_after(7, *of_one.last().unwrap(), 400), None);
    }

    #[test]
    fn everybody_is_everybody() {
        let everybody = Audience::everybody();
        assert!(everybody.is_for(u32::MAX, u64::MAX));
        assert_eq!((everybody.count(1, 3, 10), everybody.count(1, 10, 3), everybody.count(1, u64::MAX, 3)), (7, 0, 0));
        assert_eq!(everybody.first_after(1, u64::MAX, 10), None);
    }
}
