//! The one source of updates that both ways read: a price that moves at irregular intervals.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::sleep;

/// Updates that are kept for who asks late: some four minutes of them.
pub(super) const MAX_HISTORY: usize = 256;
/// Updates come this far apart, evenly distributed: a little less than one per second.
const MIN_GAP_MS: u64 = 200;
const MAX_GAP_MS: u64 = 2_000;
/// Any constant does: each start of the demo then tells the same story.
const SEED: u64 = 0x6f75_7472_6967_6765;
/// The price in cents, and how far one update moves it at most.
const FIRST_PRICE_CENTS: u64 = 10_000;
const LOWEST_PRICE_CENTS: u64 = 5_000;
const HIGHEST_PRICE_CENTS: u64 = 15_000;
const MAX_MOVE_CENTS: u64 = 50;

/// One update, already in the words that both ways send.
#[derive(Debug, Clone)]
pub(super) struct Update {
    /// Counts from 1.
    pub(super) sequence: u64,
    /// `{"sequence":1,"created_us":…,"price":"100.00"}`; the creation time is in microseconds since the Unix epoch.
    pub(super) json: Arc<str>,
}

pub(super) struct Feed {
    state: Mutex<State>,
    latest: watch::Sender<u64>,
}

struct State {
    /// The latest updates, oldest first, without gaps.
    history: VecDeque<Update>,
    random: SplitMix64,
    price_cents: u64,
}

impl Feed {
    pub(super) fn new() -> Self {
        let state = State { history: VecDeque::new(), random: SplitMix64(SEED), price_cents: FIRST_PRICE_CENTS };
        Self { state: Mutex::new(state), latest: watch::Sender::new(0) }
    }

    /// Publishes updates for ever, the first at once.
    pub(super) async fn generate(&self, wall_clock: fn() -> SystemTime) {
        loop {
            let gap = self.publish(wall_clock());
            sleep(gap).await;
        }
    }

    /// Makes one update and tells who waits; returns how long to wait until the next.
    pub(super) fn publish(&self, now: SystemTime) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = *self.latest.borrow() + 1;
        let step = state.random.below(2 * MAX_MOVE_CENTS + 1);
        state.price_cents =
            (state.price_cents + step).saturating_sub(MAX_MOVE_CENTS).clamp(LOWEST_PRICE_CENTS, HIGHEST_PRICE_CENTS);
        let json = format!(
            r#"{{"sequence":{sequence},"created_us":{},"price":"{}.{:02}"}}"#,
            unix_micros(now),
            state.price_cents / 100,
            state.price_cents % 100,
        );
        if state.history.len() == MAX_HISTORY {
            state.history.pop_front();
        }
        state.history.push_back(Update { sequence, json: json.into() });
        let gap = MIN_GAP_MS + state.random.below(MAX_GAP_MS - MIN_GAP_MS + 1);
        self.latest.send_replace(sequence);
        Duration::from_millis(gap)
    }

    /// The updates after `sequence`, oldest first; at most [`MAX_HISTORY`], so that who asks too late misses some.
    pub(super) fn since(&self, sequence: u64) -> Vec<Update> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.history.iter().filter(|update| update.sequence > sequence).cloned().collect()
    }

    /// The sequence number of the latest update, 0 before the first; changes with each.
    pub(super) fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}

/// Microseconds since the Unix epoch; 0 for a clock that is set before it.
pub(super) fn unix_micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Steele, Lea and Flood's `SplitMix64`: enough to look irregular.
struct SplitMix64(u64);

impl SplitMix64 {
    /// A number below `bound`, evenly enough for bounds far below 2^64.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_irregular_between_200_ms_and_2_s_about_one_a_second() {
        let feed = Feed::new();
        let gaps: Vec<u128> = (0..2_000).map(|_| feed.publish(UNIX_EPOCH).as_millis()).collect();
        assert!(gaps.iter().all(|gap| (200..=2_000).contains(gap)));
        let mean = gaps.iter().sum::<u128>() / 2_000;
        assert!((1_050..=1_150).contains(&mean), "mean {mean} ms");
        assert!(gaps.iter().any(|gap| *gap < 300) && gaps.iter().any(|gap| *gap > 1_900));
    }

    #[test]
    fn two_feeds_tell_the_same_story() {
        let (one, other) = (Feed::new(), Feed::new());
        let publish_both = || (one.publish(UNIX_EPOCH), other.publish(UNIX_EPOCH));
        assert!((0..100).map(|_| publish_both()).all(|(one, other)| one == other));
        let words = |feed: &Feed| feed.since(0).into_iter().map(|update| update.json).collect::<Vec<_>>();
        assert_eq!(words(&one), words(&other));
    }

    #[test]
    fn history_keeps_the_latest_and_no_more() {
        let feed = Feed::new();
        assert!(feed.since(0).is_empty());
        let published = MAX_HISTORY as u64 + 10;
        for _ in 0..published {
            feed.publish(UNIX_EPOCH + Duration::from_micros(5));
        }
        let all = feed.since(0);
        assert_eq!(all.len(), MAX_HISTORY);
        assert_eq!(all.first().map(|update| update.sequence), Some(11));
        assert_eq!(all.last().map(|update| update.sequence), Some(published));
        assert!(all[0].json.starts_with(r#"{"sequence":11,"created_us":5,"price":""#), "{}", all[0].json);
        assert_eq!(feed.since(published - 2).len(), 2);
        assert!(feed.since(u64::MAX).is_empty());
        assert_eq!(*feed.latest().borrow(), published);
    }

    #[test]
    fn the_price_stays_in_its_band() {
        let feed = Feed::new();
        for _ in 0..20_000 {
            feed.publish(UNIX_EPOCH);
            let cents = feed.state.lock().expect("not poisoned").price_cents;
            assert!((LOWEST_PRICE_CENTS..=HIGHEST_PRICE_CENTS).contains(&cents));
        }
    }
}
