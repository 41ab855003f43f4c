//! Requests and answers that overlap, stall, or say two things at once.

use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::{Duration, Instant};

use outrigger_tests::http::get;
use outrigger_tests::{App, PATIENCE, Sidecar};

/// Over every limit of one second.
const LONGER: Duration = Duration::from_millis(2500);

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the app's slowness is what is tested")]
fn an_app_may_think_for_longer_than_it_may_take_to_listen() {
    let app = App::http(|_, _| {
        sleep(LONGER);
        outrigger_tests::app::response(200, &[], "thought about it")
    });
    let sidecar = Sidecar::before(app.addr()).http().flag("--proxy-send-timeout", "1s").start();
    let mut client = sidecar.client();
    client.send(post(5) + "hello");
    client.response("POST").expect(200);
}

#[test]
fn a_client_that_sends_nothing_of_its_body_is_told_so() {
    let app = App::ok();
    let launch = Sidecar::before(app.addr()).http().flag("--client-body-timeout", "2s");
    let sidecar = launch.flag("--proxy-send-timeout", "1s").start();
    let mut client = sidecar.client();
    client.send(post(10));
    client.response("POST").expect(408);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the client's slowness is what is tested")]
fn an_early_answer_does_not_start_the_clock_of_the_next_request() {
    let app = App::scripted(|conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            if conn.try_take(10).is_err() {
                return;
            }
        }
    });
    let launch = Sidecar::before(app.addr()).http().flag("--client-header-timeout", "1s");
    let sidecar = launch.flag("--keepalive-timeout", "60s").start();
    let mut client = sidecar.client();
    client.send(post(10));
    client.response("POST").expect(200);
    client.send("01234");
    sleep(LONGER);
    client.send("56789");
    client.ask(&(post(10) + "0123456789")).expect(200);
}

#[test]
fn an_app_that_answers_and_stops_listening_holds_nobody() {
    let app = App::scripted(|conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            // Neither read nor closed for longer than this test waits.
            let (_keep, never) = channel::<()>();
            let _ = never.recv_timeout(PATIENCE * 2);
        }
    });
    let launch = Sidecar::before(app.addr()).http().flag("--max-connections", "1");
    let sidecar = launch.flag("--proxy-send-timeout", "1s").flag("--keepalive-timeout", "1s").start();
    let mut client = sidecar.client();
    client.send(post(50_000_000));
    client.response("POST").expect(200);
    let piece = vec![7; 1 << 20];
    let mut writer = client.second_handle();
    std::thread::spawn(move || while std::io::Write::write_all(&mut writer, &piece).is_ok() {});
    let started = Instant::now();
    // Whether its own connection has ended is seen by the next client, for whom there is a place again.
    loop {
        let mut next = sidecar.client();
        next.send(get("/", &[]));
        if next.try_head().is_ok_and(|head| head.status() == 200) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the place of a client that is not served any more is still taken");
    }
}

#[test]
fn an_answer_with_two_lengths_has_the_one_of_its_chunks() {
    let app = App::scripted(|conn| {
        conn.request();
        conn.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
        );
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let answer = sidecar.client().ask(&get("/", &[])).expect(200);
    assert_eq!(answer.text(), "0123456789");
}

#[test]
fn a_request_of_http_1_0_without_a_host_asks_the_app_itself() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send("GET /health HTTP/1.0\r\n\r\n");
    client.response("GET").expect(200);
    assert_eq!(app.request(0).get("host"), Some(app.addr().to_string().as_str()));
}

#[test]
fn an_absolute_target_says_whom_it_asks_and_a_bare_authority_is_refused() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().start();
    sidecar.client().ask("GET http://other.test/x HTTP/1.1\r\nHost: app.test\r\n\r\n").expect(200);
    assert_eq!((app.request(0).target(), app.request(0).get("host")), ("/x", Some("other.test")));
    sidecar.client().ask("GET admin HTTP/1.1\r\nHost: app.test\r\n\r\n").expect(400);
}
