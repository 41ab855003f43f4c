//! TLS towards the client and towards the app (promise 22).

use outrigger_tests::http::get;
use outrigger_tests::ws::{CLOSE, upgrade};
use outrigger_tests::{App, Authority, End, Frame, Launch, Sidecar, Wire};
use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};
use rustls::version::{TLS12, TLS13};

const NAME: &str = "localhost";

#[test]
fn b22_tls_1_2_and_1_3_are_spoken() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).https().start();
    for (version, name) in [(&TLS12, TLSv1_2), (&TLS13, TLSv1_3)] {
        let config = sidecar.authority().client().only(version).build();
        let (mut client, agreed) = Wire::tls_details(sidecar.addr("https"), config, NAME).expect("a handshake");
        assert_eq!(agreed.version, name);
        client.open("/", &[]);
        client.echo("over TLS");
    }
}

#[test]
fn b22_tls_1_1_is_refused_with_an_alert() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).https().start();
    let mut client = Wire::plain(sidecar.addr("https"));
    client.send(client_hello_1_1());
    let (answer, end) = client.rest();
    assert_ne!(end, End::Silent);
    // A fatal alert: protocol_version (70) or handshake_failure (40), RFC 8446 section 6.2.
    assert!(matches!(answer[..], [0x15, 3, _, 0, 2, 2, 70 | 40]), "{}", outrigger_tests::show(&answer));
}

#[test]
fn b22_ssl_protocols_narrows_the_versions() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).https().flag("--ssl-protocols", "TLSv1.3").start();
    let old = sidecar.authority().client().only(&TLS12).build();
    assert!(Wire::tls(sidecar.addr("https"), old, NAME).is_err(), "TLS 1.2 was to be refused");
    sidecar.connect("https").ask(&get("/", &[])).expect(200);
}

#[test]
fn b22_alpn_answers_http_1_1() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).https().start();
    let addr = sidecar.addr("https");
    for offered in [&["h2", "http/1.1"][..], &["http/1.1"]] {
        let config = sidecar.authority().client().alpn(offered).build();
        let (mut client, agreed) = Wire::tls_details(addr, config, NAME).expect("a handshake");
        assert_eq!(agreed.alpn.as_deref(), Some(&b"http/1.1"[..]), "{agreed:?}");
        client.ask(&get("/", &[])).expect(200);
    }
    let only_h2 = sidecar.authority().client().alpn(&["h2"]).build();
    let agreed = Wire::tls_details(addr, only_h2, NAME).map(|(_, agreed)| agreed.alpn);
    assert!(matches!(agreed, Err(_) | Ok(None)), "HTTP/2 is not spoken, but was agreed on: {agreed:?}");
}

#[test]
fn b22_plaintext_on_a_tls_port_is_refused_cleanly() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).https().tls().start();
    for scheme in ["https", "tls"] {
        let mut client = Wire::plain(sidecar.addr(scheme));
        client.send(get("/", &[]));
        let (answer, end) = client.rest();
        assert_ne!(end, End::Silent, "{scheme}");
        let alert_or_400 = answer.first() == Some(&0x15) || answer.starts_with(b"HTTP/1.1 400 ");
        assert!(answer.is_empty() || alert_or_400, "{scheme}: {}", outrigger_tests::show(&answer));
        let mut client = sidecar.connect(scheme);
        client.ask(&get("/", &[])).expect(200);
    }
    let plain = app.seen().iter().flat_map(|conn| conn.requests.clone()).count();
    assert_eq!(plain, 2, "the plaintext requests reached the app: {:?}", app.seen());
}

#[test]
fn b22_close_notify_ends_a_response_and_a_session() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).https().start();
    for version in [&TLS12, &TLS13] {
        let config = sidecar.authority().client().only(version).build();
        let mut client = Wire::tls(sidecar.addr("https"), config.clone(), NAME).expect("a handshake");
        client.ask(&get("/", &["Connection: close"])).expect(200);
        assert_eq!(client.expect_end(), End::Clean);

        let mut client = Wire::tls(sidecar.addr("https"), config, NAME).expect("a handshake");
        client.open("/", &[]);
        client.send(Frame::client(CLOSE, Frame::close_payload(1000, "")).bytes());
        client.expect_close(1000);
        assert_eq!(client.expect_end(), End::Clean);
    }
}

#[test]
fn b22_the_tls_listener_relays_raw_bytes() {
    let app = App::scripted(|conn| {
        while let Ok(bytes) = conn.try_take(1) {
            conn.send(bytes);
        }
    });
    let sidecar = Sidecar::before(app.addr()).tls().start();
    let mut client = sidecar.connect("tls");
    let bytes: Vec<u8> = (0..=255).collect();
    client.send(&bytes);
    assert_eq!(client.take(256), bytes);
    client.finish();
    assert_eq!(client.expect_end(), End::Clean);
    let seen = app.wait_all_ended();
    assert_eq!(seen[0].bytes, bytes, "nothing is added and nothing taken");
}

