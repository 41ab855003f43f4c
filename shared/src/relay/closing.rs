//! How a session ends: who still has to say or get a Close, and how long that may take.

use std::time::Duration;

use crate::close::{Cause, CloseCode, End, Initiator, Side};
use crate::event::Event;
use crate::relay::half::Probe;
use crate::relay::{Protocol, Relay};
use crate::time::Micros;

/// How long both sides may take to close their connections after the Closes were exchanged. It lets the app close first,
/// as RFC 6455 §7.1.1 asks of servers, and the client read its Close before the socket is dropped.
pub const LINGER: Duration = Duration::from_secs(1);

/// A side that keeps taking bytes is waited for beyond the close timeout, up to this long in all.
pub const FLUSH_LIMIT: Duration = Duration::from_mins(1);

/// A close timeout of zero would have deadlines that are due when they are set.
const MIN_CLOSE_TIMEOUT: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) enum Phase {
    Open,
    Closing(Closing),
    Ended(Ended),
}

#[derive(Debug)]
pub(super) struct Closing {
    by: Initiator,
    cause: Cause,
    /// What a side gets that is only told of the end, in an orderly one.
    code: CloseCode,
    since: Micros,
    pub(super) deadline: Micros,
    /// Both sides said and got all they had to; what is left is to flush and to let them close.
    settled: bool,
}

#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    at: Micros,
    pub(super) flush_until: Option<Micros>,
}

impl Relay {
    /// A Close to the client; the app gets the client's answer.
    pub(super) fn close_in_order(&mut self, cause: Cause, code: CloseCode, now: Micros, events: &mut dyn FnMut(Event)) {
        match self.protocol {
            Protocol::Raw => self.finish(Initiator::Sidecar, cause, now, events),
            Protocol::WebSocket(_) => {
                self.begin_closing(Initiator::Sidecar, cause, code, now, events);
                self.queue_close(Side::Client, cause);
            }
        }
    }

    /// A Close to both. When an end is already underway, it only makes sure that each side gets one.
    pub(super) fn abort(&mut self, by: Initiator, cause: Cause, now: Micros, events: &mut dyn FnMut(Event)) {
        match self.protocol {
            Protocol::Raw => self.finish(by, cause, now, events),
            Protocol::WebSocket(_) => {
                self.begin_closing(by, cause, CloseCode::GOING_AWAY, now, events);
                for side in Side::BOTH {
                    self.queue_close(side, cause);
                }
                self.settle(now, events);
            }
        }
    }

    /// That side sends no more; the other one is told, unless it had its Close.
    pub(super) fn peer_left(&mut self, side: Side, cause: Cause, now: Micros, events: &mut dyn FnMut(Event)) {
        self.cut_off(side);
        match &self.phase {
            Phase::Open => self.abort(side.into(), cause, now, events),
            Phase::Closing(closing) => {
                let cause = closing.cause;
                self.queue_close(side.peer(), cause);
                self.settle(now, events);
            }
            Phase::Ended(_) => {}
        }
    }

    /// That side takes no more. The other one is told when the first is heard out, or after the close timeout.
    pub(super) fn peer_deaf(&mut self, side: Side, now: Micros, events: &mut dyn FnMut(Event)) {
        self.begin_closing(side.into(), Cause::Reset(side), CloseCode::GOING_AWAY, now, events);
        self.settle(now, events);
    }

    /// A side that takes no more turns out to have said why.
    pub(super) fn explained(&mut self, from: Side) {
        if let Phase::Closing(closing) = &mut self.phase
            && closing.cause == Cause::Reset(from)
        {
            closing.cause = Cause::Close;
        }
    }

    /// Nothing more from that side is waited for, or forwarded.
    pub(super) fn give_up(&mut self, side: Side) {
        self.half_mut(side).given_up = true;
        self.cut_off(side);
    }

