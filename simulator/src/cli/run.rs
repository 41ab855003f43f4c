//! `run`: everything that was asked for, and what came of it.

use std::collections::BTreeSet;
use std::io::Write;

use clap::ArgMatches;

use super::files::{self, Loaded, Task};
use super::jobs::Told;
use super::{Screen, USAGE, command, jobs, outcome, paths, prices};
use crate::backend::Backend;
use crate::report::{self, Batch, Outcome, Shard, story};
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
    let mut batches = batches(&loaded, &tasks, runs);
    if matches.contains_id("report") {
        tell_stories(backend, &loaded, &mut batches, told.quietly());
    }
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

fn batches(loaded: &[Loaded], tasks: &[Task], runs: Vec<Outcome>) -> Vec<Batch> {
    let of = |found: &Loaded| Batch::new(found.path.display().to_string(), found.scenario.clone());
    let mut batches: Vec<Batch> = loaded.iter().map(of).collect();
    for (task, run) in tasks.iter().zip(runs) {
        batches[task.file].outcomes.push(run);
    }
    batches
}

/// Plays the runs that are drawn once more, with all that they say: the others need not keep it.
fn tell_stories(backend: Backend, loaded: &[Loaded], batches: &mut [Batch], told: Told) {
    let of_batch = |(file, batch): (usize, &Batch)| {
        let wanted: BTreeSet<(usize, u64)> = batch.to_tell().into_iter().chain(batch.to_follow()).collect();
        wanted.into_iter().map(move |(variant, seed)| Task { file, variant, seed }).collect::<Vec<_>>()
    };
    let tasks: Vec<Task> = batches.iter().enumerate().flat_map(of_batch).collect();
    let drawn = jobs::all(tasks.len(), &told, &mut std::io::sink(), |index| {
        let Task { file, variant, seed } = tasks[index];
        let scenario = &loaded[file].variants[variant].1;
        let run = world::run(scenario, seed, &Options { backend, story: true, ..Options::default() }).ok()?;
        Some((story::story(scenario, variant, &run), story::timeline(scenario, &run)))
    });
    for (task, drawn) in tasks.iter().zip(drawn) {
        let Some((story, timeline)) = drawn else { continue };
        let batch = &mut batches[task.file];
        let run = (task.variant, task.seed);
        if batch.to_tell().contains(&run) {
            batch.stories.extend(story);
        }
        if batch.to_follow().contains(&run) {
            batch.timelines.extend(timeline.map(|timeline| (task.variant, timeline)));
        }
    }
}
