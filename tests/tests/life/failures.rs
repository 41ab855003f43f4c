//! What the client hears when something is missing, full or too large, and what the app hears when the client
//! leaves (promise 20).

use std::time::{Duration, Instant};

use outrigger_tests::app::Reserved;
use outrigger_tests::http::get;
use outrigger_tests::ws::{CLOSE, TEXT, switching, upgrade};
use outrigger_tests::{App, End, Frame, PATIENCE, Sidecar};

#[test]
fn b20_an_app_that_is_down_gets_502_at_once() {
    let down = Reserved::new();
    let launch = Sidecar::before(down.addr()).http().https().flag("--proxy-connect-timeout", "60s");
    let sidecar = launch.start();
    for request in [get("/", &[]), upgrade("/", &[])] {
        for scheme in ["http", "https"] {
            let mut client = sidecar.connect(scheme);
            let start = Instant::now();
            client.ask(&request).expect(502);
            assert!(start.elapsed() < Duration::from_secs(10), "502 only after {:?}", start.elapsed());
        }
    }
}

#[test]
fn b20_an_app_that_breaks_off_or_talks_nonsense_gets_502() {
    let answers = ["", "HTTP/1.1 200 OK\r\nContent-Le", "SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1 2x0 OK\r\n\r\n"];
    for answer in answers {
        let app = App::scripted(move |conn| {
            conn.request();
            conn.send(answer);
            conn.finish();
            conn.rest();
        });
        let sidecar = Sidecar::before(app.addr()).http().start();
        for request in [get("/", &[]), upgrade("/", &[])] {
            let response = sidecar.client().ask(&request);
            assert_eq!(response.status, 502, "{answer:?}: {response:?}");
        }
    }
}

#[test]
fn b20_a_body_that_the_app_breaks_off_is_not_passed_off_as_whole() {
    let heads = ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"];
    for head in heads {
        let app = App::scripted(move |conn| {
            conn.request();
            conn.send(format!("HTTP/1.1 200 OK\r\n{head}"));
            conn.finish();
            conn.rest();
        });
        let sidecar = Sidecar::before(app.addr()).http().start();
        let mut client = sidecar.client();
        client.send(get("/", &[]));
        let answer = client.head();
        let (rest, end) = client.rest();
        assert_ne!(end, End::Silent, "{answer:?}");
        assert!(!rest.ends_with(b"0\r\n\r\n"), "a broken body was ended properly: {}", outrigger_tests::show(&rest));
    }
}

#[test]
fn b20_full_is_503_with_retry_after_and_passes() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--max-connections", "1").start();
    let mut holder = sidecar.client();
    holder.open("/", &[]);
    holder.echo("in");
    for request in [get("/", &[]), upgrade("/", &[])] {
        let answer = sidecar.client().ask(&request).expect(503);
        let retry = answer.head.get("retry-after").and_then(|value| value.parse::<u32>().ok());
        assert!(retry.is_some(), "Retry-After in seconds expected: {answer:?}");
    }
    holder.echo("undisturbed");
    holder.send(Frame::client(CLOSE, Frame::close_payload(1000, "")).bytes());
    holder.expect_close(1000);
    holder.expect_end();
    let start = Instant::now();
    while sidecar.client().ask(&get("/", &[])).status != 200 {
        assert!(start.elapsed() < PATIENCE, "the place of a client that has left was not free again");
    }
}

#[test]
fn b20_a_header_too_large_gets_431() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().https().start();
    let fits = format!("X-Large: {}", "x".repeat(2 * 1024));
    let large = format!("X-Large: {}", "x".repeat(40 * 1024));
    for scheme in ["http", "https"] {
        let mut client = sidecar.connect(scheme);
        client.ask(&get("/", &[&fits])).expect(200);
        client.ask(&get("/", &[&large])).expect(431);
    }
    sidecar.client().ask(&upgrade("/", &[&large])).expect(431);
    assert_eq!(app.seen().iter().flat_map(|conn| &conn.requests).filter(|r| r.raw.len() > 30_000).count(), 0);
}

#[test]
fn b20_a_body_too_large_gets_413() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().flag("--client-max-body-size", "1m").start();
    let post = |framing: &str| format!("POST / HTTP/1.1\r\nHost: app.test\r\n{framing}\r\n\r\n");

    let mut declared = sidecar.client();
    declared.send(post("Content-Length: 1048577"));
    declared.response("POST").expect(413);
    assert!(app.seen().iter().all(|conn| conn.bytes.is_empty()), "{:?}", app.seen());

    let mut chunked = sidecar.client();
    chunked.send(post("Transfer-Encoding: chunked"));
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        chunked.send(&chunk);
    }
    chunked.response("POST").expect(413);

    let mut exact = sidecar.client();
    exact.send(post("Content-Length: 1048576"));
    exact.send("x".repeat(1 << 20));
    exact.response("POST").expect(200);
}

#[test]
fn b20_the_app_side_is_dropped_when_the_client_leaves_while_it_waits() {
    let app = App::scripted(|conn| {
        conn.request();
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().https().start();
    for request in [get("/", &[]), upgrade("/", &[])] {
        for scheme in ["http", "https"] {
            let mut client = sidecar.connect(scheme);
            let before = app.seen().len();
            client.send(&request);
            app.wait("the request", |seen| seen.get(before)?.requests.first().cloned());
            client.cut();
            app.wait("the end of the app side", |seen| seen[before].end.filter(|&end| end != End::Silent));
        }
    }
}

#[test]
fn b20_the_app_side_is_dropped_when_the_client_leaves_a_session() {
    let app = App::scripted(|conn| {
        conn.upgrade(&[]);
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.send(Frame::client(TEXT, "last words").bytes());
    client.cut();
    let seen = app.wait_all_ended();
    let last_words = Frame::client(TEXT, "last words").bytes();
    let after = &seen[0].bytes[seen[0].requests[0].raw.len()..];
    assert!(after.starts_with(&last_words), "what the client sent is owed to the app: {seen:?}");
    let line = sidecar.session_ended();
    assert!(line["by"] == "client" && line["cause"].is_string(), "{line}");
}

#[test]
fn b20_a_client_that_leaves_a_download_stops_the_app() {
    let app = App::scripted(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while conn.try_send(&chunk) {}
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send(get("/", &[]));
    client.take(1 << 20);
    client.cut();
    app.wait_all_ended();
}

#[test]
fn b20_an_app_that_comes_back_is_used_at_once() {
    let down = Reserved::new();
    let sidecar = Sidecar::before(down.addr()).http().start();
    let mut client = sidecar.client();
    client.ask(&get("/", &[])).expect(502);
    let listener = down.listen();
    let app = std::thread::spawn(move || {
        let (tcp, _) = listener.accept().expect("the sidecar dials");
        let mut conn = outrigger_tests::Wire::over(Box::new(tcp), None);
        let request = conn.head();
        conn.send(switching(&request, &[]));
        conn.frame()
    });
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.send(Frame::client(TEXT, "back").bytes());
    assert_eq!(app.join().expect("the app got its frame").payload, b"back");
}
