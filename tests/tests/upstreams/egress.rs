//! The way out: an app connects to its own sidecar on loopback, which goes over TLS to where another one listens.

use std::net::SocketAddr;

use outrigger_tests::app::response;
use outrigger_tests::http::get;
use outrigger_tests::tools::{Tool, node};
use outrigger_tests::{App, Launch, Sidecar};
use serde_json::json;

/// A sidecar in front of an app, over TLS, and one beside the app that calls.
struct Pair {
    inward: Sidecar,
    outward: Sidecar,
}

impl Pair {
    fn to(app: SocketAddr) -> Pair {
        let inward = Sidecar::before(app).https().start();
        let ca = inward.authority_file();
        let upstream = format!("wss://localhost:{};name=there", inward.addr("https").port());
        let outward = way_out().flag("--egress", upstream).flag("--upstream-tls-ca", ca).start();
        Pair { inward, outward }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/", self.outward.addr("http"))
    }
}

fn way_out() -> Launch {
    Launch::new().flag("--egress-listen", "http://127.0.0.1:0")
}

/// An app that says its name and how it was called.
fn named(name: &'static str) -> App {
    App::http(move |request, _| response(200, &[], &format!("{name} {}", request.get("host").unwrap_or_default())))
}

#[test]
fn a_pair_of_sidecars_carries_ws() {
    let Some(server) = node("ws-server.mjs") else { return };
    let server = Tool::start(server);
    let pair = Pair::to(server.addr());
    let mut client = node("ws-client.mjs").expect("it was there before");
    client.args([&pair.url("ws"), "-", "echo"]);
    let result = Tool::start(client).json();
    assert_eq!(result["wrong"], json!([]), "{result}");
    assert!(result["extensions"].as_str().is_some_and(|e| e.starts_with("permessage-deflate")), "{result}");
    assert_eq!(pair.outward.session_ended()["scheme"], "ws");
    assert_eq!(pair.inward.session_ended()["scheme"], "wss");
}

#[test]
fn a_pair_of_sidecars_carries_socket_io() {
    let Some(server) = node("socketio-server.mjs") else { return };
    let server = Tool::start(server);
    let pair = Pair::to(server.addr());
    let mut client = node("socketio-client.mjs").expect("it was there before");
    client.args([&pair.url("http"), "-"]);
    let result = Tool::start(client).json();
    assert_eq!((&result["first"], &result["last"]), (&json!("polling"), &json!("websocket")), "{result}");
    assert_eq!(result["lengths"], json!([3, 3, 100_000]), "{result}");
}

#[test]
fn a_pair_of_sidecars_carries_http_and_says_whom_it_asks() {
    let app = App::http(|request, body| response(200, &[], &format!("{} {}", request.target(), body.len())));
    let pair = Pair::to(app.addr());
    let post =
        format!("POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 70000\r\n\r\n{}", "x".repeat(70_000));
    let mut client = pair.outward.client();
    assert_eq!(client.ask(&post).expect(200).text(), "/a?b=c 70000");
    assert_eq!(client.ask(&get("/", &["X-Forwarded-For: 192.0.2.1"])).expect(200).text(), "/ 0");
    let host = format!("localhost:{}", pair.inward.addr("https").port());
    assert_eq!(app.request(0).get("host"), Some(host.as_str()), "the app named the sidecar, and meant this");
    // What the way out says is nothing; the way in says who came to it, and believes nobody.
    assert_eq!(app.request(0).get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(app.request(1).get("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn requests_go_out_by_host_and_path() {
    let (rest, of_host, of_path, of_both) = (named("rest"), named("host"), named("path"), named("both"));
    let sidecar = way_out()
        .flag("--egress", format!("{}", rest.addr()))
        .flag("--egress", format!("{};host=api.example", of_host.addr()))
        .flag("--egress", format!("{};path=/eu/", of_path.addr()))
        .flag("--egress", format!("{};host=api.example;path=/eu", of_both.addr()))
        .start();
    let mut client = sidecar.client();
    let mut ask = |host: &str, path: &str| client.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).text();
    assert_eq!(ask("127.0.0.1", "/"), format!("rest {}", rest.addr()));
    assert_eq!(ask("api.example", "/"), "host api.example", "a host that was asked for is what is meant");
    assert_eq!(ask("API.example:9000", "/eurasia"), "host API.example:9000");
    assert_eq!(ask("127.0.0.1", "/eu/x"), format!("path {}", of_path.addr()));
    assert_eq!(ask("api.example", "/eu/x"), "both api.example");
}

#[test]
fn what_no_upstream_is_for_is_not_found() {
    let app = App::echo();
    let sidecar = Launch::new().http().flag("--upstream", format!("{};path=/chat", app.addr())).start();
    sidecar.client().open("/chat", &[]);
    let refused = sidecar.client().ask(&get("/other", &[])).expect(404);
    assert_eq!(refused.text(), "There is no upstream for this host and path.\n");
}

#[test]
fn the_way_in_and_the_way_out_are_two() {
    let (here, there) = (named("here"), named("there"));
    let sidecar = Sidecar::before(here.addr()).https().flag("--egress", there.addr().to_string());
    let sidecar = sidecar.flag("--egress-listen", "http://127.0.0.1:0").start();
    assert!(sidecar.client().ask(&get("/", &[])).expect(200).text().starts_with("there"));
    assert!(sidecar.connect("https").ask(&get("/", &[])).expect(200).text().starts_with("here"));
}
