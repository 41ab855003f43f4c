//! From a run to what is drawn of it: a space-time diagram of a seed that fails, and delays over time by group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::model::{EventAt, FaultSpan, Lane, Message, Pace, SessionSpan, Story, Timeline};
use crate::actors::Ending;
use crate::scenario::{AppId, FaultKind, Host, Peer, PlannedFault, RegionId, Scenario, SidecarId};
use crate::world::Run;
use crate::world::story::{self, Update};

/// Clients that are drawn.
const MAX_CLIENTS: usize = 12;
/// Messages that are drawn.
const MAX_MESSAGES: usize = 700;
/// Events that are drawn and listed.
const MAX_EVENTS: usize = 800;
/// Characters of one event.
const MAX_TEXT: usize = 240;
/// Steps of a timeline.
const STEPS: u64 = 60;

/// The diagram of a run that was played with [`Options::story`](crate::world::Options).
pub fn story(scenario: &Scenario, variant: usize, run: &Run) -> Option<Story> {
    let told = run.story.as_ref()?;
    let drawn = drawn_clients(told, run);
    let lanes = Lanes::new(scenario, told, &drawn);
    let (messages, messages_left_out) = messages(told, &lanes);
    let (events, events_left_out) = events(run, &lanes);
    Some(Story {
        variant: variant + 1,
        seed: run.seed,
        end_us: micros(run.virtual_time),
        clients_left_out: told.clients.len() - drawn.len(),
        faults: told.faults.iter().map(|fault| fault_span(scenario, fault, &lanes)).collect(),
        sessions: sessions(told, &lanes),
        messages,
        messages_left_out: messages_left_out + told.heard.left_out,
        events,
        events_left_out,
        lanes: lanes.all,
    })
}

/// Delays of the run's updates by the time at which they were made.
pub fn timeline(scenario: &Scenario, run: &Run) -> Option<Timeline> {
    let told = run.story.as_ref()?;
    let step_us = micros(scenario.duration).div_ceil(STEPS).max(1);
    let mut paces: Vec<Pace> = scenario
        .clients
        .iter()
        .map(|group| Pace { group: group.name.clone(), updates: Vec::new(), mean_us: Vec::new(), max_us: Vec::new() })
        .collect();
    let mut sums: BTreeMap<(usize, u64), (u64, u64, u64)> = BTreeMap::new();
    for Update { client, created_us, at_us, .. } in &told.heard.updates {
        let group = told.clients[*client as usize].group;
        let (count, sum, max) = sums.entry((group, created_us / step_us)).or_default();
        let delay = at_us.saturating_sub(*created_us);
        (*count, *sum, *max) = (*count + 1, *sum + delay, (*max).max(delay));
    }
    for (group, pace) in paces.iter_mut().enumerate() {
        for step in 0..STEPS {
            let (count, sum, max) = sums.get(&(group, step)).copied().unwrap_or_default();
            pace.updates.push(count);
            pace.mean_us.push(sum.checked_div(count));
            pace.max_us.push((count > 0).then_some(max));
        }
    }
    Some(Timeline { seed: run.seed, step_us, groups: paces })
}

/// Who is drawn: those that are named in what failed, then those that had the most sessions, and of each group one.
fn drawn_clients(told: &story::Story, run: &Run) -> Vec<usize> {
    let mut sessions: BTreeMap<usize, usize> = BTreeMap::new();
    for session in &told.sessions {
        *sessions.entry(session.client as usize).or_default() += 1;
    }
    let texts: Vec<String> = run.violations.iter().map(ToString::to_string).collect();
    let named = |name: &str| {
        let is_it =
            |(at, _): (usize, &str), text: &str| !text[at + name.len()..].starts_with(|c: char| c.is_ascii_digit());
        texts.iter().any(|text| text.match_indices(name).any(|found| is_it(found, text)))
    };
    let mut first_of: BTreeSet<usize> = BTreeSet::new();
    let mut ranked: Vec<(bool, bool, usize, usize)> = Vec::new();
    for (id, who) in told.clients.iter().enumerate() {
        let first = first_of.insert(who.group);
        ranked.push((!first, !named(&who.name), usize::MAX - sessions.get(&id).copied().unwrap_or(0), id));
    }
    ranked.sort_unstable();
    let mut drawn: Vec<usize> = ranked.into_iter().take(MAX_CLIENTS).map(|(.., id)| id).collect();
    drawn.sort_unstable();
    drawn
}

/// Hosts from the left of a message's way to the right: apps, sidecars, clients.
struct Lanes {
    all: Vec<Lane>,
    sidecars: usize,
    apps: Vec<AppId>,
    /// The sidecar that each group likes best.
    homes: Vec<usize>,
    clients: BTreeMap<usize, usize>,
    groups: Vec<usize>,
    regions: Vec<RegionId>,
}

