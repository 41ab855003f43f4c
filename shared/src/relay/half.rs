//! What a relay knows about one of its two sides.

use crate::close::{Cause, CloseCode, Side};
use crate::limits::{Keepalive, Policy};
use crate::relay::Stats;
use crate::relay::rate::{Bucket, Flow};
use crate::relay::scanner::Scanner;
use crate::time::Micros;

/// One side: the stream that comes from it, and what goes to it besides the other side's stream.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a peer, not the states of one machine")]
pub(super) struct Half {
    pub(super) side: Side,
    pub(super) stats: Stats,

    /// The stream from this side.
    pub(super) scanner: Scanner,
    pub(super) heard_at: Micros,
    /// It sent at least one byte after the handshake.
    pub(super) heard: bool,
    /// The driver holds the incomplete start of a frame.
    pub(super) holding: bool,
    pub(super) eof: bool,
    /// Its socket failed: dead in both directions.
    pub(super) failed: bool,
    /// Nothing more is expected of it: it broke the protocol, or did not answer in time. What it still sends is
    /// dropped.
    pub(super) given_up: bool,
    /// The code of the Close that it sent.
    pub(super) close_in: Option<CloseCode>,
    pub(super) messages: Option<Bucket>,
    pub(super) bytes: Option<Bucket>,
    /// Over its rate, and not read until [`ready_at`](Self::ready_at).
    pub(super) limited: bool,
    /// When it was last allowed to send again after having been over its rate.
    pub(super) released_at: Micros,

    /// A Close of ours that waits for a frame boundary, and what its reason is to name.
    pub(super) close_due: Option<(CloseCode, Cause)>,
    /// The code of the Close that it got, from the other side or from us.
    pub(super) close_out: Option<CloseCode>,
    /// The stream towards it ends inside a frame that nobody will complete. No Close can follow there.
    pub(super) truncated: bool,
    /// Its socket takes no more bytes; it may still have something to say.
    pub(super) unwritable: bool,
    /// Bytes wait for it; since then its socket took none.
    pub(super) blocked: Option<Micros>,
    /// When it last took bytes that had waited for it.
    pub(super) took_at: Micros,
    pub(super) probe: Probe,
    /// The last ping, while it or one before it is unanswered.
    pub(super) ping: Option<Ping>,
}

/// The question whether a silent side still lives. Any byte from it is an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Probe {
    Off,
    /// A ping waits for a frame boundary.
    Due,
    /// A ping was handed out; the time for the answer runs from `since`.
    Waiting {
        since: Micros,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ping {
    pub(super) payload: [u8; 8],
    pub(super) sent_at: Micros,
    /// Pings with this payload that may still be answered. A peer may leave out all answers but the last (RFC 6455
    /// §5.5.3); then the payload stays in use.
    pub(super) unanswered: u32,
}

impl Half {
    pub(super) fn new(side: Side, policy: &Policy, now: Micros) -> Self {
        Self {
            side,
            stats: Stats::default(),
            scanner: Scanner::default(),
            heard_at: now,
            heard: false,
            holding: false,
            eof: false,
            failed: false,
            given_up: false,
            close_in: None,
            messages: message_flow(policy).map(|flow| Bucket::full(flow, now)),
            bytes: byte_flow(policy).map(|flow| Bucket::full(flow, now)),
            limited: false,
            released_at: now,
            close_due: None,
            close_out: None,
            truncated: false,
            unwritable: false,
            blocked: None,
            took_at: now,
            probe: Probe::Off,
            ping: None,
        }
    }

    /// Its socket will give no more bytes.
    pub(super) fn finished(&self) -> bool {
        self.eof || self.failed
    }

    /// Nothing can or should be sent to it: it left, or half-left, without saying so in a Close.
    pub(super) fn left(&self) -> bool {
        self.failed || self.unwritable || (self.eof && self.close_in.is_none())
    }

    /// Nothing that it may still send makes a difference.
    pub(super) fn is_silenced(&self) -> bool {
        self.close_in.is_some() || self.given_up || self.finished()
    }

    /// Whether frames that begin now, or a Close, may go to it: none after its Close, nor while ours waits.
    pub(super) fn accepts(&self) -> bool {
        self.close_due.is_none() && self.close_out.is_none() && !self.left() && !self.truncated
    }

    /// All that it is to get, it got.
    pub(super) fn is_served(&self) -> bool {
        self.close_out.is_some() || (self.close_due.is_none() && (self.left() || self.truncated))
    }

    pub(super) fn keepalive(&self, policy: &Policy) -> Option<Keepalive> {
        match self.side {
            Side::Client => policy.keepalive_client,
            Side::App => policy.keepalive_app,
        }
    }

    /// Charges what was forwarded.
    pub(super) fn charge(&mut self, messages: u64, bytes: u64) {
        if let Some(bucket) = &mut self.messages {
            bucket.take(messages);
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.take(bytes);
        }
    }

    pub(super) fn refill(&mut self, policy: &Policy, now: Micros) {
        if let (Some(bucket), Some(flow)) = (&mut self.messages, message_flow(policy)) {
            bucket.refill(flow, now);
        }
        if let (Some(bucket), Some(flow)) = (&mut self.bytes, byte_flow(policy)) {
            bucket.refill(flow, now);
        }
    }

    /// When both rates allow to read from it.
    pub(super) fn ready_at(&self, policy: &Policy) -> Micros {
        let messages = self.messages.zip(message_flow(policy)).map(|(bucket, flow)| bucket.ready_at(flow));
        let bytes = self.bytes.zip(byte_flow(policy)).map(|(bucket, flow)| bucket.ready_at(flow));
        messages.max(bytes).unwrap_or_default()
    }

    pub(super) fn has_tokens(&self) -> bool {
        [self.messages, self.bytes].into_iter().flatten().all(|bucket| bucket.tokens() > 0)
    }
}

fn message_flow(policy: &Policy) -> Option<Flow> {
    policy.message_rate.map(|rate| Flow::new(u64::from(rate.per_second), u64::from(rate.burst)))
}

fn byte_flow(policy: &Policy) -> Option<Flow> {
    policy.byte_rate.map(|rate| Flow::new(rate.per_second, rate.burst))
}
