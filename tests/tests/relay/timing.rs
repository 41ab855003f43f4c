//! Rates and lifetimes: what an operator sets to be kept, and what it must not break.

use std::time::{Duration, Instant};

use outrigger_tests::ws::{BINARY, CONTINUATION, TEXT};
use outrigger_tests::{Frame, Side};
use serde_json::json;

use crate::pair::{Bench, assert_says, each_scheme, each_way, peer};

/// Messages per second in these tests; as many may come at once.
const RATE: usize = 10;

/// Clocks of two processes are read at slightly different moments.
const SLACK: Duration = Duration::from_millis(100);

#[test]
fn b13_over_the_message_rate_is_1008_where_it_is_to_close() {
    let bench = Bench::new(&[("--message-rate", "10/s"), ("--over-rate", "close")]);
    each_way(|scheme, from| {
        let mut pair = bench.open(scheme);
        let messages: Vec<Frame> = (0..=RATE).map(|n| Frame::of(from, TEXT, n.to_string())).collect();
        pair.end(from).send(messages.iter().flat_map(Frame::bytes).collect::<Vec<_>>());
        for message in &messages[..RATE] {
            assert_eq!(&pair.end(peer(from)).frame(), message);
        }
        closes_over_rate(&bench, &mut pair, from);
    });
}

#[test]
fn b13_over_the_byte_rate_is_1008_where_it_is_to_close() {
    let bench = Bench::new(&[("--byte-rate", "10k/s"), ("--over-rate", "close")]);
    each_way(|scheme, from| {
        let mut pair = bench.open(scheme);
        pair.passes(from, &Frame::of(from, BINARY, [1; 8000]));
        pair.passes(from, &Frame::of(from, BINARY, [2; 2000]));
        pair.end(from).send(Frame::of(from, BINARY, [3; 3000]).bytes());
        let (sender, receiver) = pair.ends(from);
        sender.expect_close(1008);
        // The message that broke the rate may have been whole and passed; the Close comes behind it.
        let frame = receiver.frame();
        let close = if frame.opcode == BINARY { receiver.frame() } else { frame };
        close.close_code().expect("a Close with a code");
        pair.part(1008, 1008);
        assert_says(&bench.account(&pair), &json!({ "cause": "rate_exceeded", "side": from.name() }));
    });
}

#[test]
fn b17_over_the_message_rate_is_slower_and_loses_nothing() {
    let bench = Bench::new(&[("--message-rate", "10/s")]);
    each_way(|scheme, from| {
        let mut pair = bench.open(scheme);
        let start = Instant::now();
        for number in 0..2 * RATE {
            pair.passes(from, &Frame::of(from, TEXT, number.to_string()));
        }
        let took = start.elapsed();
        assert!(took + SLACK > Duration::from_secs(1), "{} messages took {took:?}", 2 * RATE);
    });
}

#[test]
fn b17_a_burst_over_the_rate_is_paid_for_afterwards() {
    let bench = Bench::new(&[("--message-rate", "10/s")]);
    each_scheme(|scheme| {
        let mut pair = bench.open(scheme);
        let start = Instant::now();
        let messages: Vec<Frame> = (0..2 * RATE).map(|n| Frame::client(TEXT, n.to_string())).collect();
        pair.client.send(messages.iter().flat_map(Frame::bytes).collect::<Vec<_>>());
        for message in &messages {
            assert_eq!(&pair.app.frame(), message);
        }
        // However many of them passed at once: what comes then waits until the rate allows it.
        pair.passes(Side::Client, &Frame::client(TEXT, "one more"));
        let took = start.elapsed();
        assert!(took + SLACK > Duration::from_secs(1), "took {took:?}");
    });
}

#[test]
fn b17_over_the_byte_rate_is_slower_and_loses_nothing() {
    let bench = Bench::new(&[("--byte-rate", "20k/s")]);
    each_way(|scheme, from| {
        let mut pair = bench.open(scheme);
        let start = Instant::now();
        for number in 0..40 {
            pair.passes(from, &Frame::of(from, BINARY, [number; 1024]));
        }
        let took = start.elapsed();
        assert!(took + SLACK > Duration::from_secs(1), "40 KiB at 20 KiB/s took {took:?}");
    });
}

#[test]
fn b16_the_end_of_a_lifetime_is_1001_in_order() {
    let bench = Bench::new(&[("--max-lifetime", "1s"), ("--lifetime-jitter", "0%")]);
    each_scheme(|scheme| {
        let start = Instant::now();
        let mut pair = bench.open(scheme);
        pair.client.expect_close(1001);
        let took = start.elapsed();
        assert!(took + SLACK > Duration::from_secs(1), "closed after {took:?} already");
        assert!(took < Duration::from_secs(5), "closed after {took:?} only");
        // What the client still had to say reaches the app, and then its Close.
        pair.passes(Side::Client, &Frame::client(TEXT, "last words"));
        pair.part_in_order(1001);
        let line = bench.account(&pair);
        assert_says(&line, &json!({ "by": "sidecar", "cause": "lifetime", "side": null }));
        assert_says(&line, &json!({ "client_code": 1001, "app_code": 1001, "client_messages": 1 }));
    });
}

#[test]
fn b16_the_end_of_a_lifetime_waits_for_the_end_of_a_message() {
    let bench = Bench::new(&[("--max-lifetime", "1s"), ("--lifetime-jitter", "0%")]);
    each_way(|scheme, from| {
        let mut pair = bench.open(scheme);
        pair.passes(from, &Frame::of(from, TEXT, "start").unfinished());
        assert!(pair.client.is_quiet(Duration::from_secs(2)), "a Close inside a message");
        pair.passes(from, &Frame::of(from, CONTINUATION, "end"));
        pair.client.expect_close(1001);
    });
}

/// As the reference says: each session ends *up to* this much before `max_lifetime`.
#[test]
fn b16_lifetimes_end_within_their_jitter() {
    const SESSIONS: usize = 16;
    let bench = Bench::new(&[("--max-lifetime", "2s"), ("--lifetime-jitter", "50%")]);
    let sessions: Vec<_> = (0..SESSIONS).map(|_| bench.open("http")).collect();
    let mut lives = Vec::new();
    std::thread::scope(|scope| {
        for mut pair in sessions {
            let bench = &bench;
            scope.spawn(move || {
                pair.client.expect_close(1001);
                pair.part_in_order(1001);
                bench.account(&pair);
            });
        }
    });
    for line in bench.sidecar.log() {
        let line: serde_json::Value = serde_json::from_str(&line).expect("a JSON log");
        if line["message"] == "session ended" {
            lives.push(line["duration_ms"].as_u64().expect("milliseconds"));
        }
    }
    lives.sort_unstable();
    assert_eq!(lives.len(), SESSIONS);
    assert!(lives[0] >= 1000, "{lives:?}");
    assert!(lives[SESSIONS - 1] < 2700, "a session outlived max_lifetime by more than a moment: {lives:?}");
    assert!(lives[SESSIONS - 1] - lives[0] > 100, "all of them ended together: {lives:?}");
}

#[track_caller]
fn closes_over_rate(bench: &Bench, pair: &mut crate::pair::Pair, from: Side) {
    pair.end(from).expect_close(1008);
    pair.end(peer(from)).frame().close_code().expect("a Close with a code");
    pair.part(1008, 1008);
    let line = bench.account(pair);
    assert_says(&line, &json!({ "by": "sidecar", "cause": "rate_exceeded", "side": from.name() }));
    let key = format!("{}_code", from.name());
    assert_says(&line, &json!({ key: 1008 }));
}