#[test]
fn b22_the_tls_listener_passes_the_app_s_end_on() {
    let app = App::scripted(|conn| conn.send("bye"));
    let sidecar = Sidecar::before(app.addr()).tls().start();
    let (bytes, end) = sidecar.connect("tls").rest();
    assert_eq!((&bytes[..], end), (&b"bye"[..], End::Clean));
}

#[test]
fn b22_the_certificate_follows_the_server_name() {
    let app = App::ok();
    let authority = Authority::new();
    let identities = [authority.issue(&["one.test"]), authority.issue(&["two.test"])];
    let launch = Sidecar::before(app.addr()).flag("--listen", "https://127.0.0.1:0");
    let sidecar = launch.identity("one", &identities[0]).identity("two", &identities[1]).start();
    for (name, identity) in ["one.test", "two.test"].iter().zip(&identities) {
        let config = authority.client().build();
        let (mut client, agreed) = Wire::tls_details(sidecar.addr("https"), config, name).expect("a handshake");
        assert_eq!(agreed.leaf, identity.der(), "another certificate came for {name}");
        client.ask(&get("/", &[])).expect(200);
    }
}

#[test]
fn b22_client_certificates_can_be_required() {
    let app = App::ok();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let launch = Sidecar::before(app.addr()).https();
    let ca = launch.file("client-ca.pem", &ours.pem());
    let sidecar = launch.flag("--tls-client-ca", ca).flag("--tls-client-auth", "required").start();
    let addr = sidecar.addr("https");

    let known = sidecar.authority().client().identity(&ours.issue(&["client.test"])).build();
    Wire::tls(addr, known, NAME).expect("a handshake").ask(&get("/", &[])).expect(200);

    let stranger = sidecar.authority().client().identity(&theirs.issue(&["client.test"])).build();
    let nobody = sidecar.authority().client().build();
    for config in [stranger, nobody] {
        // Over TLS 1.3 the client may hear of the refusal only when it reads.
        let answer = Wire::tls(addr, config, NAME).and_then(|mut client| {
            client.send(get("/", &[]));
            client.try_head().map_err(|end| format!("{end:?}"))
        });
        assert!(answer.is_err(), "an answer without a good certificate: {answer:?}");
    }
    assert_eq!(app.seen().iter().flat_map(|conn| &conn.requests).count(), 1);
}

#[test]
fn b22_an_https_app_is_spoken_to_over_verified_tls() {
    let authority = Authority::new();
    let app = App::scripted_tls(authority.issue(&["127.0.0.1"]).server(), outrigger_tests::Conn::serve_echo);
    let launch = Launch::new().http().flag("--upstream", format!("https://{}", app.addr()));
    let ca = launch.file("app-ca.pem", &authority.pem());
    let sidecar = launch.flag("--upstream-tls-ca", ca).start();
    sidecar.client().ask(&get("/", &[])).expect(200);
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.echo("to a TLS app");
}

#[test]
fn b22_the_app_s_name_can_be_given() {
    let authority = Authority::new();
    let app = App::scripted_tls(authority.issue(&["app.internal.test"]).server(), outrigger_tests::Conn::serve_echo);
    let launch = Launch::new().http().flag("--upstream", format!("https://{}", app.addr()));
    let ca = launch.file("app-ca.pem", &authority.pem());
    let sidecar = launch.flag("--upstream-tls-ca", ca).flag("--upstream-tls-name", "app.internal.test").start();
    sidecar.client().ask(&get("/", &[])).expect(200);
}

#[test]
fn b22_an_https_app_that_does_not_prove_itself_gets_502() {
    let (authority, other) = (Authority::new(), Authority::new());
    // The right authority but another name; the right name but another authority; something that is not TLS.
    let apps = [
        App::scripted_tls(authority.issue(&["other.test"]).server(), outrigger_tests::Conn::serve_echo),
        App::scripted_tls(other.issue(&["127.0.0.1"]).server(), outrigger_tests::Conn::serve_echo),
        App::scripted(|conn| {
            conn.send("HTTP/1.1 400 Bad Request\r\n\r\n");
            conn.rest();
        }),
    ];
    for app in apps {
        let launch = Launch::new().http().flag("--upstream", format!("https://{}", app.addr()));
        let ca = launch.file("app-ca.pem", &authority.pem());
        let sidecar = launch.flag("--upstream-tls-ca", ca).start();
        sidecar.client().ask(&get("/", &[])).expect(502);
        sidecar.client().ask(&upgrade("/", &[])).expect(502);
        assert!(app.seen().iter().all(|conn| conn.requests.is_empty()), "{:?}", app.seen());
    }
}

/// A `ClientHello` that offers TLS 1.1 at most (RFC 4346 section 7.4.1.2), with the suites of its time.
fn client_hello_1_1() -> Vec<u8> {
    let suites = [0xc0, 0x13, 0xc0, 0x09, 0x00, 0x2f, 0x00, 0x35];
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend([0, 8]);
    hello.extend(suites);
    hello.extend([1, 0]);
    let length = u8::try_from(hello.len()).expect("a short hello");
    let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}
