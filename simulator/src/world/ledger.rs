//! Hears everything that actors and sidecars say, keeps it on record, and writes the history.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use outrigger::session::Who;
use outrigger::telemetry::{self, Notice};
use outrigger_shared::choose::Change;
use outrigger_shared::close::Side;
use outrigger_shared::event::Event;
use outrigger_shared::relay::Relay;

use super::record::{ClientClosed, ClientSession, Connection, Ended, Fate, Redial, SidecarSession, WireSession};
use super::staleness::Staleness;
use super::story::{Heard, Update};
use super::tamper::Tamper;
use super::tap::Gauges;
use super::wire::{Bodies, Wires};
use crate::actors::{
    Account, AppEvent, Audience, ClientEvent, Clock, Collector, Ending, FeedEvent, Observer, RequestFailure, Wire,
};
use crate::backend::Network;

/// Problems that are kept; a broken run has the same one over and over.
const MAX_PROBLEMS: usize = 20;
/// Most lines of the history are shorter, in bytes.
const LINE_BYTES: usize = 96;

/// The record of a run in the making.
pub(super) struct Ledger {
    world: Network,
    clock: Clock,
    collector: Collector,
    wires: Wires,
    bodies: Bodies,
    gauges: Gauges,
    tamper: Option<Arc<dyn Tamper>>,
    state: Mutex<State>,
}

/// What a client is, for the record.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientFacts {
    pub(super) group: usize,
    pub(super) name: String,
    /// It holds sessions, rather than asking again and again.
    pub(super) keeps_sessions: bool,
    /// It asks for what it missed; without that, what it gets may have gaps.
    pub(super) resumes: bool,
    /// A session that lived this long was no failure.
    pub(super) stable_after: Duration,
}

#[derive(Default)]
struct ClientState {
    facts: ClientFacts,
    /// How many failures there were: whose turn it is among the targets.
    turn: usize,
    addr: Option<SocketAddr>,
    /// Index of the session that is open.
    session: Option<usize>,
    started: bool,
    first: u64,
    newest: u64,
    /// Of the updates after the newest that it has, none up to here is for it.
    looked: u64,
    /// Reached an app for the last thing it wanted.
    fine: bool,
    bytes: u64,
    messages: u64,
    /// When its last session or attempt was over, until it dials again.
    over_us: Option<u64>,
    opened_us: u64,
    /// Waits since the last session that was no failure, the one underway not counted.
    waits: u32,
}

#[derive(Default)]
struct State {
    audience: Audience,
    /// What the app with the shortest memory keeps for whoever asks for what it missed.
    history: u64,
    clients: Vec<ClientState>,
    connections: Vec<Connection>,
    client_sessions: Vec<ClientSession>,
    sidecar_sessions: Vec<SidecarSession>,
    redials: Vec<Redial>,
    /// Sidecar, process and session number to the place in `sidecar_sessions`.
    open: BTreeMap<(usize, u32, u64), usize>,
    /// The place in `sidecar_sessions` to the number of its gauge.
    gauged: BTreeMap<usize, usize>,
    /// When each update came to exist and its bytes; update N is at N - 1.
    updates: Vec<(u64, usize)>,
    messages_up: BTreeMap<u32, u64>,
    problems: Vec<String>,
    choices: Choices,
    staleness: Staleness,
    /// Only if it is to be drawn.
    heard: Option<Heard>,
}

/// Everything on record, at one moment.
pub(super) struct Evidence {
    pub(super) at_us: u64,
    pub(super) account: Account,
    pub(super) connections: Vec<Connection>,
    pub(super) client_sessions: Vec<ClientSession>,
    pub(super) sidecar_sessions: Vec<SidecarSession>,
    pub(super) wires: Vec<WireSession>,
    /// Bodies that came otherwise than they were given.
    pub(super) bodies: Vec<String>,
    pub(super) redials: Vec<Redial>,
    pub(super) clients: Vec<ClientCounts>,
    pub(super) problems: Vec<String>,
    pub(super) choices: Choices,
    pub(super) staleness: Staleness,
}

/// What sidecars with several upstreams made of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choices {
    /// New connections went elsewhere than before.
    pub(super) moves: u64,
    pub(super) ejections: u64,
}

/// What one client got and gave.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientCounts {
    pub(super) group: usize,
    /// Updates that were for it.
    pub(super) updates: u64,
    /// Payload that it got.
    pub(super) bytes_down: u64,
    pub(super) messages_down: u64,
    pub(super) messages_up: u64,
}

