//! Clients and servers that nobody here wrote, over every kind of listener. A tool that is not installed skips its
//! test with the reason; `OUTRIGGER_TESTS_REQUIRE_TOOLS=1` makes that a failure.

use std::net::SocketAddr;
use std::process::Command;

use outrigger_tests::app::response;
use outrigger_tests::sidecar::{Finished, command, run};
use outrigger_tests::tools::{Tool, chromium, curl, node, python};
use outrigger_tests::{App, Sidecar};
use serde_json::{Value, json};

/// A sidecar with a listener of each kind in front of one app.
struct Ways {
    sidecar: Sidecar,
    ca: String,
}

impl Ways {
    #[track_caller]
    fn to(app: SocketAddr) -> Ways {
        let sidecar = Sidecar::before(app).http().https().tls().start();
        let ca = sidecar.authority_file();
        Ways { sidecar, ca }
    }

    /// `scheme` (`ws` or `http`) over each of the three listeners: the URL, and the authority's file or `-`.
    fn urls(&self, scheme: &str) -> [(String, &str); 3] {
        [
            (format!("{scheme}://{}/", self.sidecar.addr("http")), "-"),
            (format!("{scheme}s://{}/", self.sidecar.addr("https")), &self.ca),
            (format!("{scheme}s://{}/", self.sidecar.addr("tls")), &self.ca),
        ]
    }
}

/// Runs the `ws` client's `scenario` over every listener in front of the `ws` server, and judges each result.
fn with_ws(scenario: &str, judge: impl Fn(&Tool, &Value)) {
    let Some(server) = node("ws-server.mjs") else { return };
    let server = Tool::start(server);
    let ways = Ways::to(server.addr());
    for (url, ca) in ways.urls("ws") {
        let Some(mut client) = node("ws-client.mjs") else { return };
        client.args([&url, ca, scenario]);
        judge(&server, &Tool::start(client).json());
    }
}

#[test]
fn node_ws_echoes_every_size_with_permessage_deflate() {
    with_ws("echo", |_, result| {
        assert_eq!(result["wrong"], json!([]), "{result}");
        assert_eq!(result["code"], 1000, "{result}");
        assert!(result["extensions"].as_str().is_some_and(|e| e.starts_with("permessage-deflate")), "{result}");
    });
}

#[test]
fn node_ws_echoes_without_compression() {
    with_ws("uncompressed", |_, result| assert_eq!(result, &json!({"length": 200_000, "extensions": ""})));
}

#[test]
fn node_ws_negotiates_its_subprotocol() {
    with_ws("protocol", |_, result| assert_eq!(result, &json!({"protocol": "v2.chat"})));
}

#[test]
fn node_ws_pings_pass_both_ways() {
    with_ws("ping", |_, result| assert_eq!(result, &json!({"ours": "hello", "theirs": "pong are you there"})));
}

#[test]
fn node_ws_close_code_and_reason_pass_to_the_app() {
    with_ws("closeByClient", |server, result| {
        assert_eq!(result["code"], 4001, "{result}");
        assert_eq!(server.json(), json!({"closed": [4001, "had enough"]}));
    });
}

#[test]
fn node_ws_close_code_and_reason_pass_to_the_client() {
    with_ws("closeByApp", |server, result| {
        assert_eq!(result, &json!({"code": 4001, "reason": "asked to"}));
        assert_eq!(server.json()["closed"][0], 4001);
    });
}

#[test]
fn node_ws_a_hundred_sessions_at_once() {
    with_ws("hundred", |_, result| assert_eq!(result, &json!({"right": 500})));
}

#[test]
fn python_websockets_talks_to_python_websockets() {
    let Some(server) = python("echo_server.py") else { return };
    let server = Tool::start(server);
    let ways = Ways::to(server.addr());
    for (url, ca) in ways.urls("ws") {
        let Some(mut client) = python("echo_client.py") else { return };
        client.args([&url, ca]);
        let result = Tool::start(client).json();
        let wanted = json!({"wrong": [], "extensions": ["permessage-deflate"], "close": [4001, "asked to"]});
        assert_eq!(result, wanted, "over {url}");
    }
}

#[test]
fn node_ws_talks_to_python_websockets() {
    let Some(server) = python("echo_server.py") else { return };
    let server = Tool::start(server);
    let ways = Ways::to(server.addr());
    for (url, ca) in ways.urls("ws") {
        let Some(mut client) = node("ws-client.mjs") else { return };
        client.args([&url, ca, "echo"]);
        let result = Tool::start(client).json();
        assert_eq!((&result["wrong"], &result["code"]), (&json!([]), &json!(1000)), "over {url}: {result}");
    }
}

