//! The drain: every session gets its Close, spread over a window, each at a quiet moment if one comes.
//!
//! Sessions are taken in random order, each in its own equal share of the window, moved within it by chance. So those
//! that come back come at an even rate, which is what the replicas that take them over can stand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrigger_shared::close::{Cause, CloseCode};
use outrigger_shared::entropy::Entropy;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::net::Net;
use crate::registry::{Closing, Ended, Registry};

/// How often the log tells how far the drain is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How the sessions are to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Their Closes are spread over this; `None` leaves them alone.
    pub window: Option<Duration>,
    /// How much of its share of the window each is moved by chance; 0 to 100.
    pub jitter_percent: u8,
    /// How long each may wait for a quiet moment.
    pub quiet: Duration,
    pub code: CloseCode,
}

/// A drain that has begun.
#[derive(Debug)]
pub(crate) struct Drain {
    plan: Plan,
    began: Instant,
    sessions: usize,
    /// How those had ended that were over before.
    ended_before: Ended,
    registry: Arc<Registry>,
    /// When the window ends; `None` where sessions are left alone.
    until: Mutex<Option<Instant>>,
    /// Rung when the window was shortened.
    shortened: Notify,
}

/// How far a drain is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub elapsed: Duration,
    /// Over how long the Closes are spread, as it is now; `None` leaves sessions alone.
    pub window: Option<Duration>,
    /// What is left of that, zero once every session has been asked to close.
    pub window_left: Option<Duration>,
    /// Sessions when it began.
    pub sessions: usize,
    /// Sessions now.
    pub left: usize,
    /// Sessions that have ended since it began, by cause.
    pub ended: Ended,
}

impl Drain {
    /// Begins to close what `registry` holds, as a task of its own.
    pub(crate) fn begin<N: Net>(net: &N, registry: &Arc<Registry>, plan: Plan) -> Arc<Self> {
        let began = Instant::now();
        let drain = Arc::new(Self {
            plan,
            began,
            sessions: registry.len(),
            ended_before: registry.ended(),
            registry: Arc::clone(registry),
            until: Mutex::new(plan.window.map(|window| began + window)),
            shortened: Notify::new(),
        });
        let (sessions, window_s) = (drain.sessions, plan.window.map(|window| window.as_secs_f64()));
        tracing::info!(sessions, window_s, code = plan.code.0, "drain begins");
        if plan.window.is_some() {
            drain.spread(net);
        }
        net.spawn(Arc::clone(&drain).tell());
        drain
    }

    /// Makes the window end at `until`, unless it ends before that. Those that have not had their turn share what is
    /// left of it.
    pub(crate) fn shorten<N: Net>(self: &Arc<Self>, net: &N, until: Instant) {
        let before = {
            let mut end = self.until.lock().unwrap_or_else(PoisonError::into_inner);
            if end.is_some_and(|end| end <= until) {
                return;
            }
            end.replace(until)
        };
        let window_s = until.saturating_duration_since(Instant::now()).as_secs_f64();
        tracing::info!(window_s, "the drain's window is shortened");
        match before {
            Some(_) => self.shortened.notify_one(),
            None => self.spread(net),
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        let until = self.until();
        Progress {
            elapsed: self.began.elapsed(),
            window: until.map(|until| until.saturating_duration_since(self.began)),
            window_left: until.map(|until| until.saturating_duration_since(Instant::now())),
            sessions: self.sessions,
            left: self.registry.len(),
            ended: self.ended(),
        }
    }

    fn until(&self) -> Option<Instant> {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sessions that have ended since it began, by cause.
    fn ended(&self) -> Ended {
        let mut ended = self.registry.ended();
        for (cause, before) in &self.ended_before {
            if let Some(count) = ended.get_mut(cause) {
                *count -= before;
            }
        }
        ended.retain(|_, count| *count > 0);
        ended
    }

    fn spread<N: Net>(self: &Arc<Self>, net: &N) {
        let order = shuffled(self.registry.ids(), net.seed());
        net.spawn(Arc::clone(self).close_all(order));
    }

    /// Sends each session its Close when its turn comes, and then all that began in the meantime.
    async fn close_all(self: Arc<Self>, order: Vec<(u64, u64)>) {
        let (mut rest, mut from) = (order.as_slice(), self.began);
        while let Some(until) = self.until() {
            let left = self.close_until(from, until, rest).await;
            if let Some(left) = left {
                (rest, from) = (left, Instant::now());
            } else {
                break;
            }
        }
        self.registry.close_all(self.closing());
    }

    /// Spreads `order` over the time from `from` to `until`. Gives back those that have not had their turn when that was
    /// shortened.
    async fn close_until<'a>(
        &self,
        from: Instant,
        until: Instant,
        order: &'a [(u64, u64)],
    ) -> Option<&'a [(u64, u64)]> {
        let window = until.saturating_duration_since(from);
        let count = u32::try_from(order.len()).unwrap_or(u32::MAX).max(1);
        let share = window / count;
        for (place, (id, chance)) in order.iter().enumerate() {
            // Rounding is done on the whole, so that the last share ends with the window.
            let part = f64::from(u32::try_from(place).unwrap_or(u32::MAX)) / f64::from(count);
            let start = from + window.mul_f64(part);
            tokio::select! {
                biased;
                () = self.shortened.notified() => return Some(&order[place..]),
                () = sleep_until(start + shift(share, self.plan.jitter_percent, *chance)) => {}
            }
            if let Some(session) = self.registry.get(*id) {
                session.close(self.closing());
            }
        }
        // Handshakes that were underway when the drain began have become sessions by then.
        tokio::select! {
            biased;
            () = self.shortened.notified() => Some(&[]),
            () = sleep_until(until) => None,
        }
    }

