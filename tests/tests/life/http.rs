//! The plain HTTP around the sessions: pooled, streamed, and framed without doubt.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use outrigger_tests::app::response;
use outrigger_tests::http::get;
use outrigger_tests::ws::{switching, upgrade};
use outrigger_tests::{App, Sidecar};

const MIB: usize = 1 << 20;

#[test]
fn http_app_connections_are_pooled() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().start();
    for _ in 0..20 {
        sidecar.client().ask(&get("/", &[])).expect(200);
    }
    // A request that overtakes its predecessor's return to the pool may dial once more.
    let connections = app.seen().iter().filter(|conn| !conn.requests.is_empty()).count();
    assert!(connections <= 3, "20 requests of 20 clients took {connections} connections to the app");
}

#[test]
fn http_a_pooled_connection_that_the_app_closed_is_not_a_failure() {
    let app = App::scripted(|conn| {
        conn.request();
        conn.send(response(200, &[], "ok"));
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    for n in 0..20 {
        let answer = client.ask(&get(&format!("/{n}"), &[]));
        assert_eq!(answer.status, 200, "request {n}: {answer:?}");
    }
}

#[test]
fn http_a_response_streams() {
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let app = App::scripted(move |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        // The rest comes only once the client has the first chunk.
        let _ = gate.lock().expect("no panic under this lock").recv();
        conn.send("4\r\nlast\r\n0\r\n\r\n");
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send(get("/events", &[]));
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.try_chunk().expect("the first chunk, at once"), b"first");
    go.send(()).expect("the app waits");
    assert_eq!(client.try_chunk().expect("the last chunk"), b"last");
}

#[test]
fn http_a_request_streams() {
    let app = App::http(|_, body| response(200, &[], &String::from_utf8_lossy(body)));
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    app.wait("the first chunk before the request has ended", |seen| {
        seen.first()?.bytes.ends_with(b"first\r\n").then_some(())
    });
    client.send("4\r\nlast\r\n0\r\n\r\n");
    assert_eq!(client.response("POST").expect(200).text(), "firstlast");
}

#[test]
fn http_large_bodies_pass_in_constant_memory() {
    const SIZE: usize = 48 * MIB;
    let app = App::http(|request, body| match request.method() {
        "POST" => response(200, &[], &body.len().to_string()),
        _ => response(200, &[], &"x".repeat(SIZE)),
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    sidecar.client().ask(&get("/warm-up", &["Connection: close"])).expect(200);
    let before = sidecar.peak_memory_kib();

    let down = sidecar.client().ask(&get("/", &[])).expect(200);
    assert_eq!(down.body.len(), SIZE);
    let mut client = sidecar.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {SIZE}\r\n\r\n"));
    client.send(vec![b'x'; SIZE]);
    assert_eq!(client.response("POST").expect(200).text(), SIZE.to_string());

    let grown = sidecar.peak_memory_kib() - before;
    assert!(grown < 8 * 1024, "the sidecar grew by {grown} KiB for two bodies of 48 MiB");
}

#[test]
fn http_a_slow_reader_stops_the_sender() {
    let (sent_sender, sent) = channel();
    let sent_sender = Mutex::new(sent_sender);
    let app = App::scripted(move |conn| {
        conn.request();
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 * MIB));
        let chunk = vec![b'x'; MIB];
        for _ in 0..64 {
            conn.send(&chunk);
        }
        let _ = sent_sender.lock().expect("no panic under this lock").send(());
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send(get("/", &[]));
    client.head();
    // The client reads nothing more; 64 MiB do not fit into any socket's buffers.
    let done = sent.recv_timeout(std::time::Duration::from_secs(2));
    assert!(done.is_err(), "the app could send 64 MiB that nobody read");
    assert!(sidecar.peak_memory_kib() < 64 * 1024, "{} KiB", sidecar.peak_memory_kib());
}

#[test]
fn http_head_204_and_304_have_no_body_and_the_connection_goes_on() {
    let app = App::http(|request, _| match (request.method(), request.target()) {
        ("HEAD", _) => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n".to_owned(),
        (_, "/204") => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        (_, "/304") => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_owned(),
        _ => response(200, &[], "ok"),
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    let head = client.ask(&get("/", &[]).replace("GET", "HEAD")).expect(200).head;
    assert_eq!((head.get("content-length"), head.get("etag")), (Some("1000"), Some("\"a\"")), "{head:?}");
    client.ask(&get("/204", &[])).expect(204);
    let not_modified = client.ask(&get("/304", &[])).expect(304).head;
    assert_eq!(not_modified.get("etag"), Some("\"a\""));
    assert_eq!(client.ask(&get("/", &[])).expect(200).text(), "ok");
}

#[test]
fn http_trailers_pass_to_the_client() {
    let app = App::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n"
            .to_owned()
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let answer = sidecar.client().ask(&get("/", &["TE: trailers", "Connection: TE"])).expect(200);
    assert_eq!(answer.text(), "body");
    let trailers: Vec<String> = answer.trailers.iter().map(|line| line.to_ascii_lowercase()).collect();
    assert_eq!(trailers, ["x-sum: 42"]);
}

#[test]
fn http_trailers_pass_to_the_app() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n",
    );
    client.response("POST").expect(200);
    app.wait("the trailer", |seen| {
        seen[0].bytes.to_ascii_lowercase().ends_with(b"\r\nx-sum: 42\r\n\r\n").then_some(())
    });
}

#[test]
fn http_expect_continue_is_answered_before_the_body() {
    let app = App::http(|_, body| response(200, &[], &String::from_utf8_lossy(body)));
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    client.response("POST").expect(100);
    client.send("body");
    assert_eq!(client.response("POST").expect(200).text(), "body");
}

#[test]
fn http_pipelined_requests_are_answered_in_order() {
    let app = App::http(|request, _| response(200, &[], request.target()));
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send(["/1", "/2", "/3"].map(|target| get(target, &[])).concat());
    for target in ["/1", "/2", "/3"] {
        assert_eq!(client.response("GET").expect(200).text(), target);
    }
}

#[test]
fn http_1_0_gets_no_chunks_and_a_close() {
    let app =
        App::answering(|_| "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned());
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    let answer = client.ask("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n").expect(200);
    assert!(answer.head.get("transfer-encoding").is_none(), "{answer:?}");
    assert_eq!(answer.text(), "ok");
    client.expect_end();
}

#[test]
fn http_doubtful_framing_is_refused_or_made_certain() {
    let refused = [
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 4, 5",
        "Content-Length: +4",
        "Content-Length: -1",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, gzip",
    ];
    for framing in refused {
        let app = App::ok();
        let sidecar = Sidecar::before(app.addr()).http().start();
        let mut client = sidecar.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\n{framing}\r\n\r\n0\r\n\r\n"));
        let answer = client.response("POST");
        assert!(answer.status == 400 || answer.status == 501, "{framing:?}: {answer:?}");
        assert!(app.seen().iter().all(|conn| conn.bytes.is_empty()), "{framing:?}: {:?}", app.seen());
    }
}

#[test]
fn http_a_length_beside_chunks_never_reaches_the_app() {
    let app = App::http(|_, body| response(200, &[], &String::from_utf8_lossy(body)));
    let sidecar = Sidecar::before(app.addr()).http().start();
    for framing in
        ["Content-Length: 40\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 40"]
    {
        let mut client = sidecar.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\n{framing}\r\n\r\n2\r\nok\r\n0\r\n\r\n"));
        let answer = client.response("POST");
        assert!(answer.status == 400 || answer.text() == "ok", "{framing:?}: {answer:?}");
    }
    for request in app.seen().iter().flat_map(|conn| &conn.requests) {
        let framings = request.all("content-length").len() + request.all("transfer-encoding").len();
        assert_eq!(framings, 1, "{request:?}");
    }
}

#[test]
fn http_headers_of_the_configuration_are_on_every_answer() {
    let app = App::scripted(|conn| {
        while let Some(request) = conn.request() {
            match request.get("upgrade") {
                Some(_) => conn.send(switching(&request, &["Server: app"])),
                None => conn.send(response(200, &["Server: app"], "ok")),
            }
        }
    });
    let launch = Sidecar::before(app.addr()).http().flag("--add-header", "X-Served-By: outrigger");
    let sidecar = launch.flag("--more-set-headers", "Server: outrigger").start();
    for (request, status) in [(get("/", &[]), 200), (upgrade("/", &[]), 101)] {
        let head = sidecar.client().ask(&request).expect(status).head;
        assert_eq!(head.all("server"), ["outrigger"], "{head:?}");
        assert_eq!(head.all("x-served-by"), ["outrigger"], "{head:?}");
    }
}

#[test]
fn http_many_clients_at_once() {
    const CLIENTS: usize = 50;
    let app = App::http(|request, _| response(200, &[], request.target()));
    let sidecar = Sidecar::before(app.addr()).http().start();
    thread::scope(|scope| {
        for n in 0..CLIENTS {
            let mut client = sidecar.client();
            scope.spawn(move || {
                for round in 0..5 {
                    let target = format!("/{n}/{round}");
                    assert_eq!(client.ask(&get(&target, &[])).expect(200).text(), target);
                }
            });
        }
    });
}
