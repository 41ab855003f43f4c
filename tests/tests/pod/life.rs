//! The life of a pod: a manifest as people write it, injected, played, used, drained and stopped.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use outrigger_tests::http::get;
use outrigger_tests::sidecar::{command, run};
use outrigger_tests::tools::{Tool, node};
use outrigger_tests::{Authority, Identity, PATIENCE, Wire};
use serde_json::{Value, json};

use crate::host::{APP_IMAGE, Host, IMAGE, NETWORK, POD};

const SIDECAR: &str = "chat-pod-0-outrigger";
const DAY_S: f64 = 86_400.0;
/// How long the injected `startupProbe` waits: 60 times a second.
const STARTUP_PROBE_S: f64 = 60.0;

/// The app is for this pod alone: it listens on loopback.
fn manifest(identity: &Identity) -> String {
    let base64 = |text: &str| BASE64_STANDARD.encode(text);
    let (certificate, key) = (base64(&identity.certificate), base64(&identity.key));
    format!(
        r#"apiVersion: v1
kind: Secret
metadata:
  name: chat-tls
type: kubernetes.io/tls
data:
  tls.crt: {certificate}
  tls.key: {key}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: chat-outrigger
data:
  outrigger.toml: |
    drain_window = "1s" # so that the test is short
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: chat
spec:
  selector: {{matchLabels: {{app: chat}}}}
  template:
    metadata:
      labels: {{app: chat}}
      annotations:
        outrigger.dev/tls-secret: chat-tls
        outrigger.dev/config-map: chat-outrigger
        outrigger.dev/app-probes: sidecar
    spec:
      containers:
        - name: chat
          image: {APP_IMAGE}
          args: ["127.0.0.1:3000"]
          ports:
            - {{name: http, containerPort: 3000}}
          readinessProbe:
            httpGet: {{path: /, port: http}}
"#
    )
}

#[test]
fn an_injected_pod_is_served_drained_and_confined() {
    let Some(host) = Host::new() else { return };
    let (Some(()), Some(_)) = (host.load(), node("ws-client.mjs")) else { return };
    host.make_app();
    let authority = Authority::new();
    play(&host, &manifest(&authority.issue(&[&POD.to_string()])));
    let ca = host.scratch().write("ca.pem", &authority.pem());
    let ready = host.wait_ready(SIDECAR);
    let started = host.inspect(SIDECAR)["State"]["StartedAt"].clone();
    let startup = time_of_day(&ready["timestamp"]) - time_of_day(&started);
    // Around midnight, too; and podman notes the time a little after the process has begun.
    let startup = (startup + DAY_S / 2.0).rem_euclid(DAY_S) - DAY_S / 2.0;
    println!("ready {:.1} ms after podman had started it", startup * 1000.0);
    assert!(startup < STARTUP_PROBE_S, "from {started} to {ready}");

    only_the_sidecar_is_reached();
    for (url, ca) in [(format!("ws://{POD}:8080/"), "-"), (format!("wss://{POD}:8443/"), ca.as_str())] {
        let echoed = client(&url, ca, "echo").json();
        assert_eq!((&echoed["wrong"], &echoed["code"]), (&json!([]), &json!(1000)), "{url}: {echoed}");
    }
    confined(&host);
    drained(&host, &ca);
    host.podman(&["stop", "--time", "40", SIDECAR]);
    assert_eq!(host.inspect(SIDECAR)["State"]["ExitCode"], 0);
}

/// Seconds since midnight, of a time as in RFC 3339.
fn time_of_day(time: &Value) -> f64 {
    let time = time.as_str().and_then(|time| time.split_once('T')).expect("a date and a time").1;
    let time = time.split(['Z', '+', '-']).next().expect("the first part");
    time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().expect("a number"))
}

