//! Hears everything that actors and sidecars say, keeps it on record, and writes the history.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrigger::session::Who;
use outrigger::telemetry;
use outrigger_shared::close::Side;
use outrigger_shared::event::Event;
use outrigger_shared::relay::Relay;

use super::record::{ClientClosed, ClientSession, Connection, Ended, Fate, SidecarSession};
use super::staleness::Staleness;
use crate::actors::{Account, AppEvent, ClientEvent, Clock, Collector, FeedEvent, Observer};
use crate::backend::Network;

/// Problems that are kept; a broken run has the same one over and over.
const MAX_PROBLEMS: usize = 20;

/// The record of a run in the making.
pub(super) struct Ledger {
    world: Network,
    clock: Clock,
    collector: Collector,
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
    /// Reached an app for the last thing it wanted.
    fine: bool,
    bytes: u64,
    messages: u64,
}

#[derive(Default)]
struct State {
    clients: Vec<ClientState>,
    connections: Vec<Connection>,
    client_sessions: Vec<ClientSession>,
    sidecar_sessions: Vec<SidecarSession>,
    /// Sidecar, process and session number to the place in `sidecar_sessions`.
    open: BTreeMap<(usize, u32, u64), usize>,
    /// When each update came to exist and its bytes; update N is at N - 1.
    updates: Vec<(u64, usize)>,
    messages_up: BTreeMap<u32, u64>,
    problems: Vec<String>,
    staleness: Staleness,
}

/// Everything on record, at one moment.
pub(super) struct Evidence {
    pub(super) at_us: u64,
    pub(super) account: Account,
    pub(super) connections: Vec<Connection>,
    pub(super) client_sessions: Vec<ClientSession>,
    pub(super) sidecar_sessions: Vec<SidecarSession>,
    pub(super) clients: Vec<ClientCounts>,
    pub(super) problems: Vec<String>,
    pub(super) staleness: Staleness,
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
    pub(super) fn new(world: Network, clock: Clock, clients: Vec<ClientFacts>, groups: &[&str]) -> Self {
        let collector = Collector::new();
        for (id, facts) in (0..).zip(&clients) {
            collector.assign(id, groups[facts.group]);
        }
        let clients: Vec<_> =
            clients.into_iter().map(|facts| ClientState { facts, ..ClientState::default() }).collect();
        let staleness = Staleness::new(groups.len());
        let state = State { clients, staleness, ..State::default() };
        Self { world, clock, collector, state: Mutex::new(state) }
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
            let State { clients, updates, staleness, .. } = state;
            for client in clients.iter().filter(|client| client.started) {
                let next = usize::try_from(client.newest).ok().and_then(|next| updates.get(next));
                staleness.record(client.facts.group, next.map_or(0, |(made_us, _)| now.saturating_sub(*made_us)));
            }
        });
    }

    /// Clients that are not yet as they should be without faults, each with what is wrong.
    pub(super) fn unconverged(&self) -> Vec<String> {
        self.with(|state| {
            let latest = state.updates.len() as u64;
            let wrong = |client: &ClientState| {
                let name = &client.facts.name;
                if client.facts.keeps_sessions && client.session.is_none() {
                    Some(format!("{name} is not connected"))
                } else if client.facts.resumes && client.newest < latest {
                    Some(format!("{name} has update {} of {latest}", client.newest))
                } else {
                    (!client.fine).then(|| format!("{name} has had no answer"))
                }
            };
            state.clients.iter().filter_map(wrong).collect()
        })
    }

    pub(super) fn evidence(&self) -> Evidence {
        let account = self.collector.account();
        self.with(|state| {
            let latest = state.updates.len() as u64;
            let counts = |(id, client): (u32, &ClientState)| ClientCounts {
                group: client.facts.group,
                updates: if client.started { latest - client.first } else { 0 },
                bytes_down: client.bytes,
                messages_down: client.messages,
                messages_up: state.messages_up.get(&id).copied().unwrap_or(0),
            };
            Evidence {
                at_us: self.clock.now_us(),
                account,
                connections: state.connections.clone(),
                client_sessions: state.client_sessions.clone(),
                sidecar_sessions: state.sidecar_sessions.clone(),
                clients: (0..).zip(&state.clients).map(counts).collect(),
                problems: state.problems.clone(),
                staleness: state.staleness.clone(),
            }
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
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
                client.turn += 1;
                client.fine = false;
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
                let addr = client.addr;
                let (messages, last_seq) = (0, 0);
                let open = ClientSession { client: id, addr, opened_us: at_us, closed: None, messages, last_seq };
                self.client_sessions.push(open);
            }
            ClientEvent::Closed { how, code, .. } => {
                let client = self.client(id);
                client.turn += 1;
                if let Some(index) = client.session.take() {
                    self.client_sessions[index].closed = Some(ClientClosed { at_us, how, code });
                }
            }
            ClientEvent::UpdateReceived { seq, created_us, .. } => self.updated(id, seq, created_us),
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
        let client = self.client(id);
        let name = client.facts.name.clone();
        client.newest = client.newest.max(seq);
        let Some(index) = client.session else {
            return if made.is_none_or(|made| made.0 != created_us) {
                self.problem(format!("{name} got update {seq}, which was never made so"));
            };
        };
        let (gaps, first) = (!client.facts.resumes, client.newest);
        client.messages += 1;
        client.bytes += made.map_or(0, |(_, bytes)| bytes as u64);
        let session = &mut self.client_sessions[index];
        session.messages += 1;
        let last = std::mem::replace(&mut session.last_seq, seq);
        let follows = if last == 0 { seq <= first } else { seq == last + 1 || (gaps && seq > last) };
        if !follows {
            self.problem(format!("{name} got update {seq} after update {last} in one session"));
        }
        if made.is_none_or(|made| made.0 != created_us) {
            self.problem(format!("{name} got update {seq}, which was never made so"));
        }
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
        self.collector.app(at_us, app, event);
        if let AppEvent::MessageReceived { client, .. } = event {
            self.with(|state| *state.messages_up.entry(*client).or_default() += 1);
        }
    }

    fn feed(&self, at_us: u64, feed: u32, event: &FeedEvent) {
        self.collector.feed(at_us, feed, event);
        let FeedEvent::UpdateCreated { seq, bytes } = *event;
        self.with(|state| state.updates.push((at_us, bytes)));
        self.world.log("", format!("update {seq} of {bytes} bytes"));
    }
}