impl Lanes {
    fn new(scenario: &Scenario, told: &story::Story, drawn: &[usize]) -> Self {
        let region = |region: RegionId| scenario.regions[region.0].name.clone();
        let (mut all, mut regions, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        let mut add = |name: &str, kind: &str, at: RegionId| {
            all.push(Lane { name: name.to_owned(), kind: kind.to_owned(), region: region(at) });
            regions.push(at);
        };
        for app in &scenario.apps {
            add(&app.name, "app", app.region);
        }
        for sidecar in &scenario.sidecars {
            add(&sidecar.name, "sidecar", sidecar.region);
        }
        let first = scenario.apps.len() + scenario.sidecars.len();
        for client in drawn {
            let who = &told.clients[*client];
            add(&who.name, "client", scenario.clients[who.group].region);
            groups.push(who.group);
        }
        let clients = drawn.iter().enumerate().map(|(place, client)| (*client, first + place)).collect();
        let apps = scenario.sidecars.iter().map(|sidecar| sidecar.apps[0]).collect();
        let homes = scenario.clients.iter().map(|group| group.targets[0].0).collect();
        Self { all, sidecars: scenario.apps.len(), apps, homes, clients, groups, regions }
    }

    fn host(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|lane| lane.name == name)
    }

    fn sidecar(&self, sidecar: usize) -> usize {
        self.sidecars + sidecar
    }

    fn of(&self, peer: Peer) -> Vec<usize> {
        let first_client = self.sidecars + self.apps.len();
        match peer {
            Peer::Region(id) => (0..self.all.len()).filter(|lane| self.regions[*lane] == id).collect(),
            Peer::App(AppId(app)) => vec![app],
            Peer::Sidecar(SidecarId(sidecar)) => vec![self.sidecar(sidecar)],
            Peer::Clients(group) => {
                (0..self.groups.len()).filter(|n| self.groups[*n] == group.0).map(|n| first_client + n).collect()
            }
        }
    }
}

fn fault_span(scenario: &Scenario, fault: &PlannedFault, lanes: &Lanes) -> FaultSpan {
    let host = |host: Host| match host {
        Host::App(id) => Peer::App(id),
        Host::Sidecar(id) => Peer::Sidecar(id),
    };
    let peers: Vec<Peer> = match fault.kind {
        FaultKind::Partition { a, b }
        | FaultKind::LossBurst { a, b, .. }
        | FaultKind::LatencySpike { a, b, .. }
        | FaultKind::OneWayPartition { from: a, to: b } => vec![a, b],
        FaultKind::Kill { host: of }
        | FaultKind::PowerLoss { host: of }
        | FaultKind::Restart { host: of }
        | FaultKind::ClockSkew { host: of, .. } => vec![host(of)],
        FaultKind::SlowReader { group, .. } => vec![Peer::Clients(group)],
        FaultKind::AppStall { app } => vec![Peer::App(app)],
    };
    let touched: BTreeSet<usize> = peers.iter().flat_map(|peer| lanes.of(*peer)).collect();
    FaultSpan {
        label: fault.label.clone(),
        kind: fault.kind.word().as_str().to_owned(),
        about: about(scenario, &fault.kind),
        from_us: micros(fault.at),
        to_us: micros(fault.at + fault.lasts),
        lanes: touched.into_iter().collect(),
    }
}

/// `hk and sg`, `10% between hk and sg`, `edge`.
pub fn about(scenario: &Scenario, kind: &FaultKind) -> String {
    let peer = |peer: &Peer| match *peer {
        Peer::Region(RegionId(id)) => scenario.regions[id].name.clone(),
        Peer::App(AppId(id)) => scenario.apps[id].name.clone(),
        Peer::Sidecar(SidecarId(id)) => scenario.sidecars[id].name.clone(),
        Peer::Clients(group) => scenario.clients[group.0].name.clone(),
    };
    let host = |host: &Host| match *host {
        Host::App(AppId(id)) => scenario.apps[id].name.clone(),
        Host::Sidecar(SidecarId(id)) => scenario.sidecars[id].name.clone(),
    };
    match kind {
        FaultKind::Partition { a, b } => format!("nothing between {} and {}", peer(a), peer(b)),
        FaultKind::OneWayPartition { from, to } => format!("nothing from {} to {}", peer(from), peer(to)),
        FaultKind::LossBurst { a, b, loss_ppm } => {
            format!("{}% lost between {} and {}", f64::from(*loss_ppm) / 10_000.0, peer(a), peer(b))
        }
        FaultKind::LatencySpike { a, b, latency } => {
            format!("{latency:?} more between {} and {}", peer(a), peer(b))
        }
        FaultKind::Kill { host: of } => format!("{} is killed", host(of)),
        FaultKind::PowerLoss { host: of } => format!("{} loses power", host(of)),
        FaultKind::Restart { host: of } => format!("{} is restarted", host(of)),
        FaultKind::SlowReader { group, per_10k, reads } => {
            let share = f64::from(*per_10k) / 100.0;
            format!("{share}% of {} read {reads} bytes/s", scenario.clients[group.0].name)
        }
        FaultKind::AppStall { app } => format!("{} stalls", scenario.apps[app.0].name),
        FaultKind::ClockSkew { host: of, ahead, by } => {
            format!("clock of {} {by:?} {}", host(of), if *ahead { "ahead" } else { "behind" })
        }
    }
}

