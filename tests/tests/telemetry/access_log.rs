//! The access log: a line for each, its fields, and nothing in it that is nobody's business.

use outrigger_tests::app::response;
use outrigger_tests::http::get;
use outrigger_tests::ws::{TEXT, switching, upgrade};
use outrigger_tests::{App, Frame, Launch, Side, Sidecar, Wire};
use serde_json::{Value, json};

/// The lines of the access log so far.
fn lines(sidecar: &Sidecar) -> Vec<Value> {
    let lines = sidecar.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    lines.filter(|line| line["message"] == "request" || line["message"] == "session ended").collect()
}

/// The line of the request for this path.
fn request(sidecar: &Sidecar, path: &str) -> Value {
    sidecar.wait_log(path, |line| line["message"] == "request" && line["path"] == path)
}

/// Fields without those that differ from run to run.
fn steady(mut line: Value) -> Value {
    let fields = line.as_object_mut().expect("a line is an object");
    for (name, is_right) in [
        ("timestamp", Value::is_string as fn(&Value) -> bool),
        ("duration_us", Value::is_u64),
        ("duration_ms", Value::is_u64),
        ("client", Value::is_string),
    ] {
        if let Some(value) = fields.remove(name) {
            assert!(is_right(&value), "{name}: {value}");
        }
    }
    line
}

fn end(client: &mut Wire) {
    client.send(Frame::close(Side::Client, 1000).bytes());
    client.expect_close(1000);
    client.expect_end();
}

#[test]
fn there_is_a_line_for_each_session_and_each_request() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--access-log", "all").start();
    let mut client = sidecar.client();
    client.ask(&get("/plain?a=b", &[])).expect(200);
    client.ask("HEAD /head HTTP/1.1\r\nHost: app.test\r\n\r\n").expect(200);
    client.ask("POST /posted HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc").expect(200);
    let mut session = sidecar.client();
    session.open("/chat?a=b", &["Sec-WebSocket-Protocol: chat"]);
    session.echo("four");
    let from = session.local_addr();
    end(&mut session);
    let line = sidecar.session_of(from);
    assert_eq!(line["client"], from.to_string());
    assert_eq!(
        steady(line),
        json!({
            "level": "INFO", "message": "session ended", "session": 1, "scheme": "ws", "host": "app.test", "path": "/chat",
            "by": "client", "cause": "close", "reason": "closed by a peer", "client_code": 1000, "app_code": 1000,
            "client_messages": 1, "client_bytes": 18, "app_messages": 1, "app_bytes": 10,
        })
    );
    assert_eq!(
        steady(request(&sidecar, "/plain")),
        json!({
            "level": "INFO", "message": "request", "scheme": "http", "method": "GET", "host": "app.test",
            "path": "/plain", "status": 200, "body_bytes": 2, "upgrade": false, "whole": true,
        })
    );
    let posted = request(&sidecar, "/posted");
    assert_eq!((&posted["method"], &posted["status"]), (&json!("POST"), &json!(200)));
    let head = request(&sidecar, "/head");
    assert_eq!((&head["method"], &head["whole"]), (&json!("HEAD"), &json!(true)));
    assert_eq!(lines(&sidecar).len(), 4, "{:#?}", lines(&sidecar));
}

#[test]
fn without_being_told_only_sessions_and_what_came_to_none_have_a_line() {
    let app = App::echo();
    let origin = ["--allowed-origins", "https://good.test"];
    let sidecar = Sidecar::before(app.addr()).http().flag(origin[0], origin[1]).start();
    // It is there at any level of the log.
    sidecar.admin_json("PUT", "/log?level=error", 200);
    let mut client = sidecar.client();
    client.ask(&get("/plain", &[])).expect(200);
    client.ask(&upgrade("/refused", &["Origin: https://evil.test"])).expect(403);
    let refused = request(&sidecar, "/refused");
    let said = (&refused["status"], &refused["fault"], &refused["upgrade"]);
    assert_eq!(said, (&json!(403), &json!("forbidden_origin"), &json!(true)));
    let mut session = sidecar.client();
    session.open("/chat", &["Origin: https://good.test"]);
    end(&mut session);
    sidecar.session_ended();
    assert_eq!(lines(&sidecar).len(), 2, "{:#?}", lines(&sidecar));
}

