//! Events in, figures out: what a run cost its clients, and what they got for it.

mod ranges;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::Audience;
use super::event::{AppEvent, ClientEvent, FeedEvent, Observer};
use ranges::Ranges;
use tally::Tally;
pub use tally::{Figures, Spread};

/// The group of clients that were assigned to none.
pub const OTHERS: &str = "others";

/// An observer that counts. Everything is ordered, so that equal events give equal output.
#[derive(Default)]
pub struct Collector {
    state: Mutex<State>,
    /// Updates are lost to those whom they were for.
    audience: Audience,
}

/// What a collector has counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// Over all clients.
    pub total: Figures,
    /// Over the clients of each group.
    pub groups: BTreeMap<String, Figures>,
    /// Of each app, by its number.
    pub apps: BTreeMap<u32, AppFigures>,
    /// How many updates each feed made, by its number.
    pub updates_created: BTreeMap<u32, u64>,
}

/// What an app did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AppFigures {
    pub requests: u64,
    /// Requests by the status they were answered with.
    pub statuses: BTreeMap<u16, u64>,
    pub sessions: u64,
    /// Ends of sessions: `Close 1000` and the like.
    pub ends: BTreeMap<String, u64>,
    pub messages_received: u64,
    pub acks_sent: u64,
}

#[derive(Default)]
struct State {
    group_of: BTreeMap<u32, String>,
    groups: BTreeMap<String, Tally>,
    clients: BTreeMap<u32, ClientState>,
    apps: BTreeMap<u32, AppFigures>,
    feeds: BTreeMap<u32, u64>,
    /// The numbers of each client's messages that reached an app, whichever.
    arrived: BTreeMap<u32, Ranges>,
    /// The numbers of those that were not acknowledged in their session. They may have arrived, or yet arrive.
    unacknowledged: BTreeMap<u32, Vec<u64>>,
}

/// What must be known of a client to judge its next event.
#[derive(Default)]
struct ClientState {
    feed: u32,
    since: u64,
    newest_seq: u64,
    newest_created_us: Option<u64>,
    updates: Ranges,
    sessions: u64,
}

impl Collector {
    pub fn new(audience: Audience) -> Self {
        Self { state: Mutex::default(), audience }
    }

    /// Counts `client` in `group` from now on. Call it before the client lives.
    pub fn assign(&self, client: u32, group: &str) {
        self.with(|state| state.group_of.insert(client, group.to_owned()));
    }

    /// Takes a sample of every client's age of information: how old the newest update is that it knows. Clients that
    /// know none are left out.
    pub fn sample(&self, at_us: u64) {
        self.with(|state| {
            let known = state.clients.iter().filter_map(|(id, client)| Some((*id, client.newest_created_us?)));
            let ages: Vec<_> = known.map(|(id, created_us)| (id, at_us.saturating_sub(created_us))).collect();
            for (id, age_us) in ages {
                state.tally(id).age.record(age_us);
            }
        });
    }

    /// What was counted up to now.
    pub fn account(&self) -> Account {
        self.with(|state| {
            let mut groups = state.groups.clone();
            for (id, client) in &state.clients {
                // Every client that did anything has a tally.
                let tally = groups.entry(state.group(*id)).or_default();
                tally.clients += 1;
                let wanted = self.audience.count(*id, client.since, client.newest_seq);
                tally.updates_lost += wanted.saturating_sub(client.updates.len());
                let created = state.feeds.get(&client.feed).copied().unwrap_or(0);
                tally.updates_outstanding += self.audience.count(*id, client.newest_seq, created);
                tally.messages_unarrived += state.unarrived(*id);
            }
            let mut total = Tally::default();
            for tally in groups.values() {
                total.add(tally);
            }
            Account {
                total: total.figures(),
                groups: groups.iter().map(|(name, tally)| (name.clone(), tally.figures())).collect(),
                apps: state.apps.clone(),
                updates_created: state.feeds.clone(),
            }
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Collector {
    fn client(&self, _at_us: u64, client: u32, event: &ClientEvent) {
        self.with(|state| state.client_event(client, event));
    }

    fn app(&self, _at_us: u64, app: u32, event: &AppEvent) {
        self.with(|state| state.app_event(app, event));
    }

    fn feed(&self, _at_us: u64, feed: u32, event: &FeedEvent) {
        let FeedEvent::UpdateCreated { seq, .. } = *event;
        self.with(|state| state.feeds.insert(feed, seq));
    }
}

impl State {
    fn group(&self, client: u32) -> String {
        self.group_of.get(&client).map_or_else(|| OTHERS.to_owned(), Clone::clone)
    }

    fn tally(&mut self, client: u32) -> &mut Tally {
        self.groups.entry(self.group(client)).or_default()
    }

    fn client_event(&mut self, id: u32, event: &ClientEvent) {
        let client = self.clients.entry(id).or_default();
        match *event {
            ClientEvent::Started { feed, since } => {
                (client.feed, client.since, client.newest_seq) = (feed, since, since);
            }
            ClientEvent::UpdateReceived { seq, created_us, delay } => {
                let fresh = client.receive(seq, created_us);
                self.tally(id).update(fresh, delay);
            }
            ClientEvent::HandshakeDone { took } => {
                let again = client.sessions > 0;
                client.sessions += 1;
                self.tally(id).session(again, took);
            }
            ClientEvent::Acked { n, took } => {
                let on_record = self.arrived.get(&id).is_some_and(|arrived| arrived.contains(n));
                self.tally(id).ack(on_record, took);
            }
            _ => {
                if let ClientEvent::AckMissing { n } = *event {
                    self.unacknowledged.entry(id).or_default().push(n);
                }
                self.tally(id).count(event);
            }
        }
    }

    /// How many of a client's messages no app has, of those that were not acknowledged in their session.
    fn unarrived(&self, id: u32) -> u64 {
        let arrived = self.arrived.get(&id);
        let is_lost = |n: &&u64| arrived.is_none_or(|arrived| !arrived.contains(**n));
        self.unacknowledged.get(&id).map_or(0, |all| all.iter().filter(is_lost).count() as u64)
    }

    fn app_event(&mut self, id: u32, event: &AppEvent) {
        let app = self.apps.entry(id).or_default();
        match *event {
            AppEvent::RequestServed { status } => {
                app.requests += 1;
                *app.statuses.entry(status).or_default() += 1;
            }
            AppEvent::SessionOpened { .. } => app.sessions += 1,
            AppEvent::SessionClosed { how, code, .. } => *app.ends.entry(tally::end_name(how, code)).or_default() += 1,
            AppEvent::MessageReceived { client, n } => {
                app.messages_received += 1;
                self.arrived.entry(client).or_default().insert(n);
            }
            AppEvent::AckSent { .. } => app.acks_sent += 1,
        }
    }
}

impl ClientState {
    /// Whether the update is new to the client.
    fn receive(&mut self, seq: u64, created_us: u64) -> bool {
        if seq >= self.newest_seq {
            self.newest_seq = seq;
            self.newest_created_us = Some(created_us);
        }
        seq > self.since && self.updates.insert(seq)
    }
}