impl Ledger {
    pub(super) fn new(
        world: Network,
        clock: Clock,
        clients: Vec<ClientFacts>,
        groups: &[&str],
        (audience, history): (Audience, u64),
        tamper: Option<Arc<dyn Tamper>>,
    ) -> Self {
        let collector = Collector::new(audience.clone());
        for (id, facts) in (0..).zip(&clients) {
            collector.assign(id, groups[facts.group]);
        }
        let clients: Vec<_> =
            clients.into_iter().map(|facts| ClientState { facts, ..ClientState::default() }).collect();
        let staleness = Staleness::new(groups.len());
        let state = State { audience, history, clients, staleness, ..State::default() };
        let wires = Wires::new(clock);
        let gauges = Gauges::new(clock, wires.clone());
        let bodies = Bodies::default();
        Self { world, clock, collector, wires, bodies, gauges, tamper, state: Mutex::new(state) }
    }

    /// From now on what is heard is kept.
    pub(super) fn keep(&self) {
        self.with(|state| state.heard = Some(Heard::default()));
    }

    /// What was kept.
    pub(super) fn heard(&self) -> Option<Heard> {
        self.with(|state| state.heard.take())
    }

    pub(super) fn gauges(&self) -> Gauges {
        self.gauges.clone()
    }

    pub(super) fn tamper(&self) -> Option<Arc<dyn Tamper>> {
        self.tamper.clone()
    }

    /// A client begins to dial.
    pub(super) fn dials(&self, id: u32) {
        let at_us = self.clock.now_us();
        self.with(|state| {
            let client = state.client(id);
            if let Some(over_us) = client.over_us.take() {
                let waits = client.waits;
                client.waits = waits.saturating_add(1);
                state.redials.push(Redial { client: id, at_us, waited_us: at_us - over_us, waits });
            }
        });
    }

    pub(super) fn connected(&self, client: u32, addr: SocketAddr) -> usize {
        let opened_us = self.clock.now_us();
        self.with(|state| {
            state.client(client).addr = Some(addr);
            state.connections.push(Connection { client, addr, opened_us, closed_us: None });
            state.connections.len() - 1
        })
    }

    pub(super) fn disconnected(&self, connection: usize) {
        let now = self.clock.now_us();
        self.with(|state| state.connections[connection].closed_us = Some(now));
    }

    pub(super) fn turn(&self, client: u32) -> usize {
        self.with(|state| state.client(client).turn)
    }

    /// A process of a sidecar is gone, and its sessions with it.
    pub(super) fn killed(&self, sidecar: usize, process: u32) {
        let at_us = self.clock.now_us();
        self.with(|state| {
            let of_it = |key: &(usize, u32, u64)| (key.0, key.1) == (sidecar, process);
            let gone: Vec<_> = state.open.keys().filter(|key| of_it(key)).copied().collect();
            for key in gone {
                let index = state.open.remove(&key).expect("it was just there");
                state.sidecar_sessions[index].fate = Fate::Killed { at_us };
            }
        });
    }

    /// Looks at what every client knows.
    pub(super) fn sample(&self) {
        let now = self.clock.now_us();
        self.with(|state| {
            let State { audience, clients, updates, staleness, .. } = state;
            for (id, client) in (0..).zip(clients).filter(|(_, client)| client.started) {
                let awaited = client.awaited(id, audience, updates.len() as u64);
                let next = awaited.and_then(|seq| updates.get(usize::try_from(seq - 1).ok()?));
                staleness.record(client.facts.group, next.map_or(0, |(made_us, _)| now.saturating_sub(*made_us)));
            }
        });
    }

    /// Clients that are not yet as they should be without faults, each with what is wrong.
    pub(super) fn unconverged(&self) -> Vec<String> {
        self.with(|state| {
            let State { audience, history, clients, updates, .. } = state;
            let latest = updates.len() as u64;
            // What no app has ever forgotten: whenever a client asked, it could have had these.
            let kept = latest.saturating_sub(*history);
            let wrong = |(id, client): (u32, &mut ClientState)| {
                let awaited = client.awaited(id, audience, latest);
                let awaited = awaited.and_then(|seq| audience.first_after(id, kept.max(seq - 1), latest));
                let name = &client.facts.name;
                if client.facts.keeps_sessions && client.session.is_none() {
                    Some(format!("{name} is not connected"))
                } else if client.facts.resumes && awaited.is_some() {
                    Some(format!("{name} has update {} of {latest}", client.newest))
                } else {
                    (!client.fine).then(|| format!("{name} has had no answer"))
                }
            };
            (0..).zip(clients).filter_map(wrong).collect()
        })
    }