    /// The first cause is the session's; later ones change nothing here.
    pub(super) fn begin_closing(
        &mut self,
        by: Initiator,
        cause: Cause,
        code: CloseCode,
        now: Micros,
        events: &mut dyn FnMut(Event),
    ) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        let deadline = now + self.close_timeout();
        self.phase = Phase::Closing(Closing { by, cause, code, since: now, deadline, settled: false });
        self.lifetime_ends = None;
        self.pending_close = None;
        for half in &mut self.halves {
            half.probe = Probe::Off;
            if std::mem::take(&mut half.limited) {
                events(Event::RateLimited { from: half.side, on: false });
            }
        }
    }

    /// The Close that stands at the end of the stream towards that side, be it forwarded or ours.
    pub(super) fn close_went_out(&mut self, to: Side, code: CloseCode, now: Micros, events: &mut dyn FnMut(Event)) {
        self.half_mut(to).close_out = Some(code);
        events(Event::CloseSent { to, code });
        let answer_by = now + self.close_timeout();
        if let Phase::Closing(closing) = &mut self.phase {
            closing.deadline = closing.deadline.max(answer_by);
        }
        self.settle(now, events);
    }

    /// Moves on when both sides have said and got all they had to, and ends when they also closed.
    pub(super) fn settle(&mut self, now: Micros, events: &mut dyn FnMut(Event)) {
        let all_said = self.halves.iter().all(|half| half.is_silenced() && half.is_served());
        let Phase::Closing(closing) = &mut self.phase else { return };
        if !closing.settled {
            if !all_said {
                return;
            }
            closing.settled = true;
            closing.deadline = now + LINGER;
        }
        let (by, cause) = (closing.by, closing.cause);
        if self.have_parted() && !self.is_flushing() {
            self.finish(by, cause, now, events);
        }
    }

    /// Raw: both directions are finished, but bytes may still wait.
    pub(super) fn flush_and_finish(&mut self, by: Initiator, cause: Cause, now: Micros, events: &mut dyn FnMut(Event)) {
        let deadline = now + self.close_timeout();
        let code = CloseCode::NORMAL;
        self.phase = Phase::Closing(Closing { by, cause, code, since: now, deadline, settled: true });
        self.settle(now, events);
    }

    pub(super) fn finish(&mut self, by: Initiator, cause: Cause, now: Micros, events: &mut dyn FnMut(Event)) {
        let code = |side: Side| {
            let half = self.half(side);
            half.close_out.or(half.close_in)
        };
        let end = End { by, cause, client_code: code(Side::Client), app_code: code(Side::App) };
        let flush_until = Some(now + self.close_timeout());
        self.lifetime_ends = None;
        self.pending_close = None;
        self.phase = Phase::Ended(Ended { end, at: now, flush_until });
        events(Event::Ended(end));
    }

    /// A side that was slow took bytes: it is worth waiting for, within [`FLUSH_LIMIT`].
    pub(super) fn flush_went_on(&mut self, now: Micros) {
        let patience = now + self.close_timeout();
        let done = !self.is_flushing();
        let parted = self.have_parted();
        match &mut self.phase {
            Phase::Open => {}
            // Ends at the next `handle_timeout`, which has somewhere to put the event.
            Phase::Closing(closing) if closing.settled && done && parted => closing.deadline = now,
            Phase::Closing(closing) => {
                let patience = if closing.settled && done { now + LINGER } else { patience };
                closing.deadline = closing.deadline.max(patience.min(closing.since + FLUSH_LIMIT));
            }
            Phase::Ended(ended) => {
                let limit = ended.at + FLUSH_LIMIT;
                ended.flush_until = ended.flush_until.map(|until| until.max(patience.min(limit)));
            }
        }
    }

    /// Whoever had a chance and did not take it is given up; whoever had none gets one. Each call takes away one of the
    /// few things that were waited for, so there are only a few.
    pub(super) fn closing_timeout(&mut self, now: Micros, events: &mut dyn FnMut(Event)) {
        let Phase::Closing(closing) = &self.phase else { return };
        let (by, cause) = (closing.by, closing.cause);
        if closing.settled {
            self.finish(by, cause, now, events);
            return;
        }
        for side in Side::BOTH {
            let half = self.half_mut(side);
            if half.accepts() {
                self.queue_close(side, cause);
                continue;
            }
            if half.close_due.take().is_some() {
                // The frame underway towards it did not come to its end in time.
                half.truncated = true;
                self.half_mut(side.peer()).scanner.stop_forwarding();
            }
            if !self.half(side).is_silenced() {
                self.give_up(side);
            }
        }
        let answer_by = now + self.close_timeout();
        if let Phase::Closing(closing) = &mut self.phase {
            closing.deadline = answer_by;
        }
        self.settle(now, events);
    }

    /// Whether that side's write half may be shut down behind what is pending. The client's as soon as Closes were
    /// exchanged with it; the app's when the app closed, or cannot be expected to: a server closes first (§7.1.1).
    /// Not inside a frame that is still being forwarded to it, though: its end belongs to it.
    pub(super) fn wrote_all(&self, to: Side) -> bool {
        let half = self.half(to);
        let exchanged = half.is_served()
            && match to {
                Side::Client => half.is_silenced(),
                Side::App => half.finished() || half.given_up,
            };
        half.truncated || (exchanged && self.at_boundary(to))
    }

    /// Puts a Close in line for that side, if it may still get one.
    fn queue_close(&mut self, to: Side, cause: Cause) {
        if self.half(to).accepts() {
            let code = self.code_for(to, cause);
            self.half_mut(to).close_due = Some((code, cause));
        }
    }

    /// No more of that side's stream is forwarded. If it stops inside a frame, the other stream ends there.
    fn cut_off(&mut self, from: Side) {
        let scanner = &mut self.half_mut(from).scanner;
        let inside = scanner.holds_peer_inside_a_frame();
        scanner.stop_forwarding();
        if inside {
            let peer = self.half_mut(from.peer());
            peer.truncated = true;
            peer.close_due = None;
        }
    }

    fn code_for(&self, to: Side, cause: Cause) -> CloseCode {
        let codes = &self.policy.codes;
        // A peer's own Close is answered with its own code (§5.5.1).
        if let Some(code) = self.half(to).close_in {
            return code;
        }
        let for_the_other = match to {
            Side::Client => codes.app_fault,
            Side::App => codes.client_fault,
        };
        match cause {
            Cause::Close
            | Cause::Idle
            | Cause::Lifetime
            | Cause::Drain
            | Cause::Shutdown
            | Cause::Operator
            | Cause::Rebalance
            | Cause::Eof => match &self.phase {
                Phase::Closing(closing) => closing.code,
                Phase::Open | Phase::Ended(_) => CloseCode::GOING_AWAY,
            },
            Cause::Gone(_) | Cause::Reset(_) => match to {
                Side::Client if self.half(Side::App).heard => codes.app_gone,
                Side::Client => codes.app_silent,
                Side::App => codes.client_gone,
            },
            Cause::KeepaliveLost(side) if side == to => codes.keepalive_lost,
            Cause::KeepaliveLost(Side::App) if self.half(Side::App).heard => codes.app_gone,
            Cause::KeepaliveLost(Side::App) => codes.app_silent,
            Cause::MessageTooBig(side) | Cause::TooManyFragments(side) | Cause::FrameTooBig(side) if side == to => {
                codes.too_big
            }
            Cause::RateExceeded(side) if side == to => codes.rate,
            Cause::Protocol(side, _) if side == to => CloseCode::PROTOCOL,
            Cause::Stalled(side) if side == to => codes.stalled,
            Cause::KeepaliveLost(_)
            | Cause::MessageTooBig(_)
            | Cause::TooManyFragments(_)
            | Cause::FrameTooBig(_)
            | Cause::RateExceeded(_)
            | Cause::Protocol(..)
            | Cause::Stalled(_) => for_the_other,
        }
    }

    /// Bytes wait for a side that may still take them.
    fn is_flushing(&self) -> bool {
        let raw = self.protocol == Protocol::Raw;
        self.halves.iter().any(|half| half.blocked.is_some() && !half.given_up && (raw || !half.left()))
    }

    /// Nobody is waited for: the app closed, and the client has nothing more to say that a reset could cross.
    fn have_parted(&self) -> bool {
        let client = self.half(Side::Client);
        self.half(Side::App).finished() && (client.close_in.is_some() || client.finished())
    }

    fn close_timeout(&self) -> Duration {
        self.policy.close_timeout.max(MIN_CLOSE_TIMEOUT)
    }
}
