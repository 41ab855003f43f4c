//! What is on record of a run: the evidence that figures and checks are made from.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outrigger_shared::close::End;
use outrigger_shared::relay::Stats;

use crate::actors::Ending;

/// One TCP connection of a client.
#[derive(Debug, Clone)]
pub struct Connection {
    pub client: u32,
    pub addr: SocketAddr,
    pub opened_us: u64,
    pub closed_us: Option<u64>,
}

/// One session as its client saw it.
#[derive(Debug, Clone)]
pub struct ClientSession {
    pub client: u32,
    /// The client's end of the connection: joins it with [`SidecarSession::client`] and with hops' cuts.
    pub addr: Option<SocketAddr>,
    pub opened_us: u64,
    pub closed: Option<ClientClosed>,
    /// Of updates and acknowledgements received.
    pub messages: u64,
    /// Sequence number of the last update; 0 before the first.
    pub last_seq: u64,
}

/// One attempt of a client to connect, and how it came to it.
#[derive(Debug, Clone, Copy)]
pub struct Redial {
    pub client: u32,
    pub at_us: u64,
    /// Since the last session, or the last attempt, was over.
    pub waited_us: u64,
    /// Waits before this one since the last session that was long enough to count.
    pub waits: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct ClientClosed {
    pub at_us: u64,
    pub how: Ending,
    pub code: Option<u16>,
}

/// One WebSocket session as its sidecar saw it.
#[derive(Debug, Clone)]
pub struct SidecarSession {
    pub sidecar: usize,
    /// Which process of this sidecar, counted from 0.
    pub process: u32,
    pub id: u64,
    pub client: SocketAddr,
    /// Its app, where the sidecar has several.
    pub upstream: Option<Arc<str>>,
    pub opened_us: u64,
    /// `None` where its sockets could not be told.
    pub passed: Option<Passed>,
    pub fate: Fate,
}

/// One WebSocket session as its two ends saw it, frame by frame.
#[derive(Debug, Clone)]
pub struct WireSession {
    pub client: u32,
    /// The client's end of the connection: joins it with [`SidecarSession::client`].
    pub addr: SocketAddr,
    /// When the client asked for it; the sidecar's session is the next one from this address.
    pub asked_us: u64,
    /// By [`Side`](outrigger_shared::close::Side).
    pub ends: [EndSeen; 2],
    /// Frames that came otherwise than they were sent.
    pub problems: Vec<String>,
}

/// Payloads of foreign pings that are remembered: answers come soon, or never.
const MAX_PINGS: usize = 64;

/// What one end of a session sent and got.
#[derive(Debug, Clone, Default)]
pub struct EndSeen {
    /// When an app's session began.
    pub opened_us: Option<u64>,
    /// When, and with which code.
    pub closes_sent: Vec<(u64, Option<u16>)>,
    pub closes_got: Vec<(u64, Option<u16>)>,
    /// Got, and never sent by the other end.
    pub closes_foreign: u64,
    pub pings_foreign: u64,
    pub pongs_foreign: u64,
    /// Answers of this end to foreign pings; nobody else is to get them.
    pub pongs_owed: u64,
    /// Payloads of the last foreign pings.
    pub(super) foreign_pings: VecDeque<Vec<u8>>,
    /// What it got ends inside a frame.
    pub is_inside: bool,
}

impl EndSeen {
    pub(super) fn remember(&mut self, ping: Vec<u8>) {
        if self.foreign_pings.len() == MAX_PINGS {
            self.foreign_pings.pop_front();
        }
        self.foreign_pings.push_back(ping);
    }
}

/// What passed a sidecar's two sockets of one session, seen from the network; up to the moment at which the session
/// began to end. All times are virtual microseconds.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    /// By [`Side`](outrigger_shared::close::Side).
    pub sides: [SidePassed; 2],
    /// TLS on the client's side.
    pub tls: bool,
    /// A Close, an error, an end of stream: whatever came first.
    pub closing_us: Option<u64>,
    /// The longest time without a byte from either side, and without one that a slow side took.
    pub longest_idle_us: u64,
    /// It began to end inside of a frame, or at its last byte: a Close of the sidecar's own waits for that byte, so
    /// that when it was decided on cannot be seen.
    pub deferred: bool,
    /// That time at the moment at which it began to end.
    pub idle_at_end_us: u64,
}

/// One side of it.
#[derive(Debug, Clone, Default)]
pub struct SidePassed {
    /// Most bytes that came from this side and had not gone to the other one.
    pub most_held: u64,
    /// The shortest and the longest silence of this side that the sidecar broke with a ping.
    pub shortest_before_ping_us: Option<u64>,
    pub longest_before_ping_us: u64,
    /// The longest silence without a ping.
    pub longest_unpinged_us: u64,
    /// The longest wait for a byte after a ping.
    pub longest_wait_us: u64,
    /// As the session began to end: since the last byte from this side, since the ping that is unanswered, and since it
    /// last took a byte of those that wait for it.
    pub silent_at_end_us: u64,
    pub wait_at_end_us: Option<u64>,
    pub blocked_at_end_us: Option<u64>,
}

/// How a sidecar's session went out.
#[derive(Debug, Clone)]
pub enum Fate {
    Open,
    /// With its process, which said nothing.
    Killed {
        at_us: u64,
    },
    Ended(Box<Ended>),
}

#[derive(Debug, Clone)]
pub struct Ended {
    pub at_us: u64,
    pub end: End,
    pub lived: Duration,
    /// What came from the client, and from the app.
    pub client: Stats,
    pub app: Stats,
}

impl SidecarSession {
    pub fn ended(&self) -> Option<&Ended> {
        match &self.fate {
            Fate::Ended(ended) => Some(ended),
            Fate::Open | Fate::Killed { .. } => None,
        }
    }

    /// When it was over, however.
    pub fn over_us(&self) -> Option<u64> {
        match &self.fate {
            Fate::Open => None,
            Fate::Killed { at_us } => Some(*at_us),
            Fate::Ended(ended) => Some(ended.at_us),
        }
    }
}
