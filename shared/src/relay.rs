//! One session's machine: two byte streams, joined verbatim, understood frame by frame.
//!
//! After the 101, or after TLS on a `tls` listener, a [`Relay`] is told what arrives and what time it is. It answers
//! which bytes go to the other side, which frames of our own go in between, when to read no further, when to wake it,
//! and when it is over. It never sees a payload change: bytes are forwarded as they came, mask and compression
//! included.
//!
//! * A frame of up to [`HOLD_LIMIT`](crate::frame::HOLD_LIMIT) bytes is forwarded only whole, a longer one is streamed
//!   as it comes. Frames of our own go only between frames. So when a source dies in the middle of a *long* frame, the
//!   other side cannot be sent a Close any more: its stream is shut down instead, and it sees a 1006.
//! * An *orderly* end (idle, lifetime, drain, shutdown) sends a Close to the client, and the client's answer is the Close
//!   that the app gets: what the client still had to say reaches the app. Any other end of our making is an *abort*: a
//!   Close to both at once, at the next frame boundary, and what they still send is dropped.
//! * Each side gets at most one Close, and nothing after it.

mod closing;
mod half;
mod liveness;
mod rate;
mod raw;
mod reason;
mod receive;
mod scanner;
mod stats;

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::close::{Cause, CloseCode, End, Side};
use crate::entropy::Entropy;
use crate::event::Event;
use crate::frame::Injected;
use crate::limits::Policy;
use crate::relay::closing::Phase;
use crate::relay::half::{Half, Ping, Probe};
use crate::relay::liveness::PendingClose;
use crate::time::Micros;

pub use closing::{FLUSH_LIMIT, LINGER};
pub use liveness::{LIFETIME_GRACE, QUIET_MOMENT};
pub use stats::{SIZE_BOUNDS, Stats};

/// What the handshake agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Negotiated {
    /// RFC 7692: RSV1 may mark a compressed message.
    pub permessage_deflate: bool,
}

/// What to do with the bytes that were presented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// This many bytes, at least one, go to the other side as they are.
    Forward(usize),
    /// This many bytes, at least one, go nowhere.
    Discard(usize),
    /// The input is the incomplete start of a frame, shorter than [`HOLD_LIMIT`](crate::frame::HOLD_LIMIT): keep it and
    /// present it again with more bytes behind it. At the end of the stream, drop it.
    More,
}

/// What to do with the write half of a socket once all that is pending for it is flushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteHalf {
    Open,
    Shutdown,
}

/// One session. Sans-IO: see the module.
#[derive(Debug)]
pub struct Relay {
    policy: Arc<Policy>,
    protocol: Protocol,
    entropy: Entropy,
    /// Indexed by [`Side`].
    halves: [Half; 2],
    phase: Phase,
    lifetime_ends: Option<Micros>,
    pending_close: Option<PendingClose>,
    /// What an operator wants to be read in the Close.
    wording: Option<Box<str>>,
    sampling: Option<Sampling>,
}

/// Which messages are told.
#[derive(Clone, Copy, Debug)]
struct Sampling {
    one_in: NonZeroU32,
    chance: Entropy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    WebSocket(Negotiated),
    Raw,
}

impl Relay {
    /// A session after its 101. `seed` is all the entropy that it gets: ping payloads, masks, the jitter of its
    /// lifetime.
    pub fn websocket(policy: Arc<Policy>, negotiated: Negotiated, seed: u64, now: Micros) -> Self {
        Self::new(policy, Protocol::WebSocket(negotiated), Entropy(seed), now)
    }

    /// Blind bytes: nothing is parsed, nothing injected, no rate applied. An end of stream is passed on as a
    /// half-close; the session ends when both directions have, or at the idle limit, the send timeout or the end of its
    /// lifetime (which has no jitter here: there is no seed).
    pub fn raw(policy: Arc<Policy>, now: Micros) -> Self {
        Self::new(policy, Protocol::Raw, Entropy(0), now)
    }

