//! What waits for its time.

use std::cmp::Ordering;

use bytes::Bytes;

use super::state::{ConnId, State};
use crate::fault::Fault;
use crate::wan::Side;

/// A packet of the three-way handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Syn,
    SynAck,
    Ack,
}

/// What an ACK tells the sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AckInfo {
    pub(crate) segments: u32,
    /// The sender may send up to this offset.
    pub(crate) limit: u64,
    /// From sending to arrival and back, without the receiver's own delay, when this ACK has arrived.
    pub(crate) sent_at: u64,
    pub(crate) held_us: u64,
}

/// A data segment or a FIN on its way.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) payload: Bytes,
    pub(crate) fin: bool,
    pub(crate) sent_at: u64,
    /// It was acknowledged selectively while an earlier one was missing.
    pub(crate) acked: bool,
    /// For the other direction.
    pub(crate) ack: Option<AckInfo>,
}

#[derive(Debug)]
pub(crate) enum Event {
    Step {
        conn: ConnId,
        step: Step,
        attempt: u32,
        sent_at: u64,
    },
    StepAgain {
        conn: ConnId,
        step: Step,
        attempt: u32,
    },
    Segment {
        conn: ConnId,
        from: Side,
        segment: Segment,
    },
    /// For the flow of `sender`.
    Ack {
        conn: ConnId,
        sender: Side,
        ack: AckInfo,
    },
    /// The receiver of `sender`'s flow has waited long enough for data to put its ACK on.
    DelayedAck {
        conn: ConnId,
        sender: Side,
        timer: u64,
    },
    Retransmit {
        conn: ConnId,
        sender: Side,
        timer: u64,
    },
    Reset {
        conn: ConnId,
        to: Side,
    },
    /// A stream was dropped a while ago.
    Reap {
        conn: ConnId,
        side: Side,
    },
    Hop {
        conn: ConnId,
        watch: usize,
        lifetime: bool,
    },
    Fault(Fault),
}

/// An event and its time; those of the same microsecond happen in the order in which they were scheduled.
pub(crate) struct Scheduled {
    pub(crate) at: u64,
    pub(crate) tie: u64,
    pub(crate) event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.tie).cmp(&(other.at, other.tie))
    }
}

impl State {
    /// Does what is due now.
    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Step { conn, step, attempt, sent_at } => self.step_arrived(conn, step, attempt, sent_at),
            Event::StepAgain { conn, step, attempt } => self.step_again(conn, step, attempt),
            Event::Segment { conn, from, segment } => self.segment_arrived(conn, from, segment),
            Event::Ack { conn, sender, ack } => self.ack_arrived(conn, sender, ack),
            Event::DelayedAck { conn, sender, timer } => self.ack_delayed(conn, sender, timer),
            Event::Retransmit { conn, sender, timer } => self.retransmit(conn, sender, timer),
            Event::Reset { conn, to } => self.reset_arrived(conn, to),
            Event::Reap { conn, side } => self.reap(conn, side),
            Event::Hop { conn, watch, lifetime } => self.hop_timer(conn, watch, lifetime),
            Event::Fault(fault) => self.apply(&fault),
        }
    }
}