fn sessions(told: &story::Story, lanes: &Lanes) -> Vec<SessionSpan> {
    let of = |session: &crate::world::record::ClientSession| {
        let lane = *lanes.clients.get(&(session.client as usize))?;
        let of_it = |found: &&crate::world::record::SidecarSession| {
            Some(found.client) == session.addr && found.opened_us <= session.opened_us
        };
        let sidecar = told.sidecar_sessions.iter().rev().find(of_it);
        let end = session.closed.map(|closed| match (closed.how, closed.code) {
            (Ending::Left, Some(code)) => format!("left with {code}"),
            (Ending::Left, None) => "left".to_owned(),
            (Ending::Close, code) => {
                format!("Close {}", code.map_or("without code".to_owned(), |code| code.to_string()))
            }
            (Ending::Eof, _) => "bare end (1006)".to_owned(),
            (Ending::Error, _) => "reset (1006)".to_owned(),
            (Ending::Timeout, _) => "given up as silent (1006)".to_owned(),
        });
        let cause = sidecar
            .and_then(|found| found.ended())
            .map(|ended| format!("{} by {}", ended.end.cause.as_str(), ended.end.by));
        Some(SessionSpan {
            lane,
            sidecar: sidecar.map(|found| lanes.sidecar(found.sidecar)),
            from_us: session.opened_us,
            to_us: session.closed.map(|closed| closed.at_us),
            end,
            cause,
            lost: session.closed.is_some_and(|closed| !matches!(closed.how, Ending::Left | Ending::Close)),
        })
    };
    told.sessions.iter().filter_map(of).collect()
}

/// Messages between drawn hosts; of too many, the slowest, and of the others every so-and-so-many-th.
fn messages(told: &story::Story, lanes: &Lanes) -> (Vec<Message>, usize) {
    // Who has no session asks the first of its targets, as long as that answers.
    let app_of = |client: u32, at_us: u64| {
        let is_open = |session: &&crate::world::record::ClientSession| {
            session.client == client
                && session.opened_us <= at_us
                && session.closed.is_none_or(|closed| closed.at_us >= at_us)
        };
        let addr = told.sessions.iter().rev().find(is_open).and_then(|session| session.addr);
        let of_it =
            |found: &&crate::world::record::SidecarSession| Some(found.client) == addr && found.opened_us <= at_us;
        let sidecar = addr.and_then(|_| told.sidecar_sessions.iter().rev().find(of_it)).map(|found| found.sidecar);
        let home = || lanes.homes[told.clients[client as usize].group];
        lanes.apps[sidecar.unwrap_or_else(home)].0
    };
    let mut all = Vec::new();
    for update in &told.heard.updates {
        if let Some(lane) = lanes.clients.get(&(update.client as usize)) {
            let from = app_of(update.client, update.at_us);
            let text = format!("update {}", update.seq);
            all.push(Message { from, to: *lane, sent_us: update.created_us, got_us: Some(update.at_us), text });
        }
    }
    for message in &told.heard.messages {
        if let Some(lane) = lanes.clients.get(&(message.client as usize)) {
            let to = app_of(message.client, message.at_us.unwrap_or(message.sent_us));
            let text = format!("message {}", message.n);
            all.push(Message { from: *lane, to, sent_us: message.sent_us, got_us: message.at_us, text });
        }
    }
    let count = all.len();
    if count > MAX_MESSAGES {
        let delay = |message: &Message| message.got_us.map_or(u64::MAX, |got| got - message.sent_us);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|index| (u64::MAX - delay(&all[*index]), *index));
        let mut kept: BTreeSet<usize> = order.iter().take(MAX_MESSAGES / 2).copied().collect();
        let step = order.len().div_ceil(MAX_MESSAGES / 2);
        let mut others: Vec<usize> = order.split_off(MAX_MESSAGES / 2);
        others.sort_unstable();
        kept.extend(others.into_iter().step_by(step));
        all =
            all.into_iter().enumerate().filter(|(index, _)| kept.contains(index)).map(|(_, message)| message).collect();
    }
    all.sort_by_key(|message| (message.sent_us, message.to));
    let left_out = count - all.len();
    (all, left_out)
}

/// What happened to drawn hosts and to the network, without single updates; of too many, the first and the last.
fn events(run: &Run, lanes: &Lanes) -> (Vec<EventAt>, usize) {
    let told = |entry: &crate::history::Entry| {
        let lane = lanes.host(&entry.host);
        let of_nobody = entry.host.is_empty() && entry.text.starts_with("update ");
        let of_another = !entry.host.is_empty() && lane.is_none();
        if of_nobody || of_another {
            return None;
        }
        let mut text: String = entry.text.chars().take(MAX_TEXT).collect();
        if text.len() < entry.text.len() {
            text.push('…');
        }
        Some(EventAt { at_us: entry.at_us, lane, text })
    };
    let mut all: Vec<EventAt> = run.history.iter().filter_map(told).collect();
    let left_out = all.len().saturating_sub(MAX_EVENTS);
    if left_out > 0 {
        let half = MAX_EVENTS / 2;
        all.drain(half..half + left_out);
    }
    (all, left_out)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
