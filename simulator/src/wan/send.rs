//! The sender: what goes out when, what it costs, and what happens when it is lost.

use std::cmp::Ordering;

use bytes::{Bytes, BytesMut};
use turmoil_net::TcpFlags;

use super::conn::{Backoff, Side};
use super::link::Route;
use super::traffic::TrafficTable;
use super::{HEADER_BYTES, MSS, SACK_BYTES, Traffic};
use crate::engine::{AckInfo, ConnId, Event, Segment, State};
use crate::history::Fold;

/// Retransmissions in a row before a connection is given up, as `net.ipv4.tcp_retries2`: after some 15 minutes.
const RETRIES: u32 = 15;
/// Losses of the same segment in a row that are played out.
const MAX_LOSSES: u32 = 8;

impl State {
    /// Takes a segment of what was written, or the FIN that the kernel has emitted.
    pub(super) fn queue_up(&mut self, id: ConnId, side: Side, payload: Bytes, fin: bool) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let cut = conn.flow(side).cut;
        conn.counter(side).payload += if cut { 0 } else { payload.len() as u64 };
        if cut {
            // The middlebox has closed this connection.
            if fin && payload.is_empty() {
                self.finish_kernel(id, side);
            } else {
                self.refuse_locally(id, side);
            }
            return;
        }
        let flow = conn.flow(side);
        if !payload.is_empty() {
            flow.queued += payload.len();
            flow.queue.push_back(payload);
        }
        if fin {
            flow.fin_waits = true;
            self.finish_kernel(id, side);
        }
        self.pump(id, side);
    }

    /// The kernel's FIN is acknowledged at once: it is in good hands.
    fn finish_kernel(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.end(side).finished = true;
        let (seq, end) = (conn.flow(side.other()).base, conn.flow(side).base.wrapping_add(1));
        self.hand_over(id, side, seq, end, TcpFlags { ack: true, ..TcpFlags::default() }, Bytes::new());
        // Closing sockets are swept out by a pass.
        crate::engine::mark_dirty();
        self.retire_if_over(id);
    }

    /// Sends what the windows allow; then lets the application write more.
    pub(super) fn pump(&mut self, id: ConnId, side: Side) {
        while self.may_send(id, side) {
            let route = self.path(id, side);
            if route.blocked {
                let now = self.now();
                self.back_off(id, side, now);
                break;
            }
            self.transmit(id, side, route);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        let flow = conn.flow(side);
        let window = flow.congestion.window as usize;
        let mut writer = None;
        // Linux lets an application fill twice the congestion window.
        if flow.held > flow.written.len() && flow.queued + flow.out as usize * MSS <= 2 * window * MSS {
            flow.held = flow.written.len();
            writer = flow.writer.take();
        }
        let at_rest = flow.is_at_rest();
        self.rouse(writer);
        if !at_rest {
            self.hurry();
        }
    }

    fn may_send(&self, id: ConnId, side: Side) -> bool {
        let Some(conn) = self.conns.get(id) else { return false };
        let flow = &conn.flows[side as usize];
        if flow.backoff.is_some() || flow.fin_sent {
            return false;
        }
        if flow.queued == 0 {
            return flow.fin_waits;
        }
        let room = flow.limit.saturating_sub(flow.sent);
        let next = flow.queued.min(MSS) as u64;
        flow.out < flow.congestion.window && (room >= next || (room > 0 && flow.out == 0))
    }

    /// Sends one segment, or the FIN.
    fn transmit(&mut self, id: ConnId, side: Side, route: Route) {
        let now = self.now();
        let other = side.other();
        let ack = self.piggyback(id, other, now);
        let conn = self.conns.get_mut(id).expect("the caller has looked");
        let flow = conn.flow(side);
        let fin = flow.queued == 0;
        let room = usize::try_from(flow.limit - flow.sent.min(flow.limit)).unwrap_or(usize::MAX);
        let payload = if fin { Bytes::new() } else { take(flow, room) };
        flow.congestion.sending(flow.out, now.saturating_sub(flow.last_sent_at));
        let offset = flow.sent;
        flow.sent += payload.len() as u64;
        flow.fin_sent = fin;
        flow.last_sent_at = now;
        let more = flow.queued > 0;
        let wire = HEADER_BYTES + u32::try_from(payload.len()).expect("a segment is small");
        let passage = self.links.carry(route, wire, now);
        self.count(id, side, wire, false);
        let mut late = 0;
        if passage.lost {
            late = self.recovery(id, side, route, wire, more);
        }
        let mut fold = Fold::default();
        fold.bytes(&payload);
        self.record(id, side, now, passage.arrival, [offset, fold.value(), late]);
        self.passed_hops(id, side, now);
        let conn = self.conns.get_mut(id).expect("still there");
        let flow = conn.flow(side);
        let at = (passage.arrival + late).max(flow.last_arrival);
        flow.last_arrival = at;
        // Later segments that overtake a lost one are acknowledged selectively: the sender goes on.
        let acked = !fin && late == 0 && at > passage.arrival && !flow.silenced;
        if !fin {
            flow.out += 1;
        }
        let segment = Segment { payload, fin, sent_at: now, acked, ack };
        self.schedule(at, Event::Segment { conn: id, from: side, segment });
        if acked {
            self.selective_ack(id, side, passage.arrival, now);
        }
    }

    /// How much later a lost segment arrives, in microseconds; its retransmissions are counted.
    fn recovery(&mut self, id: ConnId, side: Side, route: Route, wire: u32, more: bool) -> u64 {
        let now = self.now();
        let base = self.links.link(route).latency_us * 2;
        let conn = self.conns.get_mut(id).expect("the caller has looked");
        let flow = conn.flow(side);
        let rtt = flow.congestion.round_trip().max(base);
        let mut late = if more {
            flow.congestion.lost(now);
            rtt
        } else {
            let wait = flow.congestion.probe(flow.out + 1);
            if wait >= flow.congestion.timeout(0) {
                flow.congestion.timed_out();
            } else {
                flow.congestion.lost(now);
            }
            wait
        };
        self.count(id, side, wire, true);
        for attempt in 1..MAX_LOSSES {
            if !self.links.loses_again(route) {
                break;
            }
            self.count(id, side, wire, true);
            let flow = self.conns.get_mut(id).expect("still there").flow(side);
            late += flow.congestion.timeout(attempt);
            flow.congestion.timed_out();
        }
        late
    }

    /// A duplicate ACK with a SACK block, sent when the segment would have arrived.
    fn selective_ack(&mut self, id: ConnId, side: Side, arrival: u64, sent_at: u64) {
        let other = side.other();
        let route = self.path(id, other);
        self.count(id, other, SACK_BYTES, false);
        if route.blocked {
            return;
        }
        let back = self.links.link(route).latency_us;
        let limit = self.conns[id].flows[side as usize].granted;
        let ack = AckInfo { segments: 1, limit, sent_at, held_us: 0 };
        self.schedule(arrival + back, Event::Ack { conn: id, sender: side, ack });
    }

    /// What was sent (or should have been) at `sent_at` gets no answer: the retransmission timer runs.
    pub(super) fn back_off(&mut self, id: ConnId, side: Side, sent_at: u64) {
        let now = self.now();
        let Some(conn) = self.conns.get_mut(id) else { return };
        let flow = conn.flow(side);
        if flow.backoff.is_some() {
            return;
        }
        let timer = flow.next_timer();
        flow.backoff = Some(Backoff { timer, attempt: 0 });
        let at = (sent_at + flow.congestion.timeout(0)).max(now);
        self.hurry();
        self.schedule(at, Event::Retransmit { conn: id, sender: side, timer });
    }

    /// The retransmission timer has gone off.
    pub(crate) fn retransmit(&mut self, id: ConnId, side: Side, timer: u64) {
        let now = self.now();
        let other = side.other();
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(backoff) = conn.flow(side).backoff.filter(|backoff| backoff.timer == timer) else { return };
        let (end, peer) = (&conn.ends[side as usize], &conn.ends[other as usize]);
        let (host, life, gone) = (end.host, end.life, end.gone);
        let (peer_host, peer_life, peer_gone) = (peer.host, peer.life, peer.gone);
        if gone || !self.host(host).up || self.host(host).life != life {
            self.conns.get_mut(id).expect("just seen").flow(side).backoff = None;
            return;
        }
        if backoff.attempt >= RETRIES {
            return self.give_up(id, side);
        }
        let wire = HEADER_BYTES + u32::try_from(MSS.min(self.conns[id].flows[side as usize].queued)).unwrap_or(0);
        self.count(id, side, wire, true);
        let blocked = self.path(id, side).blocked;
        let answers = self.host(peer_host).up && !blocked && !self.conns[id].flows[side as usize].silenced;
        if answers && (peer_gone || self.host(peer_host).life != peer_life) {
            self.conns.get_mut(id).expect("just seen").flow(side).backoff = None;
            return self.refuse(id, other);
        }
        let deaf = self.path(id, other).blocked;
        let conn = self.conns.get_mut(id).expect("just seen");
        let deaf = deaf || conn.flow(other).silenced;
        let flow = conn.flow(side);
        if backoff.attempt == 0 {
            flow.congestion.timed_out();
        }
        flow.last_sent_at = now;
        if !answers || flow.delivered < flow.sent || (deaf && flow.out > 0) {
            let attempt = backoff.attempt + 1;
            flow.backoff = Some(Backoff { timer, attempt });
            let at = now + flow.congestion.timeout(attempt);
            return self.schedule(at, Event::Retransmit { conn: id, sender: side, timer });
        }
        flow.backoff = None;
        if flow.out > 0 {
            // The data had arrived and its ACKs had not: the receiver says it again.
            flow.unacked.segments = flow.out;
            flow.unacked.sent_at = now;
            flow.unacked.arrived_at = now;
            self.acknowledge(id, side);
        }
        self.pump(id, side);
    }

    /// Too many retransmissions: the application gets an error, the peer hears nothing.
    fn give_up(&mut self, id: ConnId, side: Side) {
        self.timed_out.insert(id);
        self.reset_kernel(id, side);
        self.conns.get_mut(id).expect("just seen").end(side).gone = true;
        self.retire_if_over(id);
    }

    /// What a packet of `side` takes to the other end now.
    pub(super) fn path(&mut self, id: ConnId, side: Side) -> Route {
        let conn = &self.conns[id];
        if let Some(route) = conn.routes[side as usize].filter(|route| self.links.is_current(*route)) {
            return route;
        }
        let from = self.place(conn.ends[side as usize].host);
        let to = self.place(conn.ends[side.other() as usize].host);
        let route = self.links.route(from, to);
        self.conns.get_mut(id).expect("just seen").routes[side as usize] = Some(route);
        route
    }

    /// Counts a packet of `side`.
    pub(crate) fn count(&mut self, id: ConnId, side: Side, wire: u32, again: bool) {
        self.stats.packets += 1;
        self.stats.bytes += u64::from(wire);
        if let Some(conn) = self.conns.get_mut(id) {
            let counter = conn.counter(side);
            if again { counter.retransmit(wire) } else { counter.packet(wire) }
        }
    }

    /// Takes a packet into the digest, and into the history if that is wanted.
    pub(super) fn record(&mut self, id: ConnId, from: Side, now: u64, arrival: u64, what: [u64; 3]) {
        let Some(conn) = self.conns.get(id) else { return };
        let (src, dst) = (conn.ends[from as usize].addr, conn.ends[from.other() as usize].addr);
        let fold = self.log.at(now);
        for word in [now, arrival, src.word(), dst.word()].into_iter().chain(what) {
            fold.word(word);
        }
        if self.trace {
            let (src, dst): (std::net::SocketAddr, std::net::SocketAddr) = (src.into(), dst.into());
            self.log.push(now, "".into(), format!("{src} > {dst}, there at {arrival} µs: {what:x?}"));
        }
    }

    /// What was on the wire so far, by hosts, port and label.
    pub(crate) fn traffic(&self) -> Vec<Traffic> {
        let mut table: TrafficTable = self.retired.clone_sums();
        for (_, conn) in self.conns.iter() {
            table.add(conn.traffic_key(), conn.counters);
        }
        table.into_rows(|host| self.host(host).name.clone())
    }
}

/// Up to a segment from the queue, whole if it fits.
fn take(flow: &mut super::conn::Flow, room: usize) -> Bytes {
    let wanted = flow.queued.min(MSS).min(room);
    let front = flow.queue.front_mut().expect("the caller has looked");
    let payload = match front.len().cmp(&wanted) {
        Ordering::Greater => front.split_to(wanted),
        Ordering::Equal => flow.queue.pop_front().expect("just seen"),
        Ordering::Less => {
            let mut payload = BytesMut::with_capacity(wanted);
            while payload.len() < wanted {
                let front = flow.queue.front_mut().expect("as many bytes as are counted");
                let part = front.split_to(front.len().min(wanted - payload.len()));
                payload.extend_from_slice(&part);
                if front.is_empty() {
                    flow.queue.pop_front();
                }
            }
            payload.freeze()
        }
    };
    flow.queued -= payload.len();
    payload
}
