//! One connection as the network sees it: two ends, two senders.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;

use super::congestion::Congestion;
use super::link::Route;
use super::traffic::Counter;
use crate::middlebox::Watch;

/// The receive window before the reader has shown that it reads, and the most it grows to, in bytes.
const WINDOW_MIN: u64 = 64 * 1024;
const WINDOW_MAX: u64 = 6 * 1024 * 1024;
/// What each byte that was read adds to the receive window.
const WINDOW_GROWTH: u64 = 4;

/// An endpoint as everybody else sees it: the host's address stays the same over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Addr {
    pub(crate) ip: Ipv4Addr,
    pub(crate) port: u16,
}

impl Addr {
    pub(crate) fn new(ip: IpAddr, port: u16) -> Option<Self> {
        match ip {
            IpAddr::V4(ip) => Some(Self { ip, port }),
            IpAddr::V6(_) => None,
        }
    }

    pub(crate) fn word(self) -> u64 {
        (u64::from(u32::from(self.ip)) << 16) | u64::from(self.port)
    }
}

impl From<Addr> for SocketAddr {
    fn from(addr: Addr) -> Self {
        Self::new(addr.ip.into(), addr.port)
    }
}

/// Who opened the connection, and who took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client = 0,
    Server = 1,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Client, Self::Server];

    pub(crate) fn other(self) -> Self {
        if self == Self::Client { Self::Server } else { Self::Client }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    SynSent,
    /// The server's kernel has answered.
    SynAcked,
    /// The client's kernel has acknowledged that; the server has not seen it yet.
    AckSent,
    Open,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a socket, not one state")]
pub(crate) struct End {
    pub(crate) host: u16,
    /// Which of the host's lives the socket belongs to.
    pub(crate) life: u16,
    pub(crate) addr: Addr,
    /// The application has dropped its stream.
    pub(crate) orphan: bool,
    /// The kernel has no socket for it any more.
    pub(crate) gone: bool,
    /// The application writes no more.
    pub(crate) shut: bool,
    /// The kernel has emitted its FIN.
    pub(crate) finished: bool,
    /// A RST waits until what came before it was read.
    pub(crate) reset_waits: bool,
}

/// One sender with its way to the other end's reader. Offsets count payload bytes from 0.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a direction, not one state")]
pub(crate) struct Flow {
    /// The kernels' sequence number for all of it: the bytes do not pass through them.
    pub(crate) base: u32,
    /// Taken from the application since the last pass.
    pub(crate) written: Vec<u8>,
    /// What counts against the application's send buffer.
    pub(crate) held: usize,
    pub(crate) writer: Option<Waker>,
    pub(crate) queue: VecDeque<Bytes>,
    pub(crate) queued: usize,
    /// Sent for the first time up to here.
    pub(crate) sent: u64,
    /// Segments whose ACK has not come.
    pub(crate) out: u32,
    pub(crate) congestion: Congestion,
    pub(crate) last_sent_at: u64,
    pub(crate) last_arrival: u64,
    pub(crate) fin_waits: bool,
    pub(crate) fin_sent: bool,
    pub(crate) fin_arrived: bool,
    /// The reader's kernel knows of it: all before it was read.
    pub(crate) fin_told: bool,
    /// There to be read, and who waits for it.
    pub(crate) arrived: VecDeque<Bytes>,
    pub(crate) reader: Option<Waker>,
    /// There, and read by the application.
    pub(crate) delivered: u64,
    pub(crate) read: u64,
    /// The sender may send up to here; the reader has said so; the same on the reader's side.
    pub(crate) limit: u64,
    pub(crate) granted: u64,
    /// Arrived and not yet acknowledged.
    pub(crate) unacked: Unacked,
    /// Nothing arrives any more: a middlebox has forgotten the connection.
    pub(crate) silenced: bool,
    /// A middlebox has closed this direction: what still comes is answered with a RST.
    pub(crate) cut: bool,
    /// The retransmission timer that is running; its number tells stale ones.
    pub(crate) backoff: Option<Backoff>,
    pub(crate) timers: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unacked {
    pub(crate) segments: u32,
    pub(crate) bytes: usize,
    /// When the last of them was sent, and when it arrived.
    pub(crate) sent_at: u64,
    pub(crate) arrived_at: u64,
    pub(crate) timer: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) timer: u64,
    pub(crate) attempt: u32,
}

impl Flow {
    fn new() -> Self {
        Self {
            base: 0,
            written: Vec::new(),
            held: 0,
            writer: None,
            queue: VecDeque::new(),
            queued: 0,
            sent: 0,
            out: 0,
            congestion: Congestion::new(),
            last_sent_at: 0,
            last_arrival: 0,
            fin_waits: false,
            fin_sent: false,
            fin_arrived: false,
            fin_told: false,
            arrived: VecDeque::new(),
            reader: None,
            delivered: 0,
            read: 0,
            limit: WINDOW_MIN,
            granted: WINDOW_MIN,
            unacked: Unacked::default(),
            silenced: false,
            cut: false,
            backoff: None,
            timers: 0,
        }
    }

    /// How far the reader lets the sender go: the window grows with what the application reads, as Linux' does.
    pub(crate) fn window_end(&self) -> u64 {
        self.read + (WINDOW_MIN + WINDOW_GROWTH * self.read).min(WINDOW_MAX)
    }

    /// Whether an ACK would change nothing but numbers: nobody waits for it.
    pub(crate) fn is_at_rest(&self) -> bool {
        let waits = self.queued > 0 || self.held > self.written.len() || self.backoff.is_some();
        !waits && !self.silenced && !self.cut
    }

    pub(crate) fn forget_queue(&mut self) {
        self.written.clear();
        self.queue.clear();
        self.queued = 0;
    }

    pub(crate) fn next_timer(&mut self) -> u64 {
        self.timers += 1;
        self.timers
    }
}

#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) stage: Stage,
    pub(crate) ends: [End; 2],
    /// By sender.
    pub(crate) flows: [Flow; 2],
    pub(crate) counters: [Counter; 2],
    pub(crate) label: Arc<str>,
    pub(crate) watches: Vec<Watch>,
    /// What packets of each side take; see [`State::path`](crate::engine::State).
    pub(super) routes: [Option<Route>; 2],
    /// When the last packet of the handshake was sent: the first round trip is measured from there.
    pub(crate) handshake_at: [u64; 2],
}

impl Conn {
    pub(crate) fn new(client: (u16, u16, Addr), server: (u16, u16, Addr), label: Arc<str>) -> Self {
        let end = |(host, life, addr)| End {
            host,
            life,
            addr,
            orphan: false,
            gone: false,
            shut: false,
            finished: false,
            reset_waits: false,
        };
        Self {
            stage: Stage::SynSent,
            ends: [end(client), end(server)],
            flows: [Flow::new(), Flow::new()],
            counters: [Counter::default(); 2],
            label,
            watches: Vec::new(),
            routes: [None; 2],
            handshake_at: [0; 2],
        }
    }

    pub(crate) fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    pub(crate) fn flow(&mut self, sender: Side) -> &mut Flow {
        &mut self.flows[sender as usize]
    }

    pub(crate) fn counter(&mut self, sender: Side) -> &mut Counter {
        &mut self.counters[sender as usize]
    }

    /// Whether the kernel of this side needs nothing more from the network.
    fn is_done(&self, side: Side) -> bool {
        let end = &self.ends[side as usize];
        end.gone || (end.finished && self.flows[side.other() as usize].fin_told)
    }

    pub(crate) fn is_over(&self) -> bool {
        Side::BOTH.into_iter().all(|side| self.is_done(side))
    }
}
