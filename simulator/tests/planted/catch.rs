//! Shows that a bug is caught, and that it is the bug that is.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use outrigger_sim::scenario::{self, Scenario};
use outrigger_sim::world::tamper::Tamper;
use outrigger_sim::world::{self, Options, Run};

/// Seeds within which a bug has to be caught.
const MOST_SEEDS: u64 = 50;

/// Plants a bug in a world, seed by seed, until `invariant` catches it; without the bug, each of these seeds must be
/// good. `plant` is called once for each run.
#[track_caller]
pub(crate) fn caught_by<T: Tamper + 'static>(invariant: &str, bug: &str, world: &str, plant: impl Fn() -> T) {
    is_documented(bug, invariant);
    let scenario = parse(world);
    for seed in 1..=MOST_SEEDS {
        is_clean(world, &scenario, seed);
        let run = run(&scenario, seed, Some(Arc::new(plant())));
        if let Some(violation) = run.violations.iter().find(|violation| violation.invariant == invariant) {
            println!("{bug}: caught with seed {seed}: {violation}");
            return;
        }
        println!("{bug}: not caught with seed {seed}: {:?}", run.violations);
    }
    panic!("{bug} is not caught by {invariant} within {MOST_SEEDS} seeds");
}

/// The same world with nothing planted holds; looked at once for each world and seed.
fn is_clean(world: &str, scenario: &Scenario, seed: u64) {
    static CLEAN: Mutex<BTreeSet<(String, u64)>> = Mutex::new(BTreeSet::new());
    let mut clean = CLEAN.lock().unwrap_or_else(PoisonError::into_inner);
    if clean.insert((world.to_owned(), seed)) {
        let run = run(scenario, seed, None);
        assert!(run.is_good(), "without a bug, seed {seed} has {:#?}\n{:#?}", run.violations, run.failures);
    }
}

fn parse(text: &str) -> Scenario {
    scenario::parse("planted.toml", text).unwrap_or_else(|report| panic!("{report}")).0
}

fn run(scenario: &Scenario, seed: u64, tamper: Option<Arc<dyn Tamper>>) -> Run {
    world::run_with(scenario, seed, &Options::default(), tamper).unwrap_or_else(|error| panic!("{error}"))
}

/// The table of planted bugs in the documentation has this one.
#[track_caller]
fn is_documented(bug: &str, invariant: &str) {
    let row = format!("| {bug} | `{invariant}` |");
    assert!(documentation().contains(&row), "docs/SIMULATOR.md has no row {row:?}");
}

fn documentation() -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/SIMULATOR.md")).expect("it is there")
}
