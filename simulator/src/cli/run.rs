//! `run`: everything that was asked for, and what came of it.

use std::io::Write;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::files::{self, Loaded, Task, replay_command};
use super::{FAILED, OK, USAGE, command, jobs, paths, report};
use crate::backend::Backend;
use crate::scenario::Metrics;
use crate::world::{self, NotJudged, Options};

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
    /// Expectations that the network has no say in.
    not_judged: Vec<NotJudged>,
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
    let backend = command::backend_of(matches);
    let Ok(tasks) = files::playable(backend, &loaded, tasks, err) else { return USAGE };
    let jobs = usize::try_from(*matches.get_one::<u64>("jobs").expect("it has a default")).unwrap_or(1);
    let runs = jobs::all(tasks.len(), jobs, terminal, err, |index| one(backend, &loaded, tasks[index]));
    let failed = runs.iter().any(|run| !run.wrong.is_empty());
    let _ = if matches.get_flag("json") {
        print_json(backend, &loaded, &runs, out)
    } else {
        print(backend, &loaded, &runs, out)
    };
    if failed { FAILED } else { OK }
}

fn one(backend: Backend, loaded: &[Loaded], task: Task) -> Kept {
    let scenario = &loaded[task.file].variants[task.variant].1;
    match world::run(scenario, task.seed, &Options { backend, ..Options::default() }) {
        Ok(run) => {
            let wrong = super::wrong(&run);
            let virtual_us = u64::try_from(run.virtual_time.as_micros()).unwrap_or(u64::MAX);
            let not_judged = run.not_judged;
            Kept { task, metrics: run.metrics, digest: run.digest.total, virtual_us, wrong, not_judged }
        }
        Err(why) => {
            let (metrics, wrong) = (Metrics::new(), vec![why.to_string()]);
            Kept { task, metrics, digest: 0, virtual_us: 0, wrong, not_judged: Vec::new() }
        }
    }
}

fn print(backend: Backend, loaded: &[Loaded], runs: &[Kept], out: &mut dyn Write) -> std::io::Result<()> {
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
        if rows.is_empty() {
            // Every run of it was skipped, and it was said why.
            continue;
        }
        writeln!(out, "{}: {} ({told})", found.path.display(), found.scenario.name)?;
        write!(out, "{}", report::table(&found.scenario, &rows))?;
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
            "failures": run.wrong,
            "not_judged": run.not_judged.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "replay": replay_command(backend, loaded, run.task),
            "metrics": Value::Object(groups),
        })
    };
    let all: Vec<Value> = runs.iter().map(of_run).collect();
    writeln!(out, "{:#}", json!({ "runs": all }))
}
