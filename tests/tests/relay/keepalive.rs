//! Sessions that are idle but alive stay, dead peers are reaped, and an idle close carries a Close (promise 19).

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use outrigger_tests::sidecar::NAME;
use outrigger_tests::ws::{PING, PONG, TEXT, switching};
use outrigger_tests::{App, Frame, Hop, Side, Sidecar, Wire};
use rustix::process::Signal;
use serde_json::json;

use crate::pair::{Bench, assert_says, each_scheme, each_way, peer};

/// What the hop in front of the sidecar allows.
const HOP_IDLE: Duration = Duration::from_secs(4);

/// More than twice that, and three times the idle limit of the sidecar itself.
const ALIVE: Duration = Duration::from_secs(9);

#[test]
fn b19_keepalive_holds_an_idle_session_through_a_hop_that_cuts_idle_ones() {
    let app = App::echo();
    let launch = Sidecar::before(app.addr()).http().https().flag("--proxy-read-timeout", "3s");
    let sidecar = launch.flag("--keepalive", "1s").start();
    each_scheme(|scheme| {
        let (_hop, mut client) = through_a_hop(&sidecar, scheme);
        let start = Instant::now();
        while start.elapsed() < ALIVE {
            // Nothing but the pings of the sidecar, which any client answers by itself.
            let frame = client.frame();
            assert_eq!(frame.opcode, PING, "after {:?}: {frame:?}", start.elapsed());
            client.send(Frame::client(PONG, frame.payload).bytes());
        }
        client.echo("still here");
    });
}

#[test]
fn b19_without_keepalive_an_idle_session_is_closed_before_the_hop_cuts_it() {
    let app = App::echo();
    let launch = Sidecar::before(app.addr()).http().https().flag("--proxy-read-timeout", "2s");
    let sidecar = launch.flag("--keepalive", "off").start();
    each_scheme(|scheme| {
        let (_hop, mut client) = through_a_hop(&sidecar, scheme);
        let start = Instant::now();
        client.expect_close(1001);
        assert!(start.elapsed() > Duration::from_millis(1500), "closed after {:?} already", start.elapsed());
        client.send(Frame::close(Side::Client, 1001).bytes());
        client.expect_end();
    });
}

#[test]
fn b19_the_app_hears_of_an_idle_close_in_the_client_s_answer() {
    let bench = Bench::new(&[("--proxy-read-timeout", "1s"), ("--keepalive", "off")]);
    let mut pair = bench.open("http");
    pair.client.expect_close(1001);
    pair.part_in_order(1001);
    let line = bench.account(&pair);
    assert_says(&line, &json!({ "by": "sidecar", "cause": "idle", "side": null }));
    assert_says(&line, &json!({ "client_code": 1001, "app_code": 1001, "client_messages": 0, "app_messages": 0 }));
}

#[test]
fn b19_traffic_of_one_side_keeps_a_session_from_being_idle() {
    let bench = Bench::new(&[("--proxy-read-timeout", "2s"), ("--keepalive", "off")]);
    each_way(|scheme, from| {
        let mut pair = bench.open(scheme);
        for _ in 0..9 {
            assert!(pair.end(from).is_quiet(Duration::from_millis(300)));
            pair.passes(from, &Frame::of(from, PONG, "here"));
        }
    });
}

/// Containers are throttled and virtual machines move: what came in time is no less in time when it is read late.
#[test]
fn b19_a_sidecar_that_was_paused_reads_before_it_calls_a_session_idle() {
    // Long enough for a busy machine to get from the last byte to the next within it.
    let bench = Bench::new(&[("--proxy-read-timeout", "4s"), ("--keepalive", "off")]);
    let mut pair = bench.open("http");
    pair.passes(Side::Client, &Frame::client(PONG, "before"));
    bench.sidecar.wait_asleep();
    bench.sidecar.signal(Signal::STOP);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(4500) {
        pair.client.send(Frame::client(PONG, "during").bytes());
        assert!(pair.client.is_quiet(Duration::from_millis(100)), "a stopped process speaks");
    }
    bench.sidecar.signal(Signal::CONT);
    assert_eq!(pair.app.frame().payload, b"during");
    // Were it closed as idle, a Close would stand before this.
    pair.passes(Side::App, &Frame::app(PONG, "after"));
}