    /// Bytes waiting from `from`, contiguous from the point where the last call left off. Call in a loop until it says
    /// [`Received::More`] or the input is used up; between two calls, ask [`poll_transmit`](Self::poll_transmit).
    pub fn receive(&mut self, from: Side, input: &[u8], now: Micros, events: &mut dyn FnMut(Event)) -> Received {
        if input.is_empty() {
            return Received::More;
        }
        let half = &mut self.halves[from as usize];
        half.heard_at = now;
        half.heard = true;
        half.holding = false;
        half.probe = Probe::Off;
        let received = match self.protocol {
            Protocol::WebSocket(negotiated) => self.receive_frames(negotiated, from, input, now, events),
            Protocol::Raw => self.receive_raw(from, input),
        };
        let half = &mut self.halves[from as usize];
        match received {
            Received::Forward(bytes) => half.stats.bytes += bytes as u64,
            Received::Discard(bytes) => {
                half.stats.bytes += bytes as u64;
                half.stats.bytes_discarded += bytes as u64;
            }
            Received::More => half.holding = true,
        }
        received
    }

    /// `from` finished sending. Call when all that was read before went through [`receive`](Self::receive).
    pub fn eof(&mut self, from: Side, now: Micros, events: &mut dyn FnMut(Event)) {
        if self.is_over() || self.half(from).finished() {
            return;
        }
        self.half_mut(from).eof = true;
        match self.protocol {
            Protocol::WebSocket(_) => self.peer_left(from, Cause::Gone(from), now, events),
            Protocol::Raw => self.eof_raw(from, now, events),
        }
    }

    /// A write to that side failed. Drop what is pending for it, and read on until it ends: what it sent before, and
    /// its Close, may still be on its way to the other side. The session ends with that, or after the close timeout.
    pub fn write_failed(&mut self, to: Side, now: Micros, events: &mut dyn FnMut(Event)) {
        if self.is_over() || self.half(to).failed || self.half(to).unwritable {
            return;
        }
        let half = self.half_mut(to);
        half.unwritable = true;
        half.close_due = None;
        half.blocked = None;
        self.half_mut(to.peer()).scanner.stop_forwarding();
        match self.protocol {
            Protocol::WebSocket(_) => self.peer_deaf(to, now, events),
            Protocol::Raw if self.half(to).eof => self.finish(to.into(), Cause::Reset(to), now, events),
            Protocol::Raw => {}
        }
    }

    /// A read from that side failed, or its socket as a whole; it is gone in both directions.
    pub fn failed(&mut self, side: Side, now: Micros, events: &mut dyn FnMut(Event)) {
        if self.is_over() || self.half(side).failed {
            return;
        }
        let half = self.half_mut(side);
        half.failed = true;
        half.close_due = None;
        half.blocked = None;
        // What was underway towards it goes nowhere.
        self.half_mut(side.peer()).scanner.stop_forwarding();
        match self.protocol {
            Protocol::WebSocket(_) => self.peer_left(side, Cause::Reset(side), now, events),
            Protocol::Raw => self.finish(side.into(), Cause::Reset(side), now, events),
        }
    }

    /// The next frame of ours for that side; only while the stream towards it stands at a frame boundary. It goes
    /// behind all that was forwarded so far. Call after every step of [`receive`](Self::receive) (for both sides,
    /// before the next step's bytes are forwarded), after [`handle_timeout`](Self::handle_timeout), [`eof`](Self::eof),
    /// [`failed`](Self::failed) and [`close`](Self::close); loop until `None`.
    pub fn poll_transmit(&mut self, to: Side, now: Micros, events: &mut dyn FnMut(Event)) -> Option<Injected> {
        let half = self.half(to);
        if (half.close_due.is_none() && half.probe != Probe::Due) || !self.at_boundary(to) {
            return None;
        }
        let key = (to == Side::App).then(|| self.entropy.key());
        if let Some((code, cause)) = self.half_mut(to).close_due.take() {
            let frame = Injected::close(code, &self.reason(to, cause), key);
            let half = self.half_mut(to);
            half.stats.closes_injected += 1;
            half.stats.bytes_injected += frame.len() as u64;
            self.close_went_out(to, code, now, events);
            return Some(frame);
        }
        // While an older ping is unanswered its payload is used again, so that a late answer is known as ours.
        let open = self.half(to).ping;
        let payload = open.map_or_else(|| self.entropy.payload(), |ping| ping.payload);
        let unanswered = open.map_or(0, |ping| ping.unanswered).saturating_add(1);
        let frame = Injected::ping(payload, key);
        let half = self.half_mut(to);
        half.probe = Probe::Waiting { since: now };
        half.ping = Some(Ping { payload, sent_at: now, unanswered });
        half.stats.pings_injected += 1;
        half.stats.bytes_injected += frame.len() as u64;
        events(Event::PingSent { to });
        Some(frame)
    }

