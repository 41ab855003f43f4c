//! What happens between the upgrade request and a valid 101, and when none comes (promises 1, 2, 3, 6).

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use outrigger_tests::app::response;
use outrigger_tests::http::{find, get};
use outrigger_tests::ws::{BINARY, CLOSE, KEY, TEXT, accept_for, switching, upgrade};
use outrigger_tests::{App, End, Frame, Sidecar, Wire};

/// How long the app watches that nothing comes early. What is wrong here comes within a millisecond.
const EARLY: Duration = Duration::from_millis(200);

#[test]
fn b01_a_request_pipelined_behind_a_refused_upgrade_is_never_sent_as_websocket_bytes() {
    for status in [200, 204, 301, 403, 404, 426, 500] {
        let app = App::http(move |request, _| match request.get("upgrade") {
            Some(_) if status == 204 => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            Some(_) => response(status, &["Sec-WebSocket-Version: 13"], "refused"),
            None => response(200, &[], "ok"),
        });
        let sidecar = Sidecar::before(app.addr()).http().start();
        let mut client = sidecar.client();
        client.send(upgrade("/chat", &[]) + &get("/smuggled", &[]));
        client.response("GET").expect(status);
        client.finish();
        client.rest();

        let seen = app.wait("the end of the refused upgrade's connection", |seen| {
            seen.first().is_some_and(|first| first.end.is_some()).then(|| seen.to_vec())
        });
        assert_eq!(seen[0].bytes, seen[0].requests[0].raw, "after {status}: more than the upgrade: {seen:?}");
        // Back in HTTP parsing, the second request may be proxied as any other; then it bears the proxy's marks.
        let others = seen[1..].iter().flat_map(|conn| &conn.requests);
        for request in others {
            assert_eq!(request.get("x-forwarded-for"), Some("127.0.0.1"), "after {status}: {request:?}");
        }
    }
}

#[test]
fn b01_frames_pipelined_behind_a_refused_upgrade_are_not_sent_and_end_the_connection() {
    let app = App::http(|_, _| response(403, &[], "no"));
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    let frame = Frame::client(TEXT, "early bird").bytes();
    client.send([upgrade("/chat", &[]).as_bytes(), &frame].concat());
    client.response("GET").expect(403);
    // A frame is no request: the connection is answered 400 or closed.
    let (rest, end) = client.rest();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400 "), "{}", outrigger_tests::show(&rest));
    assert_ne!(end, End::Silent);
    let seen = app.wait_all_ended();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].bytes, seen[0].requests[0].raw);
}

#[test]
fn b01_bytes_behind_an_upgrade_that_the_sidecar_itself_refuses_never_reach_the_app() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let wrong_version = upgrade("/chat", &[]).replace("Version: 13", "Version: 12");
    for request in [wrong_version, upgrade("/chat", &["Content-Length: 5"])] {
        let mut client = sidecar.client();
        client.send(request + &get("/smuggled", &["X-Forwarded-For: 6.6.6.6"]));
        let status = client.response("GET").status;
        assert!(status == 426 || status == 400, "{status}");
        client.finish();
        client.rest();
    }
    for request in app.seen().iter().flat_map(|conn| &conn.requests) {
        assert_eq!(request.target(), "/smuggled");
        assert_eq!(request.get("x-forwarded-for"), Some("127.0.0.1"), "{request:?}");
    }
}

