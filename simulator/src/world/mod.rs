//! A scenario comes to life: hosts and links, real sidecars from their real configuration, apps, clients, faults.
//!
//! A run has four phases: the scenario's `duration`, in which updates are made and faults happen; then, with all
//! faults over, up to `heal` until everything has converged; then figures are taken; then all stop in good order.

mod balancer;
mod clients;
mod director;
mod figures;
mod fit;
mod hosts;
mod ledger;
mod machines;
pub mod readings;
pub mod record;
mod seam;
pub mod spans;
mod staleness;
pub mod story;
pub mod tamper;
mod tap;
mod weather;
mod wire;

pub use self::fit::{NotJudged, unplayable_faults, unplayable_on};
use std::sync::Arc;
use std::time::Duration;

use outrigger::net::Net;
use tokio::time::{Instant, sleep, timeout};

use self::balancer::Balancer;
use self::director::Stage;
use self::hosts::{Base, micros};
use self::ledger::{Evidence, Ledger};
use self::machines::{Ground, Machine};
use self::readings::{ReadingStore, Readings};
use self::spans::{SpanStore, Spans};
use self::story::{Heard, Story};
use self::tamper::Tamper;
use self::weather::Weather;
use crate::actors::{Feed, Observer, Pattern, Rng, Sizes, Stop, Workload};
use crate::backend::{self, Backend, Network};
use crate::checks::{self, Case, Violation};
use crate::engine::{RunError, Stats};
use crate::history::{Digest, Entry};
use crate::rng::Stream;
use crate::scenario::{
    self, AppId, Failure, Host, Metrics, PlannedFault, Scenario, SidecarId, SizeRange, Updates, schedule,
};
use crate::wan::Traffic;

/// How often it is looked whether everything has converged.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// For clients to leave in good order.
const CLIENTS_LEAVE: Duration = Duration::from_secs(30);
/// For an app, or for a sidecar beyond its own `shutdown_grace`, to stop.
const MACHINES_STOP: Duration = Duration::from_secs(30);
/// Between the updates of a burst.
const BURST_SPACING: Duration = Duration::ZERO;

/// What a run can be told besides its scenario and its seed.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what is kept of a run: each is there or not by itself")]
pub struct Options {
    /// The network underneath. Not every scenario can be played on the second one: see [`unplayable_on`].
    pub backend: Backend,
    /// Every packet becomes a line of the history; the digest is another one then.
    pub packets: bool,
    /// Keep what was heard when, for [`Run::story`]. The run itself stays as it is, and so does its digest.
    pub story: bool,
    /// Keep what sidecars record for traces, for [`Run::spans`]. This leaves the run as it is, too.
    pub spans: bool,
    /// Keep what sidecars count, for [`Run::readings`]. So does this.
    pub readings: bool,
    /// These faults instead of those that the scenario plans for the seed.
    pub faults: Option<Vec<PlannedFault>>,
}

/// A run that came to its end.
#[derive(Debug)]
pub struct Run {
    pub seed: u64,
    pub metrics: Metrics,
    /// Expectations of the scenario that do not hold.
    pub failures: Vec<Failure>,
    /// Expectations of the scenario that the network under the run has no say in, each with the reason.
    pub not_judged: Vec<NotJudged>,
    /// Invariants that do not hold.
    pub violations: Vec<Violation>,
    pub history: Vec<Entry>,
    pub digest: Digest,
    pub stats: Stats,
    pub virtual_time: Duration,
    /// Virtual time until the figures were taken: the scenario's duration, and until all had healed.
    pub measured: Duration,
    /// The wall clock at the start of the run, of hosts whose clock is right: since 1970.
    pub epoch: Duration,
    /// If it was asked for.
    pub story: Option<Story>,
    /// If they were asked for.
    pub spans: Option<Spans>,
    /// If they were asked for.
    pub readings: Option<Readings>,
}

impl Run {
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.violations.is_empty()
    }
}

/// Runs a scenario without sweeps (see [`scenario::variants`]) with a seed. Same scenario, same seed, same run.
pub fn run(scenario: &Scenario, seed: u64, options: &Options) -> Result<Run, RunError> {
    run_with(scenario, seed, options, None)
}

