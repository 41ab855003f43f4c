//! The line before an upstream: dials at an even rate, however many come at once.

use std::time::Duration;

use crate::time::Micros;

/// How fast dials may follow each other, and how many may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// At least 1.
    pub per_second: u32,
    pub queue: u32,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    /// No dial before this.
    next: Micros,
}

impl Line {
    /// How long a dial has to wait; or, with the line full or longer than `patience`, how long it is.
    pub(super) fn enter(&mut self, pace: Pace, patience: Duration, now: Micros) -> Result<Duration, Duration> {
        let spacing = Duration::from_secs(1) / pace.per_second;
        let next = self.next.max(now);
        let wait = next.since(now);
        if wait > spacing * pace.queue || wait > patience {
            return Err(wait);
        }
        self.next = next + spacing;
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_herd_is_spread_and_what_is_over_the_queue_is_refused() {
        let (mut line, pace) = (Line::default(), Pace { per_second: 10, queue: 30 });
        let outcomes: Vec<_> = (0..100).map(|_| line.enter(pace, Duration::MAX, Micros(0))).collect();
        let waits: Vec<Duration> = outcomes.iter().flatten().copied().collect();
        assert_eq!(waits.len(), 31, "one at once, and those who wait");
        assert!(waits.iter().zip(0..).all(|(wait, n)| *wait == Duration::from_millis(100) * n));
        assert_eq!(outcomes[99], Err(Duration::from_millis(3100)));
        assert!(line.enter(pace, Duration::from_secs(1), Micros(1_000_000)).is_err(), "nobody waits in vain");
        // Later there is room again, and in a quiet time nobody waits.
        assert_eq!(line.enter(pace, Duration::MAX, Micros(200_000)), Ok(Duration::from_millis(2900)));
        assert_eq!(line.enter(pace, Duration::MAX, Micros(60_000_000)), Ok(Duration::ZERO));
    }

    #[test]
    fn no_second_has_more_than_the_rate() {
        let (mut line, pace) = (Line::default(), Pace { per_second: 7, queue: 1000 });
        let mut dials: Vec<u64> = Vec::new();
        for n in 0..500u64 {
            let now = Micros(n * n * 40);
            dials.extend(line.enter(pace, Duration::MAX, now).map(|wait| (now + wait).0));
        }
        for start in &dials {
            let within = dials.iter().filter(|at| (*start..start + 999_999).contains(at)).count();
            assert!(within <= 7, "{within} from {start}");
        }
    }
}
