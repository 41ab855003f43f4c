//! Partitions, crashes, kills, clocks.

use std::io;
use std::time::{Duration, SystemTime};

use outrigger::net::{Endpoint, Listener as _, Net};
use outrigger_sim::engine::HostSpec;
use outrigger_sim::fault::Fault;
use outrigger_sim::wan::{Link, Place};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::support::{PORT, dial, echo, echo_once, micros, ms, run, serve_echo, two};

const A: Place = Place::Region(0);
const B: Place = Place::Region(1);

#[test]
fn after_a_partition_streams_go_on_with_the_next_retransmission() {
    for fault in [Fault::Partition { a: A, b: B }, Fault::Block { from: B, to: A }, Fault::Block { from: A, to: B }] {
        let outcome = run(two(1, Link::latency(40_000)), |world| async move {
            serve_echo(world, 100).await;
            let mut stream = dial(&world.host("client"), world).await;
            for _ in 0..20 {
                echo_once(world, &mut stream, 100).await;
            }
            let start = world.now();
            world.apply(&fault);
            world.at(start + ms(2000), Fault::Heal { a: A, b: B });
            let echoed = echo_once(world, &mut stream, 100).await;
            (echoed, echo_once(world, &mut stream, 100).await)
        });
        // Tries at about 0.3, 0.9, 2.1 s: the third one gets through.
        let (during, after) = outcome.result;
        assert!((2_000_000..2_400_000).contains(&during), "{during}");
        assert_eq!(after, 80_000);
    }
}

#[test]
fn a_crashed_host_is_silent_and_its_successor_resets_what_it_does_not_know() {
    let outcome = run(two(1, Link::latency(10_000)), |world| async move {
        serve_echo(world, 100).await;
        let client = world.host("client");
        let mut stream = dial(&client, world).await;
        echo_once(world, &mut stream, 100).await;
        world.crash("server");
        stream.write_all(&[1; 100]).await.unwrap();
        let silent = timeout(ms(10_000), stream.read(&mut [0])).await.is_err();
        let refused = timeout(ms(2000), client.connect(&Endpoint::Tcp(world.host("server").addr(PORT)))).await.is_err();
        let server = world.restart("server");
        server.spawn(echo(server.clone(), 100));
        let error = stream.read(&mut [0]).await.unwrap_err().kind();
        let mut again = dial(&client, world).await;
        echo_once(world, &mut again, 100).await;
        assert_eq!(again.peer_addr(), server.addr(PORT));
        (silent, refused, error)
    });
    assert_eq!(outcome.result, (true, true, io::ErrorKind::ConnectionReset));
}

/// Its old connections are still there at the other end, and know nothing of a new one from their port.
#[test]
fn a_host_that_comes_back_after_power_loss_dials_from_ports_of_its_own() {
    let outcome = run(two(1, Link::latency(10_000)).host(HostSpec::new("laptop", 0).lives(3)), |world| async move {
        serve_echo(world, 100).await;
        let mut ports = Vec::new();
        let mut held = Vec::new();
        for _ in 0..3 {
            let laptop = world.host("laptop");
            for _ in 0..2 {
                let start = world.now();
                let mut stream = dial(&laptop, world).await;
                echo_once(world, &mut stream, 100).await;
                assert_eq!(world.now().checked_sub(start), Some(ms(40)));
                ports.push(stream.local_addr().port());
                held.push(stream);
            }
            world.crash("laptop");
            if ports.len() < 6 {
                world.restart("laptop");
            }
        }
        ports
    });
    let ports = outcome.result;
    assert!(ports.is_sorted_by(|a, b| a < b), "{ports:?}");
}

#[test]
fn a_killed_process_closes_its_connections_and_frees_its_port() {
    let outcome = run(two(1, Link::latency(10_000)), |world| async move {
        serve_echo(world, 100).await;
        let client = world.host("client");
        let mut stream = dial(&client, world).await;
        echo_once(world, &mut stream, 100).await;
        let start = world.now();
        world.kill("server");
        let end = stream.read(&mut [0]).await.unwrap();
        let took = micros(world.now().checked_sub(start).unwrap());
        let refused = client.connect(&Endpoint::Tcp(world.host("server").addr(PORT))).await.unwrap_err().kind();
        let server = world.restart("server");
        server.spawn(echo(server.clone(), 100));
        let mut again = dial(&client, world).await;
        echo_once(world, &mut again, 100).await;
        (end, took, refused)
    });
    assert_eq!(outcome.result, (0, 10_000, io::ErrorKind::ConnectionRefused));
}

#[test]
fn a_sender_whose_peer_is_gone_for_good_gives_up_after_a_quarter_of_an_hour() {
    let outcome = run(two(1, Link::latency(10_000)), |world| async move {
        serve_echo(world, 100).await;
        let mut stream = dial(&world.host("client"), world).await;
        echo_once(world, &mut stream, 100).await;
        world.crash("server");
        stream.write_all(&[1; 100]).await.unwrap();
        let start = world.now();
        let error = stream.read(&mut [0]).await.unwrap_err().kind();
        (error, world.now().checked_sub(start).unwrap())
    });
    let (error, after) = outcome.result;
    assert_eq!(error, io::ErrorKind::TimedOut);
    assert!((Duration::from_mins(13)..Duration::from_mins(18)).contains(&after), "{after:?}");
}

#[test]
fn nobody_answers_for_127_seconds() {
    let outcome = run(two(1, Link::latency(10_000)), |world| async move {
        world.crash("server");
        let start = world.now();
        let target = Endpoint::Tcp(world.host("server").addr(PORT));
        let error = world.host("client").connect(&target).await.unwrap_err().kind();
        (error, world.now().checked_sub(start).unwrap(), world.traffic()[0].up.packets)
    });
    assert_eq!(outcome.result, (io::ErrorKind::TimedOut, Duration::from_secs(127), 7));
}

#[test]
fn what_was_sent_before_a_reset_can_be_read() {
    let outcome = run(two(1, Link::latency(10_000)), |world| async move {
        let listener = world.host("server").bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
        let net = world.host("client");
        let (mut client, accepted) = tokio::join!(dial(&net, world), listener.accept());
        let mut server = accepted.unwrap().0;
        client.write_all(b"unread").await.unwrap();
        sleep(ms(100)).await;
        server.write_all(b"last words").await.unwrap();
        sleep(ms(1)).await;
        drop(server);
        sleep(ms(100)).await;
        let mut words = [0; 10];
        client.read_exact(&mut words).await.unwrap();
        (words, client.read(&mut [0]).await.unwrap_err().kind())
    });
    assert_eq!(outcome.result, (*b"last words", io::ErrorKind::ConnectionReset));
}

#[test]
fn clocks_go_with_virtual_time_and_can_be_wrong() {
    let outcome = run(two(1, Link::latency(1)), |world| async move {
        let start = world.host("client").wall_clock();
        sleep(ms(1500)).await;
        world.apply(&Fault::Skew { host: world.index("client"), offset_us: -2_000_000 });
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        (seconds(start), seconds(world.host("client").wall_clock()), seconds(world.host("server").wall_clock()))
    });
    let epoch = u128::from(outrigger_sim::engine::EPOCH_S) * 1000;
    assert_eq!(outcome.result, (epoch, epoch - 500, epoch + 1500));
}
