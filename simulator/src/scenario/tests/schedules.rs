//! The schedule of faults: same seed, same faults; one more or less changes no other; and it can be written.

use std::time::Duration;

use super::*;

const FAULTS: &str = "\
[[faults]]
name = 'late'
kind = 'kill'
at = '5m..6m'
for = '1s..1h'
host = 'edge'
[[faults]]
kind = 'partition'
at = '1m..4m'
a = 'web'
b = 'feed'
[[faults]]
kind = 'clock-skew'
at = '30s'
for = 0
host = 'feed'
by = '90s'
ahead = false
[faults_random]
count = 40
at = '1m..9m'
for = '100ms..5s'
";

fn world() -> Scenario {
    right(&format!("{LEAST}{FAULTS}"))
}

#[test]
fn a_seed_has_one_schedule() {
    let world = world();
    assert_eq!(schedule(&world, 1), schedule(&world, 1));
    assert_eq!(schedule(&world, 1), schedule(&self::world(), 1));
    assert_ne!(schedule(&world, 1), schedule(&world, 2));
    // Written out once, so that no change to the generator or to the order of draws goes unseen.
    let fixed = right(&format!("{LEAST}[[faults]]\nkind = 'kill'\nhost = 'edge'\nat = '1s..5m'\nfor = '1s..9s'\n"));
    let [fault] = schedule(&fixed, 1).try_into().unwrap();
    assert_eq!((fault.at, fault.lasts), (Duration::from_millis(108_608), Duration::from_millis(4_134)));
}

#[test]
fn faults_are_sorted_and_within_bounds() {
    let world = world();
    for seed in 0..50 {
        let faults = schedule(&world, seed);
        assert_eq!(faults.len(), 43);
        assert!(faults.is_sorted_by_key(|fault| fault.at));
        for fault in &faults {
            assert!(fault.at + fault.lasts <= world.duration, "{fault:?}");
            assert_eq!(fault.at.subsec_nanos() % 1_000_000, 0, "{fault:?}");
            if fault.label.starts_with("random/") {
                assert!((60..=540).contains(&fault.at.as_secs()), "{fault:?}");
                assert!((100..=5_000).contains(&fault.lasts.as_millis()), "{fault:?}");
            }
        }
        let late = faults.iter().find(|fault| fault.label == "late").unwrap();
        assert!((300..=360).contains(&late.at.as_secs()), "{late:?}");
        let kinds: std::collections::BTreeSet<_> = faults.iter().map(|fault| fault.kind.word()).collect();
        assert!(kinds.len() >= 8, "{kinds:?}");
    }
}

#[test]
fn taking_a_fault_away_changes_no_other() {
    let all = schedule(&world(), 5);
    let fewer = right(&format!("{LEAST}{}", FAULTS.replace("count = 40", "count = 39")));
    let expected: Vec<_> = all.iter().filter(|fault| fault.label != "random/39").cloned().collect();
    assert_eq!(schedule(&fewer, 5), expected);
    let (before, rest) = FAULTS.split_once("[[faults]]\nkind = 'clock-skew'").unwrap();
    let (_, random) = rest.split_once("[faults_random]").unwrap();
    let without_last = right(&format!("{LEAST}{before}[faults_random]{random}"));
    let expected: Vec<_> = all.iter().filter(|fault| fault.label != "faults/2").cloned().collect();
    assert_eq!(schedule(&without_last, 5), expected);
}

#[test]
fn a_schedule_survives_writing() {
    let world = world();
    for seed in 0..20 {
        let faults = schedule(&world, seed);
        let text = write(&world, &faults);
        let again = right(&text);
        assert!(again.random_faults.is_none());
        for other_seed in [seed, seed + 1] {
            assert_eq!(schedule(&again, other_seed), faults, "{text}");
        }
        assert_eq!(write(&again, &faults), text);
        let smaller = right(&write(&world, &faults[..2]));
        assert_eq!(schedule(&smaller, seed), faults[..2]);
    }
}

#[test]
fn what_is_not_a_fault_survives_writing() {
    let text = "\
name = \"a \\\"quoted\\\" name\\n\\u0007\"
description = '123'
seeds = 0x10
[[apps]]
name = 'feed'
[[sidecars]]
name = 'edge'
[sidecars.config]
add_header = ['X: \"y\"', 'Z: \\']
proxy_read_timeout = 75
[[clients]]
name = 'web'
kind = 'push'
reconnect = { base = '2s', factor = 1.50 }
[expect]
requests = '>= 1'
ended_by_cause.idle = 0
[expect.web]
reconnects = '1..3'
ended_by_cause = { close = 2 }
";
    let plain = right(text);
    let again = right(&write(&plain, &[]));
    let shown = |scenario: &Scenario| {
        let Scenario { expect, .. } = scenario;
        let figures: Vec<_> = expect.all.iter().map(|e| (e.group, e.metric.clone(), e.bound)).collect();
        format!("{figures:?} {:?}", Scenario { expect: Expect::default(), ..scenario.clone() })
    };
    assert_eq!(shown(&again), shown(&plain));
    assert_eq!((again.name.as_str(), again.seeds), ("a \"quoted\" name\n\u{7}", 16));
}

/// A rolling deploy begins at one drawn time, and its steps keep their distance.
#[test]
fn the_hosts_of_one_list_share_what_was_drawn() {
    let rolling = format!(
        "{LEAST}[[faults]]\nname = 'deploy'\nkind = 'restart'\nhost = ['edge', 'feed']\nevery = '20s'\nat = '1m..5m'\n\
         for = '1s..9s'\n"
    );
    let one = rolling.replace("['edge', 'feed']\nevery = '20s'", "'edge'");
    for seed in 1..20 {
        let [first, second] = schedule(&right(&rolling), seed).try_into().unwrap();
        assert_eq!((first.label.as_str(), second.label.as_str()), ("deploy/0", "deploy/1"));
        assert_eq!((second.at, second.lasts), (first.at + Duration::from_secs(20), first.lasts));
        let [alone] = schedule(&right(&one), seed).try_into().unwrap();
        assert_eq!((alone.at, alone.lasts), (first.at, first.lasts));
    }
}
