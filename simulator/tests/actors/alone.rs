//! Clients and an app with nothing in between, at a paused clock: times are exact.

use std::io::ErrorKind;
use std::time::Duration;

use outrigger::net::Net as _;
use outrigger_sim::actors::{
    AppEvent, AppOptions, Backoff, ClientEvent, ConnectFailure, Ending, Jitter, LongPoller, LongPolling, Messages,
    Pattern, Pinging, Poller, Polling, Push, PushClient, ReadRate, RequestFailure, Rng, Sizes, Stop, Workload,
};
use tokio::time::sleep;

use crate::memory::MemoryNet;
use crate::world::World;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn world() -> World<MemoryNet> {
    World::new(MemoryNet::default(), AppOptions::default()).await
}

fn push_client(world: &World<MemoryNet>, push: Push) -> Stop {
    let stop = Stop::new();
    let client = PushClient { actor: world.actor(1), settings: world.settings(), push };
    world.net.spawn(client.run(stop.clone()));
    stop
}

fn poller(world: &World<MemoryNet>, polling: Polling) -> Stop {
    let stop = Stop::new();
    let client = Poller { actor: world.actor(1), settings: world.settings(), polling };
    world.net.spawn(client.run(stop.clone()));
    stop
}

fn exact(seconds: u64) -> Polling {
    Polling { random_phase: false, ..Polling::every(secs(seconds)) }
}

fn no_jitter() -> Backoff {
    Backoff { jitter: Jitter::None, ..Backoff::default() }
}

