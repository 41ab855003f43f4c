//! Which requests are upgrades, and which are refused (promises 4, 5, 7, 9).

use outrigger_tests::http::get;
use outrigger_tests::ws::{KEY, key_line, upgrade};
use outrigger_tests::{App, Sidecar};

#[test]
fn b04_h2c_and_unknown_upgrades_go_on_as_plain_http() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let settings = "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA";
    let requests = [
        get("/h2c", &["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", settings]),
        get("/h2c-without-connection", &["Upgrade: h2c"]),
        get("/tls", &["Upgrade: TLS/1.0", "Connection: Upgrade"]),
        get("/two", &["Upgrade: h2c", "Upgrade: foo", "Connection: Upgrade"]),
        get("/near", &["Upgrade: websocket2", "Connection: Upgrade"]),
    ];
    for request in &requests {
        let answer = sidecar.client().ask(request).expect(200);
        assert_eq!(answer.text(), "ok");
    }
    for n in 0..requests.len() {
        let request = app.request(n);
        assert!(request.all("upgrade").is_empty(), "{request:?}");
        assert!(request.all("http2-settings").is_empty(), "{request:?}");
        assert!(!request.has_token("connection", "upgrade"), "{request:?}");
    }
}

#[test]
fn b04_h2c_beside_websocket_is_never_forwarded() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    for line in ["Upgrade: h2c, websocket", "Upgrade: websocket, h2c", "Upgrade: websocket\r\nUpgrade: h2c"] {
        let answer = sidecar.client().ask(&upgrade("/", &[]).replace("Upgrade: websocket", line));
        assert!([101, 200, 400].contains(&answer.status), "{line:?}: {answer:?}");
    }
    for request in app.seen().iter().flat_map(|conn| &conn.requests) {
        let tokens = request.all("upgrade");
        assert!(tokens.is_empty() || tokens == ["websocket"], "{request:?}");
    }
}

#[test]
fn b05_an_upgrade_with_a_body_gets_400() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let bodies = [
        upgrade("/", &["Content-Length: 5"]) + "hello",
        upgrade("/", &["Content-Length: 5"]),
        upgrade("/", &["Transfer-Encoding: chunked"]) + "5\r\nhello\r\n0\r\n\r\n",
        upgrade("/", &["Transfer-Encoding: chunked"]) + "0\r\n\r\n",
    ];
    for request in bodies {
        sidecar.client().ask(&request).expect(400);
    }
    assert!(app.seen().iter().all(|conn| conn.bytes.is_empty()), "{:?}", app.seen());
}

#[test]
fn b05_an_empty_body_is_none() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.open("/", &["Content-Length: 0"]);
    client.echo("no body");
}

#[test]
fn b07_a_malformed_upgrade_gets_400_and_the_app_never_sees_it() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let good = upgrade("/", &[]);
    let key = key_line(KEY);
    let cases = [
        ("HTTP/1.0", good.replace("HTTP/1.1", "HTTP/1.0")),
        ("POST", good.replace("GET", "POST")),
        ("HEAD", good.replace("GET", "HEAD")),
        ("no Host", good.replace("Host: app.test\r\n", "")),
        ("two Hosts", upgrade("/", &["Host: other.test"])),
        ("the same Host twice", upgrade("/", &["Host: app.test"])),
        ("no key", good.replace(&format!("{key}\r\n"), "")),
        ("an empty key", good.replace(&key, &key_line(""))),
        ("a key of 15 bytes", good.replace(&key, &key_line("AAAAAAAAAAAAAAAAAAAA"))),
        ("a key of 17 bytes", good.replace(&key, &key_line("AAAAAAAAAAAAAAAAAAAAAAA="))),
        ("a key that is not base64", good.replace(&key, &key_line("!!!!!!!!!!!!!!!!!!!!!!=="))),
        ("two keys", upgrade("/", &[&key])),
    ];
    for (what, request) in cases {
        let answer = sidecar.client().ask(&request);
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
    }
    assert!(app.seen().iter().all(|conn| conn.bytes.is_empty()), "{:?}", app.seen());
}

#[test]
fn b07_another_version_gets_426_and_the_one_to_use() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    for version in ["8", "12", "14", "0", "13.0"] {
        let request = upgrade("/", &[]).replace("Version: 13", &format!("Version: {version}"));
        let answer = sidecar.client().ask(&request).expect(426);
        assert_eq!(answer.head.get("sec-websocket-version"), Some("13"), "{answer:?}");
    }
    assert!(app.seen().iter().all(|conn| conn.bytes.is_empty()), "{:?}", app.seen());
}

