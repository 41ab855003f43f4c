//! Invariants hold on both networks, and so do the expectations that both can be held to.

use outrigger_sim::backend::Backend;
use outrigger_sim::scenario::{schedule, variants};
use outrigger_sim::world::{unplayable_faults, unplayable_on};

use crate::support::{assert_good, run, shipped};

/// The first variant of a shipped scenario, on both networks.
fn holds_on_both(path: &str, seeds: impl IntoIterator<Item = u64>) -> usize {
    let (_, scenario) = variants(&shipped(path)).swap_remove(0);
    assert_eq!(unplayable_on(Backend::Turmoil, &scenario), Vec::<String>::new(), "{path}");
    let faults = |seed: &u64| schedule(&scenario, *seed);
    let playable = seeds.into_iter().filter(|seed| unplayable_faults(Backend::Turmoil, &faults(seed)).is_none());
    let mut played = 0;
    for seed in playable {
        for backend in Backend::ALL {
            assert_good(&run(backend, &scenario, seed));
        }
        played += 1;
    }
    played
}

#[test]
fn through_a_short_partition() {
    assert_eq!(holds_on_both("multi-region/short-cut.toml", 1..=2), 2);
}

#[test]
fn through_a_long_partition() {
    assert_eq!(holds_on_both("multi-region/region-cut-off.toml", 1..=1), 1);
}

#[test]
fn through_loss_and_latency() {
    assert_eq!(holds_on_both("multi-region/loss-burst.toml", 1..=2), 2);
    assert_eq!(holds_on_both("multi-region/latency-spike.toml", 1..=1), 1);
}

#[test]
fn through_a_power_loss_and_a_kill() {
    assert_eq!(holds_on_both("multi-region/failover.toml", 1..=2), 2);
    assert_eq!(holds_on_both("multi-region/herd.toml", 1..=1), 1);
}

#[test]
fn through_whatever_comes() {
    let played = holds_on_both("multi-region/chaos.toml", 1..=4);
    assert!(played >= 2, "only {played} of 4 seeds have no one-way partition");
}

#[test]
fn for_polling_and_push() {
    assert_eq!(holds_on_both("polling-vs-push/break-even.toml", 1..=1), 1);
}
