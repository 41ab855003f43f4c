//! `run`: everything that was asked for, and what came of it.

use std::io::Write;
use std::time::Duration;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::costs::Costs;
use super::files::{self, Loaded, Task, replay_command};
use super::report::Row;
use super::{FAILED, OK, Screen, USAGE, breakeven, command, costs, jobs, paths, report};
use crate::backend::Backend;
use crate::scenario::{ClientGroup, Metrics};
use crate::world::{self, NotJudged, Options};

/// Runs that fail and are told one by one; of the others only the number.
const MAX_TOLD: usize = 20;

/// What is kept of a run.
struct Kept {
    task: Task,
    metrics: Metrics,
    digest: u64,
    virtual_us: u64,
    /// For how long the figures were counted.
    measured: Duration,
    /// Every expectation and invariant that does not hold, a line each.
    wrong: Vec<String>,
    /// Expectations that the network has no say in.
    not_judged: Vec<NotJudged>,
}

pub(super) fn run(matches: &ArgMatches, screen: &Screen, out: &mut dyn Write, err: &mut (dyn Write + Send)) -> u8 {
    let Ok(mut loaded) = files::load(&paths(matches, "files"), err) else { return USAGE };
    for found in &mut loaded {
        found.scenario.prices = costs::prices(found.scenario.prices.take(), matches);
    }
    let tasks = match files::tasks(&loaded, matches) {
        Ok(tasks) => tasks,
        Err(why) => {
            let _ = writeln!(err, "error: {why}");
            return USAGE;
        }
    };
    let backend = command::backend_of(matches);
    let Ok(tasks) = files::playable(backend, &loaded, tasks, err) else { return USAGE };
    let told = jobs::told(matches, screen);
    let runs = jobs::all(tasks.len(), &told, err, |index| one(backend, &loaded, tasks[index]));
    let failed = runs.iter().any(|run| !run.wrong.is_empty());
    let _ = if matches.get_flag("json") {
        print_json(backend, &loaded, &runs, out)
    } else {
        print(backend, &loaded, &runs, screen.width, out)
    };
    if failed { FAILED } else { OK }
}

fn one(backend: Backend, loaded: &[Loaded], task: Task) -> Kept {
    let scenario = &loaded[task.file].variants[task.variant].1;
    match world::run(scenario, task.seed, &Options { backend, ..Options::default() }) {
        Ok(run) => {
            let wrong = super::wrong(&run);
            let virtual_us = u64::try_from(run.virtual_time.as_micros()).unwrap_or(u64::MAX);
            let (digest, measured, not_judged) = (run.digest.total, run.measured, run.not_judged);
            Kept { task, metrics: run.metrics, digest, virtual_us, measured, wrong, not_judged }
        }
        Err(why) => {
            let (metrics, measured, wrong) = (Metrics::new(), Duration::ZERO, vec![why.to_string()]);
            Kept { task, metrics, digest: 0, virtual_us: 0, measured, wrong, not_judged: Vec::new() }
        }
    }
}

fn print(backend: Backend, loaded: &[Loaded], runs: &[Kept], width: usize, out: &mut dyn Write) -> std::io::Result<()> {
    let failed: Vec<&Kept> = runs.iter().filter(|run| !run.wrong.is_empty()).collect();
    for run in failed.iter().take(MAX_TOLD) {
        writeln!(out, "{}", replay_command(backend, loaded, run.task))?;
        for line in &run.wrong {
            writeln!(out, "  {line}")?;
        }
    }
    if failed.len() > MAX_TOLD {
        writeln!(out, "and {} more runs that fail", failed.len() - MAX_TOLD)?;
    }
    for (file, found) in loaded.iter().enumerate() {
        let rows = rows(found, file, runs);
        let seeds = runs.iter().filter(|run| run.task.file == file).count() / rows.len().max(1);
        let told = if seeds == 1 { "1 seed".to_owned() } else { format!("means of {seeds} seeds") };
        if rows.is_empty() {
            // Every run of it was skipped, and it was said why.
            continue;
        }
        writeln!(out, "{}: {} ({told})", found.path.display(), found.scenario.name)?;
        writeln!(out, "{}", report::tables(&found.scenario, &rows, width))?;
        let first = runs.iter().find(|run| run.task.file == file);
        for expectation in first.map(|run| &run.not_judged).into_iter().flatten() {
            writeln!(out, "  not judged: {expectation}")?;
        }
    }
    let count = if runs.len() == 1 { "1 run".to_owned() } else { format!("{} runs", runs.len()) };
    match failed.len() {
        0 => writeln!(out, "{count}, all hold"),
        failed => writeln!(out, "{count}, {failed} failed"),
    }
}

/// The means of each variant that was run.
fn rows(found: &Loaded, file: usize, runs: &[Kept]) -> Vec<Row> {
    let row = |variant: usize| {
        let of_it: Vec<&Kept> =
            runs.iter().filter(|run| (run.task.file, run.task.variant) == (file, variant)).collect();
        let count = u32::try_from(of_it.len()).expect("seeds are counted in 32 bits");
        let measured = of_it.iter().map(|run| run.measured).sum::<Duration>().checked_div(count)?;
        let metrics = report::mean(of_it.iter().map(|run| &run.metrics));
        Some(Row { variant, metrics, measured_us: measured.as_secs_f64() * 1e6 })
    };
    (0..found.variants.len()).filter_map(row).collect()
}

fn print_json(backend: Backend, loaded: &[Loaded], runs: &[Kept], out: &mut dyn Write) -> std::io::Result<()> {
    let of_run = |run: &Kept| {
        let found = &loaded[run.task.file];
        let mut groups = serde_json::Map::new();
        for ((group, metric), value) in &run.metrics {
            let sheet = groups.entry(group.as_str()).or_insert_with(|| json!({}));
            sheet[metric.as_str()] = json!(value);
        }
        json!({
            "file": found.path.display().to_string(),
            "scenario": found.scenario.name,
            "variant": found.variants[run.task.variant].0,
            "seed": run.task.seed,
            "digest": format!("{:016x}", run.digest),
            "virtual_us": run.virtual_us,
            "costs": costs_of(found, run),
            "failures": run.wrong,
            "not_judged": run.not_judged.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "replay": replay_command(backend, loaded, run.task),
            "metrics": Value::Object(groups),
        })
    };
    let all: Vec<Value> = runs.iter().map(of_run).collect();
    let of_file = |(file, found): (usize, &Loaded)| {
        let path = found.path.display().to_string();
        let lines = breakeven::all(&found.scenario, &rows(found, file, runs));
        lines.iter().map(|line| breakeven::to_json(&path, line)).collect::<Vec<_>>()
    };
    let break_even: Vec<Value> = loaded.iter().enumerate().flat_map(of_file).collect();
    writeln!(out, "{:#}", json!({ "runs": all, "break_even": break_even }))
}

/// By group, for one client and 30 days; empty without prices.
fn costs_of(found: &Loaded, run: &Kept) -> Value {
    let Some(prices) = &found.scenario.prices else { return json!({}) };
    let measured_us = run.measured.as_secs_f64() * 1e6;
    let of_group = |group: &ClientGroup| {
        let costs = Costs::of(prices, &run.metrics, &group.name, group.count, measured_us);
        let parts = json!({
            "requests": costs.requests,
            "connections": costs.connections,
            "traffic": costs.traffic,
            "together": costs.together(),
        });
        (group.name.clone(), parts)
    };
    Value::Object(found.scenario.clients.iter().map(of_group).collect())
}
