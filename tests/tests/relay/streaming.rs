//! Payloads stream, and a declared length costs nothing (promise 12).

use outrigger_tests::ws::{BINARY, MASK};
use outrigger_tests::{Frame, Side};
use serde_json::json;

use crate::pair::{Bench, SCHEMES, assert_says, peer};

/// What a session's buffers may add to the process: a full write buffer or two, and the allocator's slack.
const FLAT_KIB: u64 = 2048;

const PIECE_BYTES: usize = 64 * 1024;
const PIECES: usize = 32;

#[test]
fn b12_a_long_frame_streams_and_its_declared_length_costs_nothing() {
    let bench = Bench::new(&[("--max-message-size", "off")]);
    for scheme in SCHEMES {
        for from in Side::BOTH {
            for declared in [1 << 30, i64::MAX.unsigned_abs()] {
                let mut pair = bench.open(scheme);
                pair.passes(from, &Frame::of(from, BINARY, vec![7; PIECE_BYTES]));
                let before = bench.sidecar.memory_kib();
                let (sender, receiver) = pair.ends(from);
                let head = head_declaring(from, declared);
                sender.send(&head);
                assert_eq!(receiver.take(head.len()), head, "the header goes on before any payload has come");
                for number in 0..PIECES {
                    let piece = vec![u8::try_from(number).expect("a few pieces"); PIECE_BYTES];
                    sender.send(&piece);
                    assert!(receiver.take(PIECE_BYTES) == piece, "piece {number} came changed");
                }
                let grown = bench.sidecar.memory_kib().saturating_sub(before);
                assert!(grown <= FLAT_KIB, "{scheme}: {declared} bytes declared cost {grown} KiB");
            }
        }
    }
}

#[test]
fn b12_a_length_over_63_bits_is_a_protocol_error() {
    let bench = Bench::new(&[("--max-message-size", "off")]);
    for scheme in SCHEMES {
        for from in Side::BOTH {
            for declared in [1 << 63, u64::MAX] {
                let mut pair = bench.open(scheme);
                let (sender, receiver) = pair.ends(from);
                sender.send(head_declaring(from, declared));
                sender.expect_close(1002);
                receiver.frame().close_code().expect("a Close with a code");
                pair.part(1002, 1002);
                assert_says(&bench.account(&pair), &json!({ "cause": "protocol", "side": from.name() }));
            }
        }
    }
}

#[test]
fn b12_a_length_over_the_limit_is_refused_before_its_payload_comes() {
    let bench = Bench::new(&[]);
    for from in Side::BOTH {
        let mut pair = bench.open("http");
        let before = bench.sidecar.memory_kib();
        pair.end(from).send(head_declaring(from, 1 << 30));
        pair.end(from).expect_close(1009);
        pair.end(peer(from)).frame().close_code().expect("a Close with a code");
        let grown = bench.sidecar.memory_kib().saturating_sub(before);
        assert!(grown <= FLAT_KIB, "a refused length cost {grown} KiB");
    }
}

/// The header of a binary message in one frame of this length (RFC 6455 section 5.2).
fn head_declaring(from: Side, length: u64) -> Vec<u8> {
    let mut head = vec![0x80 | BINARY, if from == Side::Client { 0xff } else { 0x7f }];
    head.extend(length.to_be_bytes());
    if from == Side::Client {
        head.extend(MASK);
    }
    head
}
