//! Hops that cut.

use std::io;
use std::time::Duration;

use outrigger_sim::middlebox::{End, Hop};
use outrigger_sim::wan::Link;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::support::{dial, echo_once, ms, run, serve_echo, two};

const MINUTE: Duration = Duration::from_mins(1);

/// Cuts an idle connection, and says what the client then finds out, and when.
fn idle(end: End) -> (io::Result<usize>, u64) {
    let mut options = two(1, Link::latency(10_000));
    options.hosts[1] = options.hosts[1].clone().hop(Hop::new("lb").idle(MINUTE, end));
    let outcome = run(options, |world| async move {
        serve_echo(world, 100).await;
        let mut stream = dial(&world.host("client"), world).await;
        // Traffic keeps it alive.
        for _ in 0..3 {
            sleep(Duration::from_secs(50)).await;
            echo_once(world, &mut stream, 100).await;
        }
        assert_eq!(world.cuts(), []);
        let found = timeout(2 * MINUTE, stream.read(&mut [0])).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()));
        let at = world.now().as_millis();
        if end == End::Fin {
            stream.write_all(&[0; 100]).await.unwrap();
            sleep(ms(100)).await;
            assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        }
        (found, u64::try_from(at).unwrap())
    });
    let cut = &outcome.cuts[0];
    assert_eq!((&*cut.hop, &*cut.host, cut.end, cut.of_age), ("lb", "server", end, false));
    assert_eq!(outcome.cuts.len(), 1);
    outcome.result
}

#[test]
fn an_idle_connection_is_reset() {
    let (found, at) = idle(End::Rst);
    assert_eq!(found.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(at / 1000, 210);
}

#[test]
fn an_idle_connection_is_closed() {
    let (found, at) = idle(End::Fin);
    assert_eq!(found.unwrap(), 0);
    assert_eq!(at / 1000, 210);
}

#[test]
fn an_idle_connection_is_forgotten() {
    let (found, _) = idle(End::Silence);
    assert_eq!(found.unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_lifetime_ends_a_busy_connection() {
    let mut options = two(1, Link::latency(10_000));
    options.hosts[0] = options.hosts[0].clone().hop(Hop::new("gce").lifetime(Duration::from_secs(30), End::Rst));
    let outcome = run(options, |world| async move {
        serve_echo(world, 100).await;
        let mut stream = dial(&world.host("client"), world).await;
        loop {
            let mut back = [0; 100];
            if stream.write_all(&[1; 100]).await.is_err() || stream.read_exact(&mut back).await.is_err() {
                return world.now();
            }
            sleep(ms(500)).await;
        }
    });
    assert_eq!(outcome.result.as_secs(), 30);
    assert!(outcome.cuts[0].of_age);
}

/// When the hop cuts each of so many idle connections, in milliseconds after its start.
fn cut_one_by_one(seed: u64, connections: usize) -> Vec<u64> {
    let (from, to) = (MINUTE / 2, MINUTE);
    let mut options = two(seed, Link::latency(10_000));
    options.hosts[0] = options.hosts[0].clone().hop(Hop::new("nat").idle_between(from, to, End::Rst));
    let outcome = run(options, |world| async move {
        serve_echo(world, 100).await;
        let mut streams = Vec::new();
        for _ in 0..connections {
            streams.push(dial(&world.host("client"), world).await);
        }
        sleep(2 * MINUTE).await;
    });
    let mut cuts = outcome.cuts;
    cuts.sort_by_key(|cut| cut.client);
    cuts.iter().map(|cut| cut.at_us / 1000).collect()
}

#[test]
fn each_connection_has_an_idle_limit_of_its_own() {
    let cuts = cut_one_by_one(1, 40);
    assert_eq!(cuts.len(), 40);
    let (min, max) = (*cuts.iter().min().unwrap(), *cuts.iter().max().unwrap());
    assert!((30_000..33_000).contains(&min), "forty draws come near the lower end: {min} ms");
    assert!((57_000..62_000).contains(&max), "and near the upper one: {max} ms");
    assert_eq!(cut_one_by_one(1, 40), cuts);
    assert_ne!(cut_one_by_one(2, 40), cuts);
    assert_eq!(cut_one_by_one(1, 7), cuts[..7], "what else is dialled changes no limit");
}
