//! From runs to a report.

use std::collections::BTreeMap;
use std::time::Duration;

use super::costs::Costs;
use super::model::{
    BreakEven, Cell, Cost, Expected, FORMAT, Failed, Figure, Group, Played, PriceList, Report, RunOf, Shard, Story,
    Swept, Timeline,
};
use super::table::{self, Row};
use super::{breakeven, replay};
use crate::backend::Backend;
use crate::scenario::metrics::{self, Unit};
use crate::scenario::{Axis, Metrics, Scenario, Sweep};
use crate::world::Run;

/// Runs of a scenario that failed and of which a diagram can be drawn.
const MAX_STORIES: usize = 3;

/// A scenario and its runs.
#[derive(Debug, Clone)]
pub struct Batch {
    /// As it was named on the command line.
    pub file: String,
    /// With the prices that count.
    pub scenario: Scenario,
    /// By cell and seed.
    pub outcomes: Vec<Outcome>,
    /// Of runs that failed.
    pub stories: Vec<Story>,
    /// By cell, from 0.
    pub timelines: BTreeMap<usize, Timeline>,
}

/// What is kept of one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The cell's number, from 0.
    pub variant: usize,
    pub seed: u64,
    pub digest: u64,
    pub virtual_us: u64,
    pub measured_us: u64,
    pub metrics: Metrics,
    pub failures: Vec<Failed>,
    pub not_judged: Vec<String>,
}

impl Outcome {
    /// A run that came to its end, or an error that kept it from that.
    pub fn of(variant: usize, seed: u64, run: Result<Run, String>) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        match run {
            Ok(run) => Self {
                variant,
                seed,
                digest: run.digest.total,
                virtual_us: micros(run.virtual_time),
                measured_us: micros(run.measured),
                failures: failures(&run),
                not_judged: run.not_judged.iter().map(ToString::to_string).collect(),
                metrics: run.metrics,
            },
            Err(text) => Self {
                variant,
                seed,
                digest: 0,
                virtual_us: 0,
                measured_us: 0,
                metrics: Metrics::new(),
                failures: vec![Failed { what: "run".to_owned(), text }],
                not_judged: Vec::new(),
            },
        }
    }
}

/// All that does not hold in a run: invariants first.
pub(crate) fn failures(run: &Run) -> Vec<Failed> {
    let violations = run
        .violations
        .iter()
        .map(|violation| Failed { what: format!("invariant {}", violation.invariant), text: violation.to_string() });
    let failures = run
        .failures
        .iter()
        .map(|failure| Failed { what: of_group(&failure.group, &failure.metric), text: failure.to_string() });
    violations.chain(failures).collect()
}

fn of_group(group: &str, metric: &str) -> String {
    if group.is_empty() { metric.to_owned() } else { format!("{group}: {metric}") }
}

impl Batch {
    pub fn axes(&self) -> Vec<Axis> {
        self.scenario.sweeps.iter().map(Sweep::axis).collect()
    }

    /// A file without runs.
    pub fn new(file: String, scenario: Scenario) -> Self {
        Self { file, scenario, outcomes: Vec::new(), stories: Vec::new(), timelines: BTreeMap::new() }
    }

    /// The runs of which stories are told: the first that failed, cell by cell. As variant and seed.
    pub fn to_tell(&self) -> Vec<(usize, u64)> {
        let failed = self.outcomes.iter().filter(|run| !run.failures.is_empty());
        failed.take(MAX_STORIES).map(|run| (run.variant, run.seed)).collect()
    }

    /// The runs of which delays are told over time: the first of each cell, where anything may change over time.
    pub fn to_follow(&self) -> Vec<(usize, u64)> {
        let scenario = &self.scenario;
        let changes = !scenario.faults.is_empty() || scenario.random_faults.is_some() || scenario.regions.len() > 1;
        let cells = if changes { self.by_cell() } else { BTreeMap::new() };
        cells.into_iter().map(|(variant, runs)| (variant, runs[0].seed)).collect()
    }

    /// How many combinations of swept values there are.
    pub fn variants(&self) -> usize {
        self.scenario.sweeps.iter().map(|sweep| sweep.axis().values.len()).product()
    }

    /// The means of each cell that has runs.
    pub fn rows(&self) -> Vec<Row> {
        let row = |(variant, runs): (usize, &[&Outcome])| {
            let count = u32::try_from(runs.len()).expect("seeds are counted in 32 bits");
            let measured_us = runs.iter().map(|run| run.measured_us).sum::<u64>();
            #[expect(clippy::cast_precision_loss, reason = "times above 2^53 µs are beyond any run")]
            let measured_us = measured_us as f64 / f64::from(count);
            Row { variant, metrics: table::mean(runs.iter().map(|run| &run.metrics)), measured_us }
        };
        self.by_cell().iter().map(|(variant, runs)| row((*variant, runs))).collect()
    }

