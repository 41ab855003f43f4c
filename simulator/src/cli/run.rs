//! `run`: everything that was asked for, and what came of it.

use std::io::Write;

use clap::ArgMatches;

use super::files::{self, Loaded, Task};
use super::{Screen, USAGE, command, jobs, outcome, paths, prices};
use crate::backend::Backend;
use crate::report::{self, Batch, Outcome, Shard};
use crate::world::{self, Options};

pub(super) fn run(matches: &ArgMatches, screen: &Screen, out: &mut dyn Write, err: &mut (dyn Write + Send)) -> u8 {
    let Ok(mut loaded) = files::load(&paths(matches, "files"), err) else { return USAGE };
    for found in &mut loaded {
        found.scenario.prices = prices::prices(found.scenario.prices.take(), matches);
    }
    let mut tasks = match files::tasks(&loaded, matches) {
        Ok(tasks) => tasks,
        Err(why) => {
            let _ = writeln!(err, "error: {why}");
            return USAGE;
        }
    };
    let shard = matches.get_one::<Shard>("shard").copied();
    if let Some(shard) = shard {
        tasks = part(&tasks, shard);
    }
    let backend = command::backend_of(matches);
    // A part may be empty; the whole may not.
    let tasks = if tasks.is_empty() && shard.is_some() {
        tasks
    } else {
        let Ok(tasks) = files::playable(backend, &loaded, tasks, err) else { return USAGE };
        tasks
    };
    let told = jobs::told(matches, screen);
    let runs = jobs::all(tasks.len(), &told, err, |index| one(backend, &loaded, tasks[index]));
    let batches = batches(loaded, &tasks, runs);
    let report = report::build(backend, shard, &batches);
    outcome::tell(&report, &batches, matches, screen, out, err)
}

/// Every so-and-so-many-th run: neighbours take about as long, so that parts are about as long as each other.
fn part(tasks: &[Task], shard: Shard) -> Vec<Task> {
    tasks.iter().skip(shard.part - 1).step_by(shard.of).copied().collect()
}

fn one(backend: Backend, loaded: &[Loaded], task: Task) -> Outcome {
    let scenario = &loaded[task.file].variants[task.variant].1;
    let run = world::run(scenario, task.seed, &Options { backend, ..Options::default() });
    Outcome::of(task.variant, task.seed, run.map_err(|why| why.to_string()))
}

fn batches(loaded: Vec<Loaded>, tasks: &[Task], runs: Vec<Outcome>) -> Vec<Batch> {
    let of = |found: Loaded| Batch {
        file: found.path.display().to_string(),
        scenario: found.scenario,
        outcomes: Vec::new(),
    };
    let mut batches: Vec<Batch> = loaded.into_iter().map(of).collect();
    for (task, run) in tasks.iter().zip(runs) {
        batches[task.file].outcomes.push(run);
    }
    batches
}
