//! How long a client waits before it dials again.

use std::time::Duration;

use outrigger::net::Net;
use tokio::select;
use tokio::time::sleep;

use crate::actors::event::ClientEvent;
use crate::actors::{Actor, Rng, Stop};

/// Exponential back-off, as the reconnecting libraries of browsers do it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub base: Duration,
    /// What each further failure multiplies it by; 1 keeps it, less than 1 counts as 1.
    pub factor: f64,
    /// The longest wait.
    pub max: Duration,
    pub jitter: Jitter,
    /// A session that lived this long was no failure: the next wait is `base` again.
    pub stable_after: Duration,
}

/// Whether waits are drawn at random, so that clients which were cut together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    None,
    /// Uniform between nothing and the wait.
    Full,
    /// Uniform between half the wait and the wait.
    Equal,
    /// Uniform between half the wait and one and a half of it, and only then no more than the longest wait.
    Half,
}

impl Default for Backoff {
    /// 1 s, doubling up to 30 s, full jitter, stable after 5 s.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(30),
            jitter: Jitter::Full,
            stable_after: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    /// The same wait every time, as `EventSource` does it.
    pub fn constant(wait: Duration) -> Self {
        Self { base: wait, factor: 1.0, max: wait, jitter: Jitter::None, stable_after: Duration::ZERO }
    }

    /// The longest wait before jitter. `Half` takes at most half of it away: from twice `max` on, `max` is left.
    fn longest(&self) -> Duration {
        if self.jitter == Jitter::Half { self.max.saturating_mul(2) } else { self.max }
    }
}

/// One client's place in its back-off.
#[derive(Debug)]
pub(super) struct Retries {
    backoff: Backoff,
    /// Of the next wait, before jitter.
    next: Duration,
}

impl Retries {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, next: backoff.base.min(backoff.longest()) }
    }

    /// Waits after an attempt whose session lived for `lived`, zero if none came about. Returns early when told to
    /// stop.
    pub(super) async fn pause<N: Net>(&mut self, actor: &mut Actor<N>, lived: Duration, stop: &Stop) {
        let wait = self.wait(lived, &mut actor.rng);
        actor.client_event(&ClientEvent::ReconnectIn(wait));
        select! {
            biased;
            () = stop.stopped() => {}
            () = sleep(wait) => {}
        }
    }

    /// The wait after an attempt whose session lived for `lived`, zero if none came about.
    fn wait(&mut self, lived: Duration, rng: &mut Rng) -> Duration {
        let Backoff { base, factor, max, jitter, stable_after } = self.backoff;
        let longest = self.backoff.longest();
        if !lived.is_zero() && lived >= stable_after {
            self.next = base.min(longest);
        }
        let wait = self.next;
        // Compared as numbers of seconds: the product of a large wait and a large factor is no Duration.
        let grown = wait.as_secs_f64() * factor.max(1.0);
        self.next = if grown < longest.as_secs_f64() { Duration::from_secs_f64(grown) } else { longest };
        match jitter {
            Jitter::None => wait,
            Jitter::Full => rng.between(Duration::ZERO, wait),
            Jitter::Equal => rng.between(wait / 2, wait),
            Jitter::Half => rng.between(wait / 2, wait.saturating_add(wait / 2)).min(max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn waits(backoff: Backoff, lives: &[u64]) -> Vec<Duration> {
        let (mut retries, mut rng) = (Retries::new(backoff), Rng::new(1));
        lives.iter().map(|&lived| retries.wait(secs(lived), &mut rng)).collect()
    }

    #[test]
    fn doubles_to_its_greatest_and_starts_over_after_a_stable_session() {
        let backoff = Backoff { jitter: Jitter::None, ..Backoff::default() };
        let expected = [1, 2, 4, 8, 16, 30, 30, 30, 1, 2].map(secs);
        assert_eq!(waits(backoff, &[0, 0, 0, 0, 0, 0, 0, 4, 5, 0]), expected);
    }

    #[test]
    fn constant_stays() {
        assert_eq!(waits(Backoff::constant(secs(3)), &[0, 0, 100, 0]), [secs(3); 4]);
    }

    #[test]
    fn jitter_keeps_to_its_bounds_and_uses_them() {
        for (jitter, least, most) in [
            (Jitter::Full, Duration::ZERO, secs(2)),
            (Jitter::Equal, secs(1), secs(2)),
            (Jitter::Half, secs(1), secs(3)),
        ] {
            let backoff = Backoff { base: secs(2), factor: 1.0, max: secs(9), jitter, stable_after: secs(1) };
            let drawn = waits(backoff, &[0; 200]);
            let (min, max) = (*drawn.iter().min().unwrap(), *drawn.iter().max().unwrap());
            assert!(min >= least && min < least + Duration::from_millis(50), "{jitter:?}: {min:?}");
            assert!(max <= most && max + Duration::from_millis(50) > most, "{jitter:?}: {max:?}");
        }
    }

    /// As socket.io does it: the longest wait is a bound for what was drawn, too.
    #[test]
    fn half_as_much_more_is_no_more_than_the_greatest_wait() {
        let backoff = Backoff { max: secs(5), jitter: Jitter::Half, ..Backoff::default() };
        let drawn: Vec<Duration> = (0..50).flat_map(|_| waits(backoff, &[0; 6])).collect();
        let capped = drawn.iter().filter(|wait| **wait == secs(5)).count();
        assert!(drawn.iter().max() == Some(&secs(5)) && capped > 50, "{capped} of {}", drawn.len());
    }

    #[test]
    fn absurd_numbers_end_at_the_greatest_wait() {
        let backoff = Backoff { factor: f64::MAX, jitter: Jitter::None, ..Backoff::default() };
        assert_eq!(waits(backoff, &[0, 0]), [secs(1), secs(30)]);
        let backoff = Backoff { factor: f64::NAN, max: Duration::MAX, jitter: Jitter::None, ..Backoff::default() };
        assert_eq!(waits(backoff, &[0, 0]), [secs(1), secs(1)]);
    }
}