    fn by_cell(&self) -> BTreeMap<usize, Vec<&Outcome>> {
        let mut cells: BTreeMap<usize, Vec<&Outcome>> = BTreeMap::new();
        for outcome in &self.outcomes {
            cells.entry(outcome.variant).or_default().push(outcome);
        }
        cells
    }
}

/// All that is told of these runs.
pub fn build(network: Backend, shard: Option<Shard>, batches: &[Batch]) -> Report {
    let scenarios: Vec<Played> = batches.iter().map(|batch| played(network, batch)).collect();
    Report {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        network: network.as_str().to_owned(),
        shard,
        runs: scenarios.iter().map(|played| played.runs).sum(),
        failed: scenarios.iter().map(|played| played.failed).sum(),
        scenarios,
    }
}

fn played(network: Backend, batch: &Batch) -> Played {
    let Batch { file, scenario, outcomes, stories, .. } = batch;
    let axes = batch.axes();
    let rows = batch.rows();
    let cells = batch.by_cell();
    let group = |group: &crate::scenario::ClientGroup| Group {
        name: group.name.clone(),
        kind: group.kind.as_str().to_owned(),
        clients: group.count,
    };
    let cell = |(row, (variant, runs)): (&Row, (&usize, &Vec<&Outcome>))| Cell {
        variant: variant + 1,
        values: Axis::values_of(&axes, *variant).into_iter().map(str::to_owned).collect(),
        failed: failed(runs.iter().copied()),
        not_judged: runs[0].not_judged.clone(),
        runs: runs.iter().map(|run| run_of(network, batch, run)).collect(),
        figures: figures(row, runs),
        costs: costs(scenario, row),
        timeline: batch.timelines.get(variant).cloned(),
    };
    Played {
        file: file.clone(),
        name: scenario.name.clone(),
        description: scenario.description.clone(),
        duration_us: u64::try_from(scenario.duration.as_micros()).unwrap_or(u64::MAX),
        runs: outcomes.len(),
        failed: failed(outcomes.iter()),
        groups: scenario.clients.iter().map(group).collect(),
        axes: axes.iter().map(|axis| Swept { key: axis.key.clone(), values: axis.values.clone() }).collect(),
        prices: scenario.prices.as_ref().map(PriceList::from),
        expected: expected(batch),
        break_even: breakeven::all(scenario, &rows).iter().map(BreakEven::from).collect(),
        cells: rows.iter().zip(&cells).map(cell).collect(),
        stories: stories.clone(),
        source: scenario.text().to_owned(),
    }
}

fn failed<'a>(runs: impl Iterator<Item = &'a Outcome>) -> usize {
    runs.filter(|run| !run.failures.is_empty()).count()
}

fn run_of(network: Backend, batch: &Batch, run: &Outcome) -> RunOf {
    let replay = || replay(network, &batch.file, batch.variants(), run.variant, run.seed);
    RunOf {
        seed: run.seed,
        digest: format!("{:016x}", run.digest),
        virtual_us: run.virtual_us,
        measured_us: run.measured_us,
        failures: run.failures.clone(),
        replay: (!run.failures.is_empty()).then(replay),
    }
}

fn figures(row: &Row, runs: &[&Outcome]) -> Vec<Figure> {
    let figure = |(key, mean): (&(String, String), &f64)| {
        let (group, metric) = key.clone();
        let name = metric.split('.').next().unwrap_or_default();
        let unit = metrics::find(name).map_or(Unit::Count, |metric| metric.unit).as_str().to_owned();
        let values = runs.iter().map(|run| run.metrics.get(key).copied()).collect();
        Figure { group, metric, unit, mean: *mean, values }
    };
    row.metrics.iter().map(figure).collect()
}

fn costs(scenario: &Scenario, row: &Row) -> Vec<Cost> {
    let Some(prices) = &scenario.prices else { return Vec::new() };
    let cost = |group: &crate::scenario::ClientGroup| {
        let costs = Costs::of(prices, &row.metrics, &group.name, group.count, row.measured_us);
        let Costs { requests, connections, traffic } = costs;
        Cost { group: group.name.clone(), requests, connections, traffic, together: costs.together() }
    };
    scenario.clients.iter().map(cost).collect()
}

fn expected(batch: &Batch) -> Vec<Expected> {
    let of = |expected: &crate::scenario::Expectation| {
        let what = of_group(&expected.group_name, &expected.metric);
        let fails = |run: &&Outcome| run.failures.iter().any(|failure| failure.what == what);
        Expected {
            place: expected.place.to_string(),
            group: expected.group_name.clone(),
            metric: expected.metric.clone(),
            bound: expected.bound.show(expected.unit),
            failed: batch.outcomes.iter().filter(fails).count(),
        }
    };
    batch.scenario.expect.all.iter().map(of).collect()
}