#[tokio::test(start_paused = true)]
async fn a_client_backs_off_exactly_as_told() {
    let mut world = world().await;
    world.target.port = 9;
    let stop = push_client(&world, Push { backoff: no_jitter(), ..Push::default() });
    world.record.until(|account| account.total.retries == 8).await;
    stop.stop();
    let waits =
        world.record.pick(|event| if let ClientEvent::ReconnectIn(wait) = event { Some(wait.as_secs()) } else { None });
    let expected = [(0, 1), (1, 2), (3, 4), (7, 8), (15, 16), (31, 30), (61, 30), (91, 30)];
    assert_eq!(waits, expected.map(|(at, wait)| (at * 1000, wait)));
    let refused = ConnectFailure::Connect(ErrorKind::ConnectionRefused);
    let failures = world.record.pick(|event| (*event == ClientEvent::ConnectFailed { why: refused }).then_some(()));
    assert_eq!(failures.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_stable_session_ends_the_back_off() {
    let world = world().await;
    let _stop = push_client(&world, Push { backoff: no_jitter(), ..Push::default() });
    for (lived, opened) in [(1, 1), (1, 2), (10, 3)] {
        world.record.until(|account| account.total.sessions == opened).await;
        sleep(secs(lived)).await;
        world.control.cut();
        world.record.until(|account| account.total.retries == opened).await;
    }
    let waits =
        world.record.pick(|event| if let ClientEvent::ReconnectIn(wait) = event { Some(wait.as_secs()) } else { None });
    assert_eq!(waits, [(1000, 1), (3000, 2), (15_000, 1)]);
    assert_eq!(world.record.account().total.ends, [("Eof".to_owned(), 3)].into());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_is_told() {
    let mut world = world().await;
    world.target.host = "nowhere".into();
    let _stop = poller(&world, exact(1));
    world.record.until(|account| account.total.connect_failures.values().sum::<u64>() == 2).await;
    assert!(world.record.account().total.connect_failures.contains_key("Resolve(NotFound)"));
}

#[tokio::test(start_paused = true)]
async fn polls_at_its_interval_and_gets_304_while_nothing_is_new() {
    let world = world().await;
    let stop = poller(&world, exact(10));
    sleep(secs(35)).await;
    world.feed.publish(100);
    sleep(secs(30)).await;
    stop.stop();
    let answers = world.record.pick(|event| match event {
        ClientEvent::AnswerReceived { status, empty, .. } => Some((*status, *empty)),
        _ => None,
    });
    let expected = [
        (0, (200, true)),
        (10, (304, true)),
        (20, (304, true)),
        (30, (304, true)),
        (40, (200, false)),
        // The URL is a new one.
        (50, (200, true)),
        (60, (304, true)),
    ];
    assert_eq!(answers, expected.map(|(at, answer)| (at * 1000, answer)));
    let total = world.record.account().total;
    assert_eq!((total.connections, total.requests, total.empty_answers), (1, 7, 6));
    assert_eq!(total.update_delay.max_us.div_euclid(10_000), 500);
}

#[tokio::test(start_paused = true)]
async fn without_etag_and_keep_alive_every_poll_dials_and_gets_200() {
    let world = world().await;
    let stop = poller(&world, Polling { etag: false, keep_alive: false, ..exact(1) });
    world.record.until(|account| account.total.answers == 5).await;
    stop.stop();
    let total = world.record.account().total;
    assert_eq!((total.connections, total.requests), (5, 5));
    assert_eq!(total.statuses, [(200, 5)].into());
}

#[tokio::test(start_paused = true)]
async fn a_poller_notices_that_its_connection_was_closed() {
    let world = world().await;
    // Longer than the app keeps idle connections.
    let _stop = poller(&world, exact(100));
    world.record.until(|account| account.total.answers == 3).await;
    let total = world.record.account().total;
    assert_eq!((total.connections, total.requests), (3, 3));
    assert!(total.request_failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn jitter_and_phase_spread_polls() {
    let world = world().await;
    let _stop = poller(&world, Polling { jitter: 0.2, ..Polling::every(secs(10)) });
    world.record.until(|account| account.total.answers == 50).await;
    let sent = world.record.pick(|event| matches!(event, ClientEvent::RequestSent { .. }).then_some(()));
    assert!((1..10_000).contains(&sent[0].0), "{}", sent[0].0);
    let pauses: Vec<u64> = sent.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(pauses.iter().all(|pause| (8_000..=12_001).contains(pause)), "{pauses:?}");
    assert!(pauses.iter().min() < Some(&9_000) && pauses.iter().max() > Some(&11_000), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_is_answered_at_the_update_or_at_the_end() {
    let world = world().await;
    let polling = LongPolling { wait: secs(30), ..LongPolling::default() };
    let client = LongPoller { actor: world.actor(1), settings: world.settings(), polling };
    world.net.spawn(client.run(Stop::new()));
    sleep(secs(40)).await;
    world.feed.publish(100);
    world.record.until(|account| account.total.answers == 3).await;
    let answers = world.record.pick(|event| match event {
        ClientEvent::AnswerReceived { status, took, .. } => Some((*status, took.as_secs())),
        _ => None,
    });
    assert_eq!(answers, [(30_000, (204, 30)), (40_000, (200, 10)), (70_000, (204, 30))]);
    let total = world.record.account().total;
    assert_eq!((total.connections, total.update_delay.max_us), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_app_answers_late_and_a_client_gives_up_in_time() {
    let world = world().await;
    let _stop = poller(&world, exact(60));
    sleep(secs(55)).await;
    // Over the poll at 60 s, and over the one at 120 s and its timeout of 30 s.
    world.control.stall_for(secs(20));
    sleep(secs(60)).await;
    world.control.stall_for(secs(50));
    world.record.until(|account| account.total.answers == 3).await;
    let seen = world.record.pick(|event| match event {
        ClientEvent::AnswerReceived { took, .. } => Some(Ok(took.as_secs())),
        ClientEvent::RequestFailed { why } => Some(Err(*why)),
        _ => None,
    });
    let timed_out = Err(RequestFailure::Timeout);
    assert_eq!(seen, [(0, Ok(0)), (75_000, Ok(15)), (150_000, timed_out), (180_000, Ok(0))]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_its_updates_at_its_rate() {
    let world = world().await;
    for _ in 0..100 {
        world.feed.publish(10_000);
    }
    let rate = ReadRate::bytes_per_second(50_000);
    let _stop = push_client(&world, Push { read_rate: rate.clone(), ..Push::default() });
    world.record.until_received(50).await;
    let at = world.clock.now_us() / 1000;
    assert!((9_500..11_000).contains(&at), "half a megabyte at 50 kB/s after {at} ms");
    rate.set(Some(0));
    sleep(secs(10)).await;
    let total = world.record.account().total;
    assert!(total.updates_received < 60, "{}", total.updates_received);
    rate.set(None);
    world.record.until_received(100).await;
    assert!(world.clock.now_us() / 1000 < at + 11_000);
    assert_eq!(world.record.account().total.sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_never_reads_is_given_up() {
    let world = world().await;
    for _ in 0..100 {
        world.feed.publish(10_000);
    }
    let rate = ReadRate::unlimited();
    let _stop = push_client(&world, Push { read_rate: rate.clone(), ..Push::default() });
    world.record.until_received(1).await;
    rate.set(Some(0));
    for _ in 0..100 {
        world.feed.publish(10_000);
    }
    world.record.until(|account| account.apps[&0].ends.contains_key("Timeout")).await;
    assert!((30_000..40_000).contains(&(world.clock.now_us() / 1000)));
}

#[tokio::test(start_paused = true)]
async fn every_message_is_acknowledged_or_given_up() {
    let world = world().await;
    let messages = Some(Messages { interval: secs(1), bytes: 200 });
    let stop = push_client(&world, Push { backoff: no_jitter(), messages, ..Push::default() });
    sleep(Duration::from_millis(10_500)).await;
    // The 11th and the 12th are on their way when the app dies.
    world.control.stall_for(secs(2));
    sleep(secs(2)).await;
    world.control.cut();
    sleep(Duration::from_millis(3_200)).await;
    stop.stop();
    world.record.until(|account| account.total.ends.len() == 2).await;
    let account = world.record.account();
    let total = &account.total;
    assert_eq!((total.messages_sent, total.messages_acked, total.acks_missing), (14, 12, 2));
    assert_eq!((total.messages_lost, account.apps[&0].messages_received), (0, 12));
    let missing = world.record.pick(|event| if let ClientEvent::AckMissing { n } = event { Some(*n) } else { None });
    assert_eq!(missing, [(12_500, 11), (12_500, 12)]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pings_notices_a_dead_app() {
    let world = world().await;
    let ping = Some(Pinging { silence: secs(20), timeout: secs(5) });
    let _stop = push_client(&world, Push { ping, ..Push::default() });
    sleep(secs(130)).await;
    assert!(world.record.account().total.ends.is_empty(), "pongs come");
    world.control.stall_for(secs(100));
    world.record.until(|account| !account.total.ends.is_empty()).await;
    let ends = world.record.pick(|event| match event {
        ClientEvent::Closed { how, lived, .. } => Some((*how, lived.as_secs())),
        _ => None,
    });
    assert_eq!(ends, [(145_000, (Ending::Timeout, 145))]);
}

#[tokio::test(start_paused = true)]
async fn pings_wait_for_silence() {
    let world = world().await;
    let ping = Some(Pinging { silence: secs(20), timeout: secs(5) });
    let _stop = push_client(&world, Push { ping, ..Push::default() });
    for _ in 0..3 {
        sleep(secs(11)).await;
        world.feed.publish(100);
    }
    // Dead from now on: a client that pinged every 20 s, whatever came, would ask after 7 s and not after 20.
    sleep(Duration::from_millis(10)).await;
    world.control.stall_for(secs(100));
    world.record.until(|account| !account.total.ends.is_empty()).await;
    let ends = world.record.pick(|event| matches!(event, ClientEvent::Closed { .. }).then_some(()));
    assert_eq!(ends, [(33_000 + 20_000 + 5_000, ())]);
}

#[tokio::test(start_paused = true)]
async fn both_ends_say_goodbye() {
    let world = world().await;
    let stop = push_client(&world, Push { backoff: no_jitter(), ..Push::default() });
    world.record.until(|account| account.total.sessions == 1).await;
    stop.stop();
    world.record.until(|account| account.apps[&0].ends.len() == 1).await;
    assert!(world.record.apps().contains(&AppEvent::SessionClosed { client: 1, how: Ending::Close, code: Some(1000) }));
    let _stop = push_client(&world, Push { backoff: no_jitter(), ..Push::default() });
    world.record.until(|account| account.total.sessions == 2).await;
    world.stop_app.stop();
    world.record.until(|account| account.total.connect_failures.len() == 1).await;
    let account = world.record.account();
    assert_eq!(account.total.ends, [("Left 1000".to_owned(), 1), ("Close 1001".to_owned(), 1)].into());
    assert_eq!(account.apps[&0].ends, [("Close 1000".to_owned(), 1), ("Left 1001".to_owned(), 1)].into());
}

#[tokio::test(start_paused = true)]
async fn workloads_keep_their_times() {
    let world = world().await;
    let sizes = Sizes::Range { min: 200, max: 300 };
    let burst = Pattern::Burst { every: secs(10), count: 3, spacing: secs(1) };
    for (pattern, expected) in [(Pattern::Periodic { every: secs(2) }, [7, 9, 11, 13]), (burst, [15, 16, 17, 25])] {
        let began = world.clock.now_us() / 1_000_000;
        let first = world.feed.latest();
        let workload = Workload { pattern, sizes, start_after: secs(5), max_updates: Some(4) };
        workload.run(Rng::new(5), world.feed.clone(), Stop::new()).await;
        let updates = world.feed.after(1, first, usize::MAX);
        let at: Vec<u64> = updates.iter().map(|update| update.created_us / 1_000_000 - began).collect();
        assert_eq!(at, expected);
        assert!(updates.iter().all(|update| (200..=300).contains(&update.json.len())));
    }
    let (began, first) = (world.clock.now_us(), world.feed.latest());
    let pattern = Pattern::Poisson { mean: secs(1) };
    let workload = Workload { pattern, sizes: Sizes::Fixed(100), start_after: Duration::ZERO, max_updates: Some(1000) };
    workload.run(Rng::new(6), world.feed.clone(), Stop::new()).await;
    assert_eq!(world.feed.latest(), first + 1000);
    let took = (world.clock.now_us() - began) / 1_000_000;
    assert!((900..1100).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn the_same_seeds_give_the_same_history() {
    let (mut histories, ping) = (Vec::new(), Some(Pinging { silence: secs(7), timeout: secs(3) }));
    for _ in 0..2 {
        let world = World::with_sidecar(MemoryNet::default(), false).await;
        let messages = Some(Messages { interval: secs(3), bytes: 0 });
        let _stop = push_client(&world, Push { ping, messages, ..Push::default() });
        let settings = world.settings();
        let polling = Polling { jitter: 0.3, ..Polling::every(secs(5)) };
        world.net.spawn(Poller { actor: world.actor(2), settings, polling }.run(Stop::new()));
        let pattern = Pattern::Poisson { mean: secs(4) };
        let sizes = Sizes::Range { min: 50, max: 5000 };
        let workload = Workload { pattern, sizes, start_after: secs(1), max_updates: Some(50) };
        world.net.spawn(workload.run(Rng::new(3), world.feed.clone(), Stop::new()));
        sleep(secs(60)).await;
        world.control.cut();
        world.record.until_received(100).await;
        histories.push(world.record.clients());
    }
    assert!(histories[0].len() > 200);
    assert_eq!(histories[0], histories[1]);
}
