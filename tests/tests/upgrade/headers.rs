//! What goes through and what is changed on the way (promises 8, 10, 11).

use outrigger_tests::app::response;
use outrigger_tests::http::get;
use outrigger_tests::ws::{BINARY, CLOSE, TEXT, upgrade};
use outrigger_tests::{App, Frame, Head, Sidecar};

#[test]
fn b08_hop_by_hop_headers_do_not_reach_the_app() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let own = ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip", "X-Hop: 1", "X-Too: 2"];
    let plain = get("/", &[&["Connection: keep-alive, X-Hop", "Connection: x-too"], &own[..]].concat());
    let upgraded = upgrade("/", &own).replace("Connection: Upgrade", "Connection: X-Hop, Upgrade, x-too");
    sidecar.client().ask(&plain).expect(200);
    sidecar.client().ask(&upgraded).expect(101);
    for n in 0..2 {
        let request = app.request(n);
        for name in ["keep-alive", "proxy-connection", "te", "x-hop", "x-too"] {
            assert!(request.all(name).is_empty(), "{name}: {request:?}");
            assert!(!request.has_token("connection", name), "{name}: {request:?}");
        }
    }
}

#[test]
fn b08_hop_by_hop_headers_do_not_reach_the_client() {
    let internal = ["X-Internal: secret", "Keep-Alive: timeout=1", "Proxy-Connection: keep-alive"];
    let app = App::scripted(move |conn| {
        let Some(request) = conn.request() else { return };
        if request.get("upgrade").is_some() {
            let answer = outrigger_tests::ws::switching(&request, &internal);
            conn.send(answer.replace("Connection: Upgrade", "Connection: Upgrade, X-Internal"));
        } else {
            conn.send(response(200, &[&["Connection: X-Internal"], &internal[..]].concat(), "ok"));
        }
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let plain = sidecar.client().ask(&get("/", &[])).expect(200).head;
    let upgraded = sidecar.client().ask(&upgrade("/", &[])).expect(101).head;
    for head in [&plain, &upgraded] {
        for name in ["x-internal", "proxy-connection"] {
            assert!(head.all(name).is_empty(), "{name}: {head:?}");
            assert!(!head.has_token("connection", name), "{name}: {head:?}");
        }
        assert!(!head.has_token("keep-alive", "timeout=1"), "{head:?}");
    }
    assert!(upgraded.has_token("connection", "upgrade"), "{upgraded:?}");
    assert!(upgraded.get("upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket")), "{upgraded:?}");
}

#[test]
fn b08_connection_cannot_name_away_what_the_sidecar_adds() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let names = "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, traceparent";
    sidecar.client().ask(&get("/", &[&format!("Connection: {names}")])).expect(200);
    let upgraded = upgrade("/", &[]).replace("Connection: Upgrade", &format!("Connection: Upgrade, {names}"));
    sidecar.client().ask(&upgraded).expect(101);
    for n in 0..2 {
        assert_forwarded(&app.request(n), "http");
    }
}

#[test]
fn b08_connection_cannot_name_away_the_framing_of_a_body() {
    let app = App::http(|_, body| response(200, &[], &String::from_utf8_lossy(body)));
    let sidecar = Sidecar::before(app.addr()).http().start();
    let post = "POST / HTTP/1.1\r\nHost: app.test\r\nConnection: content-length, host\r\nContent-Length: 4\r\n\r\nbody";
    let mut client = sidecar.client();
    let answer = client.ask(post);
    // Refusing it is as good as doing it right; what must not happen is a body that the app takes for a request.
    assert!(answer.status == 400 || (answer.status == 200 && answer.text() == "body"), "{answer:?}");
    assert!(app.seen().iter().flat_map(|conn| &conn.requests).all(|r| r.method() == "POST"), "{:?}", app.seen());
}

#[test]
fn b10_forwarded_headers_are_set_on_plain_and_upgrade_requests() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().https().start();
    sidecar.client().ask(&get("/", &[])).expect(200);
    sidecar.client().ask(&upgrade("/", &[])).expect(101);
    sidecar.connect("https").ask(&get("/", &[])).expect(200);
    sidecar.connect("https").ask(&upgrade("/", &[])).expect(101);
    // The plain connection may be pooled, so requests are told apart by what they say, not by their order.
    let seen = app.wait("four requests", |seen| {
        let all: Vec<Head> = seen.iter().flat_map(|conn| conn.requests.clone()).collect();
        (all.len() == 4).then_some(all)
    });
    for proto in ["http", "https"] {
        let of_proto: Vec<&Head> = seen.iter().filter(|r| r.get("x-forwarded-proto") == Some(proto)).collect();
        assert_eq!(of_proto.len(), 2, "{proto}: {seen:?}");
        for request in &of_proto {
            assert_forwarded(request, proto);
        }
        assert_eq!(of_proto.iter().filter(|r| r.get("upgrade").is_some()).count(), 1, "{proto}: {seen:?}");
    }
}

