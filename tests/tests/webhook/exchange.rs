//! HTTP around the reviews: what is no review, what is too large, probes, many at once, and the end of the process.

use std::net::TcpListener;

use outrigger_tests::{End, Launch, Response, Sidecar, Wire};

use super::{ask, head, post, recorded};

/// Bytes of the largest review that is read.
const MAX_REVIEW_BYTES: usize = 4 << 20;
/// Connections at once.
const MAX_CONNECTIONS: usize = 128;

fn get(wire: &mut Wire, request: &str) -> Response {
    wire.ask(&format!("{request} HTTP/1.1\r\nHost: 10.0.0.1:9443\r\n\r\n"))
}

#[test]
fn other_paths_methods_and_types_are_told_what_there_is() {
    let webhook = Launch::webhook().start();
    for (request, status, allow, words) in [
        ("GET /", 404, None, "/inject, /healthz and /readyz"),
        ("GET /inject/", 404, None, "/inject, /healthz and /readyz"),
        ("GET /inject", 405, Some("POST"), "POST"),
        ("DELETE /inject", 405, Some("POST"), "POST"),
        ("POST /healthz", 405, Some("GET, HEAD"), "GET, HEAD"),
        ("POST /inject", 415, None, "application/json"),
    ] {
        let response = get(&mut webhook.connect("https"), request).expect(status);
        assert_eq!(response.head.get("allow"), allow, "{request}");
        assert!(response.text().contains(words), "{request}: {}", response.text());
    }
    let body = recorded("pod").to_string();
    for (content_type, status) in [
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        ("text/plain", 415),
        ("application/jsonx", 415),
        ("application/vnd.kubernetes.protobuf", 415),
    ] {
        let request = head(body.len()).replace("application/json\r\n", &format!("{content_type}\r\n")) + &body;
        webhook.connect("https").ask(&request).expect(status);
    }
    webhook.wait_log("a refusal", |line| line["message"] == "refused a request" && line["status"] == 415);
}

#[test]
fn probes_are_answered_and_leave_no_line() {
    let webhook = Launch::webhook().start();
    let mut wire = webhook.connect("https");
    for path in ["/healthz", "/readyz", "/readyz?verbose"] {
        assert_eq!(get(&mut wire, &format!("GET {path}")).expect(200).text(), "ok\n");
        wire.send(format!("HEAD {path} HTTP/1.1\r\nHost: 10.0.0.1:9443\r\n\r\n"));
        wire.response("HEAD").expect(200);
    }
    // What is said in between is said by the start.
    assert!(webhook.log().last().is_some_and(|line| line.contains("\"ready\"")), "{:?}", webhook.log());
}

#[test]
fn http_1_1_alone_is_offered() {
    let webhook = Launch::webhook().start();
    let config = webhook.authority().client().alpn(&["h2", "http/1.1"]).build();
    let (_, agreed) = Wire::tls_details(webhook.addr("https"), config, "localhost").expect("a handshake");
    assert_eq!(agreed.alpn.as_deref(), Some(&b"http/1.1"[..]));
}

/// A review of exactly so many bytes.
fn of_length(bytes: usize) -> Vec<u8> {
    let mut body = recorded("pod").to_string().into_bytes();
    body.resize(bytes, b' ');
    body
}

#[test]
fn a_review_may_be_as_large_as_the_limit_and_not_a_byte_larger() {
    let webhook = Launch::webhook().start();
    let mut wire = webhook.connect("https");
    post(&mut wire, of_length(MAX_REVIEW_BYTES)).expect(200);
    let refused = post(&mut wire, of_length(MAX_REVIEW_BYTES + 1)).expect(413);
    assert!(refused.text().contains("4 MiB"), "{}", refused.text());
    // What was too large was read to its end, and the connection goes on.
    post(&mut wire, of_length(50_000)).expect(200);
    // Nobody waits for what is far too large: the answer comes while it is still being sent.
    let mut wire = webhook.connect("https");
    wire.send(head(1 << 40));
    let piece = vec![b' '; 1 << 20];
    for _ in 0..17 {
        wire.send(&piece);
    }
    assert_eq!(wire.response("POST").status, 413);
}