#[test]
fn socket_io_starts_by_polling_and_really_upgrades() {
    let Some(server) = node("socketio-server.mjs") else { return };
    let server = Tool::start(server);
    let ways = Ways::to(server.addr());
    for (url, ca) in ways.urls("http") {
        let Some(mut client) = node("socketio-client.mjs") else { return };
        client.args([&url, ca]);
        let result = Tool::start(client).json();
        assert_eq!((&result["first"], &result["last"]), (&json!("polling"), &json!("websocket")), "{url}: {result}");
        assert_eq!(result["seenByServer"], json!(["websocket", "websocket", "websocket"]), "{url}: {result}");
        assert_eq!(result["lengths"], json!([3, 3, 100_000]), "{url}: {result}");
    }
}

/// Runs curl against `http` and `https` in front of an app that says what it was sent.
fn with_curl(args: &[&str], judge: impl Fn(&Finished)) {
    let Some(_) = curl() else { return };
    let app = App::http(|request, body| match request.method() {
        "HEAD" => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned(),
        method => response(200, &[], &format!("{method} {} {}", request.target(), body.len())),
    });
    let ways = Ways::to(app.addr());
    for (url, ca) in ways.urls("http") {
        let Some(mut command) = curl() else { return };
        if ca != "-" {
            command.args(["--cacert", ca]);
        }
        judge(&run(command.args(args).arg(format!("{url}path?q=1"))).expect(0));
    }
}

#[test]
fn curl_gets() {
    with_curl(&[], |done| assert_eq!(done.stdout, "GET /path?q=1 0"));
}

#[test]
fn curl_asks_for_the_head() {
    with_curl(&["--head"], |done| {
        assert!(done.stdout.starts_with("HTTP/1.1 200"), "{}", done.stdout);
        assert!(done.stdout.to_ascii_lowercase().contains("content-length: 1000"), "{}", done.stdout);
    });
}

#[test]
fn curl_speaks_http_1_0() {
    with_curl(&["--http1.0"], |done| assert_eq!(done.stdout, "GET /path?q=1 0"));
}

#[test]
fn curl_posts_five_megabytes() {
    let scratch = outrigger_tests::Scratch::new();
    let body = format!("@{}", scratch.write("body", &"x".repeat(5_000_000)));
    // With its length, which curl announces by Expect: 100-continue; without Expect; and chunked.
    let variants = [&["--expect100-timeout", "30"][..], &["-H", "Expect:"], &["-H", "Transfer-Encoding: chunked"]];
    for variant in variants {
        let args = [&["--data-binary", &body, "--fail"], variant].concat();
        with_curl(&args, |done| assert_eq!(done.stdout, "POST /path?q=1 5000000", "{variant:?}"));
    }
}

#[test]
fn curl_sees_100_continue() {
    with_curl(&["--verbose", "--data", "four", "-H", "Expect: 100-continue", "--expect100-timeout", "30"], |done| {
        assert_eq!(done.stdout, "POST /path?q=1 4");
        assert!(done.stderr.contains("< HTTP/1.1 100 Continue"), "{}", done.stderr);
    });
}

#[test]
fn chromium_shows_the_demo_over_ws() {
    demo_in_chromium("http://", "ws");
}

#[test]
fn chromium_shows_the_demo_over_wss() {
    demo_in_chromium("https://", "wss");
}

/// Opens the demo's page and checks what its figures say of polling and push.
fn demo_in_chromium(scheme: &str, transport: &str) {
    let (Some(browser), Some(mut page)) = (chromium(), node("demo-page.mjs")) else { return };
    let mut demo: Command = command();
    demo.args(["demo", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"]);
    let demo = Tool::start(demo);
    let url = demo.word(scheme);
    page.args([&url, &browser]);
    let shown = Tool::start(page).json();

    assert_eq!(shown["transport"], transport, "{shown}");
    assert_eq!(shown["state"], "open", "{shown}");
    assert_eq!(shown["errors"], json!([]), "{shown}");
    assert!(shown["scroll"].as_u64() <= shown["width"].as_u64(), "wider than a phone: {shown}");
    let figure = |when: &str, id: &str| {
        shown[when][id].as_f64().unwrap_or_else(|| panic!("no number in #{id}, {when}: {shown}"))
    };
    for side in ["push", "poll"] {
        for name in ["updates", "bytes"] {
            let id = format!("{side}-{name}");
            assert!(figure("late", &id) > figure("early", &id), "{id} does not grow: {shown}");
        }
    }
    assert!(figure("late", "push-updates") >= 5.0, "{shown}");
    assert!(figure("late", "poll-requests") > figure("late", "push-requests"), "{shown}");
    assert!(figure("late", "push-delay-p50") < figure("late", "poll-delay-p50"), "{shown}");
}
