//! Each fault does on the second network what it says.

use outrigger_sim::backend::Backend;
use outrigger_sim::world::Run;

use crate::common::one_fault;
use crate::support::{assert_good, figure, parse, run};

fn with_fault(fault: &str) -> Run {
    let run = run(Backend::Turmoil, &parse(&one_fault(["1m", "2m", "20s"], fault)), 1);
    assert_good(&run);
    assert_eq!(figure(&run, "web", "updates_lost"), 0.0);
    run
}

#[test]
fn a_killed_process_is_heard_of() {
    let run = with_fault("kind = 'kill'\nhost = 'edge'");
    assert_eq!((figure(&run, "web", "sessions_lost"), figure(&run, "web", "reconnects")), (4.0, 4.0));
    assert!(figure(&run, "web", "failed_connects") >= 4.0, "nobody listens for 20 s");
}

#[test]
fn power_loss_is_not_heard_of() {
    let run = with_fault("kind = 'power-loss'\nhost = 'edge'");
    assert_eq!(figure(&run, "web", "reconnects"), 4.0);
    assert_eq!(figure(&run, "web", "failed_connects"), 0.0, "nobody knew before it was back");
    assert!(figure(&run, "web", "update_delay_max") >= 19_000_000.0);
}

#[test]
fn a_restarted_sidecar_says_goodbye() {
    let run = with_fault("kind = 'restart'\nhost = 'edge'");
    assert_eq!(figure(&run, "web", "ended_by_cause.drain"), 4.0);
    assert_eq!((figure(&run, "web", "close_1006"), figure(&run, "web", "reconnects")), (0.0, 4.0));
}

#[test]
fn a_killed_app_is_the_apps_fault() {
    let run = with_fault("kind = 'kill'\nhost = 'feed'");
    assert!(figure(&run, "web", "ended_by_cause.reset") + figure(&run, "web", "ended_by_cause.gone") >= 4.0);
}

/// turmoil's own partition would have each of these sessions stand still for good.
#[test]
fn a_partition_holds_everything_back_until_it_is_over() {
    let run = with_fault("kind = 'partition'\na = 'web'\nb = 'edge'");
    assert_eq!(figure(&run, "web", "reconnects"), 0.0);
    assert!(figure(&run, "web", "update_delay_max") >= 19_000_000.0);
}

#[test]
fn a_latency_spike_is_as_long_as_it_says() {
    let run = with_fault("kind = 'latency-spike'\na = 'web'\nb = 'edge'\nlatency = '300ms'");
    let max = figure(&run, "web", "update_delay_max");
    assert!((300_000.0..340_000.0).contains(&max), "{max}");
}

#[test]
fn loss_is_a_delay_and_nothing_else() {
    let run = with_fault("kind = 'loss-burst'\na = 'web'\nb = 'edge'\nloss = '30%'");
    assert_eq!(figure(&run, "web", "reconnects"), 0.0);
    let max = figure(&run, "web", "update_delay_max");
    assert!((200_000.0..300_000.0).contains(&max), "{max}");
}

#[test]
fn an_app_that_stalls_is_late() {
    let run = with_fault("kind = 'app-stall'\napp = 'feed'");
    assert!(figure(&run, "web", "update_delay_max") >= 19_000_000.0);
}

#[test]
fn bytes_and_times_are_not_judged() {
    let expect = "kind = 'clock-skew'\nhost = 'edge'\nby = '1h'\n[expect]\nupdate_delay_p50 = '< 1ms'\nbytes_up = 0";
    let run = with_fault(expect);
    let told: Vec<String> = run.not_judged.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("test.toml:") && told[0].contains("update_delay_p50: turmoil's time"), "{told:?}");
    assert!(told[1].contains("bytes_up: turmoil has no packets"), "{told:?}");
    assert!(!run.metrics.contains_key(&("web".to_owned(), "bytes_up".to_owned())), "no figure rather than a wrong one");
}