#[test]
fn a_body_without_a_length_has_the_same_limit() {
    let webhook = Launch::webhook().start();
    let chunked = head(0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let mut wire = webhook.connect("https");
    let body = recorded("pod").to_string();
    let (one, two) = body.split_at(100);
    wire.send(format!("{chunked}{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len()));
    wire.response("POST").expect(200);
    wire.send(&chunked);
    wire.send(format!("{:x}\r\n", MAX_REVIEW_BYTES + 1));
    wire.send(of_length(MAX_REVIEW_BYTES + 1));
    wire.response("POST").expect(413);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let webhook = Launch::webhook().start();
    let body = recorded("pod").to_string();
    let mut left = webhook.connect("https");
    left.send(head(body.len()) + &body[..200]);
    left.cut();
    let mut slow = webhook.connect("https");
    slow.send(head(body.len()) + &body[..200]);
    let refused = slow.response("POST").expect(408);
    assert!(refused.text().contains("10 s"), "{}", refused.text());
    post(&mut webhook.connect("https"), &body).expect(200);
}

/// All of it stays within what the manifests let it have. Who waits for too long, as on a busy machine, gets no answer.
#[test]
fn many_large_reviews_at_once_cost_no_more_memory_than_there_is() {
    const MEMORY_LIMIT_KIB: u64 = 256 << 10;
    let webhook = Launch::webhook().start();
    // The worst that JSON can be made of: small in text, large in memory.
    let mut review = recorded("pod");
    review["request"]["object"]["status"]["x"] = "LISTS".into();
    let (before, after) =
        review.to_string().split_once("\"LISTS\"").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("there");
    let lists = (MAX_REVIEW_BYTES - before.len() - after.len() - 4) / 3;
    let body = format!("{before}[{}[]]{after}", "[],".repeat(lists));
    assert!(body.len() <= MAX_REVIEW_BYTES && body.len() > MAX_REVIEW_BYTES - 10);
    let mut wires: Vec<Wire> = (0..12).map(|_| webhook.connect("https")).collect();
    let answered = std::thread::scope(|scope| {
        let ask = |wire: &mut Wire| {
            wire.send([head(body.len()).as_bytes(), body.as_bytes()].concat());
            wire.try_head().is_ok_and(|head| head.status() == 200)
        };
        let asking: Vec<_> = wires.iter_mut().map(|wire| scope.spawn(move || ask(wire))).collect();
        asking.into_iter().map(|one| one.join().expect("no panic")).filter(|good| *good).count()
    });
    assert!(answered > 0, "nobody was answered");
    let peak = webhook.peak_memory_kib();
    assert!(peak < MEMORY_LIMIT_KIB, "{peak} KiB");
}

#[test]
fn who_comes_when_all_places_are_taken_waits_for_one() {
    let webhook = Launch::webhook().start();
    let mut there: Vec<Wire> = (0..MAX_CONNECTIONS).map(|_| webhook.connect("https")).collect();
    let addr = webhook.addr("https");
    let config = webhook.authority().client().build();
    std::thread::scope(|scope| {
        let late = scope.spawn(move || {
            let mut wire = Wire::tls(addr, config, "localhost").expect("in its turn");
            ask(&mut wire, &recorded("pod"))
        });
        // Those that have a place are served as if there were nobody else.
        ask(&mut there[0], &recorded("pod"));
        assert!(!late.is_finished());
        drop(there.pop());
        assert_eq!(late.join().expect("no panic")["allowed"], true);
    });
}

#[test]
fn told_to_stop_it_goes_on_until_nobody_comes_and_then_is_gone() {
    let mut webhook = Launch::webhook().flag("--shutdown-delay", "5m").start();
    let mut wire = webhook.connect("https");
    get(&mut wire, "GET /readyz").expect(200);
    webhook.terminate();
    webhook.wait_log("the end", |line| line["message"] == "told to stop: not ready any more");
    // New connections are taken, and those that are there are asked to go.
    let response = get(&mut wire, "GET /readyz").expect(503);
    assert_eq!((response.text().as_str(), response.head.get("connection")), ("stopping\n", Some("close")));
    assert_eq!(wire.expect_end(), End::Clean);
    let mut wire = webhook.connect("https");
    get(&mut wire, "GET /healthz").expect(200);
    assert_eq!(ask(&mut webhook.connect("https"), &recorded("pod"))["allowed"], true);
    // Whoever is in a hurry says so twice.
    webhook.terminate();
    assert_eq!(webhook.wait_exit().code(), Some(0));
}

#[test]
fn a_review_that_is_underway_is_answered_before_the_end() {
    let mut webhook = Launch::webhook().start();
    let body = recorded("pod").to_string();
    let mut idle = webhook.connect("https");
    get(&mut idle, "GET /healthz").expect(200);
    let mut wire = webhook.connect("https");
    get(&mut wire, "GET /healthz").expect(200);
    wire.send(head(body.len()) + &body[..200]);
    // Its start has come before the signal: a connection that is idle may be closed at once.
    wait_busy(&webhook);
    webhook.terminate();
    assert_eq!(idle.expect_end(), End::Clean);
    wire.send(&body[200..]);
    let response = wire.response("POST").expect(200);
    assert_eq!(response.head.get("connection"), Some("close"));
    assert_eq!(webhook.wait_exit().code(), Some(0));
}

/// Waits until the process has read what was sent to it.
fn wait_busy(webhook: &Sidecar) {
    // Another exchange on a connection of its own comes behind what was sent before.
    get(&mut webhook.connect("https"), "GET /healthz").expect(200);
    webhook.wait_asleep();
}

#[test]
fn what_it_cannot_start_with_is_said() {
    let failed = Launch::webhook().flag("--shutdown-delay", "1h").fail().expect(2);
    assert!(failed.stderr.contains("--shutdown-delay: `1h` is not a duration from 0s to 5m"), "{}", failed.stderr);
    let failed = Launch::webhook().flag("--tls-cert", "missing.pem").fail().expect(2);
    assert!(failed.stderr.contains("missing.pem"), "{}", failed.stderr);
    let failed = Launch::webhook().flag("--tls-cert", "server-key.pem").fail().expect(2);
    assert!(failed.stderr.contains("one or more CERTIFICATE sections"), "{}", failed.stderr);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("bound").to_string();
    let failed = Launch::webhook().flag("--listen", &addr).fail().expect(1);
    assert!(failed.stderr.contains(&format!("cannot listen on {addr}")), "{}", failed.stderr);
}
