//! What is counted on the wire.

use std::time::Duration;

use outrigger::net::{Listener as _, Net};
use outrigger_sim::wan::Link;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::{dial, run, two};

const SECOND: Duration = Duration::from_secs(1);
const TIMES: u64 = 60;

/// WebSocket's header of a 100-byte message from the server, and the message.
const PUSH: usize = 102;
const REQUEST: usize = 80 + 52 - 52;
const ANSWER: usize = 166;

#[test]
fn sixty_pushes_cost_what_they_cost_on_linux() {
    let outcome = run(two(1, Link::latency(5000)), |world| async move {
        let server = world.host("server");
        let listener = server.bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
        let net = world.host("client");
        let (mut client, accepted) = tokio::join!(dial(&net, world), listener.accept());
        let (mut server, _) = accepted.unwrap();
        sleep(SECOND).await;
        let before = world.traffic().remove(0);
        for _ in 0..TIMES {
            server.write_all(&[7; PUSH]).await.unwrap();
            client.read_exact(&mut [0; PUSH]).await.unwrap();
            sleep(SECOND).await;
        }
        let after = world.traffic().remove(0);
        (after.down.bytes - before.down.bytes, after.up.bytes - before.up.bytes)
    });
    assert_eq!(outcome.result, (TIMES * 154, TIMES * 52));
}

#[test]
fn sixty_polls_cost_what_they_cost_on_linux() {
    let outcome = run(two(1, Link::latency(5000)), |world| async move {
        let server = world.host("server");
        let listener = server.bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
        let net = world.host("client").labelled("polling");
        let (mut client, accepted) = tokio::join!(dial(&net, world), listener.accept());
        let (mut server, _) = accepted.unwrap();
        sleep(SECOND).await;
        let before = world.traffic().remove(0);
        for _ in 0..TIMES {
            client.write_all(&[7; REQUEST]).await.unwrap();
            server.read_exact(&mut [0; REQUEST]).await.unwrap();
            server.write_all(&[7; ANSWER]).await.unwrap();
            client.read_exact(&mut [0; ANSWER]).await.unwrap();
            sleep(SECOND).await;
        }
        let after = world.traffic().remove(0);
        assert_eq!((&*after.client, &*after.server, after.port, &*after.label), ("client", "server", 80, "polling"));
        (after.down.bytes - before.down.bytes, after.up.bytes - before.up.bytes)
    });
    assert_eq!(outcome.result, (13_080, 11_040));
}
