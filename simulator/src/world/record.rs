//! What is on record of a run: the evidence that figures and checks are made from.

use std::net::SocketAddr;
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
    pub opened_us: u64,
    pub fate: Fate,
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
