//! `hold`: upgrades wait for an app that restarts, in order, bounded in number and time.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use outrigger_tests::app::Reserved;
use outrigger_tests::http::get;
use outrigger_tests::tools::{Tool, node};
use outrigger_tests::ws::{KEY, accept_for, upgrade};
use outrigger_tests::{App, Authority, Conn, Launch, Scratch, Sidecar, Wire};
use serde_json::{Value, json};

use crate::reload::{from_file, reload, to_app};

/// A patience that no test waits for: whoever needs it to pass fails.
const ENDLESS: &str = "10m";
/// What is told at once is told within this, on a busy machine as well.
const AT_ONCE: Duration = Duration::from_secs(10);

/// In a file: whoever comes second is refused, and the log tells who waits.
const ONE_WAITS: &str = "hold = \"10m\"\nhold_max = 1\nlog_level = \"debug\"\nwatch = \"off\"";

const WAITS: &str = "an upgrade waits";
const AWAY: &str = "the app is away, upgrades wait for it";
const BACK: &str = "the app is back";
const REFUSED: &str = "the app is still away, upgrades are refused";
/// Said of a client's connection that ends while a request of it is being answered.
const LEFT: &str = "a client's connection ended badly";

/// A sidecar that holds, in front of an app that is not there yet. It tells in its log who waits.
fn holding(app: &Reserved, hold: &str, max: usize) -> Launch {
    let launch = Sidecar::before(app.addr()).http().https().flag("--log-level", "debug");
    launch.flag("--hold", hold).flag("--hold-max", max.to_string())
}

/// A client whose upgrade waits.
fn waiting(sidecar: &Sidecar, scheme: &str) -> Wire {
    let mut client = sidecar.connect(scheme);
    let before = lines(sidecar, WAITS).len();
    client.send(upgrade("/", &[]));
    wait_another(sidecar, WAITS, before);
    client
}

/// Waits for a line of the log that comes behind `before` others with this message.
fn wait_another(sidecar: &Sidecar, message: &str, before: usize) {
    let left = Cell::new(before);
    sidecar.wait_log(message, |line| line["message"] == message && left.replace(left.get().saturating_sub(1)) == 0);
}

fn echoes(client: &mut Wire) {
    client.response("GET").expect(101);
    client.echo("back again");
}

fn lines(sidecar: &Sidecar, message: &str) -> Vec<Value> {
    let log = sidecar.log();
    let parsed = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter(|line| line["message"] == message).collect()
}

#[test]
fn an_upgrade_waits_for_the_app_and_gets_its_101() {
    let down = Reserved::new();
    let sidecar = holding(&down, ENDLESS, 1000).start();
    let mut client = waiting(&sidecar, "http");
    let away = sidecar.wait_log("a warning", |line| line["message"] == AWAY);
    assert_eq!((&away["level"], &away["hold_s"], &away["hold_max"]), (&json!("WARN"), &json!(600.0), &json!(1000)));
    assert!(client.is_quiet(Duration::from_millis(300)), "the client was told something");

    let _app = App::on(down.listen(), None, Conn::serve_echo);
    echoes(&mut client);
    let back = sidecar.wait_log("the account of it", |line| line["message"] == BACK);
    assert_eq!((&back["level"], &back["held"], &back["refused"]), (&json!("INFO"), &json!(1), &json!(0)));
    assert!(back["away_s"].as_f64().is_some_and(|s| (0.3..60.0).contains(&s)), "{back}");
}

/// A reload that leaves the app where it is leaves those that wait where they are, and they count.
#[test]
fn the_line_goes_on_over_a_reload() {
    let down = Reserved::new();
    let sidecar = from_file(&to_app(down.addr(), ONE_WAITS), |launch| launch);
    let mut first = waiting(&sidecar, "http");
    reload(&sidecar, &to_app(down.addr(), &format!("{ONE_WAITS}\nmax_message_size = \"1k\"")));
    let mut second = sidecar.client();
    second.send(upgrade("/", &[]));
    second.response("GET").expect(503);
    let _app = App::on(down.listen(), None, Conn::serve_echo);
    echoes(&mut first);
}

/// Those that wait dial as they were told to when they came: nobody stands behind one that cannot get through.
#[test]
fn another_way_to_the_app_has_a_line_of_its_own() {
    let down = Reserved::new();
    let plain = to_app(down.addr(), ONE_WAITS);
    let sidecar = from_file(&plain.replacen("upstream = \"", "upstream = \"https://", 1), |launch| launch);
    let _in_vain = waiting(&sidecar, "http");
    reload(&sidecar, &plain);
    let mut second = waiting(&sidecar, "http");
    let _app = App::on(down.listen(), None, Conn::serve_echo);
    echoes(&mut second);
}

