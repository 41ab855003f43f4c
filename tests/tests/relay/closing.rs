//! Exactly one Close each way, however a session ends (promise 16).

use std::time::{Duration, Instant};

use outrigger_tests::ws::{BINARY, CLOSE, TEXT, switching};
use outrigger_tests::{App, End, Frame, Side, Sidecar, Wire};
use serde_json::json;

use crate::pair::{Bench, Pair, SCHEMES, assert_says, each_scheme, each_way, peer};

/// Shorter than this many bytes, a frame is forwarded only whole.
const HELD_BYTES: usize = 4096;

/// The close timeout that these tests set.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

#[test]
fn b16_a_close_passes_as_it_is_and_so_does_its_answer() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        for first in Side::BOTH {
            for payload in [Frame::close_payload(4001, "bye"), Frame::close_payload(1000, ""), Vec::new()] {
                let code = if payload.is_empty() { 1005 } else { u16::from_be_bytes([payload[0], payload[1]]) };
                let mut pair = bench.open(scheme);
                pair.passes(first, &Frame::of(first, TEXT, "last words"));
                pair.passes(first, &Frame::of(first, CLOSE, &payload));
                // Until its own Close the other side may still speak (RFC 6455 section 5.5.1).
                pair.passes(peer(first), &Frame::of(peer(first), TEXT, "still here"));
                pair.passes(peer(first), &Frame::of(peer(first), CLOSE, &payload));
                pair.hang_up();
                let line = bench.account(&pair);
                assert_says(&line, &json!({ "by": first.name(), "cause": "close", "side": null }));
                assert_says(&line, &json!({ "client_code": code, "app_code": code }));
            }
        }
    }
}

#[test]
fn b16_both_close_at_once() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        for first in Side::BOTH {
            let mut pair = bench.open(scheme);
            let (ours, theirs) = (Frame::close(first, 4001), Frame::close(peer(first), 4002));
            let (one, other) = pair.ends(first);
            one.send(ours.bytes());
            other.send(theirs.bytes());
            assert_eq!(one.frame(), theirs);
            assert_eq!(other.frame(), ours);
            pair.hang_up();
            assert_says(&bench.account(&pair), &json!({ "cause": "close" }));
        }
    }
}

#[test]
fn b16_what_comes_behind_a_close_goes_nowhere() {
    let bench = Bench::new(&[]);
    for from in Side::BOTH {
        let mut pair = bench.open("http");
        let close = Frame::close(from, 1000);
        pair.end(from).send([close.bytes(), Frame::of(from, TEXT, "too late").bytes(), close.bytes()].concat());
        assert_eq!(pair.end(peer(from)).frame(), close);
        pair.passes(peer(from), &Frame::close(peer(from), 1000));
        pair.hang_up();
    }
}

#[test]
fn b16_an_app_that_dies_between_frames_is_1011_behind_all_that_it_sent() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        let Pair { mut client, mut app } = bench.open(scheme);
        let frames: Vec<Frame> =
            [1, 100, 4000, 5000, 100_000].map(|size| Frame::app(BINARY, vec![b'y'; size])).to_vec();
        app.send(frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>());
        app.finish();
        client_gets(&mut client, &frames, 1011);
        let line = bench.sidecar.session_of(client.local_addr());
        assert_says(&line, &json!({ "by": "app", "cause": "gone", "side": "app", "client_code": 1011 }));
        assert_says(&line, &json!({ "app_messages": 5, "app_code": null }));
        assert_eq!(app.rest().0, b"", "an app that has gone was sent something");
    }
}

#[test]
fn b16_an_app_that_is_reset_is_1011_behind_all_that_was_read() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        let Pair { mut client, mut app } = bench.open(scheme);
        app.send(Frame::app(TEXT, "read before the reset").bytes());
        assert_eq!(client.frame().payload, b"read before the reset");
        app.reset();
        client_gets(&mut client, &[], 1011);
        let line = bench.sidecar.session_of(client.local_addr());
        assert_says(&line, &json!({ "by": "app", "cause": "reset", "side": "app", "client_code": 1011 }));
    }
}

