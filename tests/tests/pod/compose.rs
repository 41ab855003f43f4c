//! `deploy/compose`: the file as it is, by podman-compose, with an app of these tests.

use outrigger_tests::Wire;
use outrigger_tests::http::get;
use outrigger_tests::tools::{Tool, folder, missing, node};
use serde_json::json;

use crate::host::{APP_IMAGE, Host, must};

#[test]
fn the_sidecar_stands_before_the_app_and_drains_when_it_is_stopped() {
    let compose = folder().join(".venv/bin/podman-compose");
    if !compose.is_file() {
        return missing("podman-compose is not installed in tests/.venv").unwrap_or_default();
    }
    let Some(host) = Host::new() else { return };
    let (Some(()), Some(mut client)) = (host.load(), node("ws-client.mjs")) else { return };
    host.make_app();
    host.podman(&["tag", APP_IMAGE, "chat:1"]);
    let file = folder().with_file_name("deploy/compose/compose.yaml");
    // So that the test is short.
    let quick = "services: {outrigger: {environment: {OUTRIGGER_DRAIN_WINDOW: 1s}}}\n";
    let quick = host.scratch().write("quick.yaml", quick);
    let (compose, file) = (compose.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    let call = |args: &[&str]| must(&mut host.command(compose, &[&["--file", file, "--file", &quick], args].concat()));
    call(&["up", "--detach"]);
    host.wait_ready("chat_outrigger_1");

    assert_eq!(Wire::plain(([127, 0, 0, 1], 8080).into()).ask(&get("/", &[])).expect(200).text(), "ok");
    client.args(["ws://127.0.0.1:8080/", "-", "stay"]);
    let client = Tool::start(client);
    assert_eq!(client.json(), json!({"open": true}));
    let status = std::fs::read_to_string(host.process("chat_outrigger_1").join("status")).expect("it runs");
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Uid:\t65532"] {
        assert!(status.contains(line), "{line:?} expected in {status}");
    }
    // What Docker's Compose does first; this one stops all at once.
    call(&["stop", "outrigger"]);
    let closed = client.json();
    assert_eq!(closed["code"], 1012, "{closed}");
    assert_eq!(host.inspect("chat_outrigger_1")["State"]["ExitCode"], 0);
}
