//! Both ends of every WebSocket session, beside each other: what one end sent, frame by frame and byte by byte, is held
//! against what the other end got.
//!
//! A frame is known by its length and by a digest over every byte of it, header and mask included: the relay is
//! verbatim, so they must be equal, and they must come in the order in which they were sent. Three things are allowed
//! to differ, and are told apart: a ping or a Close that the other end never sent is the sidecar's own; the pong that
//! answers such a ping must *not* arrive; and a session may end with frames underway. Sessions are joined by the key of
//! their handshake, which goes through the sidecar as it is.

mod bodies;
mod frames;
mod line;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use outrigger_shared::close::Side;

pub(super) use self::bodies::Bodies;
pub(super) use self::frames::Splitter;
use self::line::Line;
use crate::actors::{self, Clock};
use crate::world::record::{EndSeen, WireSession};

/// All sessions of a run, by both of their ends.
#[derive(Clone)]
pub(super) struct Wires {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    by_key: BTreeMap<String, usize>,
    /// The last key from each client's address.
    by_addr: BTreeMap<SocketAddr, String>,
    sessions: Vec<Session>,
}

struct Session {
    client: u32,
    addr: SocketAddr,
    asked_us: u64,
    /// By the side that sends.
    lines: [Line; 2],
    ends: [EndSeen; 2],
    problems: Vec<String>,
}

impl Wires {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// A client asks for a session.
    pub(super) fn asked(&self, client: u32, addr: SocketAddr, key: &str) -> Arc<dyn actors::Wire> {
        let asked_us = self.clock.now_us();
        let (lines, ends) = ([Line::new(), Line::new()], [EndSeen::default(), EndSeen::default()]);
        let session = Session { client, addr, asked_us, lines, ends, problems: Vec::new() };
        let session = self.with(|state| {
            state.sessions.push(session);
            state.by_key.insert(key.to_owned(), state.sessions.len() - 1);
            state.by_addr.insert(addr, key.to_owned());
            state.sessions.len() - 1
        });
        Arc::new(End { wires: self.clone(), session, side: Side::Client })
    }

    /// An app has granted a session; one that nobody asked for is none of ours.
    pub(super) fn granted(&self, key: &str) -> Option<Arc<dyn actors::Wire>> {
        let opened_us = self.clock.now_us();
        let session = self.with(|state| {
            let session = *state.by_key.get(key)?;
            state.sessions[session].ends[Side::App as usize].opened_us = Some(opened_us);
            Some(session)
        })?;
        Some(Arc::new(End { wires: self.clone(), session, side: Side::App }))
    }

    /// The key of the last session that a client at this address asked for.
    pub(super) fn key_of(&self, client: SocketAddr) -> Option<String> {
        self.with(|state| state.by_addr.get(&client).cloned())
    }

    pub(super) fn record(&self) -> Vec<WireSession> {
        let record = |session: &Session| WireSession {
            client: session.client,
            addr: session.addr,
            asked_us: session.asked_us,
            ends: session.ends.clone(),
            problems: session.problems.clone(),
        };
        self.with(|state| state.sessions.iter().map(record).collect())
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One end of one session.
struct End {
    wires: Wires,
    session: usize,
    side: Side,
}

impl actors::Wire for End {
    fn sent(&self, bytes: &[u8]) {
        let now = self.wires.clock.now_us();
        self.wires.with(|state| {
            let session = &mut state.sessions[self.session];
            session.lines[self.side as usize].sent(now, bytes, &mut session.ends[self.side as usize]);
        });
    }

    fn got(&self, bytes: &[u8]) {
        let now = self.wires.clock.now_us();
        self.wires.with(|state| {
            let Session { lines, ends, problems, .. } = &mut state.sessions[self.session];
            let line = &mut lines[self.side.peer() as usize];
            line.got(now, bytes, &mut ends[self.side as usize], problems);
        });
    }
}
