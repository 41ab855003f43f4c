//! Who is there: regions, apps, sidecars and groups of clients share one set of names, so that a fault can name any.

use std::collections::BTreeMap;

use outrigger::config::{Place, did_you_mean};

use crate::scenario::fields::{Fields, Found, Reading};
use crate::scenario::key::{Section, or};
use crate::scenario::model::{AppId, GroupId, Host, Peer, Region, RegionId, SidecarId};
use crate::scenario::{keys, metrics, values};

/// Every name with what bears it, in the order of the file.
pub(super) struct Names {
    all: Vec<(String, Peer)>,
}

impl Names {
    /// Collects all names, and reports those that are given twice and the lists that lack a first item.
    pub(super) fn read(reading: &Reading, top: &Fields) -> Self {
        let mut found: Vec<(Found<String>, Peer)> = Vec::new();
        let regions = top
            .many("regions", values::name)
            .unwrap_or_else(|| top.found("regions", values::name).into_iter().collect());
        found.extend(regions.into_iter().enumerate().map(|(i, name)| (name, Peer::Region(RegionId(i)))));
        let mut list = |section: &'static Section, peer: fn(usize) -> Peer| {
            let items = reading.list(section);
            if items.is_empty() {
                let problem = format!("the scenario has no {}", section.heading());
                let advice = format!("add one: {} {}", section.heading(), section.key("name").spell());
                reading.fault(&reading.source.place(0), problem, advice);
            }
            for (i, fields) in items.iter().enumerate() {
                // A nameless item keeps its index; that it has no name is reported once, here.
                let name = fields.found("name", values::name);
                let name = name.unwrap_or_else(|| Found { value: String::new(), place: fields.place.clone() });
                found.push((name, peer(i)));
            }
        };
        list(&keys::APPS, |i| Peer::App(AppId(i)));
        list(&keys::SIDECARS, |i| Peer::Sidecar(SidecarId(i)));
        list(&keys::CLIENTS, |i| Peer::Clients(GroupId(i)));
        let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
        for (name, peer) in &found {
            if name.value.is_empty() {
                continue;
            }
            if let Some(before) = seen.insert(&name.value, &name.place) {
                let problem = format!("`{}` is taken by what is at {before}", name.value);
                reading.fault(
                    &name.place,
                    problem,
                    "give each region, app, sidecar and group of clients a name of its own",
                );
            }
            if matches!(peer, Peer::Clients(_)) && metrics::find(&name.value).is_some() {
                let problem = format!("`{}` is the name of a figure in [expect]", name.value);
                reading.fault(&name.place, problem, "give the group another name");
            }
        }
        Self { all: found.into_iter().map(|(name, peer)| (name.value, peer)).collect() }
    }

    pub(super) fn regions(&self) -> Vec<Region> {
        let region =
            |(name, peer): &(String, Peer)| matches!(peer, Peer::Region(_)).then(|| Region { name: name.clone() });
        self.all.iter().filter_map(region).collect()
    }

    pub(super) fn region_count(&self) -> usize {
        self.count(|peer| matches!(peer, Peer::Region(_)))
    }

    pub(super) fn app_count(&self) -> usize {
        self.count(|peer| matches!(peer, Peer::App(_)))
    }

    pub(super) fn sidecar_count(&self) -> usize {
        self.count(|peer| matches!(peer, Peer::Sidecar(_)))
    }

    /// The name that a peer was given.
    pub(super) fn name(&self, of: Peer) -> &str {
        self.all.iter().find(|(_, peer)| *peer == of).map_or("", |(name, _)| name)
    }

    pub(super) fn group(&self, name: &str) -> Option<GroupId> {
        self.all.iter().find_map(|(known, peer)| match peer {
            Peer::Clients(group) if known == name => Some(*group),
            _ => None,
        })
    }

    /// The names of all groups of clients.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.all.iter().filter(|(_, peer)| matches!(peer, Peer::Clients(_))).map(|(name, _)| name.as_str())
    }

    /// What the key refers to, of those that `accept` takes; `None` if it is not written, or wrong.
    pub(super) fn one<T>(&self, fields: &Fields, key: &'static str, accept: impl Fn(Peer) -> Option<T>) -> Option<T> {
        let name = fields.found(key, values::text)?;
        self.resolve(fields, key, &name, accept)
    }

    /// What a name refers to; if nothing that `accept` takes, that is reported.
    pub(super) fn resolve<T>(
        &self,
        fields: &Fields,
        key: &'static str,
        name: &Found<String>,
        accept: impl Fn(Peer) -> Option<T>,
    ) -> Option<T> {
        let bearers = || self.all.iter().filter(|(known, _)| *known == name.value);
        if let Some(found) = bearers().find_map(|(_, peer)| accept(*peer)) {
            return Some(found);
        }
        let fitting: Vec<&str> =
            self.all.iter().filter(|(_, peer)| accept(*peer).is_some()).map(|(n, _)| n.as_str()).collect();
        let problem = match bearers().next() {
            Some((_, peer)) => {
                format!("`{}` is {}, and `{key}` takes the name of {}", name.value, what(*peer), fields.refers_to(key))
            }
            None => {
                format!("nothing is called `{}`, and `{key}` takes the name of {}", name.value, fields.refers_to(key))
            }
        };
        let advice = match did_you_mean(&name.value, fitting.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if fitting.is_empty() => "add it".to_owned(),
            None => format!("write {}, or add it", or(&fitting)),
        };
        fields.reading.fault(&name.place, problem, advice);
        None
    }

    fn count(&self, which: impl Fn(Peer) -> bool) -> usize {
        self.all.iter().filter(|(_, peer)| which(*peer)).count()
    }
}

pub(super) fn region(peer: Peer) -> Option<RegionId> {
    if let Peer::Region(id) = peer { Some(id) } else { None }
}

pub(super) fn app(peer: Peer) -> Option<AppId> {
    if let Peer::App(id) = peer { Some(id) } else { None }
}

pub(super) fn sidecar(peer: Peer) -> Option<SidecarId> {
    if let Peer::Sidecar(id) = peer { Some(id) } else { None }
}

pub(super) fn clients(peer: Peer) -> Option<GroupId> {
    if let Peer::Clients(id) = peer { Some(id) } else { None }
}

pub(super) fn host(peer: Peer) -> Option<Host> {
    match peer {
        Peer::App(id) => Some(Host::App(id)),
        Peer::Sidecar(id) => Some(Host::Sidecar(id)),
        Peer::Region(_) | Peer::Clients(_) => None,
    }
}

fn what(peer: Peer) -> &'static str {
    match peer {
        Peer::Region(_) => "a region",
        Peer::App(_) => "an app",
        Peer::Sidecar(_) => "a sidecar",
        Peer::Clients(_) => "a group of clients",
    }
}
