//! Packets as kernels emit them, and the three-way handshake between kernels.

use bytes::Bytes;
use turmoil_net::{Packet, TcpFlags, TcpSegment, Transport};

use super::congestion::with_slack;
use super::conn::{Addr, Conn, Side, Stage};
use super::{HEADER_BYTES, SYN_BYTES};
use crate::engine::{ConnId, Event, State, Step, mark_dirty};

/// The wait before the first retransmission of a SYN or SYN-ACK; it doubles (RFC 6298).
const SYN_TIMEOUT_US: u64 = 1_000_000;
/// Retransmissions of a SYN, as `net.ipv4.tcp_syn_retries`: the last wait ends after 127 s.
const SYN_RETRIES: u32 = 6;
/// The first port that a kernel gives out for dialling; the others follow one by one.
const FIRST_PORT: u16 = 49_152;
/// A kernel that is handed a packet believes that the window is full size; the real one is kept by the model.
const KERNEL_WINDOW: u16 = u16::MAX;

impl State {
    /// A kernel has emitted a packet: its part of the handshake crosses as it is, a FIN goes to the
    /// connection's own sender behind what was written, and ACKs end here.
    pub(crate) fn emitted(&mut self, packet: Packet) {
        let Transport::Tcp(tcp) = packet.payload else { return };
        let Some((from, to)) = Addr::new(packet.src, tcp.src_port).zip(Addr::new(packet.dst, tcp.dst_port)) else {
            return;
        };
        let Some(&(host, life)) = self.addresses.get(&from.ip) else { return };
        let sender = self.host(host);
        if !sender.up || sender.life != life {
            return;
        }
        let from = Addr { ip: sender.ip, ..from };
        if tcp.flags.syn && !tcp.flags.ack {
            return self.opened((host, life, from), to, tcp.seq);
        }
        let as_client = self.by_addr.get(&(from, to)).map(|id| (*id, Side::Client));
        let found = as_client.or_else(|| self.by_addr.get(&(to, from)).map(|id| (*id, Side::Server)));
        let Some((id, side)) = found else { return };
        if tcp.flags.rst {
            self.kernel_reset(id, side);
        } else if tcp.flags.syn {
            let conn = self.conns.get_mut(id).expect("the index knows only what is there");
            conn.stage = Stage::SynAcked;
            conn.flow(Side::Server).base = tcp.seq.wrapping_add(1);
            self.send_step(id, Step::SynAck, 0);
        } else {
            let conn = self.conns.get_mut(id).expect("the index knows only what is there");
            if side == Side::Client && conn.stage == Stage::SynAcked {
                conn.stage = Stage::AckSent;
                self.send_step(id, Step::Ack, 0);
            }
            if tcp.flags.fin {
                self.take_written(id, side);
                self.queue_up(id, side, Bytes::new(), true);
            }
        }
    }

    fn opened(&mut self, client: (u16, u16, Addr), to: Addr, seq: u32) {
        let Some(&(host, _)) = self.addresses.get(&to.ip) else { return };
        self.host_mut(client.0).ports_taken = client.2.port.saturating_sub(FIRST_PORT).saturating_add(1);
        if let Some(old) = self.by_addr.get(&(client.2, to)) {
            self.retire(*old);
        }
        let life = self.host(host).life;
        let mut conn = Conn::new(client, (host, life, to), "".into());
        conn.flow(Side::Client).base = seq.wrapping_add(1);
        conn.watches = self.watches((client.0, client.2), (host, to));
        let id = self.conns.insert(conn);
        self.by_addr.insert((client.2, to), id);
        self.send_step(id, Step::Syn, 0);
    }

    fn send_step(&mut self, id: ConnId, step: Step, attempt: u32) {
        let now = self.now();
        let from = sender(step);
        let wire = if step == Step::Ack { HEADER_BYTES } else { SYN_BYTES };
        let route = self.path(id, from);
        self.count(id, from, wire, attempt > 0);
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.handshake_at[from as usize] = now;
        let silenced = conn.flow(from).silenced;
        let passage = self.links.carry(route, wire, now);
        let lost = route.blocked || silenced || (passage.lost && step != Step::Ack);
        self.record(id, from, now, passage.arrival, [1 + step as u64, u64::from(lost), 0]);
        if lost {
            return self.step_later(id, step, attempt, now);
        }
        let flow = self.conns.get_mut(id).expect("just seen").flow(from);
        flow.last_arrival = flow.last_arrival.max(passage.arrival);
        let at = flow.last_arrival;
        self.schedule(at, Event::Step { conn: id, step, attempt, sent_at: now });
    }

