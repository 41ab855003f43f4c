//! Faults at a time, and faults drawn from the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::hosts::only_app;
use super::names::{self, Names};
use super::per_10k;
use crate::scenario::fields::{Fields, Reading};
use crate::scenario::keys;
use crate::scenario::model::{Fault, FaultKind, FaultWord, Host, Peer, RandomFaults, TimeRange};
use crate::scenario::units::show_time;
use crate::scenario::values;

/// The faults that are right, in the order of the file.
pub(super) fn planned(reading: &Reading, names: &Names, duration: Duration) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut labels = BTreeMap::new();
    for (i, mut fields) in reading.list(&keys::FAULTS).into_iter().enumerate() {
        let word = fields.decide("kind");
        let label = fields.one("name", values::name).unwrap_or_else(|| format!("faults/{i}"));
        let place = fields.place("name");
        if let Some(before) = labels.insert(label.clone(), place.clone()) {
            let problem = format!("the fault at {before} is called `{label}` already");
            reading.fault(&place, problem, "give each fault a name of its own");
        }
        let lasts = fields.value("for", values::times);
        let at = fields.one("at", values::times).filter(|at| happens(&fields, *at, duration));
        let every = fields.value("every", values::time);
        let kinds = word.map(|word| kinds(&fields, word, names)).unwrap_or_default();
        let Some(at) = at else { continue };
        check_every(&fields, (at, every), kinds.len(), duration);
        let several = kinds.len() > 1;
        for (n, kind) in (0..).zip(kinds) {
            let drawn_as = label.clone();
            let label = if several { format!("{label}/{n}") } else { label.clone() };
            faults.push(Fault { label, drawn_as, at, later: every * n, lasts, kind });
        }
    }
    faults
}

/// The hosts of a list come one after the other, and the last has to come before the end.
fn check_every(fields: &Fields, (at, every): (TimeRange, Duration), hosts: usize, duration: Duration) {
    let Some(place) = fields.written_at("every") else { return };
    if hosts == 1 && fields.written_at("host").is_some() {
        fields.reading.warn(&place, "every has no effect, as there is one host", "remove it, or add to `host`");
    }
    let last = at.to + every * u32::try_from(hosts.saturating_sub(1)).unwrap_or(u32::MAX);
    if last >= duration {
        let (last, end) = (show_time(last), show_time(duration));
        let problem = format!("the last of {hosts} hosts is due at {last}, and `duration` ends at {end}");
        fields.reading.fault(&place, problem, "make it shorter, or `duration` longer");
    }
}

pub(super) fn random(reading: &Reading, duration: Duration) -> Option<RandomFaults> {
    let fields = reading.table(&keys::FAULTS_RANDOM);
    fields.raw()?;
    let word = |text: &str| FaultWord::ALL.into_iter().find(|word| word.as_str() == text);
    let kinds: Option<Vec<FaultWord>> =
        fields.many("kinds", values::choice).map(|kinds| kinds.iter().filter_map(|found| word(found.value)).collect());
    let at = fields.one("at", values::times).filter(|at| happens(&fields, *at, duration));
    Some(RandomFaults {
        count: fields.one("count", values::small).unwrap_or_default(),
        kinds: kinds.unwrap_or_else(|| FaultWord::ALL.to_vec()),
        at: at.unwrap_or(TimeRange { from: duration / 10, to: duration / 10 * 8 }),
        lasts: fields.value("for", values::times),
    })
}

/// Whether a fault at this time happens before the end; if not, that is reported.
fn happens(fields: &Fields, at: TimeRange, duration: Duration) -> bool {
    if at.to >= duration {
        let problem = format!("this is at the end of `duration` ({}) or after it", show_time(duration));
        fields.reading.fault(&fields.place("at"), problem, "make it earlier, or `duration` longer");
    }
    at.to < duration
}

/// What happens, once for each host that is named; nothing after a fault.
fn kinds(fields: &Fields, word: &str, names: &Names) -> Vec<FaultKind> {
    let of_each = |kind: fn(Host) -> FaultKind| hosts(fields, names).into_iter().map(kind).collect();
    match word {
        "kill" => of_each(|host| FaultKind::Kill { host }),
        "power-loss" => of_each(|host| FaultKind::PowerLoss { host }),
        "restart" => of_each(|host| FaultKind::Restart { host }),
        "clock-skew" => {
            let (hosts, by) = (hosts(fields, names), fields.one("by", values::time));
            let ahead = fields.value("ahead", values::switch);
            let skew = |by| hosts.into_iter().map(|host| FaultKind::ClockSkew { host, ahead, by }).collect();
            by.map(skew).unwrap_or_default()
        }
        _ => kind(fields, word, names).into_iter().collect(),
    }
}

/// Machines, no one twice.
fn hosts(fields: &Fields, names: &Names) -> Vec<Host> {
    let mut hosts = Vec::new();
    for name in fields.many("host", values::text).unwrap_or_default() {
        let Some(host) = names.resolve(fields, "host", &name, names::host) else { continue };
        if hosts.contains(&host) {
            let problem = format!("`{}` is in the list already", name.value);
            fields.reading.fault(&name.place, problem, "name each host once");
        }
        hosts.push(host);
    }
    hosts
}

fn kind(fields: &Fields, word: &str, names: &Names) -> Option<FaultKind> {
    let pair = |from: &'static str, to: &'static str| pair(fields, names, (from, to));
    Some(match word {
        "partition" => {
            let (a, b) = pair("a", "b")?;
            FaultKind::Partition { a, b }
        }
        "one-way-partition" => {
            let (from, to) = pair("from", "to")?;
            FaultKind::OneWayPartition { from, to }
        }
        "loss-burst" => {
            let (ends, loss_ppm) = (pair("a", "b"), fields.one("loss", values::small));
            let (a, b) = ends?;
            FaultKind::LossBurst { a, b, loss_ppm: loss_ppm? }
        }
        "latency-spike" => {
            let (ends, latency) = (pair("a", "b"), fields.one("latency", values::time));
            let (a, b) = ends?;
            FaultKind::LatencySpike { a, b, latency: latency? }
        }
        "slow-reader" => {
            let share = fields.value("share", values::small);
            let reads = fields.value("reads", values::number);
            let group = names.one(fields, "clients", names::clients)?;
            FaultKind::SlowReader { group, per_10k: per_10k(share), reads }
        }
        "app-stall" => FaultKind::AppStall { app: only_app(fields, "app", names)? },
        other => panic!("`{other}` is in the table of keys and not read"),
    })
}

/// Two ends that differ.
fn pair(fields: &Fields, names: &Names, (from, to): (&'static str, &'static str)) -> Option<(Peer, Peer)> {
    let (a, b) = (names.one(fields, from, Some), names.one(fields, to, Some));
    let (a, b) = (a?, b?);
    if a == b {
        let problem = format!("`{from}` and `{to}` are the same");
        fields.reading.fault(&fields.place(to), problem, "name two that differ");
        return None;
    }
    Some((a, b))
}
