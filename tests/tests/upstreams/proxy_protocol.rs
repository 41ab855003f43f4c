//! The PROXY protocol: who a client is according to the proxy in front, and what an upstream is told of it.

use outrigger_tests::app::response;
use outrigger_tests::http::get;
use outrigger_tests::{App, Conn, Launch, Sidecar};

/// 192.0.2.1:258 to 10.0.0.1:443 in version 2, with a byte that means nothing behind the addresses.
const V2: [u8; 29] = *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0d\xc0\0\x02\x01\x0a\0\0\x01\x01\x02\x01\xbb\x04";
const V1: &[u8] = b"PROXY TCP4 192.0.2.1 10.0.0.1 258 443\r\n";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn believing(app: &App) -> Launch {
    Sidecar::before(app.addr()).http().https().flag("--proxy-protocol-from", "127.0.0.0/8")
}

#[test]
fn what_a_trusted_proxy_says_holds_for_requests_and_sessions() {
    let app = App::echo();
    let sidecar = believing(&app).start();
    for (nth, (header, client)) in
        [(V1, "192.0.2.1"), (&V2[..], "192.0.2.1"), (LOCAL, "127.0.0.1"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")]
            .into_iter()
            .enumerate()
    {
        let mut wire = sidecar.client();
        wire.send([header, get("/", &[]).as_bytes()].concat());
        wire.response("GET").expect(200);
        let seen: Vec<_> = app.seen().into_iter().flat_map(|conn| conn.requests).collect();
        assert_eq!(seen[nth].get("x-forwarded-for"), Some(client), "{nth}");
    }
    let mut wire = sidecar.client();
    wire.send(V1);
    wire.open("/", &[]);
    wire.echo("through");
    drop(wire);
    assert_eq!(sidecar.session_ended()["client"], "192.0.2.1:258");
}

#[test]
fn it_comes_before_tls() {
    let app = App::echo();
    let sidecar = believing(&app).start();
    // A sidecar that says it, in front of the one that hears it.
    let ca = sidecar.authority_file();
    let upstream = format!("https://localhost:{};proxy_protocol=v2", sidecar.addr("https").port());
    let front = Launch::new().http().flag("--upstream", upstream).flag("--upstream-tls-ca", ca).start();
    let mut client = front.client();
    client.open("/", &[]);
    client.echo("through both");
    let addr = client.local_addr();
    drop(client);
    // The port is the client's own, not that of the sidecar in front.
    assert_eq!(sidecar.session_of(addr)["scheme"], "wss");
}

#[test]
fn without_the_header_that_is_due_there_is_no_conversation() {
    let app = App::ok();
    let sidecar = believing(&app).start();
    for wrong in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", &[b'x'; 200]] {
        let mut wire = sidecar.client();
        wire.try_send(wrong);
        assert!(wire.try_head().is_err(), "{}", outrigger_tests::show(wrong));
    }
    assert!(app.seen().is_empty());
}

#[test]
fn from_anybody_else_it_is_no_header() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().flag("--proxy-protocol-from", "10.0.0.0/8").start();
    let mut wire = sidecar.client();
    wire.send([V1, get("/", &[]).as_bytes()].concat());
    wire.response("GET").expect(400);
    assert!(app.seen().is_empty());
}

#[test]
fn an_upstream_is_told_who_the_client_is_on_a_connection_of_its_own() {
    // It takes the header, then speaks HTTP.
    let app = App::scripted(|conn: &mut Conn| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let Ok(byte) = conn.try_take(1) else { return };
            line.extend(byte);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        conn.serve(move |_, _| response(200, &[], &line));
    });
    let sidecar = Launch::new().http().flag("--upstream", format!("{};proxy_protocol=v1", app.addr())).start();
    let listener = sidecar.addr("http");
    let mut clients = [sidecar.client(), sidecar.client()];
    for client in &mut clients {
        let addr = client.local_addr();
        let told = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}", addr.port(), listener.port());
        for _ in 0..2 {
            assert_eq!(client.ask(&get("/", &[])).expect(200).text(), told);
        }
    }
}
