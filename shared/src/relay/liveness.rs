//! What time does to an open session: idle limit, keepalive, send timeout, lifetime, rates.
//!
//! Activity only moves timestamps; the deadline is worked out from them when it is asked for.

use std::time::Duration;

use crate::close::{Cause, CloseCode, Initiator, Side};
use crate::entropy::Entropy;
use crate::event::Event;
use crate::limits::Keepalive;
use crate::relay::closing::Phase;
use crate::relay::half::{Half, Probe};
use crate::relay::{Protocol, Relay};
use crate::time::Micros;

/// Silence, with messages complete both ways, that counts as a quiet moment.
pub const QUIET_MOMENT: Duration = Duration::from_millis(100);

/// How long the end of a session's lifetime waits for a quiet moment.
pub const LIFETIME_GRACE: Duration = Duration::from_secs(10);

/// An orderly end that waits for a quiet moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingClose {
    pub(super) cause: Cause,
    pub(super) code: CloseCode,
    /// It waits no longer than this.
    pub(super) until: Micros,
}

/// `lifetime`, or up to `jitter_percent` less, evenly spread: never more, for it is a limit.
pub(super) fn spread_lifetime(lifetime: Duration, jitter_percent: u8, entropy: &mut Entropy) -> Duration {
    let spread = lifetime / 100 * u32::from(jitter_percent.min(100));
    let window = u64::try_from(spread.as_micros()).unwrap_or(u64::MAX);
    let shift = if window == 0 { 0 } else { entropy.up_to(window) };
    lifetime.saturating_sub(spread).saturating_add(Duration::from_micros(shift))
}

impl Relay {
    pub(super) fn open_deadline(&self) -> Option<Micros> {
        let [client, app] = &self.halves;
        [self.verdict_due(), self.half_deadline(client), self.half_deadline(app)].into_iter().flatten().min()
    }

    /// When the session is to end by the clock, unless something comes before.
    pub(super) fn verdict_due(&self) -> Option<Micros> {
        let quiet = |pending: PendingClose| self.quiet_at().map_or(pending.until, |quiet| quiet.min(pending.until));
        let [client, app] = &self.halves;
        [
            self.idle_ends(),
            self.lifetime_ends,
            self.pending_close.map(quiet),
            self.send_ends(client),
            self.send_ends(app),
            self.pong_due(client),
            self.pong_due(app),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Called when something is due. In order: what ends the session worst comes first.
    pub(super) fn open_timeout(&mut self, now: Micros, events: &mut dyn FnMut(Event)) {
        let due = |deadline: Option<Micros>| deadline.is_some_and(|deadline| deadline <= now);
        for side in Side::BOTH {
            if due(self.send_ends(self.half(side))) {
                self.abort(Initiator::Sidecar, Cause::Stalled(side), now, events);
                return;
            }
        }
        for side in Side::BOTH {
            if due(self.pong_due(self.half(side))) {
                self.give_up(side);
                self.abort(Initiator::Sidecar, Cause::KeepaliveLost(side), now, events);
                return;
            }
        }
        if due(self.idle_ends()) {
            self.close_in_order(Cause::Idle, self.policy.codes.idle, now, events);
            return;
        }
        if due(self.lifetime_ends) {
            self.lifetime_ends = None;
            self.close(Cause::Lifetime, self.policy.codes.lifetime, Some(now + LIFETIME_GRACE), now, events);
        }
        self.close_if_quiet(now, events);
        if matches!(self.phase, Phase::Open) {
            self.probe_and_release(now, events);
        }
    }

    /// The pending orderly end, if its moment or its last moment has come.
    pub(super) fn close_if_quiet(&mut self, now: Micros, events: &mut dyn FnMut(Event)) {
        let Some(pending) = self.pending_close else { return };
        if pending.until <= now || self.quiet_at().is_some_and(|quiet| quiet <= now) {
            self.close_in_order(pending.cause, pending.code, now, events);
        }
    }

    fn probe_and_release(&mut self, now: Micros, events: &mut dyn FnMut(Event)) {
        for side in Side::BOTH {
            // Released first: that is when its silence begins to count.
            let half = &mut self.halves[side as usize];
            if half.limited && half.ready_at(&self.policy) <= now {
                half.refill(&self.policy, now);
                half.limited = false;
                half.released_at = now;
                events(Event::RateLimited { from: side, on: false });
            }
            if self.ping_due(self.half(side)).is_some_and(|deadline| deadline <= now) {
                self.half_mut(side).probe = Probe::Due;
            }
        }
    }

    /// When to ping, or to read again: what ends nothing.
    fn half_deadline(&self, half: &Half) -> Option<Micros> {
        let rate = half.limited.then(|| half.ready_at(&self.policy));
        self.ping_due(half).into_iter().chain(rate).min()
    }

    fn idle_ends(&self) -> Option<Micros> {
        let timeout = self.policy.idle_timeout?;
        let [client, app] = &self.halves;
        Some(self.last_active(client).max(self.last_active(app)) + timeout)
    }

    /// A side that takes what had waited for it is not idle, nor is one that we make wait.
    fn last_active(&self, half: &Half) -> Micros {
        let held_until = if half.limited { half.ready_at(&self.policy) } else { half.released_at };
        half.heard_at.max(half.took_at).max(held_until).max(half.blocked.unwrap_or_default())
    }

    fn send_ends(&self, half: &Half) -> Option<Micros> {
        half.blocked.zip(self.policy.send_timeout).map(|(since, timeout)| since + timeout)
    }

    fn ping_due(&self, half: &Half) -> Option<Micros> {
        let Probe::Off = half.probe else { return None };
        let (keepalive, read_since) = self.probing(half)?;
        Some(half.heard_at.max(read_since) + keepalive.interval)
    }

    /// When to give up on the answer to a ping.
    fn pong_due(&self, half: &Half) -> Option<Micros> {
        let Probe::Waiting { since } = half.probe else { return None };
        let (keepalive, read_since) = self.probing(half)?;
        // What waits for it includes the ping: a slow reader is not a dead one.
        Some(since.max(read_since).max(half.took_at) + keepalive.pong_timeout)
    }

    /// The side's keepalive while its silence counts, and since when it is read.
    fn probing(&self, half: &Half) -> Option<(Keepalive, Micros)> {
        if self.protocol == Protocol::Raw {
            return None;
        }
        let keepalive = half.keepalive(&self.policy)?;
        let peer = self.half(half.side.peer());
        // It may not be read at present, for the sake of its peer or of its rate: then its silence is our doing.
        if half.limited || peer.blocked.is_some() {
            return None;
        }
        Some((keepalive, peer.took_at.max(half.released_at)))
    }

    /// When the session will have been quiet, if it stays as it is; `None` inside a message.
    fn quiet_at(&self) -> Option<Micros> {
        let between = self.halves.iter().all(|half| half.scanner.between_messages() && !half.holding);
        between.then(|| self.last_heard() + QUIET_MOMENT)
    }

    fn last_heard(&self) -> Micros {
        let [client, app] = &self.halves;
        client.heard_at.max(app.heard_at)
    }
}
