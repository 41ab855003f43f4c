//! What a sidecar holds and when it spoke, worked out from what its sockets gave and took.
//!
//! A session is two connections: the client's, known by the client's address, and the app's, known by the key in the
//! request that the sidecar sends there. From the 101 on, what came in at one and did not go out at the other is what
//! the sidecar holds. Two things do not go through: its own pings, and their answers; of those its events tell. When a
//! session begins to end, bytes may be dropped, and there the gauge stops. In a TLS stream the lengths of the records
//! tell as much.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use outrigger_shared::close::Side;
use outrigger_shared::event::Event;

use super::records::Records;
use crate::actors::Clock;
use crate::world::record::Passed;
use crate::world::wire::{Splitter, Wires};

/// Of a request or an answer; what is longer is none that a session begins with.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const KEY: &[u8] = b"sec-websocket-key:";
/// A ping, or its answer: header and payload, without and with a mask.
const PING_BYTES: [u64; 2] = [10, 14];

/// Clones are the same.
#[derive(Clone)]
pub(in crate::world) struct Gauges {
    clock: Clock,
    wires: Wires,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    conns: Vec<Conn>,
    /// The last connection from each client's address.
    by_client: BTreeMap<SocketAddr, usize>,
    /// The app's connection for a client's session.
    by_key: BTreeMap<String, usize>,
    sessions: Vec<Session>,
}

/// One connection.
struct Conn {
    side: Side,
    session: Option<usize>,
    stage: Stage,
    /// Of TLS, in and out.
    records: Option<[Records; 2]>,
    heard_any: bool,
    /// Bytes of the session, in the clear.
    read: u64,
    written: u64,
    frames: Splitter,
}

/// How far a connection is on its way to a session.
enum Stage {
    /// Requests; what is kept is the head underway.
    Asking(Vec<u8>),
    /// The next thing is the head of the 101: what is kept is as much of it as came from the app. Towards the client it
    /// is the first write, or the first record.
    Answering(Vec<u8>),
    Session,
}

/// One session that is open.
struct Session {
    /// By [`Side`].
    conns: [usize; 2],
    sides: [Half; 2],
    passed: Passed,
}

#[derive(Clone, Copy, Default)]
struct Half {
    heard_us: u64,
    /// Bytes wait for this side since then.
    blocked_us: Option<u64>,
    /// When it last took some that had waited.
    took_us: u64,
    ping_us: Option<u64>,
    /// The last moment at which what comes from this side stood inside a frame.
    inside_us: u64,
    inside: bool,
    /// Of what came from this side and is not to go on; of the sidecar's own that went to it.
    swallowed: u64,
    injected: u64,
}

impl Gauges {
    pub(in crate::world) fn new(clock: Clock, wires: Wires) -> Self {
        Self { clock, wires, state: Arc::default() }
    }

    /// A new connection; returns its number.
    pub(super) fn connected(&self, side: Side, peer: Option<SocketAddr>) -> usize {
        self.with(|state, _| {
            let conn = state.conns.len();
            state.conns.push(Conn {
                side,
                session: None,
                stage: Stage::Asking(Vec::new()),
                records: None,
                heard_any: false,
                read: 0,
                written: 0,
                frames: Splitter::new(),
            });
            state.by_client.extend(peer.map(|peer| (peer, conn)));
            conn
        })
    }

    /// The sidecar got these bytes.
    pub(super) fn read(&self, conn: usize, bytes: &[u8]) {
        self.with(|state, now| {
            let found = &mut state.conns[conn];
            if !std::mem::replace(&mut found.heard_any, true)
                && found.side == Side::Client
                && Records::begin_with(bytes)
            {
                found.records = Some([Records::default(), Records::default()]);
            }
            let fresh = found.take_in(bytes);
            let (side, inside) = (found.side, found.frames.is_inside());
            if let (Some(session), true) = (found.session, fresh > 0) {
                state.sessions[session].heard(side, inside, now);
                state.weigh(session, side);
            }
        });
    }

    /// The network took these bytes of the sidecar's.
    pub(super) fn wrote(&self, conn: usize, bytes: &[u8]) {
        self.with(|state, now| {
            let found = &mut state.conns[conn];
            if let Some(key) = found.take_out(bytes) {
                state.by_key.insert(key, conn);
            }
            let found = &state.conns[conn];
            if let Some(session) = found.session {
                let half = &mut state.sessions[session].sides[found.side as usize];
                if half.blocked_us.take().is_some() {
                    half.took_us = now;
                }
            }
        });
    }

