//! What the tests share.

use std::fs;

use outrigger_sim::backend::Backend;
use outrigger_sim::scenario::Scenario;
use outrigger_sim::world::{self, Options, Run};

pub(crate) use crate::common::{Folder, assert_good, figure, parse, scenarios, sim};

pub(crate) fn run(backend: Backend, scenario: &Scenario, seed: u64) -> Run {
    let options = Options { backend, ..Options::default() };
    world::run(scenario, seed, &options).unwrap_or_else(|error| panic!("{backend:?}: {error}"))
}

/// A scenario as it ships.
pub(crate) fn shipped(path: &str) -> Scenario {
    parse(&fs::read_to_string(scenarios().join(path)).unwrap())
}
