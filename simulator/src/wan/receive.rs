//! The receiver: what arrives goes to the kernel in order, and is acknowledged when Linux would.

use bytes::Bytes;
use turmoil_net::TcpFlags;

use super::MSS;
use super::conn::Side;
use crate::engine::{ConnId, Event, Segment, State};

/// How long an ACK waits for data to go with it.
const DELAYED_ACK_US: u64 = 40_000;

impl State {
    pub(crate) fn segment_arrived(&mut self, id: ConnId, from: Side, segment: Segment) {
        let to = from.other();
        let now = self.now();
        let Some(conn) = self.conns.get(id) else { return };
        let end = &conn.ends[to as usize];
        let (host, life, gone, orphan) = (end.host, end.life, end.gone, end.orphan);
        if conn.flows[from as usize].silenced || !self.host(host).up {
            return self.back_off(id, from, segment.sent_at);
        }
        if gone || life != self.host(host).life {
            return self.refuse(id, to);
        }
        if orphan && !segment.payload.is_empty() {
            // Nobody will read it: a real kernel says so, and forgets the socket.
            self.reset_kernel(id, to);
            return self.refuse(id, to);
        }
        self.passed_hops(id, to, now);
        if let Some(ack) = segment.ack {
            self.ack_arrived(id, to, ack);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        let flow = conn.flow(from);
        flow.delivered += segment.payload.len() as u64;
        flow.fin_arrived |= segment.fin;
        if !segment.acked && !segment.fin {
            flow.unacked.segments += 1;
        }
        flow.unacked.bytes += segment.payload.len();
        flow.unacked.sent_at = segment.sent_at;
        flow.unacked.arrived_at = now;
        let at_once = segment.fin || flow.unacked.bytes > MSS;
        if !segment.payload.is_empty() {
            flow.arrived.push_back(segment.payload);
            let reader = flow.reader.take();
            self.rouse(reader);
        } else if flow.arrived.is_empty() {
            self.tell_fin(id, to);
        }
        if at_once {
            self.acknowledge(id, from);
        } else {
            let flow = self.conns.get_mut(id).expect("just seen").flow(from);
            if flow.unacked.timer == 0 {
                let timer = flow.next_timer();
                flow.unacked.timer = timer;
                self.schedule_ack(now + DELAYED_ACK_US, id, Event::DelayedAck { conn: id, sender: from, timer });
            }
        }
        if segment.fin {
            self.retire_if_over(id);
        }
    }

    /// The application of `reader` has taken `bytes`.
    pub(crate) fn was_read(&mut self, id: ConnId, reader: Side, bytes: usize) {
        let from = reader.other();
        let Some(conn) = self.conns.get_mut(id) else { return };
        let flow = conn.flow(from);
        flow.read += bytes as u64;
        let (read_all, end) = (flow.read >= flow.delivered, flow.window_end());
        let stuck = flow.granted < flow.sent + MSS as u64;
        let worth_it = end >= flow.granted + 2 * MSS as u64;
        let waits = conn.end(reader).reset_waits;
        if waits && read_all {
            self.reset_arrived(id, reader);
        } else if stuck && worth_it {
            self.acknowledge(id, from);
        }
    }

    /// Whether a connection that the peer has reset still has something to read on this side.
    pub(crate) fn reset_waits(&self, id: ConnId, side: Side) -> bool {
        self.conns.get(id).is_some_and(|conn| conn.ends[side as usize].reset_waits)
    }

    /// Tells the kernel of `to` that the connection is reset.
    pub(super) fn reset_kernel(&mut self, id: ConnId, to: Side) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.flow(to.other()).arrived.clear();
        let (seq, ack, stage) = (conn.flow(to.other()).base, conn.flow(to).base, conn.stage);
        let (host, life) = (conn.end(to).host, conn.end(to).life);
        let host = self.host(host);
        if !host.up || host.life != life {
            return;
        }
        if to == Side::Server && stage < super::conn::Stage::Open && stage > super::conn::Stage::SynSent {
            // A RST in the middle of the handshake would leave the half-open socket and its port for ever.
            self.hand_over(id, to, seq, ack, TcpFlags { ack: true, ..TcpFlags::default() }, Bytes::new());
        }
        self.hand_over(id, to, seq, 0, TcpFlags { rst: true, ..TcpFlags::default() }, Bytes::new());
        crate::engine::mark_dirty();
    }
}
