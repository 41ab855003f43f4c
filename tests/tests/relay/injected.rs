//! Frames of the sidecar's own among those of the peers (promise 15).

use std::time::{Duration, Instant};

use outrigger_tests::ws::{BINARY, CLOSE, PING, PONG, TEXT};
use outrigger_tests::{Frame, Side, Wire};

use crate::pair::{Bench, Pair, each_way, peer};

/// The interval of keepalive in these tests.
const INTERVAL: Duration = Duration::from_secs(1);

/// Longer than the interval by more than a timer is ever late.
const LONGER: Duration = Duration::from_millis(1700);

/// The pause between two pieces of a frame that comes slowly.
const DRIBBLE: Duration = Duration::from_millis(100);

#[test]
fn b15_a_ping_waits_for_the_end_of_a_slow_long_frame() {
    // Streamed as it comes, so that the other side stands inside it when its ping is due.
    dribbles(20_000, 1);
}

#[test]
fn b15_a_ping_goes_before_or_behind_a_slow_short_frame_never_inside() {
    dribbles(500, 2);
}

/// One side sends a message in `frames` frames of `size` bytes over more than the interval, while the other one is
/// silent and so gets a ping: the message arrives unchanged and the ping outside its frames.
fn dribbles(size: usize, frames: usize) {
    each_way(|scheme, from| {
        let bench = Bench::new(&[only(peer(from))]);
        let mut pair = bench.open(scheme);
        let sent: Vec<Frame> = (0..frames).map(|_| Frame::of(from, BINARY, vec![0x55; size])).collect();
        let bytes: Vec<u8> = sent.iter().flat_map(Frame::bytes).collect();
        let (sender, receiver) = pair.ends(from);
        let start = Instant::now();
        let steps = usize::try_from(LONGER.as_millis() / DRIBBLE.as_millis()).expect("a few steps");
        for piece in bytes.chunks(bytes.len().div_ceil(steps)) {
            sender.send(piece);
            assert!(sender.is_quiet(DRIBBLE), "the sender is not silent and gets no ping");
        }
        assert!(start.elapsed() > INTERVAL, "too fast to be a test");
        let (mut data, mut pings) = (Vec::new(), 0);
        while data.len() < frames || pings == 0 {
            let frame = receiver.frame();
            if frame.opcode == PING {
                assert_own_ping(&frame, peer(from));
                pings += 1;
            } else {
                data.push(frame);
            }
        }
        assert!(data == sent, "the frames came changed");
        if frames == 1 {
            // The header was on its way first, so the ping could only come behind.
            assert_eq!(pings, 1);
        }
    });
}

#[test]
fn b15_the_answer_to_an_own_ping_is_swallowed_and_nothing_else() {
    each_way(|scheme, side| {
        let bench = Bench::new(&[only(side)]);
        let mut pair = bench.open(scheme);
        let ping = pair.end(side).frame();
        assert_own_ping(&ping, side);
        // Answers that are not the one: wrong payload, shorter, longer, none.
        let near: Vec<u8> = ping.payload.iter().map(|byte| byte ^ 1).collect();
        let longer = [&ping.payload[..], b"x"].concat();
        for payload in [&near[..], &ping.payload[..7], &longer, &[], &[9; 125]] {
            pair.passes(side, &Frame::of(side, PONG, payload));
        }
        // A ping with the same payload is the peer's own, and so is the answer of the other side to it.
        pair.passes(side, &Frame::of(side, PING, &ping.payload));
        pair.passes(peer(side), &Frame::of(peer(side), PONG, &ping.payload));
        // The answer goes no further: what comes next at the other side is the message behind it.
        pair.end(side).send(Frame::of(side, PONG, &ping.payload).bytes());
        pair.passes(side, &Frame::of(side, TEXT, "behind the pong"));
        // Once answered, the payload is nobody's any more.
        pair.passes(side, &Frame::of(side, PONG, &ping.payload));
    });
}

#[test]
fn b15_a_ping_of_a_peer_with_the_payload_of_an_own_one_has_its_answer() {
    let bench = Bench::new(&[only(Side::App)]);
    let mut pair = bench.open("http");
    let own = pair.app.frame();
    assert_own_ping(&own, Side::App);
    pair.passes(Side::Client, &Frame::client(PING, &own.payload));
    // The app has two pings to answer, with the same words; one of the answers is the client's.
    let pong = Frame::app(PONG, &own.payload);
    pair.app.send([pong.bytes(), pong.bytes(), Frame::app(TEXT, "behind both").bytes()].concat());
    assert_eq!(pair.client.frame(), pong);
    assert_eq!(pair.client.frame(), Frame::app(TEXT, "behind both"));
}

#[test]
fn b15_the_peers_own_pings_and_pongs_pass_between_fragments_too() {
    let bench = Bench::new(&[]);
    each_way(|scheme, from| {
        let mut pair = bench.open(scheme);
        pair.passes(from, &Frame::of(from, TEXT, "start").unfinished());
        for size in [0, 1, 7, 8, 9, 125] {
            pair.passes(from, &Frame::of(from, PING, vec![0xaa; size]));
            pair.passes(from, &Frame::of(from, PONG, vec![0xbb; size]));
            pair.passes(peer(from), &Frame::of(peer(from), PONG, vec![0xaa; size]));
        }
        pair.passes(from, &Frame::of(from, 0, "end"));
    });
}

#[test]
fn b15_each_ping_to_the_app_has_a_mask_of_its_own() {
    let bench = Bench::new(&[only(Side::App)]);
    let mut pair = bench.open("http");
    let first = answered_ping(&mut pair);
    let second = answered_ping(&mut pair);
    assert_ne!(first.mask, second.mask, "masks must not be predictable (RFC 6455 section 5.3)");
    assert_ne!(first.payload, second.payload);
}

#[test]
fn b15_an_own_close_comes_behind_a_long_frame_and_is_masked_towards_the_app() {
    let bench = Bench::new(&[("--max-message-size", "1m")]);
    let mut pair = bench.open("http");
    let long = Frame::client(BINARY, vec![1; 200_000]).bytes();
    let (start, rest) = long.split_at(100_000);
    pair.client.send(start);
    assert!(pair.app.take(start.len()) == start);
    // The app breaks the protocol in the middle of it.
    pair.app.send(Frame { rsv: 2, ..Frame::app(TEXT, "x") }.bytes());
    assert_eq!(pair.client.frame().opcode, CLOSE);
    pair.client.send(rest);
    assert!(pair.app.take(rest.len()) == rest);
    let close = pair.app.expect_close(1002);
    assert!(close.mask.is_some_and(|key| key != [0; 4]), "{close:?}");
}

/// Keepalive for one side alone.
fn only(side: Side) -> (&'static str, &'static str) {
    match side {
        Side::Client => ("--keepalive-client", "1s"),
        Side::App => ("--keepalive-app", "1s"),
    }
}

fn answered_ping(pair: &mut Pair) -> Frame {
    let app: &mut Wire = &mut pair.app;
    let ping = app.frame();
    assert_own_ping(&ping, Side::App);
    app.send(Frame::app(PONG, &ping.payload).bytes());
    ping
}

#[track_caller]
fn assert_own_ping(frame: &Frame, to: Side) {
    assert_eq!((frame.opcode, frame.fin, frame.rsv), (PING, true, 0), "{frame:?}");
    assert_eq!(frame.mask.is_some(), to == Side::App, "only the app gets masked frames: {frame:?}");
    assert!(frame.payload.len() <= 125, "{frame:?}");
}
