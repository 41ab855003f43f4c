//! Bytes that nobody looks at: `inspect = "off"` behind an upgrade, and the `tls` listener.

use std::time::{Duration, Instant};

use outrigger_tests::ws::{CONTINUATION, TEXT};
use outrigger_tests::{End, Frame, Held, Side, Sidecar, Wire};
use serde_json::json;

use crate::pair::{Bench, SCHEMES, assert_says, each_scheme};

#[test]
fn b14_without_inspection_invalid_frames_pass_untouched() {
    let bench = Bench::new(&[("--inspect", "off")]);
    for scheme in SCHEMES {
        let mut pair = bench.open(scheme);
        let mut sent = [0, 0];
        for from in Side::BOTH {
            let nonsense = [
                Frame { mask: None, ..Frame::client(TEXT, "no mask") }.bytes(),
                Frame { rsv: 7, ..Frame::client(15, "reserved") }.bytes(),
                Frame::of(from, CONTINUATION, "of nothing").bytes(),
                Frame::close(from, 1005).bytes(),
                vec![0xff; 10_000],
                b"no frames at all".to_vec(),
            ]
            .concat();
            let (sender, receiver) = pair.ends(from);
            sender.send(&nonsense);
            assert!(receiver.take(nonsense.len()) == nonsense);
            sent[from as usize] = nonsense.len();
        }
        // Half-closes pass as well, one after the other.
        pair.client.finish();
        assert_eq!(pair.app.expect_end(), End::Clean);
        pair.app.send("after the client's end");
        assert_eq!(pair.client.take(22), b"after the client's end");
        pair.app.finish();
        assert_eq!(pair.client.expect_end(), End::Clean);
        let line = bench.account(&pair);
        assert_says(&line, &json!({ "cause": "eof", "client_code": null, "app_code": null }));
        assert_says(&line, &json!({ "client_bytes": sent[0], "app_bytes": sent[1] + 22 }));
        assert_says(&line, &json!({ "client_messages": 0, "app_messages": 0 }));
    }
}

#[test]
fn b19_without_inspection_the_idle_limit_still_holds_and_no_frame_is_made_up() {
    let bench = Bench::new(&[("--inspect", "off"), ("--proxy-read-timeout", "1s")]);
    each_scheme(|scheme| {
        let mut pair = bench.open(scheme);
        pair.passes(Side::Client, &Frame::client(TEXT, "hello"));
        // Nothing but the end, with no ping and no Close before it.
        pair.client.expect_end();
        pair.app.expect_end();
        assert_says(&bench.account(&pair), &json!({ "by": "sidecar", "cause": "idle" }));
    });
}

#[test]
fn b19_the_tls_listener_carries_raw_bytes_and_half_closes_both_ways() {
    let (sidecar, app) = tls_listener(&[]);
    for first in Side::BOTH {
        let (mut client, mut held) = join(&sidecar, &app);
        let up: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let down: Vec<u8> = (0..=255).rev().cycle().take(70_000).collect();
        client.send(&up);
        assert!(held.take(up.len()) == up);
        held.send(&down);
        assert!(client.take(down.len()) == down);
        let (one, other) = if first == Side::Client { (&mut client, &mut held) } else { (&mut held, &mut client) };
        one.finish();
        assert_eq!(other.expect_end(), End::Clean, "the end of the {}", first.name());
        other.send("one direction is left");
        assert_eq!(one.take(21), b"one direction is left");
        other.finish();
        assert_eq!(one.expect_end(), End::Clean);
        let line = sidecar.session_of(client.local_addr());
        let (up, down) = if first == Side::Client { (100_000, 70_021) } else { (100_021, 70_000) };
        assert_says(&line, &json!({ "cause": "eof", "by": first.name(), "scheme": "tls" }));
        assert_says(&line, &json!({ "client_bytes": up, "app_bytes": down, "client_code": null }));
    }
}

#[test]
fn b19_the_tls_listener_has_an_idle_limit() {
    let (sidecar, app) = tls_listener(&["--proxy-read-timeout", "1s"]);
    let (mut client, mut held) = join(&sidecar, &app);
    client.send("hello");
    assert_eq!(held.take(5), b"hello");
    let start = Instant::now();
    assert_eq!(client.expect_end(), End::Clean);
    assert!(start.elapsed() > Duration::from_millis(500), "ended after {:?} already", start.elapsed());
    held.expect_end();
    let line = sidecar.session_of(client.local_addr());
    assert_says(&line, &json!({ "by": "sidecar", "cause": "idle", "client_bytes": 5, "app_bytes": 0 }));
}

#[test]
fn b16_a_reset_behind_the_tls_listener_ends_both_connections() {
    let (sidecar, app) = tls_listener(&[]);
    for dying in Side::BOTH {
        let (mut client, mut held) = join(&sidecar, &app);
        let addr = client.local_addr();
        client.send("hello");
        assert_eq!(held.take(5), b"hello");
        if dying == Side::Client {
            client.reset();
            held.expect_end();
        } else {
            held.reset();
            client.expect_end();
        }
        let line = sidecar.session_of(addr);
        assert_says(&line, &json!({ "by": dying.name(), "cause": "reset", "side": dying.name(), "client_bytes": 5 }));
    }
}

fn tls_listener(settings: &[&str]) -> (Sidecar, Held) {
    let app = Held::listen();
    let launch = Sidecar::before(app.addr()).tls();
    let launch = settings.chunks(2).fold(launch, |launch, pair| launch.flag(pair[0], pair[1]));
    (launch.start(), app)
}

fn join(sidecar: &Sidecar, app: &Held) -> (Wire, Wire) {
    let client = sidecar.connect("tls");
    (client, app.accept())
}