/// A session that had much to do in one turn has its timer all the same. Each message is a write of its own where all are traced, and
/// around a hundred of them the runtime has a task wait for its next turn.
#[test]
fn b19_a_burst_right_behind_the_101_stops_no_keepalive() {
    const BURSTS: RangeInclusive<usize> = 110..=132;
    let app = App::scripted(|conn| {
        let Some(request) = conn.request() else { return };
        let burst = request.target().trim_start_matches('/').parse().expect("a number of messages");
        let mut answer = switching(&request, &[]).into_bytes();
        (0..burst).for_each(|_| answer.extend(Frame::app(TEXT, "x").bytes()));
        conn.send(answer);
        conn.rest();
    });
    let launch = Sidecar::before(app.addr()).http().flag("--keepalive-client", "1s").flag("--keepalive-app", "off");
    // Nobody is there: what cannot be exported is dropped.
    let sidecar = launch.flag("--otlp-endpoint", "http://127.0.0.1:9").flag("--trace-messages", "100%").start();
    let mut clients: Vec<_> = BURSTS
        .map(|burst| {
            let mut client = sidecar.client();
            client.open(&format!("/{burst}"), &[]);
            (burst, client)
        })
        .collect();
    for (burst, client) in &mut clients {
        (0..*burst).for_each(|nth| assert_eq!(client.frame().opcode, TEXT, "message {nth} of {burst}"));
        assert_eq!(client.frame().opcode, PING, "behind {burst} messages");
    }
}

#[test]
fn b19_a_client_that_answers_no_ping_is_reaped_and_the_app_gets_a_close() {
    reaps(Side::Client, "--keepalive-client", "--keepalive-app");
}

#[test]
fn b19_an_app_that_answers_no_ping_is_reaped_and_the_client_gets_a_close() {
    reaps(Side::App, "--keepalive-app", "--keepalive-client");
}

/// The reference says what a client hears of an app that answers no ping, and of one that has gone.
#[test]
fn b19_the_codes_for_an_app_that_is_silent_or_gone_can_be_set() {
    let settings = [("--close-code-app-silent", "4001"), ("--close-code-app-gone", "4002")];
    let keepalive = [("--keepalive-app", "1s"), ("--keepalive-client", "off"), ("--pong-timeout", "1s")];
    let bench = Bench::new(&[settings, [keepalive[0], keepalive[1]]].concat());
    let silent = Bench::new(&[&settings[..], &keepalive].concat());

    let mut gone = bench.open("http");
    gone.passes(Side::App, &Frame::app(PONG, ""));
    gone.app.finish();
    gone.client.expect_close(4002);

    silent.open("http").client.expect_close(4001);
}

/// That side's socket stays open, but nobody reads it and nobody answers.
fn reaps(dead: Side, on: &str, off: &str) {
    let bench = Bench::new(&[(on, "1s"), (off, "off"), ("--pong-timeout", "1s"), ("--close-timeout", "1s")]);
    each_scheme(|scheme| {
        let mut pair = bench.open(scheme);
        let start = Instant::now();
        let code = pair.end(peer(dead)).frame().close_code();
        let took = start.elapsed();
        assert!(took > Duration::from_millis(1500), "reaped after {took:?} already");
        assert!(took < Duration::from_secs(10), "reaped after {took:?} only");
        let allowed = if dead == Side::Client { 1001..=1001 } else { 1011..=1014 };
        assert!(code.is_some_and(|code| allowed.contains(&code)), "{code:?}");
        pair.end(peer(dead)).send(Frame::close(peer(dead), 1001).bytes());
        pair.end(peer(dead)).finish();
        pair.end(peer(dead)).expect_end();
        let line = bench.account(&pair);
        assert_says(&line, &json!({ "by": "sidecar", "cause": "keepalive_lost", "side": dead.name() }));
        // The dead one was told, in case it reads after all.
        assert_eq!(pair.end(dead).frame().opcode, PING);
        pair.end(dead).frame().close_code().expect("a Close with a code");
        pair.end(dead).expect_end();
    });
}

fn through_a_hop(sidecar: &Sidecar, scheme: &str) -> (Hop, Wire) {
    let hop = Hop::cutting(sidecar.addr(scheme), HOP_IDLE);
    let mut client = match scheme {
        "http" => Wire::plain(hop.addr()),
        _ => Wire::tls(hop.addr(), sidecar.authority().client().build(), NAME).expect("a handshake"),
    };
    client.open("/", &[]);
    (hop, client)
}