/// As [`run`], with something wrong in it, for the tests of the checks.
pub fn run_with(
    scenario: &Scenario,
    seed: u64,
    options: &Options,
    tamper: Option<Arc<dyn Tamper>>,
) -> Result<Run, RunError> {
    let faults = options.faults.clone().unwrap_or_else(|| schedule(scenario, seed));
    let mut wanted = hosts::options(scenario, &faults, seed);
    wanted.trace = options.packets;
    let (base, epoch) = (Base::new(&wanted), wanted.epoch);
    let (stage_scenario, stage_faults) = (scenario.clone(), faults.clone());
    let keep = Keep { story: options.story, spans: options.spans, readings: options.readings };
    let outcome = backend::run(options.backend, wanted, move |network| async move {
        play(network, (&stage_scenario, &stage_faults), base, seed, tamper, keep).await
    })?;
    let end = outcome.result;
    let metrics = figures::metrics(scenario, &end.evidence, end.traffic.as_deref(), &end.cuts);
    let story = end.heard.map(|heard| Story {
        clients: clients::who(scenario),
        faults: faults.clone(),
        cuts: outcome.cuts.clone(),
        sessions: end.last.client_sessions.clone(),
        sidecar_sessions: end.last.sidecar_sessions.clone(),
        heard,
    });
    let (judged, not_judged) = fit::judged(options.backend, &scenario.expect);
    let case = Case {
        scenario,
        faults: &faults,
        cuts: &outcome.cuts,
        connections: &end.last.connections,
        client_sessions: &end.last.client_sessions,
        sidecar_sessions: &end.last.sidecar_sessions,
        wires: &end.last.wires,
        bodies: &end.last.bodies,
        redials: &end.last.redials,
        account: &end.last.account,
        problems: &end.last.problems,
        unconverged: &end.unconverged,
        left_over: &end.left_over,
        stopping_us: end.stopping_us,
    };
    Ok(Run {
        seed,
        failures: scenario::check(&judged, &metrics),
        not_judged,
        violations: checks::all(&case),
        metrics,
        history: outcome.log,
        digest: outcome.digest,
        stats: outcome.stats,
        virtual_time: outcome.virtual_time,
        measured: Duration::from_micros(end.evidence.at_us),
        epoch,
        story,
        spans: end.spans,
        readings: end.readings,
    })
}

/// What is kept besides the record.
#[derive(Debug, Clone, Copy)]
struct Keep {
    story: bool,
    spans: bool,
    readings: bool,
}

/// What the play hands to those who judge it.
struct End {
    /// As the figures are taken, before anybody is stopped.
    evidence: Evidence,
    traffic: Option<Vec<Traffic>>,
    cuts: Vec<crate::middlebox::Cut>,
    /// When everybody was told to stop, in virtual microseconds.
    stopping_us: u64,
    /// After everything has stopped.
    last: Evidence,
    unconverged: Vec<String>,
    /// What lived on where nothing should.
    left_over: Vec<String>,
    heard: Option<Heard>,
    spans: Option<Spans>,
    readings: Option<Readings>,
}

