//! Parts of a sweep, joined: as if all had run in one place.

use std::collections::BTreeSet;

use super::build::{Batch, Outcome, build};
use super::model::{Cell, Played, Report, RunOf};
use crate::backend::Backend;
use crate::scenario::{self, Metrics};

/// The whole, with what it was made from; or why the parts are none of one whole.
pub fn merge(parts: &[(String, Report)]) -> Result<(Report, Vec<Batch>), String> {
    complete(parts)?;
    let (first_name, first) = &parts[0];
    for (name, part) in &parts[1..] {
        alike(first, part).map_err(|why| format!("{first_name} and {name} {why}"))?;
    }
    let network = network(first)?;
    let mut batches = first.scenarios.iter().map(batch).collect::<Result<Vec<_>, _>>()?;
    for (_, part) in parts {
        for (batch, played) in batches.iter_mut().zip(&part.scenarios) {
            take(batch, played);
        }
    }
    for batch in &mut batches {
        batch.outcomes.sort_by_key(|outcome| (outcome.variant, outcome.seed));
        let twice =
            batch.outcomes.windows(2).find(|two| (two[0].variant, two[0].seed) == (two[1].variant, two[1].seed));
        if let Some(two) = twice {
            return Err(format!("{}: seed {} is in two parts", batch.file, two[0].seed));
        }
    }
    for batch in &mut batches {
        // Each part has told of its own first ones; those of the whole are among them.
        let (told, followed) = (batch.to_tell(), batch.to_follow());
        let mut stories = std::mem::take(&mut batch.stories);
        stories.retain(|story| told.contains(&(story.variant - 1, story.seed)));
        stories.sort_by_key(|story| (story.variant, story.seed));
        batch.stories = stories;
        batch.timelines.retain(|variant, timeline| followed.contains(&(*variant, timeline.seed)));
    }
    Ok((build(network, None, &batches), batches))
}

/// A report and what it was made from, out of the report alone.
pub fn batches(report: &Report) -> Result<Vec<Batch>, String> {
    let filled = |played: &Played| {
        let mut batch = batch(played)?;
        take(&mut batch, played);
        Ok(batch)
    };
    report.scenarios.iter().map(filled).collect()
}

/// Every part is there, once.
fn complete(parts: &[(String, Report)]) -> Result<(), String> {
    let Some((name, first)) = parts.first() else { return Err("there is no report".to_owned()) };
    let Some(of) = first.shard.map(|shard| shard.of) else {
        return Err(format!("{name} is the whole, and no part of one (`run … --shard 1/10`)"));
    };
    let mut there = BTreeSet::new();
    for (name, part) in parts {
        let shard = part.shard.filter(|shard| shard.of == of).ok_or_else(|| format!("{name} is no part of {of}"))?;
        if !there.insert(shard.part) {
            return Err(format!("{name}: part {} of {of} is there twice", shard.part));
        }
    }
    let missing: Vec<String> = (1..=of).filter(|part| !there.contains(part)).map(|part| part.to_string()).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("of {of} parts these are missing: {}", missing.join(", "))) }
}

fn alike(one: &Report, other: &Report) -> Result<(), String> {
    if one.version != other.version {
        return Err(format!("come from versions {} and {}", one.version, other.version));
    }
    if one.network != other.network {
        return Err("ran on different networks".to_owned());
    }
    if one.scenarios.len() != other.scenarios.len() {
        return Err("have different scenarios".to_owned());
    }
    for (one, other) in one.scenarios.iter().zip(&other.scenarios) {
        let same = (&one.file, &one.source, &one.prices) == (&other.file, &other.source, &other.prices);
        if !same {
            return Err(format!("differ in what {} says", one.file));
        }
    }
    Ok(())
}

/// The network that a report came from.
pub fn network(report: &Report) -> Result<Backend, String> {
    let found = Backend::ALL.into_iter().find(|backend| backend.as_str() == report.network);
    found.ok_or_else(|| format!("there is no network `{}`", report.network))
}

/// The scenario without runs.
fn batch(played: &Played) -> Result<Batch, String> {
    let parsed = scenario::parse(&played.file, &played.source);
    let (mut scenario, _) = parsed.map_err(|report| format!("{} in the report is wrong:\n{report}", played.file))?;
    scenario.prices = played.prices.as_ref().map(Into::into);
    Ok(Batch::new(played.file.clone(), scenario))
}

/// Adds the runs of one part.
fn take(batch: &mut Batch, played: &Played) {
    batch.outcomes.extend(played.cells.iter().flat_map(outcomes));
    batch.stories.extend(played.stories.iter().cloned());
    for cell in &played.cells {
        let Some(timeline) = &cell.timeline else { continue };
        let known = batch.timelines.get(&(cell.variant - 1));
        if known.is_none_or(|known| timeline.seed < known.seed) {
            batch.timelines.insert(cell.variant - 1, timeline.clone());
        }
    }
}

fn outcomes(cell: &Cell) -> Vec<Outcome> {
    let outcome = |(index, run): (usize, &RunOf)| Outcome {
        variant: cell.variant - 1,
        seed: run.seed,
        digest: u64::from_str_radix(&run.digest, 16).unwrap_or(0),
        virtual_us: run.virtual_us,
        measured_us: run.measured_us,
        metrics: metrics(cell, index),
        failures: run.failures.clone(),
        not_judged: cell.not_judged.clone(),
    };
    cell.runs.iter().enumerate().map(outcome).collect()
}

/// The figures of one run of a cell.
fn metrics(cell: &Cell, run: usize) -> Metrics {
    let of = |figure: &super::model::Figure| {
        let value = figure.values.get(run).copied().flatten()?;
        Some(((figure.group.clone(), figure.metric.clone()), value))
    };
    cell.figures.iter().filter_map(of).collect()
}
