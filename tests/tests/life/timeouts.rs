//! Which clock runs when (promises 18, 19), and the 408s and 504s of promise 20.

use std::time::{Duration, Instant};

use outrigger_tests::http::get;
use outrigger_tests::ws::{CLOSE, upgrade};
use outrigger_tests::{App, End, Sidecar, Wire};

/// The least that the timeouts accept, and what the tests set.
const SHORT: Duration = Duration::from_secs(1);

/// Longer than [`SHORT`] by more than a timer is ever late: what survives this is not under that timeout.
const LONGER: Duration = Duration::from_millis(2500);

/// A pause between two bytes of a slow client.
const DRIBBLE: Duration = Duration::from_millis(100);

#[test]
fn b18_the_header_timeout_runs_from_accept() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().flag("--client-header-timeout", "1s").start();
    let start = Instant::now();
    let mut client = sidecar.client();
    let (rest, end) = client.rest();
    assert_ne!(end, End::Silent, "a client that says nothing was kept");
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{}", outrigger_tests::show(&rest));
    assert!(start.elapsed() > SHORT / 2, "cut after {:?} already", start.elapsed());
}

#[test]
fn b18_a_stalled_header_gets_408() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().https().flag("--client-header-timeout", "1s").start();
    for scheme in ["http", "https"] {
        let mut client = sidecar.connect(scheme);
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n");
        client.response("GET").expect(408);
        client.expect_end();
    }
    assert!(app.seen().iter().all(|conn| conn.bytes.is_empty()), "{:?}", app.seen());
}

#[test]
fn b18_a_header_that_dribbles_gets_408_too() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().flag("--client-header-timeout", "1s").start();
    let mut client = sidecar.client();
    client.send("GET / HTTP/1.1\r\nX-Slow: ");
    let start = Instant::now();
    while client.is_quiet(DRIBBLE) {
        assert!(start.elapsed() < 10 * SHORT, "a byte now and then keeps the header timeout from firing");
        client.send("x");
    }
    client.response("GET").expect(408);
}

#[test]
fn b18_an_idle_keep_alive_connection_is_not_under_the_header_timeout() {
    let app = App::ok();
    let launch = Sidecar::before(app.addr()).http().https().flag("--client-header-timeout", "1s");
    let sidecar = launch.flag("--keepalive-timeout", "60s").start();
    for scheme in ["http", "https"] {
        let mut client = sidecar.connect(scheme);
        client.ask(&get("/first", &[])).expect(200);
        assert!(client.is_quiet(LONGER), "an idle keep-alive connection got {:?}", client.rest());
        client.ask(&get("/second", &[])).expect(200);
    }
}

#[test]
fn b18_the_header_of_a_later_request_has_its_timeout_too() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().flag("--client-header-timeout", "1s").start();
    let mut client = sidecar.client();
    client.ask(&get("/first", &[])).expect(200);
    client.send("GET /second HTTP/1.1\r\n");
    client.response("GET").expect(408);
}

#[test]
fn b18_an_idle_keep_alive_connection_ends_after_its_own_timeout() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().https().flag("--keepalive-timeout", "1s").start();
    for scheme in ["http", "https"] {
        let mut client = sidecar.connect(scheme);
        client.ask(&get("/", &[])).expect(200);
        let start = Instant::now();
        assert_eq!(client.expect_end(), End::Clean);
        assert!(start.elapsed() > SHORT / 2, "closed after {:?} already", start.elapsed());
    }
}

#[test]
fn b18_tls_handshakes_have_a_timeout() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).https().tls().flag("--tls-handshake-timeout", "1s").start();
    // Nothing at all, and the start of a ClientHello.
    for start in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        for scheme in ["https", "tls"] {
            let mut client = Wire::plain(sidecar.addr(scheme));
            client.send(start);
            assert_ne!(client.rest().1, End::Silent, "{scheme}: a stalled handshake was kept");
        }
    }
}

#[test]
fn b18_stalled_tls_handshakes_do_not_hold_up_others() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).https().flag("--tls-handshake-timeout", "60s").start();
    let stalled: Vec<Wire> = (0..50).map(|_| Wire::plain(sidecar.addr("https"))).collect();
    let start = Instant::now();
    sidecar.connect("https").ask(&get("/", &[])).expect(200);
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
    drop(stalled);
}

#[test]
fn b19_handshake_timers_end_at_the_101() {
    let app = App::echo();
    let mut launch = Sidecar::before(app.addr()).http().https();
    for flag in ["--client-header-timeout", "--client-body-timeout", "--tls-handshake-timeout", "--upgrade-timeout"] {
        launch = launch.flag(flag, "1s");
    }
    let sidecar = launch.flag("--keepalive-timeout", "1s").start();
    for scheme in ["http", "https"] {
        let mut client = sidecar.connect(scheme);
        client.open("/", &[]);
        assert!(client.is_quiet(LONGER), "a quiet session got {:?}", client.rest());
        client.echo("still here");
    }
}

#[test]
fn b19_an_idle_close_carries_a_close_frame_each_way() {
    let app = App::echo();
    let launch = Sidecar::before(app.addr()).http().flag("--proxy-read-timeout", "1s");
    let sidecar = launch.flag("--keepalive", "off").start();
    let mut client = sidecar.client();
    client.open("/", &[]);
    let start = Instant::now();
    let frame = client.frame();
    assert_eq!(frame.opcode, CLOSE, "{frame:?}");
    assert!(frame.close_code().is_some(), "a Close with a code expected: {frame:?}");
    assert!(start.elapsed() > SHORT / 2, "closed after {:?} already", start.elapsed());
    app.wait_close();
    let line = sidecar.session_ended();
    assert!(line["cause"].as_str().is_some_and(|cause| cause.contains("idle")), "{line}");
}

#[test]
fn b20_a_silent_app_gets_504_after_the_timeout() {
    let app = App::scripted(|conn| {
        conn.request();
        conn.rest();
    });
    let launch = Sidecar::before(app.addr()).http().flag("--proxy-read-timeout", "1s");
    let sidecar = launch.flag("--upgrade-timeout", "1s").start();
    for request in [get("/", &[]), upgrade("/", &[])] {
        let start = Instant::now();
        sidecar.client().ask(&request).expect(504);
        assert!(start.elapsed() > SHORT / 2, "504 after {:?} already", start.elapsed());
    }
    app.wait_all_ended();
}

#[test]
fn b20_a_stalled_body_gets_408() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().flag("--client-body-timeout", "1s").start();
    let heads = ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"];
    for head in heads {
        let mut client = sidecar.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\n{head}"));
        client.response("POST").expect(408);
        client.expect_end();
    }
}

#[test]
fn b20_a_body_that_keeps_coming_is_not_slow() {
    let app = App::http(|_, body| outrigger_tests::app::response(200, &[], &body.len().to_string()));
    let sidecar = Sidecar::before(app.addr()).http().flag("--client-body-timeout", "1s").start();
    let mut client = sidecar.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 20\r\n\r\n");
    for sent in 0..20 {
        assert!(client.is_quiet(DRIBBLE), "after {sent} bytes: {:?}", client.response("POST"));
        client.send("x");
    }
    assert_eq!(client.response("POST").expect(200).text(), "20");
}
