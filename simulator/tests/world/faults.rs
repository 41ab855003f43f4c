//! Each fault does what it says, and the world heals.

use outrigger_sim::world::Run;

use crate::common::one_fault;
use crate::support::{assert_good, figure, run, told};

fn with_fault(fault: &str) -> Run {
    let run = run(&one_fault(["2m", "3m", "30s"], fault), 1);
    assert_good(&run);
    assert_eq!(figure(&run, "web", "updates_lost"), 0.0);
    run
}

#[test]
fn a_killed_sidecar_comes_back_and_so_do_its_clients() {
    let run = with_fault("kind = 'kill'\nhost = 'edge'");
    assert_eq!((figure(&run, "web", "sessions_lost"), figure(&run, "web", "reconnects")), (4.0, 4.0));
    assert!(figure(&run, "web", "failed_connects") >= 4.0, "nobody listens for 20 s");
    assert!(figure(&run, "web", "time_to_recover_max") >= 20_000_000.0);
}

#[test]
fn power_loss_says_nothing_and_the_restart_answers_with_a_reset() {
    let run = with_fault("kind = 'power-loss'\nhost = 'edge'");
    assert_eq!(figure(&run, "web", "reconnects"), 4.0);
    assert!(figure(&run, "web", "update_delay_max") >= 19_000_000.0);
}

#[test]
fn a_restarted_sidecar_says_goodbye() {
    let run = with_fault("kind = 'restart'\nhost = 'edge'");
    assert_eq!(figure(&run, "web", "ended_by_cause.drain"), 4.0);
    assert_eq!(figure(&run, "web", "close_1006"), 0.0);
    assert_eq!(figure(&run, "web", "reconnects"), 4.0);
}

#[test]
fn a_killed_app_is_the_apps_fault() {
    let run = with_fault("kind = 'kill'\nhost = 'feed'");
    assert!(figure(&run, "web", "ended_by_cause.reset") + figure(&run, "web", "ended_by_cause.gone") >= 4.0);
    assert!(figure(&run, "web", "failed_requests") >= 4.0, "upgrades are refused while there is no app");
}

#[test]
fn a_refused_upgrade_is_one_failed_request() {
    let run = with_fault("kind = 'kill'\nhost = 'feed'");
    let figure = |metric| figure(&run, "web", metric);
    assert!(figure("failed_requests") >= 4.0);
    assert_eq!(figure("failed_requests"), figure("requests") - figure("handshakes"));
}

/// Of two targets, it goes to the other one after each refusal, as after any other failure.
#[test]
fn a_client_whose_upgrade_is_refused_turns_to_the_next_target() {
    let text = r#"
name = "one app is gone"
duration = "2m"
[[apps]]
name = "dead"
[[apps]]
name = "alive"
[[sidecars]]
name = "first"
upstream = "dead"
[[sidecars]]
name = "second"
upstream = "alive"
[[clients]]
name = "web"
kind = "push"
count = 4
target = ["first", "second"]
[[faults]]
kind = "kill"
host = "dead"
at = "0s"
for = "1m"
"#;
    let run = run(text, 1);
    assert_good(&run);
    assert!(figure(&run, "web", "failed_requests") > 0.0);
    assert!(figure(&run, "web", "failed_requests") <= 4.0, "the second target is there all the time");
}

/// The app still has the connections of a sidecar that lost its power, has closed them for its part, and is to start
/// again on the same port.
#[test]
fn an_app_starts_again_whatever_its_sidecar_has_left_behind() {
    let text = r#"
name = "one after the other"
duration = "2m"
heal = "4m"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[[clients]]
name = "web"
kind = "push"
count = 8
ping = "15s"
[[faults]]
kind = "power-loss"
host = "edge"
at = "41s"
for = "15s"
[[faults]]
kind = "kill"
host = "feed"
at = "52s"
for = "10s"
"#;
    assert_good(&run(text, 1));
}

#[test]
fn a_partition_holds_everything_back_until_it_is_over() {
    let run = with_fault("kind = 'partition'\na = 'web'\nb = 'edge'");
    assert!(figure(&run, "web", "update_delay_max") >= 19_000_000.0);
}

#[test]
fn a_latency_spike_is_as_long_as_it_says() {
    let run = with_fault("kind = 'latency-spike'\na = 'web'\nb = 'edge'\nlatency = '300ms'");
    let max = figure(&run, "web", "update_delay_max");
    assert!((300_000.0..340_000.0).contains(&max), "{max}");
    assert!(figure(&run, "web", "update_delay_p50") < 50_000.0);
}

#[test]
fn an_app_that_stalls_is_late() {
    let run = with_fault("kind = 'app-stall'\napp = 'feed'");
    assert!(figure(&run, "web", "update_delay_max") >= 19_000_000.0);
}

#[test]
fn slow_readers_catch_up() {
    let run = with_fault("kind = 'slow-reader'\nclients = 'web'\nshare = '50%'\nreads = '0'");
    assert!(figure(&run, "web", "update_delay_max") >= 15_000_000.0);
    assert!(figure(&run, "web", "update_delay_p50") < 50_000.0);
}

#[test]
fn a_skewed_clock_changes_nothing() {
    let run = with_fault("kind = 'clock-skew'\nhost = 'edge'\nby = '1h'");
    assert_eq!(figure(&run, "web", "reconnects"), 0.0);
    assert_eq!(told(&run, "clock-skew"), 2);
}