#[test]
fn b10_a_stranger_s_own_values_are_replaced() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--trusted-proxies", "10.0.0.0/8").start();
    sidecar.client().ask(&get("/", &LIES)).expect(200);
    sidecar.client().ask(&upgrade("/", &LIES)).expect(101);
    for n in 0..2 {
        let request = app.request(n);
        assert_forwarded(&request, "http");
        let text = String::from_utf8_lossy(&request.raw).into_owned();
        assert!(!text.contains("6.6.6.6") && !text.contains("evil.test"), "{request:?}");
    }
}

#[test]
fn b10_a_trusted_proxy_s_values_are_kept_and_added_to() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--trusted-proxies", "127.0.0.0/8").start();
    sidecar.client().ask(&get("/", &LIES)).expect(200);
    sidecar.client().ask(&upgrade("/", &LIES)).expect(101);
    for n in 0..2 {
        let request = app.request(n);
        let hops = request.all("x-forwarded-for").join(", ").replace(' ', "");
        assert_eq!(hops, "6.6.6.6,127.0.0.1", "{request:?}");
        assert_eq!(request.get("x-forwarded-proto"), Some("https"), "{request:?}");
        assert_eq!(request.get("x-forwarded-host"), Some("evil.test"), "{request:?}");
        let forwarded = request.all("forwarded").join(", ");
        assert!(forwarded.starts_with("for=6.6.6.6") && forwarded.contains("127.0.0.1"), "{request:?}");
    }
}

#[test]
fn b10_path_query_and_host_go_through_byte_for_byte() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let targets = [
        "/",
        "/a%2Fb%2fc",
        "//double//slash/",
        "/;matrix=1;two",
        "/x?a=b?c&d=%20+e",
        "/%E2%82%AC?%E2%82%AC",
        "/a/../b/./c",
        "/%2e%2e/%2E/x",
        "/?",
        "/x??",
        "/~tilde!$&'()*,:@",
        "/a%00b",
        "/%7Euser/%41",
    ];
    let mut client = sidecar.client();
    for target in targets {
        let request = get(target, &[]).replace("app.test", "App.Test:8443");
        client.ask(&request).expect(200);
        let upgraded = upgrade(target, &[]).replace("app.test", "App.Test:8443");
        sidecar.client().ask(&upgraded).expect(101);
        for is_upgrade in [false, true] {
            app.wait(&format!("{target} with upgrade {is_upgrade}"), |seen| {
                let mut requests = seen.iter().flat_map(|conn| &conn.requests);
                let found = requests.find(|r| r.target() == target && r.get("upgrade").is_some() == is_upgrade);
                found.map(|r| assert_eq!(r.get("host"), Some("App.Test:8443"), "{r:?}"))
            });
        }
    }
}

#[test]
fn b10_header_names_keep_their_case_and_lines_their_number() {
    let app = App::http(|_, _| response(200, &["X-MiXeD: A", "Set-Cookie: a=1", "Set-Cookie: b=2"], "ok"));
    let sidecar = Sidecar::before(app.addr()).http().start();
    let answer = sidecar.client().ask(&get("/", &["X-cAsE: Kept", "X-Twice: 1", "X-Twice: 2"])).expect(200);
    assert!(answer.head.fields.contains(&("X-MiXeD".into(), "A".into())), "{answer:?}");
    assert_eq!(answer.head.all("set-cookie"), ["a=1", "b=2"]);
    let request = app.request(0);
    assert!(request.fields.contains(&("X-cAsE".into(), "Kept".into())), "{request:?}");
    assert_eq!(request.all("x-twice"), ["1", "2"]);
}

#[test]
fn b10_traceparent_goes_through_or_is_started() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let line = format!("traceparent: {theirs}");
    for extra in [&[line.as_str()][..], &[]] {
        sidecar.client().ask(&get("/", extra)).expect(200);
        sidecar.client().ask(&upgrade("/", extra)).expect(101);
    }
    let requests = app.wait("four requests", |seen| {
        let all: Vec<Head> = seen.iter().flat_map(|conn| conn.requests.clone()).collect();
        (all.len() == 4).then_some(all)
    });
    let mut started = Vec::new();
    for request in &requests {
        let value = request.get("traceparent").unwrap_or_else(|| panic!("no traceparent: {request:?}"));
        assert!(is_traceparent(value), "{value:?}");
        // The trace is theirs or new; a sidecar may put its own span between.
        if value[..35] != theirs[..35] {
            started.push(value[3..35].to_owned());
        }
    }
    started.sort();
    started.dedup();
    assert_eq!(started.len(), 2, "two of the four were to be started, each with its own trace: {requests:?}");
}

