//! A scenario's machines, places and paths, as the engine wants them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::{HostSpec, Options};
use crate::middlebox;
use crate::scenario::{self, AppId, Cut, FaultKind, GroupId, Host, Peer, PlannedFault, Scenario, SidecarId, TimeRange};
use crate::wan::{Link, Place};

/// How long a packet waits at most in the queue of a link with a bandwidth.
const QUEUE_US: u64 = 200_000;
/// On top of the scenario's own time: for everybody to stop.
pub(super) const STOP_LIMIT: Duration = Duration::from_mins(10);
/// Events of the network after which a run is an error: more than any scenario of a day needs.
const EVENT_LIMIT: u64 = 2_000_000_000;

/// The host's place in the engine's list: apps first, then sidecars, then one host for each group of clients.
pub(super) fn app_host(id: AppId) -> u16 {
    index(id.0)
}

pub(super) fn sidecar_host(scenario: &Scenario, id: SidecarId) -> u16 {
    index(scenario.apps.len() + id.0)
}

pub(super) fn group_host(scenario: &Scenario, id: GroupId) -> u16 {
    index(scenario.apps.len() + scenario.sidecars.len() + id.0)
}

pub(super) fn machine_host(scenario: &Scenario, host: Host) -> u16 {
    match host {
        Host::App(id) => app_host(id),
        Host::Sidecar(id) => sidecar_host(scenario, id),
    }
}

pub(super) fn place(scenario: &Scenario, peer: Peer) -> Place {
    match peer {
        Peer::Region(id) => Place::Region(index(id.0)),
        Peer::App(id) => Place::Host(app_host(id)),
        Peer::Sidecar(id) => Place::Host(sidecar_host(scenario, id)),
        Peer::Clients(id) => Place::Host(group_host(scenario, id)),
    }
}

fn index(index: usize) -> u16 {
    u16::try_from(index).expect("a scenario has fewer hosts than an address has numbers")
}

/// Everything that the engine must know before the run.
pub(super) fn options(scenario: &Scenario, faults: &[PlannedFault], seed: u64) -> Options {
    let mut options = Options::new(seed);
    options.time_limit = scenario.duration + scenario.heal + STOP_LIMIT;
    options.event_limit = EVENT_LIMIT;
    let lives = |host: Host| {
        let losses = faults.iter().filter(|fault| fault.kind == FaultKind::PowerLoss { host }).count();
        1 + index(losses)
    };
    for (i, app) in scenario.apps.iter().enumerate() {
        options.hosts.push(HostSpec::new(&app.name, index(app.region.0)).lives(lives(Host::App(AppId(i)))));
    }
    for (i, sidecar) in scenario.sidecars.iter().enumerate() {
        let mut host = HostSpec::new(&sidecar.name, index(sidecar.region.0)).lives(lives(Host::Sidecar(SidecarId(i))));
        // The engine wants the one nearest to the host first.
        host.hops = hops(sidecar.hops.iter().rev());
        host.hops.iter_mut().for_each(|hop| hop.inbound_only = true);
        options.hosts.push(host);
    }
    for group in &scenario.clients {
        let mut host = HostSpec::new(&group.name, index(group.region.0));
        host.hops = hops(group.via.iter());
        options.hosts.push(host);
    }
    for (from, row) in scenario.links.iter().enumerate() {
        for (to, found) in row.iter().enumerate() {
            options.links.push((Place::Region(index(from)), Place::Region(index(to)), link(found)));
        }
    }
    let lan = link(&scenario.lan);
    for (a, b) in lan_pairs(scenario) {
        options.links.push((a, b, lan));
        options.links.push((b, a, lan));
    }
    options
}

/// Apps and sidecars of one region, which are neighbours.
fn lan_pairs(scenario: &Scenario) -> Vec<(Place, Place)> {
    let mut pairs = Vec::new();
    for (a, app) in scenario.apps.iter().enumerate() {
        for (s, sidecar) in scenario.sidecars.iter().enumerate() {
            if app.region == sidecar.region {
                pairs.push((Place::Host(app_host(AppId(a))), Place::Host(sidecar_host(scenario, SidecarId(s)))));
            }
        }
    }
    pairs
}

/// The links as they are without faults.
pub(super) struct Base {
    links: BTreeMap<(Place, Place), Link>,
    regions: Vec<u16>,
}

impl Base {
    pub(super) fn new(options: &Options) -> Self {
        let links = options.links.iter().map(|(from, to, link)| ((*from, *to), *link)).collect();
        Self { links, regions: options.hosts.iter().map(|host| host.region).collect() }
    }

    pub(super) fn region(&self, place: Place) -> Place {
        match place {
            Place::Region(_) => place,
            Place::Host(host) => Place::Region(self.regions[usize::from(host)]),
        }
    }

    /// The link between two hosts, or between two regions.
    pub(super) fn link(&self, from: Place, to: Place) -> Link {
        let exact = self.links.get(&(from, to));
        *exact.unwrap_or_else(|| &self.links[&(self.region(from), self.region(to))])
    }

    /// Whether two hosts have a link of their own, rather than their regions'.
    pub(super) fn has_own(&self, from: Place, to: Place) -> bool {
        self.links.contains_key(&(from, to))
    }

    /// The hosts that a place stands for.
    pub(super) fn hosts(&self, place: Place) -> Vec<Place> {
        match place {
            Place::Host(_) => vec![place],
            Place::Region(region) => {
                let all = (0..).zip(&self.regions);
                all.filter(|(_, of)| **of == region).map(|(host, _)| Place::Host(host)).collect()
            }
        }
    }
}

fn link(link: &scenario::Link) -> Link {
    Link {
        latency_us: micros(link.latency),
        jitter_us: micros(link.jitter),
        bandwidth_bps: link.bandwidth.unwrap_or(0),
        loss_ppm: link.loss_ppm,
        queue_us: QUEUE_US,
    }
}

fn hops<'a>(hops: impl Iterator<Item = &'a scenario::Hop>) -> Vec<middlebox::Hop> {
    let real = |hop: &scenario::Hop| {
        let end = match hop.cut {
            Cut::Rst => middlebox::End::Rst,
            Cut::Fin => middlebox::End::Fin,
            Cut::Silence => middlebox::End::Silence,
        };
        middlebox::Hop {
            name: hop.name.clone(),
            idle: hop.idle.map(|TimeRange { from, to }| middlebox::Idle { from, to, end }),
            lifetime: hop.lifetime.map(|age| (age, end)),
            inbound_only: false,
        }
    };
    hops.map(real).collect()
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 4)
}
