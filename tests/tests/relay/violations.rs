//! What RFC 6455 forbids is answered with Closes, never with a bare end of the connection (promise 14).

use outrigger_tests::ws::{BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT};
use outrigger_tests::{Frame, Side};
use serde_json::json;

use crate::pair::{Bench, Pair, SCHEMES, assert_says, each_way, peer};

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate";

/// Codes that no Close may carry (RFC 6455 section 7.4): reserved, unassigned, out of range.
const BAD_CODES: [u16; 13] = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65_535];

/// Codes that it may.
const GOOD_CODES: [u16; 16] =
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];

#[test]
fn b14_every_violation_is_1002_to_the_offender_and_a_close_to_the_other() {
    let bench = Bench::new(&[]);
    each_way(|scheme, from| {
        for (what, before, bad) in violations(from) {
            let mut pair = bench.open(scheme);
            offend(&mut pair, from, &before, &bad, &what);
            parts(&bench, &mut pair, from, &what);
        }
    });
}

#[test]
fn b14_a_violation_is_one_byte_by_byte_too() {
    let bench = Bench::new(&[]);
    for from in Side::BOTH {
        for (what, before, bad) in violations(from) {
            let mut pair = bench.open("http");
            let frames: Vec<u8> = before.iter().flat_map(Frame::bytes).collect();
            for byte in frames.iter().chain(&bad) {
                pair.end(from).send([*byte]);
            }
            for frame in &before {
                assert_eq!(&pair.end(peer(from)).frame(), frame, "{what}");
            }
            parts(&bench, &mut pair, from, &what);
        }
    }
}

#[test]
fn b14_a_compressed_bit_in_the_wrong_place_is_a_violation_even_with_compression() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        for from in Side::BOTH {
            let start = Frame { rsv: 4, ..Frame::of(from, TEXT, "start") }.unfinished();
            let cases = [
                ("RSV1 on a continuation", vec![start], Frame { rsv: 4, ..Frame::of(from, CONTINUATION, "x") }),
                ("RSV1 on a ping", vec![], Frame { rsv: 4, ..Frame::of(from, PING, "x") }),
                ("RSV1 on a Close", vec![], Frame { rsv: 4, ..Frame::close(from, 1000) }),
                ("RSV2 beside RSV1", vec![], Frame { rsv: 6, ..Frame::of(from, TEXT, "x") }),
            ];
            for (what, before, bad) in cases {
                let mut pair = bench.open_with(scheme, &[DEFLATE], &[DEFLATE]);
                pair.passes(from, &Frame { rsv: 4, ..Frame::of(from, BINARY, "compressed") });
                offend(&mut pair, from, &before, &bad.bytes(), what);
                parts(&bench, &mut pair, from, what);
            }
        }
    }
}

#[test]
fn b14_every_code_that_a_close_may_carry_passes() {
    let bench = Bench::new(&[]);
    for from in Side::BOTH {
        for code in GOOD_CODES {
            let mut pair = bench.open("http");
            pair.passes(from, &Frame::of(from, CLOSE, Frame::close_payload(code, "grüße")));
            pair.passes(peer(from), &Frame::close(peer(from), code));
            pair.hang_up();
        }
    }
}

#[test]
fn b14_bad_utf_8_in_a_message_is_the_endpoints_matter() {
    let bench = Bench::new(&[]);
    for from in Side::BOTH {
        let mut pair = bench.open("http");
        pair.passes(from, &Frame::of(from, TEXT, [0xff, 0xfe, 0xc0]));
    }
}

#[test]
fn b14_the_closes_wait_for_the_end_of_a_long_frame_of_the_other_side() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        for from in Side::BOTH {
            let mut pair = bench.open(scheme);
            let long = Frame::of(peer(from), BINARY, vec![5; 100_000]).bytes();
            let (start, rest) = long.split_at(50_000);
            pair.end(peer(from)).send(start);
            assert!(pair.end(from).take(start.len()) == start);
            pair.end(from).send(Frame { rsv: 1, ..Frame::of(from, TEXT, "x") }.bytes());
            // The other side has no frame on the way to it and is told at once; the offender's Close must wait.
            pair.end(peer(from)).frame().close_code().expect("a Close with a code");
            pair.end(peer(from)).send(rest);
            assert!(pair.end(from).take(rest.len()) == rest, "the long frame came changed");
            pair.end(from).expect_close(1002);
            pair.part(1002, 1002);
        }
    }
}

