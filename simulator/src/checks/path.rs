//! Which faults touch a session: those on its own way from its client over its sidecar to its app, in its own time.

use std::time::Duration;

use outrigger_shared::close::Side;

use super::Case;
use crate::middlebox::Cut;
use crate::scenario::{AppId, FaultKind, GroupId, Host, Peer, SidecarId};
use crate::world::record::{ClientSession, SidecarSession, WireSession};

impl<'a> Case<'a> {
    /// How a sidecar's session is called in messages.
    pub(super) fn name(&self, session: &SidecarSession) -> String {
        format!("{} session {}", self.scenario.sidecars[session.sidecar].name, session.id)
    }

    /// The client's side of a sidecar's session.
    pub(super) fn client_session(&self, session: &SidecarSession) -> Option<&'a ClientSession> {
        let after = |seen: &&ClientSession| seen.opened_us >= session.opened_us && seen.addr == Some(session.client);
        self.client_sessions.iter().find(after)
    }

    /// Both ends of a sidecar's session.
    pub(super) fn wire(&self, session: &SidecarSession) -> Option<&'a WireSession> {
        let before = |wire: &&WireSession| wire.addr == session.client && wire.asked_us <= session.opened_us;
        self.wires.iter().rev().find(before)
    }

    /// What a hop did to the client's connection.
    pub(super) fn cut(&self, session: &SidecarSession) -> Option<&'a Cut> {
        let over_us = session.over_us().unwrap_or(u64::MAX);
        self.cuts.iter().find(|cut| cut.client == session.client && (session.opened_us..=over_us).contains(&cut.at_us))
    }

    /// The group of a client by its number.
    pub(super) fn group(&self, client: u32) -> GroupId {
        let mut first = 0;
        let found = self.scenario.clients.iter().position(|group| {
            first += group.count;
            client < first
        });
        GroupId(found.expect("every client is in a group"))
    }

    /// The group of a session's client.
    pub(super) fn group_of(&self, session: &SidecarSession) -> Option<GroupId> {
        let connection = self.connections.iter().find(|connection| connection.addr == session.client)?;
        Some(self.group(connection.client))
    }

    /// Whether a fault was on, or its effects not yet over, while the session lived, that keeps bytes from passing
    /// between the sidecar and this side of the session, or this side from taking and giving them.
    pub(super) fn is_troubled(&self, session: &SidecarSession, side: Side) -> bool {
        self.faults_on(session).any(|kind| match side {
            Side::Client => self.between_client(session, kind) || self.slows_client(session, kind),
            Side::App => self.between_app(session, kind) || self.downs_app(session, kind),
        })
    }

    /// Faults that were on, or had just been, while the session lived.
    pub(super) fn faults_on(&self, session: &SidecarSession) -> impl Iterator<Item = &'a FaultKind> + use<'a> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2);
        let (heal, opened_us) = (micros(self.scenario.heal), session.opened_us);
        let over_us = session.over_us().unwrap_or(u64::MAX);
        let faults = self.faults.iter();
        let on = faults.filter(move |fault| {
            micros(fault.at) <= over_us && micros(fault.at + fault.lasts).saturating_add(heal) >= opened_us
        });
        on.map(|fault| &fault.kind)
    }

    /// Whether the fault is on the network between a session's client and its sidecar.
    pub(super) fn between_client(&self, session: &SidecarSession, kind: &FaultKind) -> bool {
        let Some(group) = self.group_of(session) else { return true };
        let sidecar = SidecarId(session.sidecar);
        let client =
            |peer: Peer| peer == Peer::Clients(group) || peer == Peer::Region(self.scenario.clients[group.0].region);
        joins(kind, client, |peer| self.is_sidecar(peer, sidecar))
    }

    /// Whether the fault is on the network between a session's sidecar and its app.
    pub(super) fn between_app(&self, session: &SidecarSession, kind: &FaultKind) -> bool {
        let sidecar = SidecarId(session.sidecar);
        let app = self.app(session);
        let at_app = |peer: Peer| peer == Peer::App(app) || peer == Peer::Region(self.scenario.apps[app.0].region);
        joins(kind, at_app, |peer| self.is_sidecar(peer, sidecar))
    }

    /// Whether the fault is one of the session's app itself.
    pub(super) fn downs_app(&self, session: &SidecarSession, kind: &FaultKind) -> bool {
        let app = self.app(session);
        match kind {
            FaultKind::Kill { host } | FaultKind::PowerLoss { host } | FaultKind::Restart { host } => {
                *host == Host::App(app)
            }
            FaultKind::AppStall { app: stalled } => *stalled == app,
            _ => false,
        }
    }

    /// Whether the fault makes the session's client read slowly, or may: which of a group they are is drawn.
    pub(super) fn slows_client(&self, session: &SidecarSession, kind: &FaultKind) -> bool {
        let group = self.group_of(session);
        matches!(kind, FaultKind::SlowReader { group: slow, .. } if group.is_none_or(|group| group == *slow))
    }

    /// Whether the session's client reads slowly all the time.
    pub(super) fn client_is_slow(&self, session: &SidecarSession) -> bool {
        self.group_of(session).is_some_and(|group| self.scenario.clients[group.0].reads.is_some())
    }

    fn app(&self, session: &SidecarSession) -> AppId {
        let apps = &self.scenario.sidecars[session.sidecar].apps;
        let is_its = |app: &&AppId| session.upstream.as_deref() == Some(&*self.scenario.apps[app.0].name);
        *apps.iter().find(is_its).unwrap_or(&apps[0])
    }

    fn is_sidecar(&self, peer: Peer, sidecar: SidecarId) -> bool {
        peer == Peer::Sidecar(sidecar) || peer == Peer::Region(self.scenario.sidecars[sidecar.0].region)
    }
}

/// Whether a fault of the network is between two places.
fn joins(kind: &FaultKind, here: impl Fn(Peer) -> bool, there: impl Fn(Peer) -> bool) -> bool {
    let (a, b) = match *kind {
        FaultKind::Partition { a, b } | FaultKind::LossBurst { a, b, .. } | FaultKind::LatencySpike { a, b, .. } => {
            (a, b)
        }
        FaultKind::OneWayPartition { from, to } => (from, to),
        _ => return false,
    };
    (here(a) && there(b)) || (here(b) && there(a))
}
