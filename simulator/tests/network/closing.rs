//! How connections end: what was written before is read before.

use std::io;
use std::time::Duration;

use outrigger::net::{Listener as _, Net as _};
use outrigger_sim::engine::World;
use outrigger_sim::net::SimStream;
use outrigger_sim::wan::Link;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::{dial, ms, run, two};

/// Both ends of a new connection, the client's first.
async fn pair(world: World) -> (SimStream, SimStream) {
    let listener = world.host("server").bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
    let net = world.host("client");
    let (client, accepted) = tokio::join!(dial(&net, world), listener.accept());
    (client, accepted.unwrap().0)
}

#[test]
fn an_end_of_stream_comes_behind_what_is_still_unread_and_leaves_the_other_direction_open() {
    let outcome = run(two(1, Link::latency(10_000)), |world| async move {
        let (mut client, mut server) = pair(world).await;
        client.write_all(b"abc").await.unwrap();
        client.shutdown().await.unwrap();
        let refused = client.write(b"more").await.unwrap_err().kind();
        sleep(ms(100)).await;
        let mut read = Vec::new();
        for _ in 0..4 {
            let mut byte = [0];
            let taken = server.read(&mut byte).await.unwrap();
            read.extend_from_slice(&byte[..taken]);
            // The end is not there before all of it was taken, however long that takes.
            sleep(ms(100)).await;
        }
        server.write_all(b"answer").await.unwrap();
        server.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        (read, answer, refused)
    });
    assert_eq!(outcome.result, (b"abc".to_vec(), b"answer".to_vec(), io::ErrorKind::BrokenPipe));
}

#[test]
fn what_was_written_before_a_stream_is_dropped_arrives_whole() {
    const BYTES: usize = 300_000;
    let outcome = run(two(1, Link::latency(10_000)), |world| async move {
        let (mut client, mut server) = pair(world).await;
        let reading = async {
            let mut read = Vec::new();
            server.read_to_end(&mut read).await.unwrap();
            read.len()
        };
        let writing = async {
            client.write_all(&vec![7; BYTES]).await.unwrap();
            drop(client);
        };
        tokio::join!(reading, writing).0
    });
    assert_eq!(outcome.result, BYTES);
}

#[test]
fn a_reader_and_a_writer_that_wait_hear_of_a_reset() {
    let outcome = run(two(1, Link::latency(10_000)), |world| async move {
        let (client, mut server) = pair(world).await;
        let (mut read, mut write) = tokio::io::split(client);
        let reading = async { read.read(&mut [0]).await.unwrap_err().kind() };
        let writing = async {
            loop {
                // Nobody reads it, so it fills every buffer on the way, and waits.
                if let Err(error) = write.write_all(&vec![7; 64 * 1024]).await {
                    return error.kind();
                }
            }
        };
        let dropping = async {
            server.read_exact(&mut [0]).await.unwrap();
            sleep(Duration::from_mins(1)).await;
            drop(server);
        };
        let (read, written, ()) = tokio::join!(reading, writing, dropping);
        (read, written)
    });
    assert_eq!(outcome.result, (io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionReset));
}