    fn closing(&self) -> Closing {
        Closing { cause: Cause::Drain, code: self.plan.code, quiet_until: Some(Instant::now() + self.plan.quiet) }
    }

    /// Says in the log how far it is, until it is done.
    async fn tell(self: Arc<Self>) {
        loop {
            let done = tokio::select! {
                biased;
                () = self.registry.emptied() => true,
                () = sleep(TELL_EVERY) => false,
            };
            let Progress { sessions, left, ended, elapsed, .. } = self.progress();
            let elapsed_s = elapsed.as_secs_f64();
            if done {
                tracing::info!(sessions, elapsed_s, ended = ?ended, "drained");
                return;
            }
            tracing::info!(left, sessions, elapsed_s, ended = ?ended, "draining");
        }
    }
}

/// Each item in a place of its own choosing by chance, with another bit of chance for its moment.
pub(crate) fn shuffled(ids: Vec<u64>, seed: u64) -> Vec<(u64, u64)> {
    let mut chance = Entropy(seed);
    let mut keyed: Vec<(u64, u64, u64)> = ids.into_iter().map(|id| (chance.next(), id, chance.next())).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, id, moment)| (id, moment)).collect()
}

/// Where in its share of the window a session gets its Close: in the middle, moved by up to half of `jitter_percent`
/// of the share.
pub(crate) fn shift(share: Duration, jitter_percent: u8, chance: u64) -> Duration {
    let jitter = f64::from(jitter_percent.min(100)) / 100.0;
    let spread = f64::from(u32::try_from(chance >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    share.mul_f64((1.0 - jitter) / 2.0 + jitter * spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_has_a_place_of_its_own_and_the_order_is_the_seeds() {
        let ids: Vec<u64> = (1..=1000).collect();
        let (one, other) = (shuffled(ids.clone(), 1), shuffled(ids.clone(), 2));
        let mut sorted: Vec<u64> = one.iter().map(|(id, _)| *id).collect();
        assert_ne!(sorted, ids);
        assert_ne!(one, other);
        sorted.sort_unstable();
        assert_eq!(sorted, ids);
        assert_eq!(one, shuffled(ids, 1));
    }

    #[test]
    fn a_close_stays_within_its_share() {
        let share = Duration::from_millis(100);
        assert_eq!(shift(share, 100, 0), Duration::ZERO);
        assert_eq!(shift(share, 100, u64::MAX), share);
        assert_eq!(shift(share, 0, u64::MAX), share / 2);
        assert_eq!(shift(share, 50, 0), share / 4);
    }
}
