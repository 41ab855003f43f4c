//! Without faults, both networks come to the same; and the second one comes to the same twice.

use outrigger_sim::backend::Backend;
use outrigger_sim::history::Digest;
use outrigger_sim::scenario::Scenario;
use outrigger_sim::world::Run;

use crate::support::{assert_good, figure, parse, run};

/// A group for each client, so that figures are of one client.
const CALM: &str = r#"
name = "nothing happens"
duration = "1m"
[link]
latency = "18ms"
jitter = "2ms"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[[clients]]
name = "push"
kind = "push"
sends = "20/m"
[[clients]]
name = "secret"
kind = "push"
tls = true
[[clients]]
name = "events"
kind = "sse"
[[clients]]
name = "long"
kind = "long-poller"
tls = true
[[clients]]
name = "poll"
kind = "poller"
interval = "2s"
[workload]
rate = "1/s"
size = "100..2000"
"#;
const CLIENTS: [&str; 5] = ["push", "secret", "events", "long", "poll"];

/// Number and size of every update that came to exist.
fn updates(run: &Run) -> Vec<&str> {
    run.history.iter().map(|entry| entry.text.as_str()).filter(|text| text.starts_with("update ")).collect()
}

/// That each client has every update, once and in order, is an invariant; so equal counts are equal updates.
#[test]
fn clients_get_the_same_updates() {
    let scenario = parse(CALM);
    for seed in 1..=3 {
        let [first, second] = Backend::ALL.map(|backend| run(backend, &scenario, seed));
        assert_good(&first);
        assert_good(&second);
        assert!(updates(&first).len() > 20, "{:?}", updates(&first));
        assert_eq!(updates(&first), updates(&second));
        let same = ["updates_delivered", "updates_duplicated", "updates_lost", "reconnects", "sessions_lost"];
        for client in CLIENTS {
            for metric in same.into_iter().chain(["payload_down", "messages_up", "handshakes"]) {
                assert_eq!(figure(&first, client, metric), figure(&second, client, metric), "{client} {metric}");
            }
            assert!(figure(&first, client, "updates_delivered") > 20.0, "{client}");
        }
    }
}

/// Four hops of a tick each at most, and the ticks in which hosts have their turn.
#[test]
fn delays_are_alike_to_some_milliseconds() {
    let scenario = parse(CALM);
    let [first, second] = Backend::ALL.map(|backend| run(backend, &scenario, 1));
    for client in ["push", "secret", "events", "long"] {
        let [exact, coarse] = [&first, &second].map(|run| figure(run, client, "update_delay_p50"));
        assert!((exact - coarse).abs() < 4_000.0, "{client}: {exact} and {coarse}");
    }
}

/// The same run on a thread of its own, after so many other tasks in this process: tokio counts tasks by the process,
/// and drops those of a runtime in an order that follows from their numbers.
fn again(scenario: &Scenario, seed: u64, tasks_before: usize) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    (0..tasks_before).for_each(|_| drop(runtime.spawn(std::future::ready(()))));
    std::thread::scope(|scope| scope.spawn(|| run(Backend::Turmoil, scenario, seed)).join().unwrap())
}

#[test]
fn a_seed_is_the_same_run_twice_and_no_other_seed_is() {
    let storm = format!(
        "{CALM}[faults_random]\ncount = 4\nkinds = [\"partition\", \"loss-burst\", \"latency-spike\", \"kill\", \
         \"restart\", \"slow-reader\", \"app-stall\", \"clock-skew\"]\n"
    );
    let scenario = parse(&storm.replace("duration = \"1m\"", "duration = \"1m\"\nheal = \"2m\""));
    for seed in 1..=3 {
        let (one, other) = (again(&scenario, seed, 0), again(&scenario, seed, 1));
        assert_eq!(one.digest.first_difference(&other.digest), None, "seed {seed}");
        assert!(one.digest == other.digest && one.history == other.history && one.metrics == other.metrics);
        assert_good(&one);
    }
    let Digest { total, .. } = again(&scenario, 1, 0).digest;
    assert_ne!(total, again(&scenario, 2, 0).digest.total);
}