    /// Whether to read from `from` now, with `pending` bytes not yet taken by the other side's socket. False at a full
    /// write buffer, while over the rate ([`deadline`](Self::deadline) says when to ask again), after the end of the
    /// stream, and when nothing more from that side matters.
    pub fn may_read(&self, from: Side, pending: usize, now: Micros) -> bool {
        let half = self.half(from);
        if self.is_over() || half.finished() {
            return false;
        }
        // What is dropped takes no room: it is read to find the side's Close, and its end.
        let goes_nowhere = half.is_silenced() || !self.forwards_from(from);
        if goes_nowhere {
            return true;
        }
        let within_rate = !half.limited || half.ready_at(&self.policy) <= now;
        within_rate && pending < self.policy.write_buffer
    }

    /// Bytes wait for that side and its socket takes none. Starts the send timeout; may be called again meanwhile.
    pub fn write_blocked(&mut self, to: Side, now: Micros) {
        let half = self.half_mut(to);
        if !half.failed && !half.unwritable {
            half.blocked.get_or_insert(now);
        }
    }

    /// That side's socket took bytes; `pending` are left.
    pub fn write_progress(&mut self, to: Side, now: Micros, pending: usize) {
        let half = self.half_mut(to);
        let Some(blocked) = &mut half.blocked else { return };
        *blocked = now;
        half.took_at = now;
        if pending == 0 {
            half.blocked = None;
        }
        self.flush_went_on(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). Ask again after every call that takes `&mut self`.
    pub fn deadline(&self) -> Option<Micros> {
        match &self.phase {
            Phase::Open => self.open_deadline(),
            Phase::Closing(closing) => Some(closing.deadline),
            Phase::Ended(ended) => ended.flush_until,
        }
    }

    /// Whether what is due may end the session. Then whoever drives it makes sure that everything was read which has come in
    /// time, and written for which there was room; a ping needs no such care.
    pub fn may_end_at(&self, now: Micros) -> bool {
        let due = match &self.phase {
            Phase::Open => self.verdict_due(),
            Phase::Closing(_) | Phase::Ended(_) => self.deadline(),
        };
        due.is_some_and(|due| due <= now)
    }

    /// Acts on whatever is due; before the deadline it does nothing. Afterwards [`deadline`](Self::deadline) lies
    /// ahead.
    pub fn handle_timeout(&mut self, now: Micros, events: &mut dyn FnMut(Event)) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match &mut self.phase {
            Phase::Open => self.open_timeout(now, events),
            Phase::Closing(_) => self.closing_timeout(now, events),
            Phase::Ended(ended) => ended.flush_until = None,
        }
    }