    pub(super) fn evidence(&self) -> Evidence {
        let (account, wires) = (self.collector.account(), self.wires.record());
        self.with(|state| {
            let latest = state.updates.len() as u64;
            let counts = |(id, client): (u32, &ClientState)| ClientCounts {
                group: client.facts.group,
                updates: if client.started { state.audience.count(id, client.first, latest) } else { 0 },
                bytes_down: client.bytes,
                messages_down: client.messages,
                messages_up: state.messages_up.get(&id).copied().unwrap_or(0),
            };
            Evidence {
                at_us: self.clock.now_us(),
                account,
                connections: state.connections.clone(),
                client_sessions: state.client_sessions.clone(),
                sidecar_sessions: self.gauged(state),
                wires,
                bodies: self.bodies.problems(),
                redials: state.redials.clone(),
                clients: (0..).zip(&state.clients).map(counts).collect(),
                problems: state.problems.clone(),
                choices: state.choices,
                staleness: state.staleness.clone(),
            }
        })
    }

    fn gauged(&self, state: &State) -> Vec<SidecarSession> {
        let with_gauge = |(index, session): (usize, &SidecarSession)| {
            let passed = state.gauged.get(&index).map(|gauge| self.gauges.passed(*gauge));
            SidecarSession { passed, ..session.clone() }
        };
        state.sidecar_sessions.iter().enumerate().map(with_gauge).collect()
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientState {
    /// The first update, of so many, that is for the client and newer than what it has.
    fn awaited(&mut self, id: u32, audience: &Audience, latest: u64) -> Option<u64> {
        self.looked = self.looked.max(self.newest);
        let awaited = audience.first_after(id, self.looked, latest);
        self.looked = awaited.map_or(self.looked.max(latest), |seq| seq - 1);
        awaited
    }
}

impl State {
    fn client(&mut self, id: u32) -> &mut ClientState {
        &mut self.clients[usize::try_from(id).expect("a client's number is an index")]
    }

    fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        }
    }

    fn client_event(&mut self, at_us: u64, id: u32, event: &ClientEvent) {
        match *event {
            ClientEvent::Started { since, .. } => {
                let client = self.client(id);
                (client.started, client.first, client.newest) = (true, since, since);
            }
            ClientEvent::ConnectFailed { .. } | ClientEvent::RequestFailed { .. } => {
                let client = self.client(id);
                // A refusal has passed the turn on when its answer came.
                let refused = *event == ClientEvent::RequestFailed { why: RequestFailure::Refused };
                client.turn += usize::from(!refused);
                client.fine = false;
                client.over(at_us, 0);
            }
            ClientEvent::AnswerReceived { status, bytes, .. } => {
                let client = self.client(id);
                client.bytes += bytes;
                client.fine = status < 400;
                client.turn += usize::from(status >= 400);
            }
            ClientEvent::HandshakeDone { .. } => {
                let index = self.client_sessions.len();
                let client = self.client(id);
                client.session = Some(index);
                client.opened_us = at_us;
                let addr = client.addr;
                let (messages, last_seq) = (0, 0);
                let open = ClientSession { client: id, addr, opened_us: at_us, closed: None, messages, last_seq };
                self.client_sessions.push(open);
            }
            ClientEvent::Closed { how, code, .. } => {
                let client = self.client(id);
                // Who left on purpose comes back to where it was, and has nothing to wait for.
                client.turn += usize::from(how != Ending::Left);
                if how == Ending::Left {
                    client.left();
                } else {
                    client.over(at_us, at_us - client.opened_us);
                }
                if let Some(index) = client.session.take() {
                    self.client_sessions[index].closed = Some(ClientClosed { at_us, how, code });
                }
            }
            ClientEvent::UpdateReceived { seq, created_us, .. } => {
                if let Some(heard) = &mut self.heard {
                    heard.update(Update { client: id, seq, created_us, at_us });
                }
                self.updated(id, seq, created_us);
            }
            ClientEvent::MessageSent { n } => {
                if let Some(heard) = &mut self.heard {
                    heard.sent(id, n, at_us);
                }
            }
            ClientEvent::Acked { n, .. } => {
                let client = self.client(id);
                client.messages += 1;
                client.bytes += format!("ack:{n}").len() as u64;
                if let Some(index) = client.session {
                    self.client_sessions[index].messages += 1;
                }
            }
            _ => {}
        }
    }