#[test]
fn b11_subprotocol_and_extension_headers_go_through_untouched() {
    let answered = ["Sec-WebSocket-Protocol: v2.chat", "Sec-WebSocket-Extensions: permessage-deflate; x=\"a, b\""];
    let app = App::scripted(move |conn| {
        conn.upgrade(&answered);
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let asked = [
        "Sec-WebSocket-Protocol: v1.chat,v2.chat",
        "Sec-WebSocket-Protocol: v3.chat",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-custom; x=\"a, b\"",
    ];
    let answer = sidecar.client().open("/", &asked);
    let request = app.request(0);
    assert_eq!(request.all("sec-websocket-protocol"), ["v1.chat,v2.chat", "v3.chat"], "{request:?}");
    let wanted = "permessage-deflate; client_max_window_bits, x-custom; x=\"a, b\"";
    assert_eq!(request.all("sec-websocket-extensions"), [wanted], "{request:?}");
    assert_eq!(answer.get("sec-websocket-protocol"), Some("v2.chat"), "{answer:?}");
    assert_eq!(answer.get("sec-websocket-extensions"), Some("permessage-deflate; x=\"a, b\""), "{answer:?}");
}

/// An app that negotiates what it was offered, and sends one frame with RSV1 set once it got a message.
fn deflating_app(accepted: &'static [&'static str]) -> App {
    App::scripted(move |conn| {
        if conn.upgrade(accepted).is_none() {
            return;
        }
        if let Ok(frame) = conn.try_frame()
            && frame.opcode != CLOSE
        {
            conn.send(Frame { rsv: 4, ..Frame::app(BINARY, "compressed") }.bytes());
        }
        conn.rest();
    })
}

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate";

#[test]
fn b11_rsv1_passes_once_permessage_deflate_was_negotiated() {
    let app = deflating_app(&[DEFLATE]);
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.open("/", &[DEFLATE]);
    let frame = Frame { rsv: 4, ..Frame::client(TEXT, "deflated") }.bytes();
    client.send(&frame);
    assert_eq!(client.frame(), Frame { rsv: 4, ..Frame::app(BINARY, "compressed") });
    assert!(app.seen()[0].bytes.ends_with(&frame), "{:?}", app.seen());
}

#[test]
fn b11_rsv1_from_the_client_without_negotiation_is_a_protocol_error() {
    for offered in [&[][..], &[DEFLATE]] {
        let app = deflating_app(&[]);
        let sidecar = Sidecar::before(app.addr()).http().start();
        let mut client = sidecar.client();
        client.open("/", offered);
        client.send(Frame { rsv: 4, ..Frame::client(TEXT, "deflated") }.bytes());
        client.expect_close(1002);
        assert_eq!(app.wait_frame("a Close", |frame| frame.opcode == CLOSE), [app.wait_close()]);
    }
}

#[test]
fn b11_rsv2_is_a_protocol_error_even_with_permessage_deflate() {
    let app = deflating_app(&[DEFLATE]);
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.open("/", &[DEFLATE]);
    client.send(Frame { rsv: 2, ..Frame::client(TEXT, "reserved") }.bytes());
    client.expect_close(1002);
    assert_eq!(app.wait_frame("a Close", |frame| frame.opcode == CLOSE), [app.wait_close()]);
}

#[test]
fn b11_rsv1_from_the_app_without_negotiation_is_a_protocol_error() {
    let app = deflating_app(&[]);
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.send(Frame::client(TEXT, "go on").bytes());
    let frame = client.frame();
    assert_eq!(frame.opcode, CLOSE, "the client is owed a Close, not {frame:?}");
    assert_eq!(app.wait_close().close_code(), Some(1002));
}

/// What a client that wants to be somebody else sends; the truth when it comes from a trusted proxy.
const LIES: [&str; 4] = [
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.test",
    "Forwarded: for=6.6.6.6;proto=https;host=evil.test",
];

/// Checks what the sidecar says of a client on loopback that asked for `app.test`.
#[track_caller]
fn assert_forwarded(request: &Head, proto: &str) {
    assert_eq!(request.get("x-forwarded-for"), Some("127.0.0.1"), "{request:?}");
    assert_eq!(request.get("x-forwarded-proto"), Some(proto), "{request:?}");
    assert_eq!(request.get("x-forwarded-host"), Some("app.test"), "{request:?}");
    let forwarded = request.get("forwarded").unwrap_or_else(|| panic!("no Forwarded: {request:?}"));
    let pairs: Vec<String> = forwarded.split(';').map(|pair| pair.trim().replace('"', "")).collect();
    for pair in ["for=127.0.0.1", &format!("proto={proto}"), "host=app.test"] {
        assert!(pairs.iter().any(|p| p.eq_ignore_ascii_case(pair)), "{pair} expected: {request:?}");
    }
}

/// Whether this is a valid version 00 of W3C Trace Context's `traceparent`.
fn is_traceparent(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let hex = |part: &str, digits| {
        part.len() == digits && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    matches!(parts[..], ["00", trace, span, flags]
        if hex(trace, 32) && hex(span, 16) && hex(flags, 2) && !zero(trace) && !zero(span))
}
