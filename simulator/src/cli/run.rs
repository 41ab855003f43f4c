//! `run`: everything that was asked for, and what came of it.

use std::io::Write;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::files::{self, Loaded, Task, replay_command};
use super::{FAILED, OK, USAGE, jobs, paths, report};
use crate::scenario::Metrics;
use crate::world::{self, Options};

/// Runs that fail and are told one by one; of the others only the number.
const MAX_TOLD: usize = 20;

/// What is kept of a run.
struct Kept {
    task: Task,
    metrics: Metrics,
    digest: u64,
    virtual_us: u64,
    /// Every expectation and invariant that does not hold, a line each.
    wrong: Vec<String>,
}

pub(super) fn run(matches: &ArgMatches, terminal: bool, out: &mut dyn Write, err: &mut (dyn Write + Send)) -> u8 {
    let Ok(loaded) = files::load(&paths(matches, "files"), err) else { return USAGE };
    let tasks = match files::tasks(&loaded, matches) {
        Ok(tasks) => tasks,
        Err(why) => {
            let _ = writeln!(err, "error: {why}");
            return USAGE;
        }
    };
    let jobs = usize::try_from(*matches.get_one::<u64>("jobs").expect("it has a default")).unwrap_or(1);
    let runs = jobs::all(tasks.len(), jobs, terminal, err, |index| one(&loaded, tasks[index]));
    let failed = runs.iter().any(|run| !run.wrong.is_empty());
    let _ = if matches.get_flag("json") { print_json(&loaded, &runs, out) } else { print(&loaded, &runs, out) };
    if failed { FAILED } else { OK }
}

fn one(loaded: &[Loaded], task: Task) -> Kept {
    let scenario = &loaded[task.file].variants[task.variant].1;
    match world::run(scenario, task.seed, &Options::default()) {
        Ok(run) => {
            let wrong = super::wrong(&run);
            let virtual_us = u64::try_from(run.virtual_time.as_micros()).unwrap_or(u64::MAX);
            Kept { task, metrics: run.metrics, digest: run.digest.total, virtual_us, wrong }
        }
        Err(why) => Kept { task, metrics: Metrics::new(), digest: 0, virtual_us: 0, wrong: vec![why.to_string()] },
    }
}

fn print(loaded: &[Loaded], runs: &[Kept], out: &mut dyn Write) -> std::io::Result<()> {
    let failed: Vec<&Kept> = runs.iter().filter(|run| !run.wrong.is_empty()).collect();
    for run in failed.iter().take(MAX_TOLD) {
        writeln!(out, "{}", replay_command(loaded, run.task))?;
        for line in &run.wrong {
            writeln!(out, "  {line}")?;
        }
    }
    if failed.len() > MAX_TOLD {
        writeln!(out, "and {} more runs that fail", failed.len() - MAX_TOLD)?;
    }
    for (file, found) in loaded.iter().enumerate() {
        let mut rows = Vec::new();
        let mut seeds = 0;
        for (variant, (label, _)) in found.variants.iter().enumerate() {
            let of_it = runs.iter().filter(|run| (run.task.file, run.task.variant) == (file, variant));
            let figures: Vec<&Metrics> = of_it.map(|run| &run.metrics).collect();
            if !figures.is_empty() {
                seeds = figures.len();
                rows.push((label.clone(), report::mean(&figures)));
            }
        }
        let told = if seeds == 1 { "1 seed".to_owned() } else { format!("means of {seeds} seeds") };
        writeln!(out, "{}: {} ({told})", found.path.display(), found.scenario.name)?;
        write!(out, "{}", report::table(&found.scenario, &rows))?;
    }
    let count = if runs.len() == 1 { "1 run".to_owned() } else { format!("{} runs", runs.len()) };
    match failed.len() {
        0 => writeln!(out, "{count}, all hold"),
        failed => writeln!(out, "{count}, {failed} failed"),
    }
}

fn print_json(loaded: &[Loaded], runs: &[Kept], out: &mut dyn Write) -> std::io::Result<()> {
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
            "failures": run.wrong,
            "replay": replay_command(loaded, run.task),
            "metrics": Value::Object(groups),
        })
    };
    let all: Vec<Value> = runs.iter().map(of_run).collect();
    writeln!(out, "{:#}", json!({ "runs": all }))
}