#[test]
fn off_is_off() {
    let app = App::echo();
    let mut sidecar = Sidecar::before(app.addr()).http().flag("--access-log", "off").start();
    sidecar.client().ask(&get("/plain", &[])).expect(200);
    let mut session = sidecar.session();
    end(&mut session);
    sidecar.terminate();
    sidecar.wait_exit();
    assert_eq!(lines(&sidecar), Vec::<Value>::new());
}

#[test]
fn an_answer_that_was_cut_is_marked() {
    let app = App::scripted(|conn| {
        let Some(request) = conn.request() else { return };
        if request.get("upgrade").is_some() {
            return;
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    });
    let sidecar = Sidecar::before(app.addr()).http().flag("--access-log", "all").start();
    let mut client = sidecar.client();
    client.send(get("/cut", &[]));
    client.rest();
    let line = request(&sidecar, "/cut");
    assert_eq!((&line["status"], &line["whole"], &line["body_bytes"]), (&json!(200), &json!(false), &json!(9)));
    let mut client = sidecar.client();
    client.ask(&upgrade("/no-answer", &[])).expect(502);
    let line = request(&sidecar, "/no-answer");
    assert_eq!((&line["fault"], &line["upgrade"]), (&json!("bad_answer"), &json!(true)));
}

#[test]
fn a_client_that_leaves_before_its_answer_is_499() {
    let app = App::scripted(|conn| {
        conn.request();
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().flag("--access-log", "all").start();
    let mut client = sidecar.client();
    client.send(get("/slow", &[]));
    app.request(0);
    client.reset();
    let line = request(&sidecar, "/slow");
    assert_eq!((&line["status"], &line["fault"]), (&json!(499), &json!("client_left")));
}

#[test]
fn text_is_one_line_for_each_whatever_a_client_sends() {
    let app = App::ok();
    let flags = [("--access-log", "all"), ("--access-log-format", "text"), ("--access-log-headers", "User-Agent")];
    let launch =
        flags.iter().fold(Sidecar::before(app.addr()).http(), |launch, (name, value)| launch.flag(name, value));
    let mut sidecar = launch.start();
    let agent = "User-Agent: a \"b\" status=200\tx\u{7f}";
    let answer = sidecar.client().ask(&get("/a%0ab=c", &[agent.trim_end_matches('\u{7f}')]));
    answer.expect(200);
    sidecar.terminate();
    sidecar.wait_exit();
    let text: Vec<_> = sidecar.log().into_iter().filter(|line| line.contains(" INFO request ")).collect();
    let [line] = text.as_slice() else { panic!("one line expected: {text:?}") };
    assert!(line.contains(" path=\"/a%0ab=c\" "), "{line}");
    assert!(line.contains(" headers.user-agent=\"a \\\"b\\\" status=200\\tx\" status=200 "), "{line}");
}

/// Every place where a client or an app may put something that is nobody's business, with a secret of its own.
const SECRETS: [&str; 9] = [
    "query-5ecret-1",
    "query-5ecret-2",
    "cookie-5ecret",
    "basic-5ecret",
    "header-5ecret",
    "payload-5ecret",
    "protocol-5ecret-0123456789abcdef",
    "answer-5ecret",
    "referer-5ecret",
];

#[test]
fn no_secret_is_in_any_log_or_in_the_admin_api() {
    let [first, second, cookie, basic, header, payload, protocol, answer, referer] = SECRETS;
    let set_cookie = format!("Set-Cookie: id={answer}");
    let (of_upgrade, of_request) = (set_cookie.clone(), set_cookie);
    let app = App::scripted(move |conn| {
        while let Some(request) = conn.request() {
            if request.get("upgrade").is_none() {
                conn.send(response(200, &[&of_request], &format!("payload-5ecret of {}", request.target())));
                continue;
            }
            // A server that agrees on the last one that is offered, which is the token.
            let offered = request.get("sec-websocket-protocol").and_then(|offered| offered.rsplit(", ").next());
            let chosen = offered.map(|offered| format!("Sec-WebSocket-Protocol: {offered}")).unwrap_or_default();
            conn.send(switching(&request, &[&of_upgrade, &chosen]));
            while let Ok(frame) = conn.try_frame() {
                conn.send(Frame { mask: None, ..frame }.bytes());
            }
            return;
        }
    });
    let shown = "User-Agent,X-Api-Key,Referer,Sec-WebSocket-Protocol";
    let mut sidecar = Sidecar::before(app.addr())
        .http()
        .flag("--log-level", "trace")
        .flag("--access-log", "all")
        .flag("--access-log-query", "on")
        .env("OUTRIGGER_ACCESS_LOG_HEADERS", shown)
        .start();
    let target = format!("/room?room=5&token={first}&X-Sig=%20{second}");
    let extra = [
        "User-Agent: an-agent".to_owned(),
        format!("Cookie: id={cookie}"),
        format!("Authorization: Basic {basic}"),
        format!("Proxy-Authorization: Basic {basic}"),
        format!("X-Api-Key: {header}"),
        format!("Referer: https://app.test/page?at={referer}"),
    ];
    let mut extra: Vec<&str> = extra.iter().map(String::as_str).collect();
    sidecar.client().ask(&get(&target, &extra)).expect(200);
    let offered = format!("Sec-WebSocket-Protocol: chat, {protocol}");
    extra.push(&offered);
    let mut session = sidecar.client();
    let head = session.open(&target, &extra);
    assert_eq!(head.get("sec-websocket-protocol"), Some(protocol), "it goes through all the same");
    session.echo(payload);
    // What a peer does wrong is logged, but not with what it has sent.
    let seen =
        ["/sessions", "/healthz", "/config", "/upstreams"].map(|path| sidecar.admin_json("GET", path, 200).to_string());
    let metrics = sidecar.metrics();
    session.send(Frame::app(TEXT, payload).bytes());
    session.expect_close(1002);
    drop(session);
    // And one that is answered by nobody.
    sidecar.client().ask(&get(&target, &["Host: twice"])).expect(400);
    let ended = sidecar.session_ended();
    sidecar.terminate();
    sidecar.wait_exit();
    let log = sidecar.log();
    for secret in SECRETS {
        let leaks: Vec<_> = log.iter().chain(&seen).filter(|text| text.contains(secret)).collect();
        assert!(leaks.is_empty(), "{secret} is in {leaks:#?}");
        assert!(!metrics.page().contains(secret), "{}", metrics.page());
    }
    assert!(!log.iter().any(|line| line.contains("5ecret")), "{log:#?}");
    // What may be shown is there.
    assert_eq!(ended["subprotocol"], "[redacted]");
    assert_eq!(ended["query"], "room=5&token=[redacted]&X-Sig=[redacted]");
    assert_eq!(
        ended["headers"],
        json!({
            "user-agent": "an-agent", "x-api-key": "[redacted]", "referer": "https://app.test/page",
            "sec-websocket-protocol": "chat, [redacted]",
        })
    );
    let plain = sidecar.wait_log("the plain request", |line| line["message"] == "request" && line["status"] == 200);
    assert_eq!(plain["query"], ended["query"]);
}

#[test]
fn the_words_can_be_given_and_changed_while_it_runs() {
    let app = App::ok();
    let launch = Launch::new();
    let text = |word: &str| {
        format!(
            "upstream = '{}'\nlisten = 'http://127.0.0.1:0'\naccess_log = 'all'\naccess_log_query = true\naccess_log_redact = ['{word}']\n",
            app.addr()
        )
    };
    let file = launch.file("o.toml", &text("ROOM"));
    let sidecar = launch.flag("--config", &file).start();
    let mut client = sidecar.client();
    client.ask(&get("/before?room=5&token=short", &[])).expect(200);
    assert_eq!(request(&sidecar, "/before")["query"], "room=[redacted]&token=short");
    std::fs::write(&file, text("tok")).expect("a file of the test's own");
    sidecar.admin_json("POST", "/reload", 200);
    client.ask(&get("/after?room=5&token=short", &[])).expect(200);
    assert_eq!(request(&sidecar, "/after")["query"], "room=5&token=[redacted]");
}
