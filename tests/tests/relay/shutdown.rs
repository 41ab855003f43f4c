//! SIGTERM with a session that lives: Close 1012, and nothing of what the client still says is lost.

use std::time::{Duration, Instant};

use outrigger_tests::ws::{BINARY, TEXT};
use outrigger_tests::{Frame, Side};
use serde_json::json;

use crate::pair::{Bench, SCHEMES, assert_says, each_scheme};

#[test]
fn b16_a_shutdown_is_1012_and_what_the_client_still_sends_reaches_the_app() {
    let mut bench = Bench::new(&[("--shutdown-grace", "1s"), ("--drain-window", "off")]);
    let mut pairs = SCHEMES.map(|scheme| bench.open(scheme));
    for pair in &mut pairs {
        pair.passes(Side::Client, &Frame::client(TEXT, "before"));
    }
    bench.sidecar.terminate();
    for pair in &mut pairs {
        pair.client.expect_close(1012);
        pair.passes(Side::Client, &Frame::client(TEXT, "after the Close came"));
        pair.passes(Side::Client, &Frame::client(BINARY, vec![1; 200_000]));
        pair.part_in_order(1012);
        let line = bench.account(pair);
        assert_says(&line, &json!({ "by": "sidecar", "cause": "shutdown", "side": null }));
        assert_says(&line, &json!({ "client_code": 1012, "app_code": 1012, "client_messages": 3 }));
    }
    assert_eq!(bench.sidecar.wait_exit().code(), Some(0));
}

#[test]
fn b16_a_client_that_ignores_the_close_of_a_shutdown_is_cut_and_the_app_gets_a_close() {
    let mut bench = Bench::new(&[("--shutdown-grace", "1s"), ("--drain-window", "off"), ("--close-timeout", "1s")]);
    let mut pair = bench.open("http");
    let start = Instant::now();
    bench.sidecar.terminate();
    pair.app.expect_close(1012);
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
    pair.app.send(Frame::close(Side::App, 1012).bytes());
    pair.app.finish();
    pair.app.expect_end();
    pair.client.expect_close(1012);
    pair.client.expect_end();
    assert_eq!(bench.sidecar.wait_exit().code(), Some(0));
}

#[test]
fn b15_the_close_of_a_shutdown_waits_for_the_end_of_a_long_frame() {
    each_scheme(|scheme| {
        let mut bench = Bench::new(&[("--shutdown-grace", "0s")]);
        let mut pair = bench.open(scheme);
        let long = Frame::app(BINARY, vec![3; 100_000]).bytes();
        let (start, rest) = long.split_at(50_000);
        pair.app.send(start);
        assert!(pair.client.take(start.len()) == start);
        bench.sidecar.terminate();
        assert!(pair.client.is_quiet(Duration::from_millis(300)), "something came inside a frame");
        pair.app.send(rest);
        assert!(pair.client.take(rest.len()) == rest);
        pair.client.expect_close(1012);
        pair.part_in_order(1012);
        assert_eq!(bench.sidecar.wait_exit().code(), Some(0));
    });
}
