//! Ends of connections: RSTs, sockets that nobody holds any more, and the last of a connection's record.

use super::RST_BYTES;
use super::conn::{Conn, Side};
use super::traffic::Key;
use crate::engine::{ConnId, Event, State};

/// How long a kernel keeps a closed socket whose peer does not close, as `net.ipv4.tcp_fin_timeout`.
const ORPHAN_US: u64 = 60_000_000;

impl State {
    /// A kernel has emitted a RST: it knows the connection no more.
    pub(super) fn kernel_reset(&mut self, id: ConnId, side: Side) {
        self.send_reset(id, side);
    }

    /// A packet has come for a socket that is not there: the answer is a RST.
    pub(super) fn refuse(&mut self, id: ConnId, side: Side) {
        self.send_reset(id, side);
    }

    fn send_reset(&mut self, id: ConnId, from: Side) {
        let now = self.now();
        let route = self.path(id, from);
        self.count(id, from, RST_BYTES, false);
        let passage = self.links.carry(route, RST_BYTES, now);
        self.record(id, from, now, passage.arrival, [u64::MAX - 1, 0, 0]);
        let conn = self.conns.get_mut(id).expect("the caller has looked");
        conn.end(from).gone = true;
        let flow = conn.flow(from);
        flow.forget_queue();
        // A RST is never sent twice: one that is lost leaves the peer to find out by itself.
        if !route.blocked && !flow.silenced {
            let at = passage.arrival.max(flow.last_arrival);
            self.schedule(at, Event::Reset { conn: id, to: from.other() });
        }
        self.retire_if_over(id);
    }

    /// What the application writes to a connection that a middlebox has closed is answered by that middlebox.
    pub(super) fn refuse_locally(&mut self, id: ConnId, side: Side) {
        let now = self.now();
        self.schedule(now, Event::Reset { conn: id, to: side });
    }

    /// A RST has reached `to`. What arrived before it can still be read.
    pub(crate) fn reset_arrived(&mut self, id: ConnId, to: Side) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let flow = conn.flow(to.other());
        let unread = flow.read < flow.delivered;
        let end = conn.end(to);
        if end.gone {
            return self.retire_if_over(id);
        }
        if unread && !end.orphan {
            end.reset_waits = true;
            conn.flow(to).forget_queue();
            return;
        }
        self.reset_kernel(id, to);
        let conn = self.conns.get_mut(id).expect("just seen");
        conn.end(to).gone = true;
        conn.end(to).reset_waits = false;
        conn.flow(to).forget_queue();
        self.retire_if_over(id);
    }

    /// The application has dropped its stream.
    pub(crate) fn dropped(&mut self, id: ConnId, side: Side) {
        let now = self.now();
        let Some(conn) = self.conns.get_mut(id) else { return };
        let end = conn.end(side);
        end.orphan = true;
        if end.reset_waits {
            return self.reset_arrived(id, side);
        }
        self.schedule(now + ORPHAN_US, Event::Reap { conn: id, side });
    }

    /// A socket that was closed a minute ago and whose peer never closed vanishes without a word.
    pub(crate) fn reap(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let pending = conn.flow(side).queued > 0 || conn.flow(side).backoff.is_some();
        if conn.end(side).gone {
            return self.retire_if_over(id);
        }
        if pending {
            // Linux keeps sending what was written, for as long as it retransmits.
            let at = self.now() + ORPHAN_US;
            return self.schedule(at, Event::Reap { conn: id, side });
        }
        self.reset_kernel(id, side);
        self.conns.get_mut(id).expect("just seen").end(side).gone = true;
        self.retire_if_over(id);
    }

    /// Frees a port of a host for a listener: closed sockets that linger on it go at once, as `SO_REUSEADDR` has it.
    pub(crate) fn evict(&mut self, host: u16, life: u16, port: u16) {
        let lingers = |conn: &Conn, side: Side| {
            let end = &conn.ends[side as usize];
            end.host == host && end.life == life && end.addr.port == port && (end.orphan || end.gone)
        };
        let found: Vec<_> = self
            .conns
            .iter()
            .flat_map(|(id, conn)| {
                Side::BOTH.into_iter().filter(|side| lingers(conn, *side)).map(move |side| (id, side))
            })
            .collect();
        for (id, side) in found {
            self.reset_kernel(id, side);
            self.conns.get_mut(id).expect("just seen").end(side).gone = true;
            self.retire_if_over(id);
        }
    }

    pub(super) fn retire_if_over(&mut self, id: ConnId) {
        if self.conns.get(id).is_some_and(Conn::is_over) {
            self.retire(id);
        }
    }

    /// Forgets a connection, but not what it has cost.
    pub(crate) fn retire(&mut self, id: ConnId) {
        let Some(mut conn) = self.conns.remove(id) else { return };
        for flow in &mut conn.flows {
            let (reader, writer) = (flow.reader.take(), flow.writer.take());
            self.rouse(reader);
            self.rouse(writer);
        }
        self.by_addr.remove(&(conn.ends[0].addr, conn.ends[1].addr));
        self.retired.add(conn.traffic_key(), conn.counters);
    }
}

impl Conn {
    pub(super) fn traffic_key(&self) -> Key {
        let [client, server] = &self.ends;
        (client.host, server.host, server.addr.port, self.label.clone())
    }
}

/// What a middlebox does to a connection.
impl State {
    /// When a packet of a hop in front of `near` gets to the other end.
    pub(crate) fn cross(&mut self, id: ConnId, near: Side, wire: u32) -> u64 {
        let now = self.now();
        let route = self.path(id, near);
        let passage = self.links.carry(route, wire, now);
        passage.arrival.max(self.conns[id].flows[near as usize].last_arrival)
    }

    /// A hop in front of `near` closes the direction from `from` with a FIN of its own.
    pub(crate) fn forge_fin(&mut self, id: ConnId, from: Side, near: Side) {
        let now = self.now();
        let at = if from == near { self.cross(id, near, super::HEADER_BYTES) } else { now };
        self.count(id, from, super::HEADER_BYTES, false);
        let flow = self.conns.get_mut(id).expect("the caller has looked").flow(from);
        flow.cut = true;
        if flow.fin_sent {
            return;
        }
        flow.fin_sent = true;
        let at = at.max(flow.last_arrival);
        flow.last_arrival = at;
        let segment =
            crate::engine::Segment { payload: bytes::Bytes::new(), fin: true, sent_at: now, acked: false, ack: None };
        self.schedule(at, Event::Segment { conn: id, from, segment });
    }
}