#[test]
fn b16_an_app_that_dies_inside_a_short_frame_is_1011_behind_all_that_is_whole() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        // Header 4, so both are held: one that is cut in its header, one that lacks its last byte.
        for cut in [3, HELD_BYTES - 1] {
            let Pair { mut client, mut app } = bench.open(scheme);
            let whole = [Frame::app(TEXT, "whole"), Frame::app(BINARY, vec![b'y'; 50_000]), Frame::app(TEXT, "too")];
            let cut_off = Frame::app(BINARY, vec![b'z'; HELD_BYTES - 4]).bytes();
            app.send([&whole.iter().flat_map(Frame::bytes).collect::<Vec<_>>()[..], &cut_off[..cut]].concat());
            drop(app);
            client_gets(&mut client, &whole, 1011);
            let line = bench.sidecar.session_of(client.local_addr());
            assert_says(&line, &json!({ "by": "app", "cause": "gone", "side": "app", "client_code": 1011 }));
        }
    }
}

/// No Close fits inside a frame, and the rest of this one is nowhere: the client gets every byte that there is, and
/// then the end of the connection, which its own library reports as 1006. Only the account can say why.
#[test]
fn b16_an_app_that_dies_inside_a_long_frame_ends_the_connection_behind_its_bytes() {
    // The end must not wait for an answer that nobody can be asked for.
    let bench = Bench::new(&[("--close-timeout", "20s")]);
    for scheme in SCHEMES {
        let Pair { mut client, mut app } = bench.open(scheme);
        let long = Frame::app(BINARY, vec![b'z'; 100_000]).bytes();
        app.send(&long[..60_000]);
        drop(app);
        let start = Instant::now();
        let (bytes, end) = client.rest();
        assert!(bytes == long[..60_000], "{} bytes came", bytes.len());
        assert_eq!(end, End::Clean);
        assert!(start.elapsed() < Duration::from_secs(4), "the end came after {:?} only", start.elapsed());
        client.finish();
        let line = bench.sidecar.session_of(client.local_addr());
        assert_says(&line, &json!({ "by": "app", "cause": "gone", "side": "app", "client_code": null }));
        assert_says(&line, &json!({ "app_bytes": 60_000 }));
    }
}

#[test]
fn b16_an_app_that_dies_right_after_its_101_is_1014() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        for cut in [0, 3] {
            let Pair { mut client, mut app } = bench.open(scheme);
            app.send(&Frame::app(TEXT, "never whole").bytes()[..cut]);
            drop(app);
            // A few bytes of a frame are a sign of life, though they never reach anyone.
            let code = if cut == 0 { 1014 } else { 1011 };
            client_gets(&mut client, &[], code);
            let line = bench.sidecar.session_of(client.local_addr());
            assert_says(&line, &json!({ "by": "app", "cause": "gone", "side": "app", "client_code": code }));
        }
    }
}

#[test]
fn b16_an_app_that_says_all_in_one_write_with_its_101_and_dies_is_1011_behind_it() {
    let app = App::scripted(|conn| {
        let Some(request) = conn.request() else { return };
        let all = [switching(&request, &[]).into_bytes(), Frame::app(TEXT, "all that I had to say").bytes()].concat();
        conn.send(all);
    });
    let sidecar = Sidecar::before(app.addr()).http().https().start();
    for scheme in SCHEMES {
        let mut client = sidecar.connect(scheme);
        client.open("/", &[]);
        client_gets(&mut client, &[Frame::app(TEXT, "all that I had to say")], 1011);
        let line = sidecar.session_of(client.local_addr());
        assert_says(&line, &json!({ "by": "app", "cause": "gone", "app_messages": 1, "client_code": 1011 }));
    }
}

#[test]
fn b16_an_app_that_dies_behind_its_close_is_no_fault() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        let Pair { mut client, mut app } = bench.open(scheme);
        app.send(Frame::close(Side::App, 1000).bytes());
        drop(app);
        client_gets(&mut client, &[], 1000);
        let line = bench.sidecar.session_of(client.local_addr());
        assert_says(&line, &json!({ "by": "app", "cause": "close", "side": null, "client_code": 1000 }));
    }
}

