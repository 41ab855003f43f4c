//! Clients behind a load balancer: whom it picks, what it knows, and how those that it sent in vain come back.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_sim::world::Run;

use crate::support::{assert_good, figure, run};

/// Forty clients, four sidecars with an app each, and one fault.
fn world(clients: &str, fault: &str) -> String {
    format!(
        r#"
name = "behind a balancer"
duration = "2m"
apps = [{{ name = "app" }}]
sidecars = [{{ name = "a" }}, {{ name = "b" }}, {{ name = "c" }}, {{ name = "d" }}]
[[clients]]
name = "web"
kind = "push"
count = 40
start_spread = "10s"
target = ["a", "b", "c", "d"]
{clients}
[workload]
rate = "6/m"
{fault}
"#
    )
}

fn played(clients: &str, fault: &str) -> Run {
    let run = run(&world(clients, fault), 1);
    assert_good(&run);
    run
}

/// How many sessions each sidecar opened.
fn opened(run: &Run) -> BTreeMap<&str, usize> {
    let mut opened = BTreeMap::new();
    for entry in run.history.iter().filter(|entry| entry.text.ends_with(" opened")) {
        *opened.entry(&*entry.host).or_default() += 1;
    }
    opened
}

const KILLED: &str = "[[faults]]\nkind = 'kill'\nhost = 'a'\nat = '1m'\nfor = '20s'\n";

#[test]
fn in_order_the_first_gets_all() {
    assert_eq!(opened(&played("", "")), BTreeMap::from([("a", 40)]));
}

#[test]
fn at_random_each_gets_about_as_many() {
    let run = played("pick = 'random'", "");
    let opened = opened(&run);
    assert_eq!((opened.len(), opened.values().sum::<usize>()), (4, 40));
    // Ten each on average; that one of four is off by more than ten happens once in some thousand seeds.
    assert!(opened.values().all(|count| (1..=20).contains(count)), "{opened:?}");
}

#[test]
fn by_least_connections_each_gets_as_many() {
    let run = played("pick = 'least-connections'", "");
    let opened = opened(&run);
    // Those who come within a handshake of each other may get the same one.
    assert!(opened.len() == 4 && opened.values().all(|count| (8..=12).contains(count)), "{opened:?}");
}

/// Who lost its session is sent to the three that are left, and to the fourth once it is back.
#[test]
fn a_balancer_that_knows_sends_nobody_in_vain() {
    for pick in ["random", "least-connections"] {
        let run = played(&format!("pick = '{pick}'\nendpoint_lag = '0s'"), KILLED);
        let lost = figure(&run, "web", "sessions_lost");
        assert!(lost > 0.0);
        assert_eq!((figure(&run, "web", "reconnects"), figure(&run, "web", "failed_connects")), (lost, 0.0), "{pick}");
    }
}

#[test]
fn a_balancer_that_learns_late_or_never_sends_some_in_vain() {
    let failed = |lag: &str| {
        let run = played(&format!("pick = 'random'\nendpoint_lag = '{lag}'"), KILLED);
        figure(&run, "web", "failed_connects")
    };
    // Full jitter: those who lost their sessions come back within a second.
    let (late, never) = (failed("2s"), failed("off"));
    assert!(late > 0.0 && never > 0.0, "{late} {never}");
    // The one that is gone has no connections, and so it is the first choice of a balancer that does not know.
    let least = played("pick = 'least-connections'\nendpoint_lag = 'off'", KILLED);
    assert!(figure(&least, "web", "failed_connects") > never, "all attempts of 20 s");
}

/// The waits that each client told, in seconds, by its name.
fn waits(run: &Run) -> BTreeMap<&str, Vec<f64>> {
    let mut waits: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for entry in &run.history {
        let Some(wait) = entry.text.strip_prefix("comes back in ") else { continue };
        let seconds = match wait.strip_suffix("ms") {
            Some(ms) => ms.parse::<f64>().unwrap() / 1e3,
            None => wait.trim_end_matches('s').parse().unwrap(),
        };
        waits.entry(&*entry.host).or_default().push(seconds);
    }
    waits
}

const AWAY: &str = "[[faults]]\nkind = 'kill'\nhost = ['a', 'b', 'c', 'd']\nat = '30s'\nfor = '40s'\n";

/// Each page has drawn its own first wait, and multiplies it by 1.3 up to 10 s.
#[test]
fn back_off_as_reconnecting_websocket_does_it() {
    let run = played("reconnect = { base = '1s..5s', factor = 1.3, max = '10s', jitter = 'none' }", AWAY);
    let waits = waits(&run);
    assert_eq!(waits.len(), 40);
    for (client, waits) in &waits {
        assert!((1.0..=5.0).contains(&waits[0]), "{client}: {waits:?}");
        for (n, pair) in waits.windows(2).enumerate() {
            let expected = (pair[0] * 1.3).min(10.0);
            assert!((pair[1] - expected).abs() < 1e-3, "{client}, wait {n}: {waits:?}");
        }
        assert!(waits.len() >= 4, "{client}: {waits:?}");
    }
    let first: BTreeSet<u64> = waits.values().map(|waits| waits[0].to_bits()).collect();
    assert!(first.len() > 30, "each client has its own");
}

/// 1 s, 2 s, 4 s, 8 s, each half as much less or more, and then no more than 5 s.
#[test]
fn back_off_as_socket_io_does_it() {
    let run = played("reconnect = { base = '1s', max = '5s', jitter = 'half', stable_after = '0s' }", AWAY);
    let waits = waits(&run);
    assert_eq!(waits.len(), 40);
    let mut seen = [(f64::MAX, 0_f64); 6];
    for (client, waits) in &waits {
        let bounds = [(0.5, 1.5), (1.0, 3.0), (2.0, 5.0), (4.0, 5.0), (5.0, 5.0), (5.0, 5.0)];
        for ((wait, (least, most)), seen) in waits.iter().zip(bounds).zip(&mut seen) {
            assert!((least..=most).contains(wait), "{client}: {waits:?}");
            *seen = (seen.0.min(*wait), seen.1.max(*wait));
        }
    }
    assert!(seen[0].0 < 0.6 && seen[0].1 > 1.4 && seen[1].0 < 1.3 && seen[1].1 > 2.7, "{seen:?}");
}
