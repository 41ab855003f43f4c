//! The faults of turmoil-net 0.1.0 that our layer lives with, each against its bare primitives. A test that fails
//! after an upgrade says which workaround can go; that ours is free of the fault is tested beside it or where noted.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use outrigger::net::Net as _;
use outrigger_sim::wan::Link;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use turmoil_net::shim::tokio::net::{TcpListener, TcpStream};
use turmoil_net::{EnterGuard, HostId, KernelConfig, Net, TcpFlags, Transport, netstat, set_current};

use crate::support::{dial, ms, run, two};

/// Passes after which nothing new comes.
const PASSES: usize = 400;

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut cx()) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn pump(guard: &EnterGuard) {
    let mut packets = Vec::new();
    for _ in 0..PASSES {
        guard.egress_all(&mut packets);
        if packets.is_empty() {
            return;
        }
        packets.drain(..).for_each(|packet| guard.deliver(packet));
    }
}

fn stock(config: KernelConfig) -> (EnterGuard, HostId, HostId) {
    let mut net = Net::with_config(config.retx_threshold(u32::MAX));
    let (a, b) = (net.add_host("10.0.0.1"), net.add_host("10.0.0.2"));
    (net.enter(), a, b)
}

fn pair(guard: &EnterGuard, a: HostId, b: HostId) -> (TcpStream, TcpStream, TcpListener) {
    set_current(b);
    let listener = now(TcpListener::bind("0.0.0.0:80")).unwrap();
    set_current(a);
    let mut connecting = Box::pin(TcpStream::connect("10.0.0.2:80"));
    assert!(connecting.as_mut().poll(&mut cx()).is_pending());
    pump(guard);
    set_current(a);
    let client = now(connecting).unwrap();
    set_current(b);
    let Poll::Ready(Ok((server, _))) = listener.poll_accept(&mut cx()) else { panic!("no connection") };
    (client, server, listener)
}

fn write(host: HostId, stream: &mut TcpStream, bytes: &[u8]) -> usize {
    set_current(host);
    match Pin::new(stream).poll_write(&mut cx(), bytes) {
        Poll::Ready(Ok(taken)) => taken,
        _ => 0,
    }
}

fn read(host: HostId, stream: &mut TcpStream, most: usize) -> usize {
    set_current(host);
    let mut bytes = vec![0; most];
    let mut buf = ReadBuf::new(&mut bytes);
    let _ = Pin::new(stream).poll_read(&mut cx(), &mut buf);
    buf.filled().len()
}

/// Streams close themselves on the host that is current.
fn close<T>(host: HostId, socket: T) {
    set_current(host);
    drop(socket);
}

fn sockets(ip: &str) -> usize {
    netstat(ip).entries.len()
}

/// Ours: `bulk::a_reader_that_stalls_stops_the_writer_and_gets_all_of_it_later` reads 8 KiB at a time.
#[test]
fn small_reads_never_reopen_a_closed_window() {
    let (guard, a, b) = stock(KernelConfig::default());
    let (mut client, mut server, listener) = pair(&guard, a, b);
    let mut sent = 0;
    let mut got = 0;
    for _ in 0..100 {
        sent += write(a, &mut client, &vec![0; 100_000]);
        pump(&guard);
    }
    for _ in 0..100 {
        got += read(b, &mut server, 16 << 10);
        pump(&guard);
        sent += write(a, &mut client, &vec![0; 100_000]);
        pump(&guard);
    }
    assert!(got < sent, "it does now: {got} of {sent}");
    close(a, client);
    close(b, (server, listener));
}

/// Ours: a kernel is never handed more than it has room for; `bulk` checks every byte.
#[test]
fn a_syn_promises_more_than_the_receive_buffer_holds() {
    let (guard, a, b) = stock(KernelConfig::default().recv_buf_cap(16 << 10));
    let (mut client, mut server, listener) = pair(&guard, a, b);
    assert_eq!(write(a, &mut client, &vec![0; 40_000]), 40_000);
    pump(&guard);
    let mut got = 0;
    for _ in 0..10 {
        got += read(b, &mut server, 64 << 10);
        pump(&guard);
    }
    assert!(got < 40_000, "all of it arrives now");
    close(a, client);
    close(b, (server, listener));
}

#[test]
fn data_for_a_closed_socket_is_swallowed() {
    let (guard, a, b) = stock(KernelConfig::default());
    let (mut client, server, listener) = pair(&guard, a, b);
    close(b, server);
    pump(&guard);
    for _ in 0..10 {
        assert_eq!(write(a, &mut client, &[0; 1000]), 1000, "it is refused now");
        pump(&guard);
    }
    close(a, client);
    close(b, listener);

    let refused = run(two(1, Link::latency(1000)), |world| async move {
        use outrigger::net::Listener as _;
        let listener = world.host("server").bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
        let net = world.host("client");
        let (mut client, accepted) = tokio::join!(dial(&net, world), listener.accept());
        drop(accepted.unwrap());
        tokio::time::sleep(ms(10)).await;
        client.write_all(&[0; 1000]).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        tokio::time::sleep(ms(10)).await;
        client.write_all(&[0; 1000]).await.is_err()
    });
    assert!(refused.result);
}

