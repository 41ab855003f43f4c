//! What broke, once for each thing that broke, however many seeds it broke in.

use super::model::{Played, Report, RunOf};

/// Seeds that are named.
const MAX_SEEDS: usize = 8;

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken<'a> {
    pub file: &'a str,
    pub scenario: &'a str,
    /// As in [`Failed::what`](super::Failed).
    pub what: &'a str,
    /// What was seen in the first run.
    pub text: &'a str,
    /// How to see it.
    pub replay: &'a str,
    /// Runs in which it does not hold.
    pub runs: usize,
    /// The first ones' seeds, each once.
    pub seeds: Vec<u64>,
    /// There are more than are named.
    pub more: bool,
}

impl Broken<'_> {
    /// `seed 3`, `seeds 3, 7 and more`.
    pub fn seeds(&self) -> String {
        let listed: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        let word = if listed.len() == 1 { "seed" } else { "seeds" };
        format!("{word} {}{}", listed.join(", "), if self.more { " and more" } else { "" })
    }
}

/// Everything that broke, by scenario, in the order in which it was met.
pub fn broken(report: &Report) -> Vec<Broken<'_>> {
    report.scenarios.iter().flat_map(of_scenario).collect()
}

pub(super) fn of_scenario(played: &Played) -> Vec<Broken<'_>> {
    let mut found: Vec<Broken> = Vec::new();
    for run in played.cells.iter().flat_map(|cell| &cell.runs) {
        for (index, failure) in run.failures.iter().enumerate() {
            if run.failures[..index].iter().any(|before| before.what == failure.what) {
                continue;
            }
            match found.iter_mut().find(|broken| broken.what == failure.what) {
                Some(broken) => again(broken, run),
                None => found.push(Broken {
                    file: &played.file,
                    scenario: &played.name,
                    what: &failure.what,
                    text: &failure.text,
                    replay: run.replay.as_deref().unwrap_or_default(),
                    runs: 1,
                    seeds: vec![run.seed],
                    more: false,
                }),
            }
        }
    }
    found
}

fn again(broken: &mut Broken, run: &RunOf) {
    broken.runs += 1;
    if broken.seeds.contains(&run.seed) {
        return;
    }
    if broken.seeds.len() < MAX_SEEDS {
        broken.seeds.push(run.seed);
    } else {
        broken.more = true;
    }
}
