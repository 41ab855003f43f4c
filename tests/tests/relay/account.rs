//! The one line per session: who, why, and exact figures.

use outrigger_tests::ws::{BINARY, CONTINUATION, PING, PONG, TEXT};
use outrigger_tests::{Frame, Side};
use serde_json::json;

use crate::pair::{Bench, SCHEMES, assert_says};

#[test]
fn b16_the_account_counts_every_byte_and_message_after_the_101() {
    let bench = Bench::new(&[]);
    for scheme in SCHEMES {
        let mut pair = bench.open_with(scheme, &["Sec-WebSocket-Protocol: chat"], &["Sec-WebSocket-Protocol: chat"]);
        let client = [
            Frame::client(TEXT, "hello"),
            Frame::client(BINARY, vec![0; 70_000]),
            Frame::client(TEXT, "in ").unfinished(),
            Frame::client(PING, "between"),
            Frame::client(CONTINUATION, "two"),
            Frame::close(Side::Client, 4100),
        ];
        let app = [Frame::app(BINARY, vec![1; 300]), Frame::app(PONG, "between"), Frame::close(Side::App, 4100)];
        pair.all_pass(Side::Client, &client);
        pair.all_pass(Side::App, &app);
        pair.hang_up();
        let line = bench.account(&pair);
        let bytes = |frames: &[Frame]| frames.iter().map(|frame| frame.bytes().len()).sum::<usize>();
        assert_says(&line, &json!({ "client_messages": 3, "client_bytes": bytes(&client) }));
        assert_says(&line, &json!({ "app_messages": 1, "app_bytes": bytes(&app) }));
        assert_says(&line, &json!({ "by": "client", "cause": "close", "client_code": 4100, "app_code": 4100 }));
        let scheme = if scheme == "http" { "ws" } else { "wss" };
        assert_says(&line, &json!({ "scheme": scheme, "path": "/", "host": "app.test", "subprotocol": "chat" }));
    }
}

#[test]
fn b16_the_account_counts_what_was_dropped_too() {
    let bench = Bench::new(&[]);
    let mut pair = bench.open("http");
    let good = Frame::client(TEXT, "good");
    let bad = Frame { rsv: 1, ..Frame::client(TEXT, "bad") };
    pair.client.send([good.bytes(), bad.bytes()].concat());
    assert_eq!(pair.app.frame(), good);
    pair.client.expect_close(1002);
    pair.app.expect_close(1001);
    pair.part(1002, 1001);
    let line = bench.account(&pair);
    let answer = Frame::close(Side::Client, 1002).bytes().len();
    assert_says(&line, &json!({ "client_bytes": good.bytes().len() + bad.bytes().len() + answer }));
    assert_says(&line, &json!({ "client_messages": 1, "app_messages": 0 }));
    assert_says(&line, &json!({ "app_bytes": Frame::close(Side::App, 1001).bytes().len() }));
}

#[test]
fn b15_the_round_trip_of_pings_is_in_the_account() {
    let bench = Bench::new(&[("--keepalive", "1s")]);
    let mut pair = bench.open("http");
    for side in Side::BOTH {
        let ping = pair.end(side).frame();
        pair.end(side).send(Frame::of(side, PONG, &ping.payload).bytes());
    }
    pair.passes(Side::Client, &Frame::close(Side::Client, 1000));
    pair.passes(Side::App, &Frame::close(Side::App, 1000));
    pair.hang_up();
    let line = bench.account(&pair);
    for side in Side::BOTH {
        let rtt = line[format!("{}_ping_rtt_us", side.name())].as_u64();
        assert!(rtt.is_some_and(|rtt| rtt < 30_000_000), "a round trip in microseconds expected: {line}");
    }
    // The pongs count, though they went nowhere: 8 bytes of payload and a header of 6 or 2.
    let close = |side| Frame::close(side, 1000).bytes().len();
    assert_says(&line, &json!({ "client_bytes": close(Side::Client) + 14, "app_bytes": close(Side::App) + 10 }));
}