/// Listens to one process of a sidecar.
pub(super) struct SidecarEar {
    pub(super) ledger: Arc<Ledger>,
    pub(super) name: Arc<str>,
    pub(super) sidecar: usize,
    pub(super) process: u32,
}

impl telemetry::Observer for SidecarEar {
    fn event(&self, who: &Who, event: &Event) {
        if *event == Event::SessionOpened {
            let opened_us = self.ledger.clock.now_us();
            let (sidecar, process, id, client) = (self.sidecar, self.process, who.id, who.client);
            self.ledger.with(|state| {
                let index = state.sidecar_sessions.len();
                if state.open.insert((sidecar, process, id), index).is_some() {
                    state.problem(format!("{} opened session {id} twice", self.name));
                }
                let fate = Fate::Open;
                state.sidecar_sessions.push(SidecarSession { sidecar, process, id, client, opened_us, fate });
            });
        }
        let session = who.id;
        let told = match event {
            Event::Backpressure { .. } | Event::RateLimited { .. } => return,
            Event::SessionOpened => format!("session {session} of {} opened", who.client),
            Event::Ended(end) => format!(
                "session {session} ended by {}: {} (client {:?}, app {:?})",
                end.by,
                end.cause,
                end.client_code.map(|code| code.0),
                end.app_code.map(|code| code.0)
            ),
            other => format!("session {session}: {other:?}"),
        };
        self.ledger.world.log(&self.name, told);
    }

    fn ended(&self, who: &Who, lived: Duration, relay: &Relay) {
        let at_us = self.ledger.clock.now_us();
        self.ledger.with(|state| {
            let Some(index) = state.open.remove(&(self.sidecar, self.process, who.id)) else {
                return state.problem(format!("{} ended session {}, which was not open", self.name, who.id));
            };
            let Some(end) = relay.end().copied() else {
                return state.problem(format!("{} ended session {} without a cause", self.name, who.id));
            };
            let (client, app) = (*relay.stats(Side::Client), *relay.stats(Side::App));
            state.sidecar_sessions[index].fate = Fate::Ended(Box::new(Ended { at_us, end, lived, client, app }));
        });
    }
}