#[test]
fn a_closed_connection_that_lingers_blocks_its_port() {
    let (guard, a, b) = stock(KernelConfig::default());
    let (client, server, listener) = pair(&guard, a, b);
    close(b, (server, listener));
    pump(&guard);
    set_current(b);
    assert!(now(TcpListener::bind("0.0.0.0:80")).is_err(), "the port is free now");
    close(a, client);

    run(two(1, Link::latency(1000)), |world| async move {
        use outrigger::net::Listener as _;
        let (net, server) = (world.host("client"), world.host("server"));
        let listener = server.bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
        let (_client, accepted) = tokio::join!(dial(&net, world), listener.accept());
        drop((accepted.unwrap(), listener));
        tokio::time::sleep(ms(10)).await;
        server.bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
    });
}

#[test]
fn a_dial_given_up_in_the_handshake_leaves_a_socket_for_ever() {
    let (guard, a, b) = stock(KernelConfig::default());
    set_current(b);
    let listener = now(TcpListener::bind("0.0.0.0:80")).unwrap();
    set_current(a);
    let mut connecting = Box::pin(TcpStream::connect("10.0.0.2:80"));
    assert!(connecting.as_mut().poll(&mut cx()).is_pending());
    let mut packets = Vec::new();
    guard.egress_all(&mut packets);
    packets.drain(..).for_each(|packet| guard.deliver(packet));
    close(a, connecting);
    pump(&guard);
    close(b, listener);
    pump(&guard);
    set_current(b);
    assert!(now(TcpListener::bind("0.0.0.0:80")).is_err(), "the port is free now");

    run(two(1, Link::latency(10_000)), |world| async move {
        let server = world.host("server");
        let listener = server.bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
        let net = world.host("client");
        assert!(tokio::time::timeout(ms(15), dial(&net, world)).await.is_err());
        tokio::time::sleep(ms(100)).await;
        drop(listener);
        tokio::time::sleep(ms(100)).await;
        server.bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
    });
}

/// Ours: the wrappers set their host before they drop; every other test would fail if they did not.
#[test]
fn a_drop_closes_the_socket_of_whichever_host_is_current() {
    let (guard, a, b) = stock(KernelConfig::default());
    let (client, server, listener) = pair(&guard, a, b);
    let before = (sockets("10.0.0.1"), sockets("10.0.0.2"));
    close(b, client);
    pump(&guard);
    assert_eq!(sockets("10.0.0.1"), before.0, "the right one is closed now");
    std::mem::forget((server, listener));
}

#[test]
fn a_stream_that_outlives_the_kernels_panics_in_its_drop() {
    let (guard, a, b) = stock(KernelConfig::default());
    let (client, server, listener) = pair(&guard, a, b);
    close(b, (server, listener));
    drop(guard);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(client)));
    assert!(dropped.is_err(), "it is safe now");

    let survivor = run(two(1, Link::latency(1000)), |world| async move {
        crate::support::serve_echo(world, 1).await;
        dial(&world.host("client"), world).await
    });
    drop(survivor.result);
}

/// Ours: `faults::nobody_answers_for_127_seconds`.
#[test]
fn a_dial_that_nobody_answers_waits_for_ever() {
    let (guard, a, _) = stock(KernelConfig::default());
    set_current(a);
    let mut connecting = Box::pin(TcpStream::connect("10.0.0.9:80"));
    for _ in 0..10 {
        set_current(a);
        assert!(connecting.as_mut().poll(&mut cx()).is_pending(), "it gives up now");
        guard.egress_all(&mut Vec::new());
    }
    close(a, connecting);
}

/// A RST that meets a half-open socket; ours puts the last ACK in front of it, as here.
#[test]
fn a_reset_leaks_a_half_open_socket_unless_it_is_opened_first() {
    let leaked = |open_first: bool| {
        let (guard, a, b) = stock(KernelConfig::default());
        set_current(b);
        let listener = now(TcpListener::bind("0.0.0.0:80")).unwrap();
        set_current(a);
        let mut connecting = Box::pin(TcpStream::connect("10.0.0.2:80"));
        assert!(connecting.as_mut().poll(&mut cx()).is_pending());
        let mut packets = Vec::new();
        guard.egress_all(&mut packets);
        let syn = packets.pop().unwrap();
        guard.deliver(syn.clone());
        guard.egress_all(&mut packets);
        let Transport::Tcp(syn_ack) = packets.pop().unwrap().payload else { panic!("not TCP") };
        let forged = |flags: TcpFlags| {
            let mut packet = syn.clone();
            if let Transport::Tcp(tcp) = &mut packet.payload {
                tcp.flags = flags;
                tcp.ack = syn_ack.seq.wrapping_add(1);
            }
            packet
        };
        if open_first {
            guard.deliver(forged(TcpFlags { ack: true, ..TcpFlags::default() }));
        }
        guard.deliver(forged(TcpFlags { rst: true, ..TcpFlags::default() }));
        close(b, listener);
        pump(&guard);
        set_current(b);
        let taken = now(TcpListener::bind("0.0.0.0:80")).is_err();
        close(a, connecting);
        taken
    };
    assert_eq!((leaked(false), leaked(true)), (true, false));
}

/// turmoil-net's streams have no `readable`; ours peeks.
#[test]
fn readiness_is_there_before_the_bytes_are_taken() {
    let outcome = run(two(1, Link::latency(10_000)), |world| async move {
        crate::support::serve_echo(world, 5).await;
        let mut stream = dial(&world.host("client"), world).await;
        stream.write_all(b"hello").await.unwrap();
        let start = world.now();
        std::future::poll_fn(|cx| stream.poll_readable(cx)).await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        (world.now().checked_sub(start).unwrap(), back)
    });
    assert_eq!(outcome.result, (ms(20), *b"hello"));
}
