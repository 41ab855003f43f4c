//! `shrink`: which of a seed's faults matter.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::ArgMatches;

use super::{FAILED, OK, USAGE, single};
use crate::scenario::{PlannedFault, Scenario, schedule, write};
use crate::world::{self, Options};

/// Rounds over all faults; each takes away at least one, or is the last.
const MAX_ROUNDS: usize = 100;

pub(super) fn shrink(matches: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let Some((loaded, task)) = single(matches, err) else { return USAGE };
    let scenario = &loaded[0].variants[task.variant].1;
    let all = schedule(scenario, task.seed);
    let wanted = wrong(scenario, task.seed, &all);
    if wanted.is_empty() {
        let _ = writeln!(err, "error: seed {} does not fail; there is nothing to shrink", task.seed);
        return USAGE;
    }
    let few = fewest(all.clone(), |faults| !wrong(scenario, task.seed, faults).is_disjoint(&wanted));
    let path = matches.get_one::<PathBuf>("out").cloned().unwrap_or_else(|| {
        let stem = loaded[0].path.file_stem().map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy());
        PathBuf::from(format!("{stem}-seed-{}.toml", task.seed))
    });
    if let Err(why) = fs::write(&path, write(scenario, &few)) {
        let _ = writeln!(err, "error: {}: {why}", path.display());
        return FAILED;
    }
    let _ = writeln!(out, "outrigger-sim replay {} --seed {}", path.display(), task.seed);
    let _ = writeln!(out, "  {} of {} faults are left", few.len(), all.len());
    for fault in &few {
        let _ =
            writeln!(out, "  {} ({}) at {:?} for {:?}", fault.label, fault.kind.word().as_str(), fault.at, fault.lasts);
    }
    OK
}

/// What does not hold: names of invariants and metrics, so that another failure is not taken for the same.
fn wrong(scenario: &Scenario, seed: u64, faults: &[PlannedFault]) -> BTreeSet<String> {
    let options = Options { faults: Some(faults.to_vec()), ..Options::default() };
    match world::run(scenario, seed, &options) {
        Ok(run) => {
            let invariants = run.violations.iter().map(|violation| format!("invariant {}", violation.invariant));
            invariants
                .chain(run.failures.iter().map(|failure| format!("{} {}", failure.group, failure.metric)))
                .collect()
        }
        Err(why) => BTreeSet::from([why.to_string()]),
    }
}

/// Takes away one fault after the other for as long as `fails` still says so.
fn fewest(mut faults: Vec<PlannedFault>, fails: impl Fn(&[PlannedFault]) -> bool) -> Vec<PlannedFault> {
    for _ in 0..MAX_ROUNDS {
        let before = faults.len();
        let mut index = 0;
        while index < faults.len() {
            let mut without = faults.clone();
            without.remove(index);
            if fails(&without) {
                faults = without;
            } else {
                index += 1;
            }
        }
        if faults.len() == before {
            break;
        }
    }
    faults
}
