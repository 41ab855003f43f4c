//! ACKs: when they go, what they ride on, and what they let the sender do.

use super::HEADER_BYTES;
use super::conn::{Flow, Side, Unacked};
use crate::engine::{AckInfo, ConnId, Event, State};

impl State {
    /// The reader of `sender`'s flow sends an ACK of its own.
    pub(super) fn acknowledge(&mut self, id: ConnId, sender: Side) {
        let now = self.now();
        let reader = sender.other();
        let Some(ack) = self.take_ack(id, sender, now) else { return };
        let route = self.path(id, reader);
        self.count(id, reader, HEADER_BYTES, false);
        let passage = self.links.carry(route, HEADER_BYTES, now);
        self.record(id, reader, now, passage.arrival, [u64::MAX, u64::from(ack.segments), ack.limit]);
        let conn = self.conns.get_mut(id).expect("just seen");
        if route.blocked || conn.flow(reader).silenced {
            let sent_at = conn.flow(sender).last_sent_at;
            return self.back_off(id, sender, sent_at);
        }
        self.schedule_ack(passage.arrival, id, Event::Ack { conn: id, sender, ack });
    }

    /// An ACK is put aside while its connection is at rest: all was sent that was written, and there is a way for it.
    pub(super) fn schedule_ack(&mut self, at: u64, id: ConnId, event: Event) {
        let at_rest = self.conns.get(id).is_some_and(|conn| conn.flows.iter().all(Flow::is_at_rest));
        if at_rest && Side::BOTH.into_iter().all(|side| !self.path(id, side).blocked) {
            self.schedule_aside(at, event);
        } else {
            self.schedule(at, event);
        }
    }

    pub(crate) fn ack_delayed(&mut self, id: ConnId, sender: Side, timer: u64) {
        let due = self.conns.get(id).is_some_and(|conn| conn.flows[sender as usize].unacked.timer == timer);
        if due {
            self.acknowledge(id, sender);
        }
    }

    /// The ACK that waits for `sender`'s flow, for a segment that goes the other way now.
    pub(super) fn piggyback(&mut self, id: ConnId, sender: Side, now: u64) -> Option<AckInfo> {
        let flow = self.conns.get_mut(id)?.flow(sender);
        if flow.backoff.is_some() && flow.out > 0 && flow.delivered == flow.sent {
            // Its ACKs were lost, and every packet says again how far the reader is.
            flow.unacked.segments = flow.out;
            flow.unacked.arrived_at = now;
            flow.unacked.sent_at = now;
            return self.take_ack(id, sender, now);
        }
        if flow.unacked.timer == 0 { None } else { self.take_ack(id, sender, now) }
    }

    fn take_ack(&mut self, id: ConnId, sender: Side, now: u64) -> Option<AckInfo> {
        let flow = self.conns.get_mut(id)?.flow(sender);
        let unacked = std::mem::replace(&mut flow.unacked, Unacked { arrived_at: now, ..Unacked::default() });
        flow.granted = flow.granted.max(flow.window_end());
        let held_us = now - unacked.arrived_at;
        Some(AckInfo { segments: unacked.segments, limit: flow.granted, sent_at: unacked.sent_at, held_us })
    }

    /// An ACK has reached the sender.
    pub(crate) fn ack_arrived(&mut self, id: ConnId, sender: Side, ack: AckInfo) {
        let now = self.now();
        let Some(conn) = self.conns.get_mut(id) else { return };
        let flow = conn.flow(sender);
        flow.limit = flow.limit.max(ack.limit);
        if ack.segments > 0 {
            // Whatever the retransmission timer was about, the way is open.
            flow.backoff = None;
            flow.out = flow.out.saturating_sub(ack.segments);
            flow.congestion.acked(ack.segments, (now - ack.sent_at).saturating_sub(ack.held_us));
        }
        self.pump(id, sender);
    }
}
