//! Groups of clients.

use std::collections::BTreeSet;

use outrigger::config::{Scheme, did_you_mean};

use super::hosts::NamedHops;
use super::names::{Names, region, sidecar};
use crate::scenario::fields::{Fields, Reading};
use crate::scenario::hops;
use crate::scenario::key::or;
use crate::scenario::keys::{self, PRESETS};
use crate::scenario::model::{
    Backoff, ClientGroup, ClientKind, GroupId, Hop, Jitter, LongPoller, Peer, Pick, Poller, Push, RegionId, Sends,
    Sidecar, SidecarId, Sse, TimeRange,
};
use crate::scenario::values::{self, or_word};

/// Most clients of all groups together.
pub(super) const MAX_CLIENTS: u32 = 10_000;

/// The groups; `None` stands for one with a fault.
pub(super) fn groups(
    reading: &Reading,
    names: &Names,
    sidecars: &[Option<Sidecar>],
    named_hops: &NamedHops,
) -> Vec<Option<ClientGroup>> {
    let mut used = BTreeSet::new();
    let mut total = 0_u32;
    let mut groups = Vec::new();
    for (i, mut fields) in reading.list(&keys::CLIENTS).into_iter().enumerate() {
        let group = group(&mut fields, names.name(Peer::Clients(GroupId(i))), names, named_hops, &mut used);
        if let Some(group) = &group {
            check_targets(&fields, group, sidecars);
            total = total.saturating_add(group.count);
            if total > MAX_CLIENTS && total - group.count <= MAX_CLIENTS {
                let problem = format!("with these there are {total} clients");
                reading.fault(
                    &fields.place("count"),
                    problem,
                    format!("make them at most {MAX_CLIENTS} in all groups together"),
                );
            }
        }
        groups.push(group);
    }
    for (name, (_, place)) in named_hops.iter().filter(|(name, _)| !used.contains(*name)) {
        reading.warn(place, format!("no `via` names the hop `{name}`"), "name it in one, or remove it");
    }
    groups
}

fn group(
    fields: &mut Fields,
    name: &str,
    names: &Names,
    named_hops: &NamedHops,
    used: &mut BTreeSet<String>,
) -> Option<ClientGroup> {
    let word = fields.decide("kind");
    let targets = targets(fields, names);
    let (pick, endpoint_lag) = pick(fields);
    let via = via(fields, named_hops, used);
    let reconnect = backoff(&fields.nested("reconnect"));
    let resume = fields.value("resume", values::switch);
    let keep_alive = fields.value("keep_alive", values::switch);
    let timeout = fields.value("timeout", values::time);
    let kind = match word {
        Some("push") => Some(ClientKind::Push(push(fields, resume))),
        Some("poller") => {
            let etag = fields.value("etag", values::switch);
            let poller = |interval| ClientKind::Poller(Poller { interval, etag, keep_alive, timeout });
            fields.one("interval", values::time).map(poller)
        }
        Some("long-poller") => Some(ClientKind::LongPoller(LongPoller { keep_alive, timeout })),
        Some("sse") => Some(ClientKind::Sse(Sse { resume })),
        _ => None,
    };
    Some(ClientGroup {
        name: name.to_owned(),
        count: fields.value("count", values::small),
        region: names.one(fields, "region", region).unwrap_or(RegionId(0)),
        targets,
        pick,
        endpoint_lag,
        tls: fields.value("tls", values::switch),
        via,
        start_spread: fields.value("start_spread", values::time),
        headers: fields.value("headers", values::small),
        reads: fields.value("reads", or_word(values::number)),
        connect_timeout: fields.value("connect_timeout", values::time),
        reconnect,
        kind: kind?,
    })
}

fn pick(fields: &Fields) -> (Pick, Option<TimeRange>) {
    let lag = fields.value("endpoint_lag", or_word(values::times));
    let pick = match fields.value("pick", values::choice) {
        "random" => Pick::Random,
        "least-connections" => Pick::LeastConnections,
        _ => Pick::InOrder,
    };
    if pick == Pick::InOrder
        && let Some(place) = fields.written_at("endpoint_lag")
    {
        let problem = "endpoint_lag has no effect, as no balancer picks";
        fields.reading.warn(&place, problem, "remove it, or add pick = \"random\"");
    }
    (pick, lag)
}