async fn play(
    world: Network,
    (scenario, faults): (&Scenario, &[PlannedFault]),
    base: Base,
    seed: u64,
    tamper: Option<Arc<dyn Tamper>>,
    keep: Keep,
) -> End {
    let began = Instant::now();
    let clock = world.clock();
    let groups: Vec<&str> = scenario.clients.iter().map(|group| group.name.as_str()).collect();
    let facts = clients::facts(scenario);
    let audience = clients::audience(scenario, &facts, seed);
    let history = scenario.apps.iter().map(|app| app.history).min().expect("a scenario has apps");
    let heard = (audience.clone(), u64::from(history));
    let ledger = Arc::new(Ledger::new(world, clock, facts, &groups, heard, tamper));
    if keep.story {
        ledger.keep();
    }
    let spans = keep.spans.then(SpanStore::new);
    let readings = keep.readings.then(|| ReadingStore::new(clock));
    let observer: Arc<dyn Observer> = ledger.clone();
    let feed = Feed::new(0, clock, observer, audience);
    let balancer = Arc::new(Balancer::new(clock, scenario));
    let ground = Ground {
        world,
        seed,
        clock,
        feed: feed.clone(),
        ledger,
        balancer,
        ended: Arc::default(),
        spans: spans.clone(),
        readings: readings.clone(),
    };
    let apps = (0..scenario.apps.len()).map(|id| Host::App(AppId(id)));
    let sidecars = (0..scenario.sidecars.len()).map(|id| Host::Sidecar(SidecarId(id)));
    let machines = apps.chain(sidecars).map(|host| Machine::new(scenario, host)).collect();
    let weather = Weather::new(world, base);
    let mut stage = Stage { ground, scenario, faults, began, machines, weather, clients: None, on: Vec::new() };
    stage.settle().await;
    stage.clients = Some(clients::start(&stage.ground, scenario));

    let no_more_updates = Stop::new();
    if let Some(workload) = workload(scenario) {
        let rng = Rng::new(Stream::new(seed, "workload").next_u64());
        // Updates exist at every app at once, whatever happens to machines: they come from a host that has no faults.
        let net = world.host(groups.first().expect("a scenario has clients"));
        net.spawn(workload.run(rng, feed, no_more_updates.clone()));
    }
    stage.play().await;
    no_more_updates.stop();
    world.log("", "faults and updates are over");
    let unconverged = heal(&mut stage).await;
    let evidence = stage.ground.ledger.evidence();
    let (traffic, cuts, stopping_us) = (world.traffic(), world.cuts(), micros(world.now()));
    world.log("", "all stop");
    let left_over = stop(&mut stage).await;
    let (last, heard) = (stage.ground.ledger.evidence(), stage.ground.ledger.heard());
    // Those that have not stopped.
    stage.machines.iter().for_each(Machine::read_last);
    let (spans, readings) = (spans.map(|store| store.take()), readings.map(|store| store.take()));
    End { evidence, traffic, cuts, stopping_us, last, unconverged, left_over, heard, spans, readings }
}

/// Waits until everything has converged; says what has not in time.
async fn heal(stage: &mut Stage<'_>) -> Vec<String> {
    let patience = Instant::now() + stage.scenario.heal;
    loop {
        stage.settle().await;
        let down = stage.machines.iter().filter(|machine| !machine.is_up());
        let mut wrong: Vec<String> = down.map(|machine| format!("{} is not running", machine.name)).collect();
        wrong.extend(stage.ground.ledger.unconverged());
        if wrong.is_empty() || Instant::now() >= patience {
            return wrong;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Clients leave, sidecars stop, apps stop; says what was left over.
async fn stop(stage: &mut Stage<'_>) -> Vec<String> {
    let mut left_over = Vec::new();
    let clients = stage.clients.as_ref().expect("they were started");
    clients.stop.stop();
    if timeout(CLIENTS_LEAVE, clients.left()).await.is_err() {
        left_over.push(format!("clients had not left {CLIENTS_LEAVE:?} after they were told to"));
    }
    for machine in stage.machines.iter_mut().rev() {
        let Host::Sidecar(id) = machine.host else { continue };
        machine.stop(&stage.ground);
        let patience = stage.scenario.sidecars[id.0].config.shutdown_grace + MACHINES_STOP;
        let deadline = Instant::now() + patience;
        while !machine.has_ended() && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
        if !machine.has_ended() {
            left_over.push(format!("{} had not stopped after {patience:?}", machine.name));
        }
        if let Some(live) = machine.live().filter(|live| *live > 0) {
            left_over.push(format!("{} counts {live} live connections after it has stopped", machine.name));
        }
    }
    left_over
}

fn workload(scenario: &Scenario) -> Option<Workload> {
    let pattern = match scenario.workload.updates {
        Updates::None => return None,
        Updates::Poisson { every } => Pattern::Poisson { mean: every },
        Updates::Periodic { every } => Pattern::Periodic { every },
        Updates::Burst { every, count } => Pattern::Burst { every, count, spacing: BURST_SPACING },
    };
    let SizeRange { from, to } = scenario.workload.size;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let sizes = if from == to { Sizes::Fixed(size(from)) } else { Sizes::Range { min: size(from), max: size(to) } };
    Some(Workload { pattern, sizes, start_after: Duration::ZERO, max_updates: None })
}