    fn updated(&mut self, id: u32, seq: u64, created_us: u64) {
        let made = usize::try_from(seq).ok().and_then(|seq| self.updates.get(seq.checked_sub(1)?)).copied();
        let name = self.client(id).facts.name.clone();
        if !self.audience.is_for(id, seq) {
            self.problem(format!("{name} got update {seq}, which was not for it"));
        }
        let client = self.client(id);
        let known = client.newest;
        client.newest = client.newest.max(seq);
        let Some(index) = client.session else {
            return if made.is_none_or(|made| made.0 != created_us) {
                self.problem(format!("{name} got update {seq}, which was never made so"));
            };
        };
        let gaps = !client.facts.resumes;
        client.messages += 1;
        client.bytes += made.map_or(0, |(_, bytes)| bytes as u64);
        let session = &mut self.client_sessions[index];
        session.messages += 1;
        let last = std::mem::replace(&mut session.last_seq, seq);
        // The first of a session may be one that it has, but must not leave one out either, unless its app has
        // forgotten that one by now.
        let kept = (self.updates.len() as u64).saturating_sub(self.history);
        let since = if last == 0 { known.max(kept) } else { last };
        let next = || self.audience.first_after(id, since, seq).is_none_or(|first| first == seq);
        let follows = seq > last && (gaps || next());
        if !follows {
            self.problem(format!("{name} got update {seq} after update {last} in one session"));
        }
        if made.is_none_or(|made| made.0 != created_us) {
            self.problem(format!("{name} got update {seq}, which was never made so"));
        }
    }
}

impl ClientState {
    /// A session of this length is over, or an attempt, which has none.
    fn over(&mut self, at_us: u64, lived_us: u64) {
        let stable = lived_us > 0 && Duration::from_micros(lived_us) >= self.facts.stable_after;
        if stable {
            self.waits = 0;
        }
        self.over_us = Some(at_us);
    }

    /// It left on purpose: what comes next is no retry.
    fn left(&mut self) {
        self.waits = 0;
        self.over_us = None;
    }
}

impl Observer for Ledger {
    fn client(&self, at_us: u64, client: u32, event: &ClientEvent) {
        self.collector.client(at_us, client, event);
        let name = self.with(|state| {
            state.client_event(at_us, client, event);
            state.client(client).facts.name.clone()
        });
        // What happens with every request and update would drown the rest; packets are in the digest anyway.
        let told = match event {
            ClientEvent::ConnectFailed { why } => format!("cannot connect: {why:?}"),
            ClientEvent::RequestFailed { why } => format!("request failed: {why:?}"),
            ClientEvent::HandshakeDone { took } => format!("session open after {took:?}"),
            ClientEvent::Closed { how, code, reason, lived } => {
                format!("session over: {how:?}, code {code:?}, {reason:?}, lived {lived:?}")
            }
            ClientEvent::ReconnectIn(wait) => format!("comes back in {wait:?}"),
            ClientEvent::AckMissing { n } => format!("message {n} was not acknowledged"),
            _ => return,
        };
        self.world.log(&name, told);
    }

    fn app(&self, at_us: u64, app: u32, event: &AppEvent) {
        if self.tamper.as_ref().is_some_and(|tamper| !tamper.app(event)) {
            return;
        }
        self.collector.app(at_us, app, event);
        if let AppEvent::MessageReceived { client, n } = event {
            self.with(|state| {
                *state.messages_up.entry(*client).or_default() += 1;
                if let Some(heard) = &mut state.heard {
                    heard.arrived(*client, *n, at_us);
                }
            });
        }
    }

    fn feed(&self, at_us: u64, feed: u32, event: &FeedEvent) {
        self.collector.feed(at_us, feed, event);
        let FeedEvent::UpdateCreated { seq, bytes } = *event;
        self.with(|state| state.updates.push((at_us, bytes)));
        self.world.log("", format!("update {seq} of {bytes} bytes"));
    }

    fn wire(&self, end: Side, who: u32, key: &str) -> Option<Arc<dyn Wire>> {
        match end {
            Side::Client => {
                let addr = self.with(|state| state.client(who).addr)?;
                Some(self.wires.asked(who, addr, key))
            }
            Side::App => self.wires.granted(key),
        }
    }

    fn body_given(&self, target: &str, body: &Bytes) {
        self.bodies.given(target, body);
    }

    fn body_got(&self, target: &str, body: &Bytes) {
        self.bodies.got(target, body);
    }

    fn stream(&self, end: Side, target: &str) -> Option<Arc<dyn Wire>> {
        self.bodies.stream(end, target)
    }
}