#[test]
fn all_that_wait_get_their_101_over_one_connection_each() {
    const HERD: usize = 100;
    let down = Reserved::new();
    let sidecar = holding(&down, ENDLESS, HERD).start();
    let mut clients: Vec<Wire> = (0..HERD).map(|nth| waiting(&sidecar, ["http", "https"][nth % 2])).collect();
    let app = App::on(down.listen(), None, Conn::serve_echo);
    for client in &mut clients {
        echoes(client);
    }
    // Nothing was sent twice, and no dial was thrown away.
    let seen = app.seen();
    assert_eq!((seen.len(), seen.iter().map(|conn| conn.requests.len()).sum::<usize>()), (HERD, HERD));
    // An outage is told twice, whoever waited.
    let back = sidecar.wait_log("the account of it", |line| line["message"] == BACK);
    assert_eq!(back["held"], HERD, "{back}");
    assert_eq!(lines(&sidecar, AWAY).len(), 1);
    // Whoever comes now need not wait.
    let mut late = sidecar.client();
    late.open("/", &[]);
    let late_addr = late.local_addr();
    drop(late);
    sidecar.session_of(late_addr);
    assert_eq!((lines(&sidecar, WAITS).len(), lines(&sidecar, BACK).len()), (HERD, 1));
}

#[test]
fn one_more_than_hold_max_is_told_at_once_to_come_again() {
    let down = Reserved::new();
    let sidecar = holding(&down, ENDLESS, 2).start();
    let mut held = [waiting(&sidecar, "http"), waiting(&sidecar, "https")];
    let start = Instant::now();
    for _ in 0..2 {
        let answer = sidecar.client().ask(&upgrade("/", &[])).expect(503);
        assert_eq!(answer.head.get("retry-after"), Some("1"), "{answer:?}");
    }
    assert!(start.elapsed() < AT_ONCE, "503 only after {:?}", start.elapsed());
    let _app = App::on(down.listen(), None, Conn::serve_echo);
    held.iter_mut().for_each(echoes);
    let back = sidecar.wait_log("the account of it", |line| line["message"] == BACK);
    assert_eq!((&back["held"], &back["refused"]), (&json!(2), &json!(2)), "{back}");
    // The first of them was a warning, the others were counted.
    assert_eq!(lines(&sidecar, REFUSED).len(), 1);
}

#[test]
fn when_its_patience_is_over_it_is_told_to_come_again() {
    let down = Reserved::new();
    let sidecar = holding(&down, "1s", 1000).start();
    for scheme in ["http", "https"] {
        let mut client = sidecar.connect(scheme);
        let start = Instant::now();
        let answer = client.ask(&upgrade("/", &[])).expect(503);
        let took = start.elapsed();
        assert_eq!(answer.head.get("retry-after"), Some("1"), "{answer:?}");
        assert!((Duration::from_secs(1)..AT_ONCE).contains(&took), "told after {took:?}");
        assert!(!answer.text().contains(&down.addr().port().to_string()), "{answer:?}");
    }
    // The first is a warning, the second is for debugging.
    sidecar.wait_log("the second refusal", |line| line["message"] == "an upgrade is refused");
    let warnings = lines(&sidecar, REFUSED);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
}

#[test]
fn a_client_that_leaves_frees_its_place_and_is_not_dialled_for() {
    let down = Reserved::new();
    let sidecar = holding(&down, ENDLESS, 1).start();
    for nth in 0..3 {
        let left = waiting(&sidecar, "http");
        sidecar.client().ask(&upgrade("/", &[])).expect(503);
        drop(left);
        wait_another(&sidecar, LEFT, nth);
    }
    let mut stays = sidecar.client();
    stays.send(upgrade("/stays", &[]));
    let app = App::on(down.listen(), None, Conn::serve_echo);
    echoes(&mut stays);
    let seen = app.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].requests[0].target(), "/stays");
}

#[test]
fn plain_requests_are_not_held() {
    let down = Reserved::new();
    let sidecar = holding(&down, ENDLESS, 1000).start();
    let _held = waiting(&sidecar, "http");
    let start = Instant::now();
    sidecar.client().ask(&get("/", &[])).expect(502);
    assert!(start.elapsed() < AT_ONCE, "502 only after {:?}", start.elapsed());
}

#[test]
fn without_hold_nobody_waits() {
    let down = Reserved::new();
    let sidecar = Sidecar::before(down.addr()).http().start();
    let start = Instant::now();
    let answer = sidecar.client().ask(&upgrade("/", &[])).expect(502);
    assert!(start.elapsed() < AT_ONCE && answer.head.get("retry-after").is_none(), "{answer:?}");
}

