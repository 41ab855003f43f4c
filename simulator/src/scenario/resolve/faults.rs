//! Faults at a time, and faults drawn from the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::hosts::only_app;
use super::names::{self, Names};
use super::per_10k;
use crate::scenario::fields::{Fields, Reading};
use crate::scenario::keys;
use crate::scenario::model::{Fault, FaultKind, FaultWord, Peer, RandomFaults, TimeRange};
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
        let kind = word.and_then(|word| kind(&fields, word, names));
        if let (Some(at), Some(kind)) = (at, kind) {
            faults.push(Fault { label, at, lasts, kind });
        }
    }
    faults
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

fn kind(fields: &Fields, word: &str, names: &Names) -> Option<FaultKind> {
    let pair = |from: &'static str, to: &'static str| pair(fields, names, (from, to));
    let host = || names.one(fields, "host", names::host);
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
        "kill" => FaultKind::Kill { host: host()? },
        "power-loss" => FaultKind::PowerLoss { host: host()? },
        "restart" => FaultKind::Restart { host: host()? },
        "slow-reader" => {
            let share = fields.value("share", values::small);
            let reads = fields.value("reads", values::number);
            let group = names.one(fields, "clients", names::clients)?;
            FaultKind::SlowReader { group, per_10k: per_10k(share), reads }
        }
        "app-stall" => FaultKind::AppStall { app: only_app(fields, "app", names)? },
        "clock-skew" => {
            let (host, by) = (host(), fields.one("by", values::time));
            FaultKind::ClockSkew { host: host?, ahead: fields.value("ahead", values::switch), by: by? }
        }
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