/// Every kind of violation by this side: its name, the frames that lead up to it, and the bytes.
fn violations(from: Side) -> Vec<(String, Vec<Frame>, Vec<u8>)> {
    let text = || Frame::of(from, TEXT, "x");
    let start = || Frame::of(from, TEXT, "start").unfinished();
    let mut all = Vec::new();
    let mut add = |what: &str, before: Vec<Frame>, bad: Vec<u8>| all.push((what.to_owned(), before, bad));

    let wrong_mask = if from == Side::Client { None } else { Some(MASK) };
    add("a mask that is missing or too many", vec![text()], Frame { mask: wrong_mask, ..text() }.bytes());
    add("the same on a Close", vec![], Frame { mask: wrong_mask, ..Frame::close(from, 1000) }.bytes());
    for rsv in [1, 2, 4, 7] {
        add(&format!("reserved bits {rsv}"), vec![text()], Frame { rsv, ..text() }.bytes());
    }
    for opcode in (3..=7).chain(11..=15) {
        add(&format!("opcode {opcode}"), vec![text()], Frame::of(from, opcode, "x").bytes());
    }
    for opcode in [CLOSE, PING, PONG] {
        add(&format!("control {opcode} of 126 bytes"), vec![text()], Frame::of(from, opcode, [b'x'; 126]).bytes());
        add(&format!("control {opcode} in fragments"), vec![], Frame::of(from, opcode, "").unfinished().bytes());
    }
    add("a continuation of nothing", vec![text()], Frame::of(from, CONTINUATION, "x").bytes());
    let end = Frame::of(from, CONTINUATION, "end");
    add("a continuation after the last", vec![start(), end.clone()], end.bytes());
    add("a text inside a message", vec![start()], text().bytes());
    add("a binary inside a message", vec![start()], Frame::of(from, BINARY, "x").unfinished().bytes());
    for length in [0, 125] {
        add(&format!("{length} as a 16-bit length"), vec![text()], with_length(from, 126, &[0, length]));
    }
    add("65535 as a 64-bit length", vec![text()], with_length(from, 127, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]));
    add("a Close with half a code", vec![text()], Frame::of(from, CLOSE, [3]).bytes());
    for code in BAD_CODES {
        add(&format!("a Close with {code}"), vec![text()], Frame::close(from, code).bytes());
    }
    // Not UTF-8 at all, cut inside a character, a surrogate, too long a form.
    for reason in [&[0xff][..], &[0xe2, 0x82], &[0xed, 0xa0, 0x80], &[0xc0, 0xaf]] {
        let payload = [&1000_u16.to_be_bytes(), reason].concat();
        add(&format!("a Close with the reason {reason:x?}"), vec![text()], Frame::of(from, CLOSE, payload).bytes());
    }
    all
}

/// A binary frame's header with this length byte and length, and a key where one must be.
fn with_length(from: Side, length_byte: u8, length: &[u8]) -> Vec<u8> {
    let mask_bit = if from == Side::Client { 0x80 } else { 0 };
    let mut head = vec![0x80 | BINARY, mask_bit | length_byte];
    head.extend(length);
    if from == Side::Client {
        head.extend(MASK);
    }
    head
}

/// Sends good frames and a bad one in one write: the good ones arrive.
fn offend(pair: &mut Pair, from: Side, before: &[Frame], bad: &[u8], what: &str) {
    let (offender, other) = pair.ends(from);
    let mut bytes: Vec<u8> = before.iter().flat_map(Frame::bytes).collect();
    bytes.extend(bad);
    offender.send(bytes);
    for frame in before {
        assert_eq!(&other.frame(), frame, "{what}, from the {}", from.name());
    }
}

/// The offender gets 1002, the other side what it gets for any fault of its peer, and both see an orderly end.
fn parts(bench: &Bench, pair: &mut Pair, from: Side, what: &str) {
    let code = pair.end(from).frame().close_code();
    assert_eq!(code, Some(1002), "{what}, from the {}", from.name());
    let other = pair.end(peer(from)).frame().close_code();
    let allowed = other.is_some_and(|code| code == 1001 || (1011..=1014).contains(&code));
    assert!(allowed, "{what}, from the {}: the other side got {other:?}", from.name());
    pair.part(1002, 1002);
    let line = bench.account(pair);
    assert_says(&line, &json!({ "by": "sidecar", "cause": "protocol", "side": from.name() }));
    let (client, app) = if from == Side::Client { (code, other) } else { (other, code) };
    assert_says(&line, &json!({ "client_code": client, "app_code": app }));
}