    /// Ends the session in order: a Close to the client, and to the app when the client has answered. Waits for a quiet
    /// moment (messages complete both ways, no bytes for a short while), but not beyond `quiet_until`.
    /// `cause` is `Drain`, `Lifetime`, `Shutdown`, `Operator` or `Rebalance`.
    pub fn close(
        &mut self,
        cause: Cause,
        code: CloseCode,
        quiet_until: Option<Micros>,
        now: Micros,
        events: &mut dyn FnMut(Event),
    ) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        match quiet_until {
            None => self.close_in_order(cause, code, now, events),
            Some(until) => {
                let until = self.pending_close.map_or(until, |pending| pending.until.min(until));
                self.pending_close = Some(PendingClose { cause, code, until });
                self.close_if_quiet(now, events);
            }
        }
    }

    /// The reason in the Close of an end by `Operator`, in place of the usual words. Call before [`close`](Self::close);
    /// at most [`MAX_CLOSE_REASON`](crate::frame::MAX_CLOSE_REASON) bytes of it are sent.
    pub fn word_close(&mut self, reason: Box<str>) {
        self.wording = Some(reason);
    }

    /// Whether the session is on its way to its end, or there.
    pub fn is_closing(&self) -> bool {
        self.pending_close.is_some() || !matches!(self.phase, Phase::Open)
    }

    /// What to do with the write half of that side once all pending bytes are flushed.
    pub fn write_half(&self, to: Side) -> WriteHalf {
        let shutdown = match self.protocol {
            Protocol::WebSocket(_) => self.wrote_all(to),
            Protocol::Raw => self.half(to.peer()).eof,
        };
        if shutdown || self.is_over() { WriteHalf::Shutdown } else { WriteHalf::Open }
    }

    /// The end, once the session is over. Then: flush what is pending while [`deadline`](Self::deadline) gives time
    /// (`None` or past: no more time), and drop both sockets.
    pub fn end(&self) -> Option<&End> {
        match &self.phase {
            Phase::Ended(ended) => Some(&ended.end),
            Phase::Open | Phase::Closing(_) => None,
        }
    }

    /// Counters of what came from that side, and of what was injected to it.
    pub fn stats(&self, from: Side) -> &Stats {
        &self.half(from).stats
    }

    /// Tells one in so many messages of each side, chosen by chance, as [`Event::Message`]. Has no other effect; call
    /// before the first byte.
    pub fn sample_messages(&mut self, one_in: NonZeroU32, seed: u64) {
        self.sampling = Some(Sampling { one_in, chance: Entropy(seed) });
        for side in Side::BOTH {
            let first = self.sample_gap();
            self.half_mut(side).scanner.sample_first_after(first);
            self.next_sample(side);
        }
    }

    fn next_sample(&mut self, from: Side) {
        let gap = self.sample_gap();
        self.half_mut(from).scanner.sample_then_after(gap);
    }

    /// Messages between two that are told.
    fn sample_gap(&mut self) -> u32 {
        let Some(Sampling { one_in, chance }) = &mut self.sampling else { return u32::MAX };
        // Between 0 and twice the mean, so that nothing that keeps time with the messages is always or never met.
        let gap = chance.up_to(2 * u64::from(one_in.get() - 1));
        u32::try_from(gap).unwrap_or(u32::MAX)
    }

    fn new(policy: Arc<Policy>, protocol: Protocol, mut entropy: Entropy, now: Micros) -> Self {
        let halves = Side::BOTH.map(|side| Half::new(side, &policy, now));
        let jitter = if protocol == Protocol::Raw { 0 } else { policy.lifetime_jitter_percent };
        let lifetime_ends =
            policy.max_lifetime.map(|lifetime| now + liveness::spread_lifetime(lifetime, jitter, &mut entropy));
        Self {
            policy,
            protocol,
            entropy,
            halves,
            phase: Phase::Open,
            lifetime_ends,
            pending_close: None,
            wording: None,
            sampling: None,
        }
    }

    fn half(&self, side: Side) -> &Half {
        &self.halves[side as usize]
    }

    fn half_mut(&mut self, side: Side) -> &mut Half {
        &mut self.halves[side as usize]
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether bytes from that side, if any come now, reach the other one.
    fn forwards_from(&self, from: Side) -> bool {
        match self.protocol {
            Protocol::WebSocket(_) => self.half(from.peer()).accepts() || !self.at_boundary(from.peer()),
            Protocol::Raw => {
                let peer = self.half(from.peer());
                !peer.failed && !peer.unwritable
            }
        }
    }

    /// Whether the stream towards that side stands between two frames.
    fn at_boundary(&self, to: Side) -> bool {
        !self.half(to.peer()).scanner.holds_peer_inside_a_frame()
    }
}