    /// The network took nothing.
    pub(super) fn blocked(&self, conn: usize) {
        self.with(|state, now| {
            let found = &state.conns[conn];
            if let Some(session) = found.session {
                state.sessions[session].sides[found.side as usize].blocked_us.get_or_insert(now);
            }
        });
    }

    /// An end of stream, or an error.
    pub(super) fn over(&self, conn: usize) {
        self.with(|state, now| {
            if let Some(session) = state.conns[conn].session {
                state.sessions[session].closing(now);
            }
        });
    }

    /// A session begins. Returns its number, if both of its connections are known.
    pub(in crate::world) fn opened(&self, client: SocketAddr) -> Option<usize> {
        let key = self.wires.key_of(client)?;
        self.with(|state, now| {
            let conns = [*state.by_client.get(&client)?, *state.by_key.get(&key)?];
            let session = state.sessions.len();
            for conn in conns {
                state.conns[conn].session = Some(session);
            }
            let found = &mut state.conns[conns[Side::Client as usize]];
            found.stage = Stage::Answering(Vec::new());
            let passed = Passed { tls: found.records.is_some(), ..Passed::default() };
            let half = Half { heard_us: now, took_us: now, inside_us: now, ..Half::default() };
            state.sessions.push(Session { conns, sides: [half; 2], passed });
            Some(session)
        })
    }

    /// What the sidecar says of a session.
    pub(in crate::world) fn event(&self, session: usize, event: &Event) {
        self.with(|state, now| {
            let found = &mut state.sessions[session];
            match *event {
                Event::PingSent { to } => found.pinged(to, now),
                Event::PongReceived { from, .. } => {
                    let masked = usize::from(from == Side::Client);
                    found.sides[from as usize].swallowed += PING_BYTES[masked];
                }
                Event::CloseReceived { .. }
                | Event::CloseSent { .. }
                | Event::LimitHit { .. }
                | Event::Violation { .. }
                | Event::Ended(_) => found.closing(now),
                _ => {}
            }
        });
    }

