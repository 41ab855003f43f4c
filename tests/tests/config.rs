//! Settings at process level: what is refused, with which exit code and which words, and which place wins.

use std::net::TcpListener;

use outrigger_tests::app::{App, Reserved};
use outrigger_tests::http::get;
use outrigger_tests::sidecar::{Finished, command, run};
use outrigger_tests::{Authority, Launch, Scratch, Sidecar};
use serde_json::Value;

/// Faults in the settings.
const EXIT_CONFIG: i32 = 2;
/// What goes wrong when it runs.
const EXIT_RUNTIME: i32 = 1;

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_key_that_was_meant() {
    let finished = start_with("upstream = \"127.0.0.1:3000\"\nproxy_read_timeuot = \"60s\"\n").expect(EXIT_CONFIG);
    assert_says(&finished, &["outrigger.toml:2", "proxy_read_timeuot", "proxy_read_timeout"]);
}

#[test]
fn a_value_out_of_range_is_named_with_the_range() {
    let finished = start_with("upstream = \"127.0.0.1:3000\"\n\nproxy_read_timeout = \"0s\"\n").expect(EXIT_CONFIG);
    assert_says(&finished, &["outrigger.toml:3", "proxy_read_timeout", "1s"]);
}

#[test]
fn every_fault_is_told_at_once() {
    let file = "upstream = \"ftp://app\"\n\
                listen = [\"http://127.0.0.1:0\", \"127.0.0.1\"]\n\
                proxy_read_timeout = 1.5\n\
                nonsense = true\n\
                max_connections = -1\n";
    let finished = start_with(file).expect(EXIT_CONFIG);
    for line in 1..=5 {
        assert_says(&finished, &[&format!("outrigger.toml:{line}")]);
    }
    assert_says(&finished, &["ftp://app", "127.0.0.1", "1.5", "nonsense", "-1"]);
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    let finished = start_with("upstream = \"127.0.0.1:3000\"\nlisten = [\n").expect(EXIT_CONFIG);
    assert_says(&finished, &["outrigger.toml:"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let finished = Launch::new().flag("--config", "/nonexistent/outrigger.toml").fail().expect(EXIT_CONFIG);
    assert_says(&finished, &["/nonexistent/outrigger.toml"]);
}

#[test]
fn faults_in_flags_and_variables_are_told_by_their_names() {
    let launch = Launch::new().flag("--upstream", "127.0.0.1:3000").flag("--keepalive", "sometimes");
    let finished = launch.env("OUTRIGGER_PONG_TIMEOUT", "soon").fail().expect(EXIT_CONFIG);
    assert_says(&finished, &["--keepalive", "sometimes", "OUTRIGGER_PONG_TIMEOUT", "soon"]);
}

#[test]
fn a_flag_that_does_not_exist_is_refused() {
    let finished = Launch::new().flag("--upstraem", "127.0.0.1:3000").fail().expect(EXIT_CONFIG);
    assert_says(&finished, &["--upstraem", "--upstream"]);
}

#[test]
fn without_an_upstream_nothing_starts() {
    let finished = Launch::new().http().fail().expect(EXIT_CONFIG);
    assert_says(&finished, &["upstream"]);
}

#[test]
fn a_tls_listener_needs_a_certificate() {
    for scheme in ["https", "tls"] {
        let launch = Launch::new().flag("--upstream", "127.0.0.1:3000");
        let finished = launch.flag("--listen", format!("{scheme}://127.0.0.1:0")).fail().expect(EXIT_CONFIG);
        assert_says(&finished, &["--listen", "--tls-cert", "--tls-key"]);
    }
}

#[test]
fn a_certificate_that_is_missing_broken_or_without_its_key_is_refused() {
    let authority = Authority::new();
    let (one, two) = (authority.issue(&["one.test"]), authority.issue(&["two.test"]));
    let launch = || Launch::new().flag("--upstream", "127.0.0.1:3000").flag("--listen", "https://127.0.0.1:0");

    let missing = launch().flag("--tls-cert", "/nonexistent/cert.pem").flag("--tls-key", "/nonexistent/key.pem");
    let finished = missing.fail().expect(EXIT_CONFIG);
    assert_says(&finished, &["/nonexistent/cert.pem"]);

    let broken = launch();
    let file = broken.file("broken.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    let key = broken.file("key.pem", &one.key);
    let finished = broken.flag("--tls-cert", file).flag("--tls-key", key).fail().expect(EXIT_CONFIG);
    assert_says(&finished, &["broken.pem"]);

    let mismatched = launch();
    let cert = mismatched.file("one.pem", &one.certificate);
    let key = mismatched.file("two-key.pem", &two.key);
    let finished = mismatched.flag("--tls-cert", cert).flag("--tls-key", key).fail().expect(EXIT_CONFIG);
    assert_says(&finished, &["two-key.pem"]);
    assert!(!finished.stderr.contains("PRIVATE KEY"), "a key is nobody's business: {finished:#?}");
}

#[test]
fn a_port_in_use_is_a_runtime_fault_and_stops_all() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken_addr = taken.local_addr().expect("a bound socket");
    let launch = Launch::new().flag("--upstream", "127.0.0.1:3000").http();
    let finished = launch.flag("--listen", format!("http://{taken_addr}")).fail().expect(EXIT_RUNTIME);
    assert_says(&finished, &[&taken_addr.to_string()]);
    assert_not_ready(&finished);
}

#[test]
fn an_upstream_name_that_does_not_resolve_is_a_runtime_fault() {
    let finished = Launch::new().http().flag("--upstream", "does-not-exist.invalid:80").fail().expect(EXIT_RUNTIME);
    assert_says(&finished, &["does-not-exist.invalid"]);
    assert_not_ready(&finished);
}

#[test]
fn an_upstream_that_is_merely_down_is_no_fault() {
    let down = Reserved::new();
    let sidecar = Sidecar::before(down.addr()).http().start();
    sidecar.client().ask(&get("/", &[])).expect(502);
}

#[test]
fn the_flag_beats_the_variable_and_the_variable_the_file() {
    let file =
        "upstream = \"127.0.0.1:3000\"\nproxy_read_timeout = \"41s\"\npong_timeout = \"11s\"\nkeepalive = \"31s\"\n";
    let scratch = Scratch::new();
    let path = scratch.write("outrigger.toml", file);
    let mut config = command();
    config.args(["config", "--config", &path, "--keepalive", "33s"]);
    config.env("OUTRIGGER_PROXY_READ_TIMEOUT", "42s").env("OUTRIGGER_KEEPALIVE", "32s");
    let finished = run(&mut config).expect(0);
    for (key, value) in [("proxy_read_timeout", "42s"), ("pong_timeout", "11s"), ("keepalive", "33s")] {
        let line = line_of(&finished.stdout, key);
        assert!(line.contains(value), "{key} = {value} expected: {line:?}");
    }
    // Defaults are told too.
    assert!(line_of(&finished.stdout, "client_max_body_size").contains("60m"), "{finished:#?}");
}

#[test]
fn the_file_can_be_named_by_a_variable() {
    let scratch = Scratch::new();
    let path = scratch.write("outrigger.toml", "upstream = \"127.0.0.1:3000\"\nproxy_read_timeout = \"41s\"\n");
    let finished = run(command().arg("config").env("OUTRIGGER_CONFIG", path)).expect(0);
    assert!(line_of(&finished.stdout, "proxy_read_timeout").contains("41s"), "{finished:#?}");
}

#[test]
fn names_that_nginx_uses_are_taken() {
    let scratch = Scratch::new();
    let path = scratch.write(
        "outrigger.toml",
        "upstream = \"127.0.0.1:3000\"\nclient_header_timeout = \"30s\"\nclient_max_body_size = \"10m\"\n\
         ssl_protocols = \"TLSv1.2 TLSv1.3\"\nproxy_send_timeout = 45\n",
    );
    run(command().args(["check", "--config", &path])).expect(0);
}

#[test]
fn check_says_ok_or_every_fault_and_starts_nothing() {
    let scratch = Scratch::new();
    let good = scratch.write("good.toml", "upstream = \"127.0.0.1:3000\"\nlisten = [\"http://127.0.0.1:0\"]\n");
    run(command().args(["check", "--config", &good])).expect(0);
    let bad = scratch.write("bad.toml", "upstream = \"127.0.0.1:3000\"\nkeepalive = 0\nlog_format = \"xml\"\n");
    let finished = run(command().args(["check", "--config", &bad])).expect(EXIT_CONFIG);
    assert_says(&finished, &["bad.toml:2", "bad.toml:3"]);
}

#[test]
fn what_config_prints_can_be_read_again() {
    let scratch = Scratch::new();
    let finished = run(command().args(["config", "--upstream", "127.0.0.1:3000", "--keepalive", "33s"])).expect(0);
    let path = scratch.write("printed.toml", &finished.stdout);
    let again = run(command().args(["config", "--config", &path])).expect(0);
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(values(&finished.stdout), values(&again.stdout));
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let finished = run(command().args(["config", "--schema"])).expect(0);
    let schema: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|e| panic!("{e}: {}", finished.stdout));
    for key in ["listen", "upstream", "proxy_read_timeout", "allowed_origins", "tls_cert"] {
        assert!(schema["properties"][key].is_object(), "{key} is missing in the schema");
    }
}

#[test]
fn every_subcommand_has_help() {
    for words in [&[][..], &["run"], &["check"], &["config"], &["demo"]] {
        let finished = run(command().args(words).arg("--help")).expect(0);
        assert!(finished.stdout.contains("Usage"), "{words:?}: {finished:#?}");
    }
    let help = run(command().args(["run", "--help"])).expect(0).stdout;
    for flag in ["--listen", "--upstream", "--config", "--proxy-read-timeout", "--keepalive", "--tls-cert"] {
        assert!(help.contains(flag), "{flag} is missing in the help of run");
    }
}

#[test]
fn the_version_is_told() {
    let finished = run(command().arg("--version")).expect(0);
    assert!(finished.stdout.contains(env!("CARGO_PKG_VERSION")), "{finished:#?}");
}

#[test]
fn every_line_of_the_json_log_is_json() {
    let app = App::ok();
    let mut sidecar = Sidecar::before(app.addr()).http().https().start();
    sidecar.client().ask(&get("/", &[])).expect(200);
    sidecar.terminate();
    sidecar.wait_exit();
    let log = sidecar.log();
    for line in &log {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?} of {log:#?}"));
        for field in ["timestamp", "level", "message"] {
            assert!(value[field].is_string(), "no {field} in {line}");
        }
    }
    for scheme in ["http", "https"] {
        assert_ne!(sidecar.addr(scheme).port(), 0);
    }
}

/// Runs `outrigger run` with this file, named `outrigger.toml`.
fn start_with(file: &str) -> Finished {
    let launch = Launch::new();
    let path = launch.file("outrigger.toml", file);
    let finished = launch.flag("--config", path).fail();
    assert_not_ready(&finished);
    finished
}

#[track_caller]
fn assert_says(finished: &Finished, words: &[&str]) {
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is missing in: {}", finished.stderr);
    }
}

#[track_caller]
fn assert_not_ready(finished: &Finished) {
    assert!(!finished.stderr.contains("\"ready\""), "{finished:#?}");
}

/// The line of `outrigger config` that sets this key.
#[track_caller]
fn line_of<'a>(text: &'a str, key: &str) -> &'a str {
    let mut lines = text.lines().filter(|line| line.split(['=', ' ']).next() == Some(key));
    lines.next().unwrap_or_else(|| panic!("no {key} in: {text}"))
}
