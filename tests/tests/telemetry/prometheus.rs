//! The real Prometheus scrapes a real sidecar, and has an answer to all that the dashboard and the alerts ask.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use outrigger_tests::app::Reserved;
use outrigger_tests::http::get;
use outrigger_tests::tools::{TOOL_PATIENCE, Tool, prometheus};
use outrigger_tests::ws::{PING, PONG, upgrade};
use outrigger_tests::{App, Frame, Launch, PATIENCE, Scratch, Side, Sidecar, Wire};
use serde_json::Value;

const DASHBOARD: &str = include_str!("../../../deploy/grafana/outrigger.json");
const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yml");
const ALERTS_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/alerts.yml");

/// What Grafana puts in for its variables.
const VARIABLES: [(&str, &str); 3] = [("$__rate_interval", "1m"), ("$instance", ".*"), ("$job", ".*")];

/// How often Prometheus asks.
const INTERVAL: &str = "200ms";
/// How long to wait before asking again for what is not there yet.
const ASK_AGAIN: Duration = Duration::from_millis(200);

#[test]
fn promtool_finds_nothing_to_complain_of() {
    let (Some(mut metrics), Some(mut rules)) = (prometheus("promtool"), prometheus("promtool")) else { return };
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().https().flag("--allowed-origins", "https://good.test").start();
    visit(&sidecar);
    let page = sidecar
        .wait_metrics("a session that has ended", |samples| samples.sum("outrigger_sessions_ended_total", &[]) > 0.5);
    let mut child = metrics
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), page.page().as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && said.iter().all(String::is_empty), "{said:?}");
    let output = rules.args(["check", "rules", ALERTS_PATH]).output().expect("promtool starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_alert_says_what_to_do() {
    // A rule begins with its name; what promtool has accepted needs no other reading.
    let rules: Vec<&str> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(!rules.is_empty());
    for rule in rules {
        let name = rule.lines().next().unwrap_or_default();
        let (_, description) =
            rule.split_once("description: >-").unwrap_or_else(|| panic!("{name} has no description"));
        assert!(description.split_whitespace().count() > 15, "{name} does not say what to do");
        assert!(rule.contains("summary: ") && rule.contains("labels: { severity: "), "{name}");
    }
}

#[test]
fn the_dashboard_and_the_alerts_get_their_answers() {
    let Some(command) = prometheus("prometheus") else { return };
    // Of two upstreams the first one is away, so that there are failures to be seen.
    let (app, away) = (App::echo(), Reserved::new());
    let sidecar = Launch::new()
        .flag("--upstream", format!("{};priority=0", away.addr()))
        .flag("--upstream", format!("{};priority=1", app.addr()))
        .flag("--upstream-check-interval", "1s")
        .flag("--keepalive", "1s")
        .flag("--allowed-origins", "https://good.test")
        .http()
        .https()
        .start();
    let stop = Arc::new(AtomicBool::new(false));
    let stays = stay(&sidecar, &stop);
    let server = Server::start(command, sidecar.addr("admin"));
    let wanted: Vec<(String, String)> = panels().into_iter().chain(left_sides(&server)).collect();
    let deadline = Instant::now() + TOOL_PATIENCE;
    let mut waiting: Vec<&(String, String)> = wanted.iter().collect();
    while !waiting.is_empty() {
        assert!(Instant::now() < deadline, "Prometheus has no figure for {waiting:#?}; it has {:#?}", server.names());
        visit(&sidecar);
        waiting.retain(|(title, query)| !server.has_figures(query, title.starts_with("alert ")));
        pause();
    }
    server.expect_healthy_rules();

    // What is counted is shown: a figure that nobody sees is one that nobody needs.
    let shown: Vec<&str> = wanted.iter().map(|(_, query)| query.as_str()).collect();
    let shown = shown.join("\n");
    let page = sidecar.metrics();
    let unseen: Vec<_> = page.families().into_iter().filter(|name| !shown.contains(name)).collect();
    assert!(unseen.is_empty(), "on no panel and in no alert: {unseen:?}");

    stop.store(true, Ordering::SeqCst);
    stays.join().expect("the client of the long session saw nothing wrong");
}

/// Sessions of each kind, requests, and some that are refused.
fn visit(sidecar: &Sidecar) {
    sidecar.client().ask(&get("/", &[])).expect(200);
    sidecar.client().ask(&upgrade("/", &["Origin: https://evil.test"])).expect(403);
    for scheme in ["http", "https"] {
        let mut client = sidecar.connect(scheme);
        client.open("/", &["Origin: https://good.test"]);
        client.echo("a message");
        client.send(Frame::close(Side::Client, 1000).bytes());
        client.expect_close(1000);
    }
}

/// A session that goes on and answers pings until it is told to stop.
fn stay(sidecar: &Sidecar, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let mut client = sidecar.client();
    client.open("/", &["Origin: https://good.test"]);
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            let frame = client.frame();
            if frame.opcode == PING {
                client.send(Frame::client(PONG, &frame.payload).bytes());
            }
        }
    })
}

