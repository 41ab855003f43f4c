//! The example scenarios hold what they expect.

use std::fs;

use outrigger_sim::scenario::variants;
use outrigger_sim::world::{self, Options};

use crate::support::{assert_good, figure, parse, run, scenarios};

fn text(path: &str) -> String {
    fs::read_to_string(scenarios().join(path)).unwrap()
}

#[test]
fn keepalive_behind_a_balancer() {
    let scenario = parse(&text("idle-timeout/tencent-clb.toml"));
    let mut cuts = Vec::new();
    for (label, variant) in variants(&scenario) {
        let run = world::run(&variant, 1, &Options::default()).unwrap();
        assert_good(&run);
        cuts.push((label, figure(&run, "home", "hop_cuts") > 0.0));
    }
    let cut: Vec<&str> = cuts.iter().filter(|(_, cut)| *cut).map(|(label, _)| label.as_str()).collect();
    assert_eq!(cut.len(), 2, "{cuts:?}");
    assert!(cut[0].contains("= 61s") && cut[1].contains("= off"), "{cut:?}");
    assert!(cut.iter().all(|label| label.contains("idle = 60s")), "{cut:?}");
}

#[test]
fn regions_are_cut_and_heal() {
    let run = run(&text("multi-region/cut-and-heal.toml"), 1);
    assert_good(&run);
    assert!(figure(&run, "far", "reconnects") > 0.0, "the partition moves them");
    assert!(figure(&run, "near", "reconnects") >= 30.0, "the deployment ends every session of theirs");
    assert_eq!(figure(&run, "", "updates_delivered"), figure(&run, "", "updates"));
}

#[test]
fn polling_against_push() {
    let run = run(&text("polling-vs-push/feed.toml"), 1);
    assert_good(&run);
    assert_eq!(figure(&run, "push", "requests"), 5.0);
    assert!((1490.0..=1510.0).contains(&figure(&run, "poll", "requests")), "five clients, one in two seconds each");
    assert!(figure(&run, "push", "update_delay_p50") < 100_000.0);
    assert!(figure(&run, "poll", "update_delay_p50") > 500_000.0);
    assert!(figure(&run, "poll", "bytes_down") > 2.0 * figure(&run, "push", "bytes_down"));
    assert!(figure(&run, "poll", "staleness_p99") > figure(&run, "push", "staleness_p99"));
    for group in ["poll", "long-poll", "events", "push"] {
        assert_eq!(figure(&run, group, "updates_lost"), 0.0, "{group}");
        assert_eq!(figure(&run, group, "updates_delivered"), figure(&run, group, "updates"), "{group}");
    }
}
