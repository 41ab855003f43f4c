//! Limits on messages, frames and fragments (promise 13).

use outrigger_tests::ws::{BINARY, CONTINUATION, PING, TEXT};
use outrigger_tests::{Frame, Side};
use serde_json::json;

use crate::pair::{Bench, Pair, SCHEMES, assert_says, peer};

/// Fragments that add up to the limit, and whether their frames are held (short) or streamed (long).
const SUMS: [(&str, [usize; 3]); 2] = [("1000", [400, 300, 300]), ("20000", [8000, 7000, 5000])];

#[test]
fn b13_a_message_of_exactly_the_limit_passes_one_byte_more_is_1009() {
    for (limit, sizes) in SUMS {
        let bench = Bench::new(&[("--max-message-size", limit)]);
        for scheme in SCHEMES {
            for from in Side::BOTH {
                let mut pair = bench.open(scheme);
                // Twice: the sum begins anew with each message. A ping in between counts for nothing.
                for _ in 0..2 {
                    for frame in fragments(from, &sizes) {
                        pair.passes(from, &frame);
                        pair.passes(from, &Frame::of(from, PING, [1; 125]));
                    }
                }
                pair.passes(from, &Frame::of(from, TEXT, vec![b'x'; sizes.iter().sum()]));

                let [first, second, last] = sizes;
                let [one, two, over] = fragments(from, &[first, second, last + 1]);
                pair.passes(from, &one);
                pair.passes(from, &two);
                pair.end(from).send(over.bytes());
                refused(&bench, &mut pair, from, "message_too_big");

                let mut pair = bench.open(scheme);
                pair.end(from).send(Frame::of(from, TEXT, vec![b'x'; sizes.iter().sum::<usize>() + 1]).bytes());
                refused(&bench, &mut pair, from, "message_too_big");
            }
        }
    }
}

#[test]
fn b13_the_number_of_fragments_is_limited() {
    let bench = Bench::new(&[("--max-fragments", "3")]);
    for scheme in SCHEMES {
        for from in Side::BOTH {
            let mut pair = bench.open(scheme);
            for _ in 0..2 {
                pair.all_pass(from, &fragments(from, &[1, 0, 1]));
            }
            for frame in fragments(from, &[1, 1, 1]) {
                pair.passes(from, &frame.unfinished());
            }
            pair.end(from).send(Frame::of(from, CONTINUATION, "").bytes());
            refused(&bench, &mut pair, from, "too_many_fragments");
        }
    }
}

#[test]
fn b13_the_size_of_a_frame_is_limited() {
    let bench = Bench::new(&[("--max-frame-size", "1000")]);
    for scheme in SCHEMES {
        for from in Side::BOTH {
            let mut pair = bench.open(scheme);
            pair.all_pass(from, &fragments(from, &[1000, 1000, 1000]));
            pair.end(from).send(Frame::of(from, BINARY, [0; 1001]).bytes());
            refused(&bench, &mut pair, from, "frame_too_big");
        }
    }
}

#[test]
fn b13_what_a_sender_over_the_limit_had_on_its_way_is_dropped() {
    let bench = Bench::new(&[("--max-message-size", "1000")]);
    for scheme in SCHEMES {
        for from in Side::BOTH {
            let mut pair = bench.open(scheme);
            // All in one write: a good message, one that is too big, and more that it could not know was in vain.
            let good = Frame::of(from, TEXT, "good");
            let frames = [good.clone(), Frame::of(from, BINARY, [0; 10_000]), good.clone(), good.clone()];
            pair.end(from).send(frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>());
            assert_eq!(pair.end(peer(from)).frame(), good);
            refused(&bench, &mut pair, from, "message_too_big");
        }
    }
}

/// Three fragments of one message.
fn fragments(from: Side, sizes: &[usize; 3]) -> [Frame; 3] {
    let frame = |opcode, size| Frame::of(from, opcode, vec![b'x'; size]);
    let [first, second, last] = *sizes;
    [frame(TEXT, first).unfinished(), frame(CONTINUATION, second).unfinished(), frame(CONTINUATION, last)]
}

/// The sender gets 1009, the other side a Close that tells it apart from a sender's, and both part in order.
fn refused(bench: &Bench, pair: &mut Pair, from: Side, cause: &str) {
    pair.end(from).expect_close(1009);
    let other = if from == Side::Client { 1001 } else { 1011 };
    pair.end(peer(from)).expect_close(other);
    let (client, app) = if from == Side::Client { (1009, other) } else { (other, 1009) };
    pair.part(client, app);
    let codes = json!({ "client_code": client, "app_code": app });
    let line = bench.account(pair);
    assert_says(&line, &codes);
    assert_says(&line, &json!({ "by": "sidecar", "cause": cause, "side": from.name() }));
}