#[test]
fn b07_the_connection_list_may_be_long_mixed_and_over_several_lines() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().https().start();
    let lists = [
        "Connection: upgrade",
        "Connection: UPGRADE",
        "connection: keep-alive, Upgrade",
        "Connection: keep-alive\r\nConnection: upgrade",
        "Connection:upgrade ,\tkeep-alive",
        "Connection: , upgrade,",
    ];
    for list in lists {
        for scheme in ["http", "https"] {
            let mut client = sidecar.connect(scheme);
            let request = upgrade("/", &[]).replace("Connection: Upgrade", list);
            let answer = client.ask(&request);
            assert_eq!(answer.status, 101, "{list:?}: {answer:?}");
            client.echo(list);
        }
    }
}

#[test]
fn b07_the_names_of_an_upgrade_are_of_any_case() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    let request = upgrade("/", &[]).replace("Upgrade: websocket", "UPGRADE: WebSocket").replace("Sec-W", "sec-w");
    client.ask(&request).expect(101);
    client.echo("any case");
}

#[test]
fn b07_without_the_connection_token_it_is_no_upgrade() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let request = upgrade("/", &[]).replace("Connection: Upgrade", "Connection: keep-alive");
    let answer = sidecar.client().ask(&request);
    assert!(answer.status == 200 || answer.status == 400, "{answer:?}");
    for request in app.seen().iter().flat_map(|conn| &conn.requests) {
        assert!(request.all("upgrade").is_empty(), "{request:?}");
    }
}

#[test]
fn b09_only_the_listed_origins_may_upgrade() {
    let app = App::echo();
    let launch = Sidecar::before(app.addr()).http().flag("--allowed-origins", "https://ok.test");
    let sidecar = launch.flag("--allowed-origins", "http://local.test:3000").start();
    for origin in ["https://ok.test", "http://local.test:3000"] {
        let mut client = sidecar.client();
        client.open("/", &[&format!("Origin: {origin}")]);
        client.echo(origin);
    }
    let passed = app.seen().len();
    let strangers = [
        "http://ok.test",
        "https://ok.test:8443",
        "https://ok.test.evil.test",
        "https://evil-ok.test",
        "https://sub.ok.test",
        "https://ok.test@evil.test",
        "https://ok.test/",
        "http://local.test",
        "http://local.test:30000",
        "null",
        "",
        "*",
        "https://ok.test, https://evil.test",
        "https://ok.test https://evil.test",
    ];
    for origin in strangers {
        let answer = sidecar.client().ask(&upgrade("/", &[&format!("Origin: {origin}")]));
        assert_eq!(answer.status, 403, "{origin:?}: {answer:?}");
    }
    assert_eq!(app.seen().len(), passed, "a refused origin reached the app: {:?}", app.seen());
}

#[test]
fn b09_exactly_one_origin_line_is_wanted() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--allowed-origins", "https://ok.test").start();
    let good = "Origin: https://ok.test";
    for lines in [&[][..], &[good, good], &[good, "Origin: https://evil.test"], &["Origin: https://evil.test", good]] {
        let answer = sidecar.client().ask(&upgrade("/", lines));
        assert_eq!(answer.status, 403, "{lines:?}: {answer:?}");
    }
    assert!(app.seen().iter().all(|conn| conn.bytes.is_empty()), "{:?}", app.seen());
}

#[test]
fn b09_every_spelling_that_would_be_upgraded_is_checked() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--allowed-origins", "https://ok.test").start();
    let evil = upgrade("/", &["Origin: https://evil.test"]);
    let spellings = [
        evil.replace("Upgrade: websocket", "Upgrade: WebSocket"),
        evil.replace("Upgrade: websocket", "Upgrade: h2c, websocket"),
        evil.replace("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket"),
        evil.replace("Connection: Upgrade", "Connection: keep-alive\r\nConnection: UPGRADE"),
        evil.replace("Origin:", "oRiGiN:"),
    ];
    for request in spellings {
        // Anything but a session: refused, or so unlike an upgrade that it went on as plain HTTP.
        let answer = sidecar.client().ask(&request);
        assert_ne!(answer.status, 101, "{request:?}: {answer:?}");
    }
    for request in app.seen().iter().flat_map(|conn| &conn.requests) {
        assert!(request.all("upgrade").is_empty(), "{request:?}");
    }
}

#[test]
fn b09_plain_requests_are_the_app_s_to_judge() {
    let app = App::ok();
    let sidecar = Sidecar::before(app.addr()).http().flag("--allowed-origins", "https://ok.test").start();
    sidecar.client().ask(&get("/", &["Origin: https://evil.test"])).expect(200);
    assert_eq!(app.request(0).get("origin"), Some("https://evil.test"));
}