    pub(in crate::world) fn passed(&self, session: usize) -> Passed {
        self.with(|state, _| state.sessions[session].passed.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut State, u64) -> T) -> T {
        let now = self.clock.now_us();
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

impl Conn {
    /// Bytes for the sidecar; tells how many of them are the session's.
    fn take_in(&mut self, bytes: &[u8]) -> u64 {
        if let Some([records, _]) = &mut self.records {
            let mut plain = 0;
            records.feed(bytes, |more| plain += more);
            if matches!(self.stage, Stage::Asking(_)) {
                return 0;
            }
            self.read += plain;
            return plain;
        }
        let bytes = match &mut self.stage {
            Stage::Asking(_) => return 0,
            Stage::Answering(head) if self.side == Side::App => {
                let before = head.len();
                head.extend_from_slice(bytes);
                let Some(end) = head_end(head) else { return 0 };
                self.stage = Stage::Session;
                &bytes[end - before..]
            }
            Stage::Answering(_) | Stage::Session => bytes,
        };
        self.frames.feed(bytes, |_| ());
        self.read += bytes.len() as u64;
        bytes.len() as u64
    }

    /// Bytes of the sidecar's; tells the key if they end the request for a session.
    fn take_out(&mut self, bytes: &[u8]) -> Option<String> {
        if let Some([_, records]) = &mut self.records {
            let (stage, written) = (&mut self.stage, &mut self.written);
            records.feed(bytes, |plain| match stage {
                Stage::Asking(_) => {}
                Stage::Answering(_) => *stage = Stage::Session,
                Stage::Session => *written += plain,
            });
            return None;
        }
        match (&mut self.stage, self.side) {
            (Stage::Asking(head), Side::App) => {
                head.extend_from_slice(bytes);
                let Some(end) = head_end(head) else {
                    if head.len() > MAX_HEAD_BYTES {
                        head.clear();
                    }
                    return None;
                };
                let key = key(&head[..end]);
                self.stage = if key.is_some() { Stage::Answering(Vec::new()) } else { Stage::Asking(Vec::new()) };
                return key;
            }
            (Stage::Asking(_), Side::Client) => {}
            (Stage::Answering(_), Side::Client) => self.stage = Stage::Session,
            (Stage::Answering(_), Side::App) | (Stage::Session, _) => self.written += bytes.len() as u64,
        }
        None
    }
}

/// Where a head ends, behind its empty line.
fn head_end(head: &[u8]) -> Option<usize> {
    head.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn key(head: &[u8]) -> Option<String> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.find(|line| line.get(..KEY.len()).is_some_and(|name| name.eq_ignore_ascii_case(KEY)))?;
    Some(String::from_utf8_lossy(&line[KEY.len()..]).trim().to_owned())
}

impl State {
    /// How much of what came from this side the sidecar has now.
    fn weigh(&mut self, session: usize, from: Side) {
        let found = &mut self.sessions[session];
        if found.passed.closing_us.is_some() {
            return;
        }
        let came = self.conns[found.conns[from as usize]].read - found.sides[from as usize].swallowed;
        let went = self.conns[found.conns[from.peer() as usize]].written;
        let held = (came + found.sides[from.peer() as usize].injected).saturating_sub(went);
        let most = &mut found.passed.sides[from as usize].most_held;
        *most = held.max(*most);
    }
}

impl Session {
    fn heard(&mut self, side: Side, inside: bool, now: u64) {
        self.look(now);
        let half = &mut self.sides[side as usize];
        half.heard_us = now;
        half.ping_us = None;
        if half.inside {
            half.inside_us = now;
        }
        half.inside = inside;
    }

    fn pinged(&mut self, to: Side, now: u64) {
        self.look(now);
        let masked = usize::from(to == Side::App);
        let (since, lenient) = (self.silent_since_at_least(to), self.pingable_since(to, now));
        let half = &mut self.sides[to as usize];
        half.injected += PING_BYTES[masked];
        half.ping_us = Some(now);
        let told = &mut self.passed.sides[to as usize];
        let shortest = told.shortest_before_ping_us.get_or_insert(u64::MAX);
        *shortest = (now - since).min(*shortest);
        told.longest_before_ping_us = told.longest_before_ping_us.max(now - lenient);
    }

    /// It begins to end: from here on, other rules apply.
    fn closing(&mut self, now: u64) {
        if self.passed.closing_us.is_some() {
            return;
        }
        self.look(now);
        self.passed.closing_us = Some(now);
        self.passed.deferred = self.sides.iter().any(|half| half.inside || half.inside_us == now);
        self.passed.idle_at_end_us = now - self.active_us(now);
        for side in Side::BOTH {
            let half = &self.sides[side as usize];
            let told = &mut self.passed.sides[side as usize];
            told.silent_at_end_us = now - half.heard_us;
            told.blocked_at_end_us = half.blocked_us.map(|since| now - since.max(half.took_us));
        }
        for side in Side::BOTH {
            self.passed.sides[side as usize].wait_at_end_us = self.waited_us(side, now);
        }
    }

    /// Takes down how long it has been silent until now.
    fn look(&mut self, now: u64) {
        if self.passed.closing_us.is_some() {
            return;
        }
        self.passed.longest_idle_us = self.passed.longest_idle_us.max(now - self.active_us(now));
        for side in Side::BOTH {
            let waited = self.waited_us(side, now);
            let unpinged = now - self.pingable_since(side, now);
            let told = &mut self.passed.sides[side as usize];
            match waited {
                Some(waited) => told.longest_wait_us = told.longest_wait_us.max(waited),
                None => told.longest_unpinged_us = told.longest_unpinged_us.max(unpinged),
            }
        }
    }

    /// When a byte last moved, or could have: a side that others wait for is not idle.
    fn active_us(&self, now: u64) -> u64 {
        let of = |half: &Half| half.heard_us.max(half.took_us).max(half.blocked_us.unwrap_or(0));
        self.sides.iter().map(of).max().unwrap_or(now)
    }

    /// Since when this side has been silent of its own will: while its peer takes nothing, it is not read.
    fn silent_since(&self, side: Side) -> u64 {
        self.sides[side as usize].heard_us.max(self.sides[side.peer() as usize].took_us)
    }

    /// The same, at the earliest: of bytes that wait inside of TLS the session does not know, and reads on.
    fn silent_since_at_least(&self, side: Side) -> u64 {
        let hidden = self.passed.tls && side == Side::App;
        if hidden { self.sides[side as usize].heard_us } else { self.silent_since(side) }
    }

    /// Since when nothing stood in the way of a ping to this side either: neither bytes that wait, nor a frame
    /// underway.
    fn pingable_since(&self, side: Side, now: u64) -> u64 {
        let (half, peer) = (&self.sides[side as usize], &self.sides[side.peer() as usize]);
        if half.blocked_us.is_some() || peer.blocked_us.is_some() || peer.inside {
            return now;
        }
        self.silent_since(side).max(half.took_us).max(peer.inside_us)
    }

    /// How long a ping to this side has waited for a byte.
    fn waited_us(&self, side: Side, now: u64) -> Option<u64> {
        let (half, peer) = (&self.sides[side as usize], &self.sides[side.peer() as usize]);
        let since = half.ping_us?;
        if peer.blocked_us.is_some() {
            return Some(0);
        }
        Some(now - since.max(half.took_us).max(peer.took_us))
    }
}
