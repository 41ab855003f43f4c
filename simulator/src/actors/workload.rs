//! When updates come to exist, and how large they are.

use std::time::Duration;

use tokio::select;
use tokio::time::{Instant, sleep_until};

use super::{Feed, Rng, Stop};

/// The shortest pause between two updates; a pattern of zero would never let time pass.
const MIN_PAUSE: Duration = Duration::from_micros(1);

/// A source of updates for one feed.
#[derive(Debug, Clone)]
pub struct Workload {
    pub pattern: Pattern,
    pub sizes: Sizes,
    /// How long after its start the pattern begins.
    pub start_after: Duration,
    /// The last update, if there is one.
    pub max_updates: Option<u64>,
}

/// When updates come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Independently of each other, one in `mean` on average.
    Poisson { mean: Duration },
    /// One every `every`, the first after the first `every`.
    Periodic { every: Duration },
    /// `count` of them every `every`, `spacing` apart; the first after the first `every`.
    Burst { every: Duration, count: u32, spacing: Duration },
}

/// How long an update's text is, in bytes; see [`Feed::publish`] for the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    Fixed(usize),
    /// Uniform, both ends included.
    Range {
        min: usize,
        max: usize,
    },
}

impl Workload {
    /// Publishes updates until it is told to stop or the last one is out.
    ///
    /// Moments are kept as absolute times: that timers are rounded up to a millisecond delays single updates but
    /// changes no rate.
    pub async fn run(self, mut rng: Rng, feed: Feed, stop: Stop) {
        let began = Instant::now() + self.start_after;
        let mut last = began;
        let mut published = 0;
        while self.max_updates.is_none_or(|most| published < most) {
            let next = self.pattern.moment(published, began, last, &mut rng).max(last + MIN_PAUSE);
            select! {
                biased;
                () = stop.stopped() => return,
                () = sleep_until(next) => {}
            }
            feed.publish(self.sizes.draw(&mut rng));
            last = next;
            published += 1;
        }
    }
}

impl Pattern {
    /// When update `n`, counted from 0, comes.
    fn moment(self, n: u64, began: Instant, last: Instant, rng: &mut Rng) -> Instant {
        let (every, count, spacing) = match self {
            Self::Poisson { mean } => return last + rng.exponential(mean),
            Self::Periodic { every } => (every, 1, Duration::ZERO),
            Self::Burst { every, count, spacing } => (every, count.max(1), spacing),
        };
        let burst = u32::try_from(n / u64::from(count)).unwrap_or(u32::MAX).saturating_add(1);
        let place = u32::try_from(n % u64::from(count)).expect("less than a count of 32 bits");
        began + every * burst + spacing * place
    }
}

impl Sizes {
    fn draw(self, rng: &mut Rng) -> usize {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Range { min, max } => {
                let width = u64::try_from(max.saturating_sub(min)).unwrap_or(0);
                min + usize::try_from(rng.up_to(width)).unwrap_or(0)
            }
        }
    }
}