#[test]
fn b01_nothing_behind_the_upgrade_reaches_the_app_before_its_101() {
    let (quiet_sender, quiet) = channel();
    let quiet_sender = Mutex::new(quiet_sender);
    let app = App::scripted(move |conn| {
        let Some(request) = conn.request() else { return };
        let quiet = conn.is_quiet(EARLY);
        quiet_sender.lock().expect("no panic under this lock").send(quiet).expect("the test waits");
        conn.send(switching(&request, &[]));
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    let frame = Frame::client(TEXT, "early bird").bytes();
    client.send([upgrade("/chat", &[]).as_bytes(), &frame].concat());
    client.response("GET").expect(101);
    assert!(quiet.recv().expect("the app tells"), "bytes came before the 101: {:?}", app.seen());
    app.wait("the early frame", |seen| find(&seen[0].bytes, &frame));
}

#[test]
fn b02_frames_sent_early_by_either_side_arrive_after_the_101() {
    let app = App::scripted(|conn| {
        let Some(request) = conn.request() else { return };
        let early = Frame::app(TEXT, "welcome").bytes();
        conn.send([switching(&request, &[]).as_bytes(), &early].concat());
        let frame = conn.frame();
        conn.send(Frame { mask: None, ..frame }.bytes());
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().https().start();
    for scheme in ["http", "https"] {
        let mut client = sidecar.connect(scheme);
        let early = Frame::client(TEXT, "hello from before").bytes();
        client.send([upgrade("/chat", &[]).as_bytes(), &early].concat());
        client.response("GET").expect(101);
        assert_eq!(client.frame(), Frame::app(TEXT, "welcome"));
        assert_eq!(client.frame(), Frame::app(TEXT, "hello from before"));
    }
}

#[test]
fn b02_a_frame_cut_anywhere_by_the_handshake_arrives_whole() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let frame = Frame::client(TEXT, "cut in two").bytes();
    for cut in 0..=frame.len() {
        let mut client = sidecar.client();
        client.send([upgrade("/chat", &[]).as_bytes(), &frame[..cut]].concat());
        client.response("GET").expect(101);
        client.send(&frame[cut..]);
        assert_eq!(client.frame(), Frame::app(TEXT, "cut in two"), "cut at {cut}");
    }
}

#[test]
fn b02_what_is_held_before_the_101_is_bounded() {
    const FRAMES: usize = 1024;
    const FRAME_BYTES: usize = 64 * 1024;
    let frame = Frame::client(BINARY, vec![7; FRAME_BYTES]).bytes();
    let total = FRAMES * frame.len();

    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let app = App::scripted(move |conn| {
        let Some(request) = conn.request() else { return };
        let _ = gate.lock().expect("no panic under this lock").recv();
        conn.send(switching(&request, &[]));
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().flag("--proxy-read-timeout", "60s").start();
    let before = sidecar.peak_memory_kib();
    let mut client = sidecar.client();
    client.send(upgrade("/chat", &[]));

    // Write until nothing more is taken: then every buffer on the way is full.
    let mut socket = client.second_handle();
    socket.set_write_timeout(Some(Duration::from_secs(1))).expect("not zero");
    let stream: Vec<u8> = frame.iter().copied().cycle().take(total).collect();
    let mut sent = 0;
    while sent < total {
        match socket.write(&stream[sent..(sent + FRAME_BYTES).min(total)]) {
            Ok(n) => sent += n,
            Err(_) => break,
        }
    }
    assert!(sent < total, "all {total} bytes were taken before the app had answered");
    let grown = sidecar.peak_memory_kib() - before;
    assert!(grown < 8 * 1024, "the sidecar grew by {grown} KiB while it held early bytes");

    go.send(()).expect("the app waits");
    client.response("GET").expect(101);
    socket.set_write_timeout(None).expect("none is valid");
    socket.write_all(&stream[sent..]).expect("the rest flows once the app has answered");
    app.wait("every early byte", |seen| (seen[0].bytes.len() == seen[0].requests[0].raw.len() + total).then_some(()));
}

#[test]
fn b03_a_101_that_does_not_prove_itself_gets_502() {
    let accept = accept_for(KEY);
    let wrong = accept_for("AAAAAAAAAAAAAAAAAAAAAA==");
    let cases = [
        ("wrong accept", format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {wrong}\r\n")),
        ("accept in another case", {
            let other = accept.to_lowercase();
            format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {other}\r\n")
        }),
        ("no accept", "Upgrade: websocket\r\nConnection: Upgrade\r\n".to_owned()),
        ("no Upgrade", format!("Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n")),
        ("another Upgrade", format!("Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n")),
        ("no Connection", format!("Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n")),
        ("another Connection", {
            format!("Upgrade: websocket\r\nConnection: keep-alive\r\nSec-WebSocket-Accept: {accept}\r\n")
        }),
    ];
    for (what, lines) in cases {
        let app = App::answering(move |_| format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n"));
        let sidecar = Sidecar::before(app.addr()).http().start();
        let mut client = sidecar.client();
        let early = Frame::client(TEXT, "early").bytes();
        client.send([upgrade("/chat", &[]).as_bytes(), &early].concat());
        let answer = client.response("GET");
        assert_eq!(answer.status, 502, "{what}: {answer:?}");
        let seen = app.wait_all_ended();
        assert_eq!(seen[0].bytes, seen[0].requests[0].raw, "{what}: bytes reached the app");
    }
}

#[test]
fn b03_a_101_that_nobody_asked_for_gets_502() {
    let app = App::answering(|_| {
        let accept = accept_for(KEY);
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    sidecar.client().ask(&get("/plain", &[])).expect(502);
    sidecar.client().ask(&get("/plain", &["Upgrade: h2c", "Connection: Upgrade"])).expect(502);
    app.wait_all_ended();
}

#[test]
fn b03_informational_answers_before_the_101_are_no_answer() {
    for informational in ["100 Continue", "103 Early Hints\r\nLink: </style.css>; rel=preload"] {
        let app = App::scripted(move |conn| {
            let Some(request) = conn.request() else { return };
            conn.send(format!("HTTP/1.1 {informational}\r\n\r\n"));
            conn.send(switching(&request, &[]));
            let frame = conn.frame();
            conn.send(Frame { mask: None, ..frame }.bytes());
            conn.rest();
        });
        let sidecar = Sidecar::before(app.addr()).http().start();
        let mut client = sidecar.client();
        client.send(upgrade("/chat", &[]));
        final_or_101(&mut client, 101);
        client.echo("after the hints");
    }
}

#[test]
fn b03_informational_answers_before_a_plain_answer_are_no_answer() {
    let app = App::answering(|_| {
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n".to_owned() + &response(200, &[], "ok")
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send(get("/", &[]));
    final_or_101(&mut client, 200);
}

#[test]
fn b06_the_app_connection_of_a_refused_upgrade_is_closed_and_not_used_again() {
    let app = App::http(|request, _| match request.get("upgrade") {
        Some(_) => response(403, &["X-Reason: members only"], "no entry"),
        None => response(200, &[], "ok"),
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    // A pooled connection to begin with: the refused upgrade must not leave another one in the pool.
    sidecar.client().ask(&get("/first", &[])).expect(200);
    let mut refused = sidecar.client();
    let answer = refused.ask(&upgrade("/chat", &[])).expect(403);
    assert_eq!((answer.text().as_str(), answer.head.get("x-reason")), ("no entry", Some("members only")));
    // The client stays, so it is the refusal that ends the app's connection.
    let ended = app.wait("the end of the refused connection", |seen| {
        seen.iter().position(|s| s.end.is_some() && s.requests.iter().any(|r| r.target() == "/chat"))
    });
    sidecar.client().ask(&get("/after", &[])).expect(200);
    drop(refused);
    let seen = app.seen();
    let last = seen[ended].requests.last().expect("it had a request");
    assert_eq!(last.target(), "/chat", "another request followed the refused upgrade: {seen:?}");
}

#[test]
fn b06_a_session_that_ended_leaves_no_connection_behind() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.open("/chat", &[]);
    client.echo("one");
    client.send(Frame::client(CLOSE, Frame::close_payload(1000, "")).bytes());
    client.expect_close(1000);
    client.expect_end();
    app.wait_all_ended();
    let line = sidecar.session_ended();
    assert!(line["cause"].is_string() && line["by"] == "client", "{line}");
    assert_eq!((&line["client_code"], &line["app_code"]), (&1000.into(), &1000.into()), "{line}");
}

/// Takes responses until one that is not merely informational, and checks its status.
fn final_or_101(client: &mut Wire, status: u16) {
    loop {
        let answer = client.response("GET");
        if answer.status == 101 || answer.status >= 200 {
            assert_eq!(answer.status, status, "{answer:?}");
            return;
        }
    }
}