#[test]
fn what_was_sent_to_an_app_that_dies_is_not_sent_again() {
    let app = App::scripted(|conn| {
        conn.request();
        conn.finish();
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().flag("--hold", ENDLESS).start();
    sidecar.client().ask(&upgrade("/", &[])).expect(502);
    assert_eq!(app.wait_all_ended().len(), 1);
}

#[test]
fn an_app_that_dies_inside_its_tls_handshake_is_waited_for() {
    let down = Reserved::new();
    let authority = Authority::new();
    let config = authority.issue(&["127.0.0.1"]).server();
    let launch = Launch::new().flag("--upstream", format!("https://{}", down.addr())).http().flag("--hold", ENDLESS);
    let ca = launch.file("ca.pem", &authority.pem());
    let sidecar = launch.flag("--upstream-tls-ca", ca).start();
    let listener = down.listen();
    let mut client = sidecar.client();
    client.send(upgrade("/", &[]));
    // It is cut before a byte of TLS has come back.
    drop(listener.accept().expect("the sidecar dials"));
    let _app = App::on(listener, Some(config), Conn::serve_echo);
    echoes(&mut client);
}

#[test]
fn an_app_whose_certificate_does_not_hold_is_not_waited_for() {
    let down = Reserved::new();
    let config = Authority::new().issue(&["127.0.0.1"]).server();
    let launch = Launch::new().flag("--upstream", format!("https://{}", down.addr())).http().flag("--hold", ENDLESS);
    let ca = launch.file("ca.pem", &Authority::new().pem());
    let sidecar = launch.flag("--upstream-tls-ca", ca).start();
    let _app = App::on(down.listen(), Some(config), Conn::serve_echo);
    sidecar.client().ask(&upgrade("/", &[])).expect(502);
}

#[test]
fn a_unix_socket_that_is_not_there_yet_is_waited_for() {
    let scratch = Scratch::new();
    let path = scratch.path("app.sock");
    let launch = Launch::new().flag("--upstream", format!("unix:{path}")).http().flag("--hold", ENDLESS);
    let sidecar = launch.start();
    let mut client = sidecar.client();
    client.send(upgrade("/", &[]));
    sidecar.wait_log("a warning", |line| line["message"] == AWAY);
    let listener = UnixListener::bind(&path).expect("a path that is free and short");
    let (mut app, _) = listener.accept().expect("the sidecar dials");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        app.read_exact(&mut byte).expect("a request");
        request.extend(byte);
    }
    let accept = accept_for(KEY);
    let answer =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    app.write_all(format!("{answer}{accept}\r\n\r\n").as_bytes()).expect("the sidecar reads");
    client.response("GET").expect(101);
}

#[test]
fn sigterm_sends_away_those_that_wait() {
    let down = Reserved::new();
    let mut sidecar = holding(&down, ENDLESS, 1000).flag("--shutdown-grace", ENDLESS).start();
    let mut clients = ["http", "https", "http"].map(|scheme| waiting(&sidecar, scheme));
    let start = Instant::now();
    sidecar.terminate();
    for client in &mut clients {
        let answer = client.response("GET").expect(503);
        assert_eq!(answer.head.get("retry-after"), Some("1"), "{answer:?}");
        assert!(answer.head.has_token("connection", "close"), "{answer:?}");
        client.expect_end();
    }
    assert_eq!(sidecar.wait_exit().code(), Some(0));
    assert!(start.elapsed() < AT_ONCE, "gone only after {:?}", start.elapsed());
}

/// An address of its own: the port stays free while the app restarts, for nobody else binds or dials from there.
const NODE_HOST: &str = "127.0.0.7";

#[test]
fn clients_of_a_node_app_that_is_killed_find_it_again_and_see_no_failed_upgrade() {
    const CLIENTS: usize = 50;
    let Some(mut server) = node("ws-server.mjs") else { return };
    server.args([NODE_HOST, "0"]);
    let server = Tool::start(server);
    let port = server.addr().port();
    let upstream = format!("{NODE_HOST}:{port}");
    let sidecar = Launch::new().flag("--upstream", upstream).http().https().flag("--hold", "1m").start();
    let ca = sidecar.authority_file();
    let ways = [(format!("ws://{}/", sidecar.addr("http")), "-"), (format!("wss://{}/", sidecar.addr("https")), &ca)];
    let clients = ways.map(|(url, ca)| {
        let mut clients = node("ws-reconnect.mjs").expect("the server is there as well");
        clients.args([&url, ca, &CLIENTS.to_string()]);
        Tool::start(clients)
    });
    for clients in &clients {
        assert_eq!(clients.json(), json!({"open": CLIENTS}));
    }

    drop(server); // SIGKILL.
    for clients in &clients {
        assert_eq!(clients.json(), json!({"closed": vec![1012; CLIENTS]}));
    }
    sidecar.wait_log("a warning", |line| line["message"] == AWAY);
    let mut server = node("ws-server.mjs").expect("it was there before");
    server.args([NODE_HOST, &port.to_string()]);
    let _server = Tool::start(server);
    for clients in &clients {
        assert_eq!(clients.json(), json!({"echoed": CLIENTS, "failures": []}));
    }
}
