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