/// Every query of the dashboard with the title of its panel.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("a list of panels");
    let mut queries = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().expect("a panel has a title");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title} is not described");
        let targets = panel["targets"].as_array().unwrap_or_else(|| panic!("{title} has no targets"));
        for target in targets {
            let query = target["expr"].as_str().unwrap_or_else(|| panic!("{title} has a target without a query"));
            let query = VARIABLES.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
            assert!(!query.contains('$'), "{title} has a variable that is not known: {query}");
            queries.push((title.to_owned(), query));
        }
    }
    assert!(queries.len() > 40, "{}", queries.len());
    queries
}

/// What the alerts compare with their thresholds: where all is well the alerts themselves have no answer.
fn left_sides(server: &Server) -> Vec<(String, String)> {
    let rules = server.rules();
    let side = |rule: &Value| {
        let (name, query) = (rule["name"].as_str().expect("text"), rule["query"].as_str().expect("text"));
        (format!("alert {name}"), without_thresholds(query))
    };
    rules.iter().map(side).collect()
}

/// Without each comparison with a number.
fn without_thresholds(query: &str) -> String {
    let mut words = query.split(' ').peekable();
    let mut left = Vec::new();
    while let Some(word) = words.next() {
        let is_number = words.peek().is_some_and(|next| next.parse::<f64>().is_ok());
        if ["<", ">", "<=", ">=", "==", "!="].contains(&word) && is_number {
            words.next();
        } else {
            left.push(word);
        }
    }
    assert_ne!(left.join(" "), query, "an alert compares with something");
    left.join(" ")
}

#[expect(clippy::disallowed_methods, reason = "Prometheus has to be asked; this is the pause in between")]
fn pause() {
    thread::sleep(ASK_AGAIN);
}

/// A Prometheus that scrapes one sidecar.
struct Server {
    addr: SocketAddr,
    _process: Tool,
    _folder: Scratch,
}

impl Server {
    #[track_caller]
    fn start(mut command: std::process::Command, target: SocketAddr) -> Server {
        let folder = Scratch::new();
        let config = format!(
            "global: {{ scrape_interval: {INTERVAL}, evaluation_interval: {INTERVAL} }}\n\
             rule_files: [\"{ALERTS_PATH}\"]\n\
             scrape_configs:\n  - job_name: outrigger\n    static_configs: [{{ targets: [\"{target}\"] }}]\n"
        );
        let config = folder.write("prometheus.yml", &config);
        // It does not tell which one it has taken of port 0.
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = free.local_addr().expect("a bound socket");
        drop(free);
        command.arg(format!("--config.file={config}"));
        command.arg(format!("--storage.tsdb.path={}", folder.path("data")));
        command.arg(format!("--web.listen-address={addr}")).args(["--log.level=warn"]);
        let process = Tool::start(command);
        let deadline = Instant::now() + TOOL_PATIENCE;
        let server = Server { addr, _process: process, _folder: folder };
        while TcpStream::connect(addr).is_err() || server.ask("/-/ready").0 != 200 {
            assert!(Instant::now() < deadline, "Prometheus is not ready after {TOOL_PATIENCE:?}");
            pause();
        }
        server
    }

    #[track_caller]
    fn ask(&self, path: &str) -> (u16, String) {
        let answer = Wire::plain(self.addr).ask(&get(path, &["Connection: close"]));
        (answer.status, answer.text())
    }

    /// The data of an answer of its API.
    #[track_caller]
    fn data(&self, path: &str) -> Value {
        let (status, text) = self.ask(path);
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {status} {text}"));
        assert_eq!((status, &answer["status"]), (200, &Value::from("success")), "{path}: {answer}");
        answer["data"].clone()
    }

    /// Whether a query has an answer with a number in it. A query that is not understood fails the test.
    #[track_caller]
    fn has_figures(&self, query: &str, or_none: bool) -> bool {
        let path = query.bytes().fold("/api/v1/query?query=".to_owned(), |path, byte| format!("{path}%{byte:02x}"));
        let data = self.data(&path);
        let series = data["result"].as_array().unwrap_or_else(|| panic!("{query}: {data}"));
        series.iter().any(|series| or_none || series["value"][1] != "NaN")
    }

    fn names(&self) -> Value {
        self.data("/api/v1/label/__name__/values")
    }

    fn rules(&self) -> Vec<Value> {
        let groups = self.data("/api/v1/rules?type=alert");
        let groups = groups["groups"].as_array().expect("a list of groups");
        groups.iter().flat_map(|group| group["rules"].as_array().expect("a list of rules")).cloned().collect()
    }

    /// Waits until each rule was evaluated, and none of them failed.
    #[track_caller]
    fn expect_healthy_rules(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rules = self.rules();
            let failed: Vec<_> = rules.iter().filter(|rule| rule["health"] == "err").collect();
            assert!(failed.is_empty(), "{failed:#?}");
            if !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok") {
                return;
            }
            assert!(Instant::now() < deadline, "not every rule was evaluated: {rules:#?}");
            pause();
        }
    }
}