/// Listens to one process of a sidecar.
pub(super) struct SidecarEar {
    pub(super) ledger: Arc<Ledger>,
    pub(super) name: Arc<str>,
    pub(super) sidecar: usize,
    pub(super) process: u32,
}

impl SidecarEar {
    fn gauge(&self, session: u64) -> Option<usize> {
        self.ledger.with(|state| {
            let index = state.open.get(&(self.sidecar, self.process, session))?;
            state.gauged.get(index).copied()
        })
    }
}

/// What the history says of an event, if anything.
fn line(who: &Who, event: &Event) -> Option<String> {
    let session = who.id;
    let mut told = String::with_capacity(LINE_BYTES);
    let written = match event {
        Event::Backpressure { .. } | Event::RateLimited { .. } => return None,
        Event::SessionOpened => write!(told, "session {session} of {} opened", who.client),
        Event::Ended(end) => write!(
            told,
            "session {session} ended by {}: {} (client {:?}, app {:?})",
            end.by,
            end.cause,
            end.client_code.map(|code| code.0),
            end.app_code.map(|code| code.0)
        ),
        // Most of the lines of a run, as the derived form has them, which takes longer.
        Event::PingSent { to } => write!(told, "session {session}: PingSent {{ to: {to:?} }}"),
        Event::PongReceived { from, rtt } => {
            write!(told, "session {session}: PongReceived {{ from: {from:?}, rtt: {rtt:?} }}")
        }
        other => write!(told, "session {session}: {other:?}"),
    };
    written.expect("a string takes whatever is written to it");
    Some(told)
}

impl telemetry::Observer for SidecarEar {
    fn event(&self, who: &Who, event: &Event) {
        // Told only where messages are traced, which is to make no difference to a run.
        if matches!(event, Event::Message { .. }) {
            return;
        }
        let told = match &self.ledger.tamper {
            Some(tamper) => tamper.event(*event),
            None => Some(*event),
        };
        let Some(event) = &told else { return };
        if *event == Event::SessionOpened {
            let opened_us = self.ledger.clock.now_us();
            let (sidecar, process, id, client) = (self.sidecar, self.process, who.id, who.client);
            let gauge = self.ledger.gauges.opened(client);
            self.ledger.with(|state| {
                let index = state.sidecar_sessions.len();
                state.gauged.extend(gauge.map(|gauge| (index, gauge)));
                if state.open.insert((sidecar, process, id), index).is_some() {
                    state.problem(format!("{} opened session {id} twice", self.name));
                }
                let fate = Fate::Open;
                let passed = None;
                let upstream = who.upstream.clone();
                state.sidecar_sessions.push(SidecarSession {
                    sidecar,
                    process,
                    id,
                    client,
                    upstream,
                    opened_us,
                    passed,
                    fate,
                });
            });
        } else if let Some(gauge) = self.gauge(who.id) {
            self.ledger.gauges.event(gauge, event);
        }
        if let Some(told) = line(who, event) {
            self.ledger.world.log(&self.name, told);
        }
    }

    fn notice(&self, notice: &Notice<'_>) {
        let Notice::Upstream(change) = notice else { return };
        let (moves, ejections, told) = match change {
            // The first choice is no move.
            Change::Moved { from: None, .. } => return,
            Change::Moved { from: Some(from), to } => {
                (1, 0, format!("new connections go to {}, not {}", to.region, from.region))
            }
            Change::Ejected { name, pause } => (0, 1, format!("{name} is ejected for {pause:?}")),
            Change::Returned { name, away } => (0, 0, format!("{name} is back after {away:?}")),
        };
        self.ledger.with(|state| {
            state.choices.moves += moves;
            state.choices.ejections += ejections;
        });
        self.ledger.world.log(&self.name, told);
    }

    fn ended(&self, who: &Who, lived: Duration, relay: &Relay) {
        let at_us = self.ledger.clock.now_us();
        let end = match (&self.ledger.tamper, relay.end().copied()) {
            (Some(tamper), Some(end)) => {
                let Some(end) = tamper.end(end) else { return };
                Some(end)
            }
            (_, end) => end,
        };
        self.ledger.with(|state| {
            let Some(index) = state.open.remove(&(self.sidecar, self.process, who.id)) else {
                return state.problem(format!("{} ended session {}, which was not open", self.name, who.id));
            };
            let Some(end) = end else {
                return state.problem(format!("{} ended session {} without a cause", self.name, who.id));
            };
            let (client, app) = (*relay.stats(Side::Client), *relay.stats(Side::App));
            state.sidecar_sessions[index].fate = Fate::Ended(Box::new(Ended { at_us, end, lived, client, app }));
        });
    }
}
