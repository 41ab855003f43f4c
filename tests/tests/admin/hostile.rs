//! Bad input: it costs its sender a connection, and nobody else anything.

use std::time::{Duration, Instant};

use outrigger_tests::{App, End, Sidecar, Wire};

/// As documented in docs/ADMIN.md.
const MAX_CONNECTIONS: usize = 128;
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_BODY_BYTES: usize = 16 * 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// It is still there, and so is the proxy.
fn well(sidecar: &Sidecar) {
    sidecar.admin_json("GET", "/ready", 200);
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.echo("as ever");
}

#[test]
fn nonsense_gets_400_and_an_end() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    for nonsense in [
        &b"\r\n\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /drain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\nHost x\n\n",
        &[0xff; 4096],
    ] {
        let mut wire = sidecar.admin();
        wire.send(nonsense);
        wire.finish();
        let (answer, end) = wire.rest();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{nonsense:?}: {answer:?}");
        assert_ne!(end, End::Silent, "{nonsense:?}");
    }
    assert_eq!(sidecar.admin_json("GET", "/drain", 200)["state"], "none");
    for (target, status) in [
        ("/nothing", 404),
        ("/drain/", 404),
        ("/sessions/1/close/now", 404),
        ("/%2e%2e/drain", 404),
        ("/sessions/99999999999999999999999", 400),
        ("/sessions/-1", 400),
        ("/live?x=1", 400),
        ("*", 404),
    ] {
        let answer = sidecar.admin().ask(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).expect(status);
        assert!(answer.text().starts_with("{\"error\":\""), "{target}: {}", answer.text());
    }
    well(&sidecar);
}

#[test]
fn a_header_or_a_body_that_is_too_large_is_refused() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let padded = |bytes: usize| format!("GET /live HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(bytes));
    sidecar.admin().ask(&padded(MAX_HEADER_BYTES - 100)).expect(200);
    sidecar.admin().ask(&padded(MAX_HEADER_BYTES + 100)).expect(431);
    let body = |bytes: usize| {
        let body = "x".repeat(bytes);
        format!("POST /drain?window=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n{body}")
    };
    // Read and passed over; what is wrong is the window.
    sidecar.admin().ask(&body(MAX_BODY_BYTES)).expect(400);
    sidecar.admin().ask(&body(MAX_BODY_BYTES + 1)).expect(413);
    well(&sidecar);
}

#[test]
fn a_header_that_does_not_end_is_cut_in_time() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let began = Instant::now();
    let (mut silent, mut slow) = (sidecar.admin(), sidecar.admin());
    slow.send("GET /live HTTP/1.1\r\nHost: ");
    assert_eq!(slow.response("GET").status, 408);
    assert_ne!(silent.expect_end(), End::Silent);
    assert!(began.elapsed() >= HEADER_TIMEOUT, "{:?}", began.elapsed());
    well(&sidecar);
}

#[test]
fn connections_beyond_the_limit_hear_of_it_and_leave_the_proxy_alone() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut held: Vec<Wire> = (0..MAX_CONNECTIONS).map(|_| sidecar.admin()).collect();
    // Whoever was taken before has answered by now, so the next one is one too many.
    for wire in &mut held {
        wire.ask("GET /live HTTP/1.1\r\nHost: x\r\n\r\n").expect(200);
    }
    let mut late = sidecar.admin();
    let answer = late.response("GET").expect(503);
    assert!(answer.text().contains("128 connections"), "{}", answer.text());
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.echo("clients are counted apart");
    held[0].ask("GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect(200);
    held[0].expect_end();
    well(&sidecar);
}
