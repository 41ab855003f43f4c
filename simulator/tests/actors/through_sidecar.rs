//! Every client through the real sidecar, in the clear and over TLS, in memory and over loopback: no update is lost,
//! none comes twice, also when the app closes in between.

use std::time::Duration;

use outrigger::net::{Net, TokioNet};
use outrigger_sim::actors::{
    Account, Backoff, Jitter, LongPoller, LongPolling, Messages, Poller, Polling, Push, PushClient, Sse, SseClient,
    Stop,
};

use tokio::time::timeout;

use crate::memory::MemoryNet;
use crate::world::World;

/// Of real time.
const PATIENCE: Duration = Duration::from_secs(30);
const SERVICE_RESTART: u16 = 1012;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Poller,
    LongPoller,
    Push,
    Sse,
}

/// Short waits, so that the tests over loopback are short too.
fn backoff() -> Backoff {
    Backoff { base: Duration::from_millis(20), jitter: Jitter::Equal, ..Backoff::default() }
}

fn start<N: Net>(world: &World<N>, kind: Kind, stop: &Stop) {
    let (actor, settings, stop) = (world.actor(1), world.settings(), stop.clone());
    match kind {
        Kind::Poller => {
            let polling = Polling { jitter: 0.5, ..Polling::every(Duration::from_millis(20)) };
            world.net.spawn(Poller { actor, settings, polling }.run(stop));
        }
        Kind::LongPoller => {
            let polling = LongPolling { wait: Duration::from_secs(1), keep_alive: true, backoff: backoff() };
            world.net.spawn(LongPoller { actor, settings, polling }.run(stop));
        }
        Kind::Push => {
            let messages = Some(Messages { interval: Duration::from_millis(10), bytes: 30 });
            let push = Push { backoff: backoff(), messages, ..Push::default() };
            world.net.spawn(PushClient { actor, settings, push }.run(stop));
        }
        Kind::Sse => {
            let sse = Sse { backoff: backoff(), ..Sse::default() };
            world.net.spawn(SseClient { actor, settings, sse }.run(stop));
        }
    }
}

/// Ten updates one by one, then ten at once, then a cut by the app with ten more, then ten more.
async fn get_all_updates<N: Net>(net: N, kind: Kind, tls: bool) -> Account {
    let world = World::with_sidecar(net, tls).await;
    let stop = Stop::new();
    start(&world, kind, &stop);
    let sessions = u64::from(matches!(kind, Kind::Push | Kind::Sse));
    let record = &world.record;
    record.until(|account| account.total.answers > 0 || account.total.sessions >= sessions.max(1)).await;
    for n in 1..=10 {
        world.feed.publish(100);
        record.until_received(n).await;
    }
    for _ in 0..10 {
        world.feed.publish(2000);
    }
    record.until_received(15).await;
    world.control.close_sessions(SERVICE_RESTART);
    for _ in 0..10 {
        world.feed.publish(300);
    }
    record.until_received(30).await;
    record.until(|account| account.total.sessions == 2 * sessions).await;
    for n in 31..=40 {
        world.feed.publish(10);
        record.until_received(n).await;
    }
    if kind == Kind::Push {
        record.until(|account| account.total.messages_acked >= 3).await;
    }
    stop.stop();
    record.until(|account| account.total.ends.values().sum::<u64>() == 2 * sessions).await;
    let account = record.account();
    let total = &account.total;
    assert_eq!((total.updates_received, total.updates_duplicated), (40, 0), "{kind:?}");
    assert_eq!((total.updates_lost, total.updates_outstanding), (0, 0), "{kind:?}");
    assert_eq!(total.tls_handshakes, if tls { total.connections } else { 0 }, "{kind:?}");
    account
}

async fn every_kind<N: Net>(net: N, tls: bool) {
    for kind in [Kind::Poller, Kind::LongPoller] {
        let total = get_all_updates(net.clone(), kind, tls).await.total;
        assert_eq!((total.connections, total.sessions), (1, 0), "{kind:?} keeps its connection");
        assert!(total.requests >= 20, "{kind:?}: {}", total.requests);
    }
    let sse = get_all_updates(net.clone(), Kind::Sse, tls).await.total;
    assert_eq!((sse.requests, sse.sessions, sse.reconnects), (2, 2, 1));
    assert_eq!(sse.ends.keys().collect::<Vec<_>>(), ["Eof", "Left"]);
    let account = get_all_updates(net, Kind::Push, tls).await;
    let push = &account.total;
    assert_eq!((push.requests, push.connections, push.sessions, push.reconnects), (2, 2, 2, 1));
    assert_eq!(push.ends.keys().collect::<Vec<_>>(), ["Close 1012", "Left 1000"]);
    assert_eq!(push.messages_sent, push.messages_acked + push.acks_missing);
    assert_eq!(push.messages_lost, 0);
    assert!(account.apps[&0].messages_received >= push.messages_acked);
}

#[tokio::test(start_paused = true)]
async fn in_memory_in_the_clear() {
    every_kind(MemoryNet::default(), false).await;
}

#[tokio::test(start_paused = true)]
async fn in_memory_over_tls() {
    every_kind(MemoryNet::default(), true).await;
}

#[tokio::test]
async fn over_loopback_in_the_clear() {
    timeout(PATIENCE, every_kind(TokioNet::default(), false)).await.expect("a second or two");
}

#[tokio::test]
async fn over_loopback_over_tls() {
    timeout(PATIENCE, every_kind(TokioNet::default(), true)).await.expect("a second or two");
}
