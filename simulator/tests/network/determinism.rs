//! The same seed gives the same packets, wherever it runs.

use std::time::Duration;

use outrigger::net::Net;
use outrigger_sim::engine::{self, HostSpec, Options, RunError};
use outrigger_sim::history::Digest;
use outrigger_sim::wan::Link;
use tokio::time::sleep;

use crate::support::{dial, echo_once, ms, run, serve_echo, two};

fn digest(seed: u64) -> Digest {
    let link = Link::latency(20_000).jitter(4000).loss(50_000).bandwidth(20_000_000);
    let outcome = run(two(seed, link), |world| async move {
        serve_echo(world, 20_000).await;
        for _ in 0..4 {
            let net = world.host("client");
            net.clone().spawn(async move {
                let mut stream = dial(&net, world).await;
                for _ in 0..10 {
                    echo_once(world, &mut stream, 20_000).await;
                }
            });
        }
        sleep(ms(20_000)).await;
    });
    assert!(outcome.stats.packets > 1000);
    outcome.digest
}

#[test]
fn a_seed_repeats_on_every_thread_and_no_two_seeds_are_alike() {
    let here = digest(1);
    let there: Vec<_> = (0..3).map(|_| std::thread::spawn(|| digest(1))).collect();
    for thread in there {
        let there = thread.join().unwrap();
        assert_eq!(here.first_difference(&there), None);
        assert_eq!(here, there);
    }
    assert_ne!(here.total, digest(2).total);
}

#[test]
fn an_idle_hour_costs_nothing() {
    let options = (0..3).fold(Options::new(1), |options, i| options.host(HostSpec::new(format!("h{i}"), 0)));
    let outcome = run(options, |_| sleep(Duration::from_hours(1)));
    assert_eq!(outcome.virtual_time, Duration::from_hours(1));
    assert!(outcome.stats.passes <= 1 && outcome.stats.events == 0, "{:?}", outcome.stats);
}

#[test]
fn a_panic_in_a_task_is_the_error_of_the_run() {
    let error = engine::run(two(1, Link::latency(1)), |world| async move {
        world.host("client").spawn(async { panic!("on purpose") });
        std::future::pending::<()>().await;
    });
    let expected = RunError::Panic { place: "client".into(), message: "on purpose".into() };
    assert_eq!(error.unwrap_err(), expected);
}

#[test]
fn a_run_that_never_ends_is_ended() {
    let mut options = two(1, Link::latency(1));
    options.time_limit = Duration::from_secs(5);
    let error = engine::run(options.clone(), |_| std::future::pending::<()>()).unwrap_err();
    assert_eq!(error, RunError::TimeLimit(Duration::from_secs(5)));
    options.event_limit = 100;
    let error = engine::run(options, |world| async move {
        serve_echo(world, 10).await;
        let mut stream = dial(&world.host("client"), world).await;
        loop {
            echo_once(world, &mut stream, 10).await;
        }
    });
    assert_eq!(error.map(|_: engine::Outcome<()>| ()).unwrap_err(), RunError::EventLimit(100));
}
