//! From a seed to an explicit list of faults.

use std::time::Duration;

use super::model::{
    AppId, Fault, FaultKind, FaultWord, GroupId, Host, Peer, PlannedFault, RandomFaults, RegionId, Scenario, SidecarId,
    TimeRange,
};
use crate::rng::Stream;

/// Ranges from which random faults take what the scenario leaves open.
pub(crate) const LOSS_BURST_PPM: (u64, u64) = (10_000, 300_000);
const LATENCY_MS: (u64, u64) = (50, 500);
const SKEW_MS: (u64, u64) = (1_000, 3_600_000);
const SLOW_PER_10K: (u64, u64) = (1_000, 10_000);
const SLOW_BYTES: (u64, u64) = (0, 10_240);

/// The faults of a run, sorted by time, those of one time by label.
///
/// Every fault draws from a stream of its own, named after its label: taking one away, or adding one, leaves all others
/// as they are. The hosts of one list share what was drawn.
pub fn schedule(scenario: &Scenario, seed: u64) -> Vec<PlannedFault> {
    let plan = |fault: &Fault| {
        let mut stream = stream(seed, &fault.drawn_as);
        let at = whole_ms(fault.later) + draw(&mut stream, fault.at);
        planned(scenario, &mut stream, &fault.label, (at, fault.lasts), fault.kind.clone())
    };
    let mut faults: Vec<PlannedFault> = scenario.faults.iter().map(plan).collect();
    if let Some(random) = &scenario.random_faults {
        faults.extend((0..random.count).map(|i| random_fault(scenario, random, seed, i)));
    }
    faults.sort_by(|a, b| (a.at, &a.label).cmp(&(b.at, &b.label)));
    faults
}

fn random_fault(scenario: &Scenario, random: &RandomFaults, seed: u64, i: u32) -> PlannedFault {
    let label = format!("random/{i}");
    let mut stream = stream(seed, &label);
    let kind = random_kind(scenario, *stream.pick(&random.kinds), &mut stream);
    let at = draw(&mut stream, random.at);
    planned(scenario, &mut stream, &label, (at, random.lasts), kind)
}

fn planned(
    scenario: &Scenario,
    stream: &mut Stream,
    label: &str,
    (at, lasts): (Duration, TimeRange),
    kind: FaultKind,
) -> PlannedFault {
    let lasts = draw(stream, lasts).min(whole_ms(scenario.duration.saturating_sub(at)));
    PlannedFault { label: label.to_owned(), at, lasts, kind }
}

fn random_kind(scenario: &Scenario, word: FaultWord, stream: &mut Stream) -> FaultKind {
    let mut between = |(from, to): (u64, u64)| stream.between(from, to);
    match word {
        FaultWord::LossBurst => {
            let loss_ppm = u32::try_from(between(LOSS_BURST_PPM)).expect("less than a whole");
            let (a, b) = pair(scenario, stream);
            FaultKind::LossBurst { a, b, loss_ppm }
        }
        FaultWord::LatencySpike => {
            let latency = Duration::from_millis(between(LATENCY_MS));
            let (a, b) = pair(scenario, stream);
            FaultKind::LatencySpike { a, b, latency }
        }
        FaultWord::SlowReader => {
            let per_10k = u16::try_from(between(SLOW_PER_10K)).expect("at most a whole");
            let reads = between(SLOW_BYTES);
            FaultKind::SlowReader { group: GroupId(index(stream, scenario.clients.len())), per_10k, reads }
        }
        FaultWord::ClockSkew => {
            let by = Duration::from_millis(between(SKEW_MS));
            FaultKind::ClockSkew { host: host(scenario, stream), ahead: stream.chance(1, 2), by }
        }
        FaultWord::Partition => {
            let (a, b) = pair(scenario, stream);
            FaultKind::Partition { a, b }
        }
        FaultWord::OneWayPartition => {
            let (a, b) = pair(scenario, stream);
            let (from, to) = if stream.chance(1, 2) { (a, b) } else { (b, a) };
            FaultKind::OneWayPartition { from, to }
        }
        FaultWord::Kill => FaultKind::Kill { host: host(scenario, stream) },
        FaultWord::PowerLoss => FaultKind::PowerLoss { host: host(scenario, stream) },
        FaultWord::Restart => FaultKind::Restart { host: host(scenario, stream) },
        FaultWord::AppStall => FaultKind::AppStall { app: AppId(index(stream, scenario.apps.len())) },
    }
}

/// Two ends between which something passes: two regions, a sidecar and its app, or clients and a target of theirs.
fn pair(scenario: &Scenario, stream: &mut Stream) -> (Peer, Peer) {
    let regions = scenario.regions.len();
    let mut pairs: Vec<(Peer, Peer)> = Vec::new();
    for a in 0..regions {
        pairs.extend((a + 1..regions).map(|b| (Peer::Region(RegionId(a)), Peer::Region(RegionId(b)))));
    }
    let sidecars = scenario.sidecars.iter().enumerate();
    pairs.extend(sidecars.flat_map(|(i, sidecar)| {
        let apps = sidecar.apps.iter().copied();
        apps.map(move |app| (Peer::Sidecar(SidecarId(i)), Peer::App(app)))
    }));
    for (i, group) in scenario.clients.iter().enumerate() {
        pairs.extend(group.targets.iter().map(|target| (Peer::Clients(GroupId(i)), Peer::Sidecar(*target))));
    }
    *stream.pick(&pairs)
}

fn host(scenario: &Scenario, stream: &mut Stream) -> Host {
    let apps = (0..scenario.apps.len()).map(|i| Host::App(AppId(i)));
    let hosts: Vec<Host> = apps.chain((0..scenario.sidecars.len()).map(|i| Host::Sidecar(SidecarId(i)))).collect();
    *stream.pick(&hosts)
}

fn index(stream: &mut Stream, len: usize) -> usize {
    usize::try_from(stream.below(len as u64)).expect("an index fits into usize")
}

fn stream(seed: u64, label: &str) -> Stream {
    Stream::new(seed, &format!("schedule/{label}"))
}

/// Whole milliseconds, so that a schedule can be written and read again.
fn draw(stream: &mut Stream, range: TimeRange) -> Duration {
    let ms = |time: Duration| u64::try_from(time.as_millis()).expect("times in scenarios are short");
    Duration::from_millis(stream.between(ms(range.from), ms(range.to)))
}

fn whole_ms(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).expect("times in scenarios are short"))
}
