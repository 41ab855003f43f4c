//! One session's machine: two byte streams, joined verbatim, understood frame by frame.

use std::sync::Arc;
use std::time::Duration;

use crate::close::{Cause, CloseCode, End, Side};
use crate::event::Event;
use crate::frame::Injected;
use crate::limits::Policy;
use crate::time::Micros;

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

/// What went through from one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Bytes that came from this side and were forwarded or discarded.
    pub bytes: u64,
    /// Of those, the ones that were not forwarded: swallowed pongs, and what came after the end.
    pub bytes_discarded: u64,
    /// Frames of all kinds, swallowed pongs included.
    pub frames: u64,
    /// Text messages, counted at their first frame.
    pub text: u64,
    /// Binary messages, counted at their first frame.
    pub binary: u64,
    /// Data frames that are not a whole message.
    pub fragments: u64,
    pub pings: u64,
    /// Pongs, the swallowed ones not included.
    pub pongs: u64,
    pub closes: u64,
    /// Answers to our own pings.
    pub pongs_swallowed: u64,
    /// Pings of ours *to* this side.
    pub pings_injected: u64,
    /// Closes of ours *to* this side: 0 or 1.
    pub closes_injected: u64,
    /// Bytes of ours *to* this side.
    pub bytes_injected: u64,
    /// Round trip of the last answered ping.
    pub ping_rtt: Option<Duration>,
}

/// One session. Sans-IO: see the module.
#[derive(Debug)]
pub struct Relay {
    policy: Arc<Policy>,
    stats: [Stats; 2],
    end: Option<End>,
}

impl Relay {
    /// A session after its 101. `seed` is all the entropy that it gets: ping payloads, masks, the jitter of its
    /// lifetime.
    pub fn websocket(policy: Arc<Policy>, negotiated: Negotiated, seed: u64, now: Micros) -> Self {
        let _ = (negotiated, seed, now);
        Self { policy, stats: Default::default(), end: None }
    }

    /// Blind bytes: nothing is parsed, nothing injected. An end of stream is passed on as a half-close.
    pub fn raw(policy: Arc<Policy>, now: Micros) -> Self {
        let _ = now;
        Self { policy, stats: Default::default(), end: None }
    }

    /// Bytes waiting from `from`, contiguous from the point where the last call left off. Call in a loop until it says
    /// [`Received::More`] or the input is used up; between two calls, ask [`poll_transmit`](Self::poll_transmit).
    pub fn receive(&mut self, from: Side, input: &[u8], now: Micros, events: &mut dyn FnMut(Event)) -> Received {
        let _ = (from, now, events);
        if input.is_empty() { Received::More } else { Received::Forward(input.len()) }
    }

    /// `from` finished sending. Call when all that was read before went through [`receive`](Self::receive).
    pub fn eof(&mut self, from: Side, now: Micros, events: &mut dyn FnMut(Event)) {
        let _ = (from, now, events);
    }

    /// A read or write on that side's socket failed; it is gone in both directions.
    pub fn failed(&mut self, side: Side, now: Micros, events: &mut dyn FnMut(Event)) {
        let _ = (side, now, events);
    }

    /// The next frame of ours for that side; only while the stream towards it stands at a frame boundary. It goes behind
    /// all that was forwarded so far. Call after every step of [`receive`](Self::receive) (for both sides, before
    /// the next step's bytes are forwarded), after [`handle_timeout`](Self::handle_timeout), [`eof`](Self::eof),
    /// [`failed`](Self::failed) and [`close`](Self::close); loop until `None`.
    pub fn poll_transmit(&mut self, to: Side, now: Micros, events: &mut dyn FnMut(Event)) -> Option<Injected> {
        let _ = (to, now, events);
        None
    }

    /// Whether to read from `from` now, with `pending` bytes not yet taken by the other side's socket. False at a full
    /// write buffer, while over the rate ([`deadline`](Self::deadline) says when to ask again), after the end of the
    /// stream, and when nothing more from that side matters.
    pub fn may_read(&self, from: Side, pending: usize, now: Micros) -> bool {
        let _ = (from, now);
        pending < self.policy.write_buffer
    }

    /// Bytes wait for that side and its socket takes none. Starts the send timeout; may be called again meanwhile.
    pub fn write_blocked(&mut self, to: Side, now: Micros) {
        let _ = (to, now);
    }

    /// That side's socket took bytes; `pending` are left.
    pub fn write_progress(&mut self, to: Side, now: Micros, pending: usize) {
        let _ = (to, now, pending);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). Ask again after every call that takes `&mut self`.
    pub fn deadline(&self) -> Option<Micros> {
        None
    }

    /// Acts on whatever is due; before the deadline it does nothing. Afterwards [`deadline`](Self::deadline) lies ahead.
    pub fn handle_timeout(&mut self, now: Micros, events: &mut dyn FnMut(Event)) {
        let _ = (now, events);
    }

    /// Ends the session in order: a Close to the client, and to the app when the client has answered. Waits for a quiet
    /// moment (messages complete both ways, no bytes for a short while), but not beyond `quiet_until`.
    /// `cause` is `Drain`, `Lifetime` or `Shutdown`.
    pub fn close(
        &mut self,
        cause: Cause,
        code: CloseCode,
        quiet_until: Option<Micros>,
        now: Micros,
        events: &mut dyn FnMut(Event),
    ) {
        let _ = (cause, code, quiet_until, now, events);
    }

    /// What to do with the write half of that side once all pending bytes are flushed.
    pub fn write_half(&self, to: Side) -> WriteHalf {
        let _ = to;
        WriteHalf::Open
    }

    /// The end, once the session is over. Then: flush what is pending while [`deadline`](Self::deadline) gives time
    /// (`None` or past: no more time), and drop both sockets.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Counters of what came from that side, and of what was injected to it.
    pub fn stats(&self, from: Side) -> &Stats {
        &self.stats[from as usize]
    }
}