    /// The packet did not get there: its sender tries again, or gives up without a word.
    fn step_later(&mut self, id: ConnId, step: Step, attempt: u32, sent_at: u64) {
        if attempt < SYN_RETRIES {
            let at = sent_at + with_slack(SYN_TIMEOUT_US << attempt);
            self.schedule(at.max(self.now()), Event::StepAgain { conn: id, step, attempt: attempt + 1 });
        } else if step == Step::Syn {
            self.retire(id);
        } else {
            // The server drops a connection whose client it does not hear of again.
            self.schedule(self.now(), Event::Reset { conn: id, to: Side::Server });
        }
    }

    pub(crate) fn step_again(&mut self, id: ConnId, step: Step, attempt: u32) {
        let Some(conn) = self.conns.get(id) else { return };
        let end = &conn.ends[sender(step) as usize];
        let host = self.host(end.host);
        let dead = end.gone || !host.up || host.life != end.life;
        if dead || (step == Step::Syn && !self.is_dialling(id)) {
            return self.retire(id);
        }
        self.send_step(id, step, attempt);
    }

    /// Whether the client's kernel still waits: a dial that was given up leaves no other trace.
    fn is_dialling(&self, id: ConnId) -> bool {
        let end = &self.conns[id].ends[Side::Client as usize];
        let inner = self.inner(end.host, end.life);
        let sockets = turmoil_net::netstat(std::net::IpAddr::V4(inner));
        sockets.entries.iter().any(|socket| {
            socket.local.port() == end.addr.port && socket.state == Some(turmoil_net::NetstatState::SynSent)
        })
    }

    pub(crate) fn step_arrived(&mut self, id: ConnId, step: Step, attempt: u32, sent_at: u64) {
        let to = sender(step).other();
        let now = self.now();
        let Some(conn) = self.conns.get(id) else { return };
        let end = &conn.ends[to as usize];
        let (host, life, gone) = (end.host, end.life, end.gone);
        if !self.host(host).up {
            return self.step_later(id, step, attempt, sent_at);
        }
        let current = self.host(host).life;
        if step == Step::Syn {
            self.conns.get_mut(id).expect("just seen").end(to).life = current;
        } else if gone || life != current {
            return self.refuse(id, to);
        }
        let conn = self.conns.get_mut(id).expect("just seen");
        let (seq, ack) = (conn.flow(to.other()).base, conn.flow(to).base);
        let syn = TcpFlags { syn: true, ..TcpFlags::default() };
        let (seq, ack, flags) = match step {
            Step::Syn => (seq.wrapping_sub(1), 0, syn),
            Step::SynAck => (seq.wrapping_sub(1), ack, TcpFlags { ack: true, ..syn }),
            Step::Ack => (seq, ack, TcpFlags { ack: true, ..TcpFlags::default() }),
        };
        if step != Step::Syn {
            let since = conn.handshake_at[to as usize];
            conn.flow(to).congestion.sample(now - since);
        }
        if step == Step::Ack {
            conn.stage = Stage::Open;
            self.watch(id);
        }
        self.hand_over(id, to, seq, ack, flags, Bytes::new());
        // The kernel answers a SYN and a SYN-ACK.
        mark_dirty();
    }

    /// Puts a packet from the other end into the kernel of `to`.
    pub(crate) fn hand_over(&mut self, id: ConnId, to: Side, seq: u32, ack: u32, flags: TcpFlags, payload: Bytes) {
        let Some(conn) = self.conns.get(id) else { return };
        let (end, peer) = (&conn.ends[to as usize], &conn.ends[to.other() as usize]);
        let packet = Packet {
            src: peer.addr.ip.into(),
            dst: self.inner(end.host, end.life).into(),
            ttl: 64,
            payload: Transport::Tcp(TcpSegment {
                src_port: peer.addr.port,
                dst_port: end.addr.port,
                seq,
                ack,
                flags,
                window: KERNEL_WINDOW,
                payload,
            }),
        };
        self.outbox.push(packet);
        // It ends something, or opens it: whoever waits for bytes has to ask the kernel now.
        let Some(conn) = self.conns.get_mut(id) else { return };
        let (reader, writer) = (conn.flow(to.other()).reader.take(), conn.flow(to).writer.take());
        self.rouse(reader);
        self.rouse(writer);
    }

    /// The address by which the kernel of one of a host's lives knows itself.
    pub(crate) fn inner(&self, host: u16, life: u16) -> std::net::Ipv4Addr {
        self.host(host).lives[usize::from(life)].1
    }
}

fn sender(step: Step) -> Side {
    if step == Step::SynAck { Side::Server } else { Side::Client }
}
