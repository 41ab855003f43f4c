//! Many bytes, slow readers, and all of it under stress.

use std::time::Duration;

use outrigger::net::{Listener as _, Net};
use outrigger_sim::engine::World;
use outrigger_sim::fault::Fault;
use outrigger_sim::net::SimStream;
use outrigger_sim::wan::{Link, Place};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::support::{dial, ms, run, two};

const CHUNK: usize = 16 * 1024;

/// What is at this place of the stream.
fn byte(at: usize) -> u8 {
    u8::try_from((at / 7 + at) % 253).unwrap()
}

async fn write_all(mut stream: SimStream, total: usize) {
    let mut at = 0;
    while at < total {
        let chunk: Vec<u8> = (at..total.min(at + CHUNK)).map(byte).collect();
        stream.write_all(&chunk).await.unwrap();
        at += chunk.len();
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

/// Reads to the end and says how much there was; every byte is what it should be.
async fn read_all(stream: &mut SimStream, pause: Option<Duration>) -> usize {
    let (mut at, mut buf) = (0, vec![0; 8 * 1024]);
    loop {
        let n = stream.read(&mut buf).await.unwrap();
        if n == 0 {
            return at;
        }
        assert!(buf[..n].iter().enumerate().all(|(i, b)| *b == byte(at + i)), "corrupt near {at}");
        at += n;
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }
}

#[test]
fn sixty_four_mebibytes_arrive_whole_under_loss() {
    const TOTAL: usize = 64 << 20;
    let link = Link::latency(5000).jitter(500).loss(20_000);
    let outcome = run(two(3, link), |world| async move {
        let listener = world.host("server").bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
        let client = world.host("client");
        let (stream, accepted) = tokio::join!(dial(&client, world), listener.accept());
        client.spawn(write_all(stream, TOTAL));
        read_all(&mut accepted.unwrap().0, None).await
    });
    assert_eq!(outcome.result, TOTAL);
}

#[test]
fn a_reader_that_stalls_stops_the_writer_and_gets_all_of_it_later() {
    const TOTAL: usize = 4 << 20;
    let mut options = two(1, Link::latency(20_000));
    options.time_limit = Duration::from_mins(1);
    let outcome = run(options, |world| async move {
        let listener = world.host("server").bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
        let client = world.host("client");
        let (mut stream, accepted) = tokio::join!(dial(&client, world), listener.accept());
        let mut reader = accepted.unwrap().0;
        let mut taken = 0;
        while let Ok(n) = timeout(ms(5000), stream.write(&(taken..taken + CHUNK).map(byte).collect::<Vec<_>>())).await {
            taken += n.unwrap();
        }
        client.spawn(async move {
            let rest: Vec<u8> = (taken..TOTAL).map(byte).collect();
            stream.write_all(&rest).await.unwrap();
            drop(stream);
        });
        (taken, read_all(&mut reader, Some(ms(1))).await)
    });
    let (taken, read) = outcome.result;
    assert!((64 << 10..512 << 10).contains(&taken), "{taken} bytes were taken of a reader that reads nothing");
    assert_eq!(read, TOTAL);
}

#[test]
fn within_a_host_a_stalled_reader_gets_all_of_it_too() {
    const TOTAL: usize = 20 << 20;
    let mut options = two(1, Link::latency(1));
    options.time_limit = Duration::from_mins(1);
    let outcome = run(options, |world| async move {
        let net = world.host("server");
        let listener = net.bind("127.0.0.1:80".parse().unwrap()).await.unwrap();
        let target = outrigger::net::Endpoint::Tcp("127.0.0.1:80".parse().unwrap());
        let (stream, accepted) = tokio::join!(net.connect(&target), listener.accept());
        net.spawn(write_all(stream.unwrap(), TOTAL));
        sleep(ms(1000)).await;
        (read_all(&mut accepted.unwrap().0, None).await, world.stats().packets)
    });
    assert_eq!(outcome.result, (TOTAL, 0));
}

/// Clients that echo through every fault there is; each echo is whole and right, or its connection fails.
async fn chaos(world: World) -> (u64, u64) {
    const CLIENTS: u64 = 6;
    let mut rng = world.rng("chaos");
    let server = world.host("server");
    server.spawn(crate::support::echo(server.clone(), 3000));
    let (a, b) = (Place::Region(0), Place::Region(1));
    for _ in 0..6 {
        let (start, length) = (ms(rng.below(20_000)), ms(1 + rng.below(3000)));
        match rng.below(4) {
            0 => {
                world.at(start, Fault::Partition { a, b });
                world.at(start + length, Fault::Heal { a, b });
            }
            1 => {
                world.at(start, Fault::Block { from: b, to: a });
                world.at(start + length, Fault::Unblock { from: b, to: a });
            }
            2 => world.during(start, length, (a, b), |link| link.loss(300_000)),
            _ => world.during(start, length, (b, a), |link| Link { latency_us: 400_000, ..link }),
        }
    }
    let crash_at = ms(5000 + rng.below(10_000));
    let (sender, mut results) = tokio::sync::mpsc::channel(1);
    for number in 0..CLIENTS {
        let (net, sender) = (world.host("client"), sender.clone());
        let task_net = net.clone();
        net.spawn(async move {
            let (mut whole, mut failed) = (0, 0);
            while world.now() < ms(25_000) {
                sleep(ms(37 * (number + 1))).await;
                let target = outrigger::net::Endpoint::Tcp(world.host("server").addr(80));
                let Ok(Ok(mut stream)) = timeout(ms(4000), task_net.connect(&target)).await else {
                    failed += 1;
                    continue;
                };
                for turn in 0..5 {
                    let sent = vec![u8::try_from(turn).unwrap(); 3000];
                    let mut back = vec![0; 3000];
                    let echo = async {
                        stream.write_all(&sent).await?;
                        stream.read_exact(&mut back).await
                    };
                    if !matches!(timeout(ms(4000), echo).await, Ok(Ok(_))) {
                        failed += 1;
                        break;
                    }
                    assert_eq!(back, sent);
                    whole += 1;
                }
            }
            sender.send((whole, failed)).await.unwrap();
        });
    }
    sleep(crash_at).await;
    world.crash("server");
    sleep(ms(rng.below(2000))).await;
    let server = world.restart("server");
    server.spawn(crate::support::echo(server.clone(), 3000));
    let mut sums = (0, 0);
    for _ in 0..CLIENTS {
        let (whole, failed) = results.recv().await.unwrap();
        assert!(whole > 0);
        sums = (sums.0 + whole, sums.1 + failed);
    }
    sums
}

#[test]
fn forty_seeds_of_chaos_leave_nothing_stuck_and_nothing_corrupt() {
    let (mut whole, mut failed) = (0, 0);
    for seed in 0..40 {
        let mut options = two(seed, Link::latency(15_000).jitter(3000).loss(10_000));
        options.time_limit = Duration::from_mins(2);
        options.event_limit = 1_000_000;
        let (w, f) = run(options, chaos).result;
        whole += w;
        failed += f;
    }
    assert!(whole > 40 * 6 * 20 && failed > 40, "{whole} whole, {failed} failed");
}