fn push(fields: &Fields, resume: bool) -> Push {
    let size = fields.value("send_size", values::sizes);
    let sends = fields.value("sends", or_word(values::rate)).map(|every| Sends { every, size });
    if sends.is_none()
        && let Some(place) = fields.written_at("send_size")
    {
        fields.reading.warn(&place, "send_size has no effect, as nothing is sent", "remove it, or add sends = \"2/m\"");
    }
    Push {
        resume,
        ping: fields.value("ping", or_word(values::time)),
        sends,
        stays: fields.value("stays", or_word(values::times)),
    }
}

fn backoff(fields: &Fields) -> Backoff {
    let backoff = Backoff {
        base: fields.value("base", values::times),
        factor: fields.value("factor", values::decimal),
        max: fields.value("max", values::time),
        jitter: match fields.value("jitter", values::choice) {
            "none" => Jitter::None,
            "equal" => Jitter::Equal,
            "half" => Jitter::Half,
            _ => Jitter::Full,
        },
        stable_after: fields.value("stable_after", values::time),
    };
    if backoff.base.to > backoff.max {
        let key = if fields.written_at("max").is_some() { "max" } else { "base" };
        let problem = "the longest wait, `max`, is shorter than the first, `base`";
        fields.reading.fault(&fields.place(key), problem, "make `max` at least as long");
    }
    backoff
}

fn targets(fields: &Fields, names: &Names) -> Vec<SidecarId> {
    let Some(written) = fields.many("target", values::text) else {
        if names.sidecar_count() > 1 && fields.written_at("target").is_none() {
            let problem = "there are several sidecars, and `target` does not say which";
            fields.reading.fault(
                &fields.place,
                problem,
                "add target = \"NAME\" with the name of a sidecar, or a list of them",
            );
        }
        return vec![SidecarId(0)];
    };
    let mut targets = Vec::new();
    for name in &written {
        let Some(target) = names.resolve(fields, "target", name, sidecar) else { continue };
        if targets.contains(&target) {
            fields.reading.fault(
                &name.place,
                format!("`{}` is in the list already", name.value),
                "name each sidecar once",
            );
        }
        targets.push(target);
    }
    targets
}

fn via(fields: &Fields, named: &NamedHops, used: &mut BTreeSet<String>) -> Vec<Hop> {
    let mut via = Vec::new();
    for name in fields.many("via", values::text).unwrap_or_default() {
        used.insert(name.value.clone());
        if let Some(hop) = hops::preset(&name.value).or_else(|| named.get(&name.value).map(|(hop, _)| hop.clone())) {
            via.push(hop);
            continue;
        }
        let known: Vec<&str> = PRESETS.iter().copied().chain(named.keys().map(String::as_str)).collect();
        let advice = match did_you_mean(&name.value, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {}, or add [[hops]] with that name and without `before`", or(&known)),
        };
        fields.reading.fault(&name.place, format!("there is no hop `{}`", name.value), advice);
    }
    via
}

/// Every target must have a listener that the group can speak to.
fn check_targets(fields: &Fields, group: &ClientGroup, sidecars: &[Option<Sidecar>]) {
    let scheme = if group.tls { Scheme::Https } else { Scheme::Http };
    for target in &group.targets {
        let Some(sidecar) = sidecars.get(target.0).and_then(Option::as_ref) else { continue };
        if sidecar.config.listeners.iter().all(|listener| listener.scheme != scheme) {
            let (scheme, tls) = (scheme.as_str(), group.tls);
            let problem = format!("`{}` has no {scheme} listener for clients with tls = {tls}", sidecar.name);
            let place = fields.written_at("tls").unwrap_or_else(|| fields.place("target"));
            fields.reading.fault(&place, problem, format!("write tls = {}, or add one to its `listen`", !tls));
        }
    }
}
