//! What of a scenario the second network can play, and which of its expectations can be judged there.
//!
//! The first network plays all that a scenario can say. `turmoil` knows neither hops nor bandwidth nor packets, counts
//! time in ticks and lets a connect take one way instead of two; what depends on that is refused, or not judged, with
//! the reason, rather than given a figure that means nothing.

use std::fmt;

use outrigger::config::Place;

use crate::backend::Backend;
use crate::scenario::metrics::{self, Unit};
use crate::scenario::{Expect, Expectation, FaultKind, FaultWord, Link, PlannedFault, RegionId, Scenario};

/// An expectation that is not held against a run.
#[derive(Debug, Clone, PartialEq)]
pub struct NotJudged {
    /// Where the expectation is written.
    pub place: Place,
    /// The group of clients, empty for all.
    pub group: String,
    pub metric: String,
    pub why: &'static str,
}

impl fmt::Display for NotJudged {
    /// One line, as `place: web: bytes_vs.poll: why`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.group.is_empty() {
            write!(f, "{}: ", self.group)?;
        }
        write!(f, "{}: {}", self.metric, self.why)
    }
}

/// What a scenario asks for and a network cannot do, whatever the seed, each as a clause that names the key.
pub fn unplayable_on(backend: Backend, scenario: &Scenario) -> Vec<String> {
    if backend == Backend::TurmoilNet {
        return Vec::new();
    }
    let mut found = Vec::new();
    for sidecar in scenario.sidecars.iter().filter(|sidecar| !sidecar.hops.is_empty()) {
        let hop = &sidecar.hops[0].name;
        found.push(format!("`hops` before `{}` ({hop}): turmoil has no hops that cut connections", sidecar.name));
    }
    for group in scenario.clients.iter().filter(|group| !group.via.is_empty()) {
        let hop = &group.via[0].name;
        found.push(format!("`via` of clients `{}` ({hop}): turmoil has no hops that cut connections", group.name));
    }
    found.extend(unplayable_links(scenario));
    let written = scenario.faults.iter().filter(|fault| matches!(fault.kind, FaultKind::OneWayPartition { .. }));
    found.extend(written.map(|fault| format!("`faults` `{}`: {ONE_WAY}", fault.label)));
    if let Some(random) = &scenario.random_faults
        && random.kinds == [FaultWord::OneWayPartition]
    {
        found.push(format!("`faults_random.kinds`: {ONE_WAY}"));
    }
    found
}

/// The same, of the faults that one seed draws.
pub fn unplayable_faults(backend: Backend, faults: &[PlannedFault]) -> Option<String> {
    let is_one_way = |fault: &&PlannedFault| matches!(fault.kind, FaultKind::OneWayPartition { .. });
    let found = faults.iter().find(is_one_way).filter(|_| backend == Backend::Turmoil)?;
    Some(format!("fault `{}`: {ONE_WAY}", found.label))
}

/// What a link has unless its scenario says otherwise. A full segment takes an eighth of a tick then, which is as much
/// as nothing here; a narrower link is there for a reason.
const WIDE_BPS: u64 = 100_000_000;
const COARSE: &str =
    "turmoil's time goes in ticks of a millisecond, connects take one way, and loss is no more than a delay";
const ONE_WAY: &str = "`one-way-partition`: turmoil loses for good what it does not let through in one direction, and its \
                       streams send nothing twice";

fn unplayable_links(scenario: &Scenario) -> Vec<String> {
    let mut found = Vec::new();
    let regions = || (0..scenario.regions.len()).map(RegionId);
    let name = |region: RegionId| &scenario.regions[region.0].name;
    for (from, to) in regions().flat_map(|from| regions().map(move |to| (from, to))) {
        let link = scenario.link(from, to);
        let which = format!("from `{}` to `{}`", name(from), name(to));
        if is_narrow(link) {
            found.push(format!("`bandwidth` of the link {which}: turmoil's links have none"));
        }
        if from < to && comparable(link) != comparable(scenario.link(to, from)) {
            found.push(format!("the link {which} differs from the one back: turmoil's are alike both ways"));
        }
    }
    if is_narrow(&scenario.lan) {
        found.push("`bandwidth` of the LAN: turmoil's links have none".to_owned());
    }
    found
}

fn is_narrow(link: &Link) -> bool {
    link.bandwidth.is_some_and(|bits| bits < WIDE_BPS)
}

fn comparable(link: &Link) -> Link {
    Link { bandwidth: None, ..*link }
}

/// The expectations that a network can be held to, and the others.
pub(super) fn judged(backend: Backend, expect: &Expect) -> (Expect, Vec<NotJudged>) {
    let (mut judged, mut others) = (Expect::default(), Vec::new());
    for expectation in &expect.all {
        match unknown(backend, &expectation.metric) {
            None => judged.all.push(expectation.clone()),
            Some(why) => others.push(not_judged(expectation, why)),
        }
    }
    (judged, others)
}

fn not_judged(expectation: &Expectation, why: &'static str) -> NotJudged {
    let Expectation { place, group_name, metric, .. } = expectation.clone();
    NotJudged { place, group: group_name, metric, why }
}

/// Why a network does not know a figure, if it does not.
fn unknown(backend: Backend, metric: &str) -> Option<&'static str> {
    if backend == Backend::TurmoilNet {
        return None;
    }
    let name = metric.split('.').next().unwrap_or(metric);
    let is_time = metrics::find(name).is_some_and(|metric| metric.unit == Unit::Time);
    match name {
        "bytes_up" | "bytes_down" | "bytes_vs" => Some("turmoil has no packets whose bytes could be counted"),
        "hop_cuts" => Some("turmoil has no hops"),
        // Its bounds are drawn for a network that is exact; here a tick more or less decides.
        "update_delay_p99_vs" => Some(COARSE),
        _ if is_time => Some(COARSE),
        _ => None,
    }
}