/// Injects the manifest, and starts its pod at [`POD`].
fn play(host: &Host, manifest: &str) {
    let file = host.scratch().write("chat.yaml", manifest);
    let injected = run(command().args(["inject", "--legacy", &file])).expect(0).stdout;
    // podman 4.3 crashes unless it is said that the Secret has to be there, which is so anyway (its issue 16636).
    let injected = injected.replace("secretName: chat-tls", "secretName: chat-tls\n            optional: false");
    let file = host.scratch().write("injected.yaml", &injected);
    let pod = ["--network", NETWORK, "--ip", &POD.to_string(), &file];
    host.podman(&[&["kube", "play", "--build=false", "--start=false"][..], &pod].concat());
    // And it mounts what is in a Secret without decoding it.
    let volume = host.volume("chat-tls");
    for name in ["tls.crt", "tls.key"] {
        let path = format!("{volume}/{name}");
        let mounted = fs::read_to_string(&path).expect("podman has written it");
        if let Ok(decoded) = BASE64_STANDARD.decode(mounted.trim()) {
            fs::write(&path, decoded).expect("root may write it");
        }
    }
    host.podman(&["pod", "start", "chat-pod-0"]);
}

fn client(url: &str, ca: &str, scenario: &str) -> Tool {
    let mut client = node("ws-client.mjs").expect("it was there before");
    client.args([url, ca, scenario]);
    Tool::start(client)
}

/// The answer of the pod at this port.
fn ask(port: u16, path: &str) -> (u16, String) {
    let answer = Wire::plain((POD, port).into()).ask(&get(path, &["Connection: close"]));
    (answer.head.status(), answer.text())
}

fn only_the_sidecar_is_reached() {
    let app = SocketAddr::from((POD, 3000));
    let refused = TcpStream::connect_timeout(&app, PATIENCE).expect_err("the app listens on loopback");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
    assert_eq!(ask(8080, "/"), (200, "ok".to_owned()));
    // As the kubelet asks: from outside the pod.
    assert_eq!(ask(9900, "/live").0, 200);
    assert_eq!(ask(9900, "/ready").0, 200);
}

/// The security context, as the kernel knows it.
fn confined(host: &Host) {
    let inspected = host.inspect(SIDECAR);
    assert!(inspected["ImageName"].as_str().is_some_and(|image| image.ends_with(IMAGE)), "{inspected}");
    let process = host.process(SIDECAR);
    let status = fs::read_to_string(process.join("status")).expect("it runs");
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("{name} expected in {status}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(field("Name"), "outrigger");
    for identity in ["Uid", "Gid"] {
        assert_eq!(field(identity), "65532 65532 65532 65532", "{identity}");
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0".repeat(16), "{set}");
    }
    assert_eq!(field("NoNewPrivs"), "1");
    // A filter of system calls, which is the runtime's default.
    assert_eq!(field("Seccomp"), "2");
    let written = fs::write(process.join("root/written"), "").expect_err("even root cannot");
    assert_eq!(written.kind(), ErrorKind::ReadOnlyFilesystem, "{written}");
    assert_eq!(inspected["HostConfig"]["Memory"], 128 * 1024 * 1024);
}

/// What the kubelet does before it stops a pod; podman has no such hooks.
fn drained(host: &Host, ca: &str) {
    let clients =
        [client(&format!("ws://{POD}:8080/"), "-", "stay"), client(&format!("wss://{POD}:8443/"), ca, "stay")];
    for client in &clients {
        assert_eq!(client.json(), json!({"open": true}));
    }
    let manifest = fs::read_to_string(host.scratch().path("injected.yaml")).expect("just written");
    assert!(
        manifest.contains("command: [\"/outrigger\", \"drain\"]") || manifest.contains("- /outrigger\n"),
        "{manifest}"
    );
    host.podman(&["exec", SIDECAR, "/outrigger", "drain"]);
    for client in &clients {
        let closed: Value = client.json();
        assert_eq!(closed["code"], 1012, "{closed}");
    }
    assert_eq!((ask(9900, "/live").0, ask(9900, "/ready").0), (200, 503));
}
