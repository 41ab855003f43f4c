//! What the tests share.

use std::fs;
use std::path::PathBuf;

use outrigger_sim::backend::Backend;
use outrigger_sim::scenario::{self, Scenario};
use outrigger_sim::world::{self, Options, Run};

pub(crate) fn parse(text: &str) -> Scenario {
    let (scenario, _) = scenario::parse("test.toml", text).unwrap_or_else(|report| panic!("{report}"));
    scenario
}

pub(crate) fn run(backend: Backend, scenario: &Scenario, seed: u64) -> Run {
    let options = Options { backend, ..Options::default() };
    world::run(scenario, seed, &options).unwrap_or_else(|error| panic!("{backend:?}: {error}"))
}

/// Of one group, or of all under the empty name.
#[track_caller]
pub(crate) fn figure(run: &Run, group: &str, metric: &str) -> f64 {
    let found = run.metrics.get(&(group.to_owned(), metric.to_owned()));
    *found.unwrap_or_else(|| panic!("{group} has no {metric}: {:?}", run.metrics.keys()))
}

#[track_caller]
pub(crate) fn assert_good(run: &Run) {
    assert!(run.is_good(), "{:#?}\n{:#?}", run.violations, run.failures);
}

pub(crate) fn scenarios() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// A scenario as it ships.
pub(crate) fn shipped(path: &str) -> Scenario {
    parse(&fs::read_to_string(scenarios().join(path)).unwrap())
}