#[test]
fn b16_a_client_that_dies_is_1001_to_the_app_behind_all_that_it_sent() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        for rude in [false, true] {
            let Pair { mut client, mut app } = bench.open(scheme);
            let addr = client.local_addr();
            let last = Frame::client(BINARY, vec![b'c'; 20_000]);
            client.send(last.bytes());
            client.send(&Frame::client(TEXT, "never whole").bytes()[..5]);
            assert_eq!(app.frame(), last);
            if rude {
                client.reset();
            } else {
                client.finish();
            }
            app.expect_close(1001);
            app.send(Frame::close(Side::App, 1001).bytes());
            app.finish();
            app.expect_end();
            let line = bench.sidecar.session_of(addr);
            assert_says(&line, &json!({ "by": "client", "side": "client", "app_code": 1001 }));
            assert_says(&line, &json!({ "cause": if rude { "reset" } else { "gone" } }));
        }
    }
}

#[test]
fn b16_a_close_that_is_never_answered_is_answered_for_the_silent_side() {
    let bench = Bench::new(&[("--close-timeout", "1s")]);
    each_way(|scheme, first| {
        let mut pair = bench.open(scheme);
        let addr = pair.client.local_addr();
        pair.passes(first, &Frame::close(first, 4001));
        let start = Instant::now();
        // The one that closed gets the answer that RFC 6455 section 5.5.1 asks for, and the end.
        pair.end(first).expect_close(4001);
        assert!(start.elapsed() > CLOSE_TIMEOUT / 2, "answered after {:?} already", start.elapsed());
        pair.end(first).finish();
        pair.end(first).expect_end();
        pair.end(peer(first)).expect_end();
        let line = bench.sidecar.session_of(addr);
        assert_says(&line, &json!({ "by": first.name(), "cause": "close" }));
        assert_says(&line, &json!({ "client_code": 4001, "app_code": 4001 }));
    });
}

#[test]
fn b16_peers_that_never_hang_up_are_hung_up_on() {
    let bench = Bench::new(&[]);
    each_scheme(|scheme| {
        let mut pair = bench.open(scheme);
        pair.passes(Side::Client, &Frame::close(Side::Client, 1000));
        pair.passes(Side::App, &Frame::close(Side::App, 1000));
        assert_eq!(pair.client.expect_end(), End::Clean);
        pair.app.expect_end();
        assert_says(&bench.account(&pair), &json!({ "by": "client", "cause": "close" }));
    });
}

/// The client gets these frames, one Close with this code, and a clean end once it has answered.
#[track_caller]
fn client_gets(client: &mut Wire, frames: &[Frame], code: u16) {
    for frame in frames {
        assert!(&client.frame() == frame, "a frame of {} bytes came changed", frame.payload.len());
    }
    client.expect_close(code);
    client.send(Frame::close(Side::Client, code).bytes());
    assert_eq!(client.expect_end(), End::Clean);
}

/// Over TLS this is where records for one connection could end up in another one.
#[test]
fn b16_a_client_that_dies_while_it_is_written_to_harms_no_other_session() {
    // Over its rate a client is not read, so the sidecar learns of its death from a write that fails.
    let bench = Bench::new(&[("--message-rate", "1/s"), ("--message-burst", "1")]);
    for scheme in SCHEMES {
        let Pair { mut client, mut app } = bench.open(scheme);
        let addr = client.local_addr();
        let burst: Vec<Frame> = (0..5).map(|number| Frame::client(TEXT, [b'0' + number])).collect();
        client.send(burst.iter().flat_map(Frame::bytes).collect::<Vec<_>>());
        for frame in &burst {
            assert_eq!(&app.frame(), frame);
        }
        client.reset();
        app.send(Frame::app(TEXT, "to nobody").bytes());
        app.expect_close(1001);
        app.finish();
        assert_says(&bench.sidecar.session_of(addr), &json!({ "cause": "reset", "side": "client" }));

        let mut next = bench.open(scheme);
        next.passes(Side::App, &Frame::app(TEXT, "to the next one"));
        next.passes(Side::Client, &Frame::client(TEXT, "and back"));
    }
}
