//! `GET /metrics`: the figures are those of what has really happened.

use std::collections::BTreeSet;

use outrigger_tests::app::{Reserved, response};
use outrigger_tests::http::get;
use outrigger_tests::ws::{BINARY, CLOSE, PING, PONG, TEXT, upgrade};
use outrigger_tests::{App, Frame, Response, Sidecar, Wire};

const OPEN_METRICS: &str = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

fn page(sidecar: &Sidecar, extra: &[&str]) -> Response {
    sidecar.admin().ask(&get("/metrics", extra)).expect(200)
}

#[test]
fn the_page_is_in_the_format_that_is_asked_for() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let plain = page(&sidecar, &[]);
    assert_eq!(plain.head.get("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!((plain.head.get("vary"), plain.head.get("cache-control")), (Some("accept"), Some("no-store")));
    assert!(plain.text().contains("\n# TYPE outrigger_sessions_opened_total counter\n"), "{}", plain.text());
    assert!(!plain.text().contains("# EOF"));
    let open = page(&sidecar, &[OPEN_METRICS]);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.head.get("content-type"), Some(kind));
    assert!(open.text().contains("\n# TYPE outrigger_sessions_opened counter\n"), "{}", open.text());
    assert!(open.text().ends_with("\n# EOF\n"));
    // Families are as many in the one as in the other.
    let types = |text: &str| text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(types(&plain.text()), types(&open.text()));
}

#[test]
fn every_figure_is_documented_and_every_documented_one_is_there() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().https().start();
    let mut client = sidecar.connect("https");
    client.open("/", &[]);
    client.echo("here");
    client.send(Frame::close(outrigger_tests::Side::Client, 1000).bytes());
    client.expect_close(1000);
    sidecar.client().ask(&get("/", &[])).expect(200);
    let over = |samples: &outrigger_tests::Samples| samples.sum("outrigger_sessions_ended_total", &[]) > 0.0;
    let samples = sidecar.wait_metrics("the end of the session", over);
    let shown: BTreeSet<&str> = samples.families().into_iter().collect();
    let rows =
        include_str!("../../../docs/METRICS.md").lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<&str> =
        rows.filter(|name| name.starts_with("outrigger_") || shown.contains(name)).collect();
    // These begin with their first event, or where something is exported.
    let seldom = BTreeSet::from([
        "outrigger_ping_rtt_seconds",
        "outrigger_otlp_spans_exported_total",
        "outrigger_otlp_spans_lost_total",
        "outrigger_otlp_exports_total",
    ]);
    assert_eq!(shown.difference(&documented).collect::<Vec<_>>(), Vec::<&&str>::new(), "not in docs/METRICS.md");
    let lacking: BTreeSet<&str> = documented.difference(&shown).copied().collect();
    assert!(lacking.is_subset(&seldom), "documented, but not there: {lacking:?}");
}

#[test]
fn sessions_and_their_traffic_are_counted_to_the_byte() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().https().flag("--keepalive", "off").start();
    let mut plain = sidecar.client();
    plain.open("/", &[]);
    plain.echo("four");
    plain.send(Frame::client(BINARY, [7; 200]).bytes());
    plain.frame();
    plain.send(Frame::client(PING, "p").bytes());
    assert_eq!(plain.frame(), Frame::app(PONG, "p"));
    sidecar.metrics().expect(&[
        ("outrigger_sessions{scheme=\"ws\"}", 1.0),
        ("outrigger_sessions{scheme=\"wss\"}", 0.0),
        ("outrigger_connections", 1.0),
    ]);
    plain.send(Frame::close(outrigger_tests::Side::Client, 1000).bytes());
    plain.expect_close(1000);
    plain.expect_end();

    let mut tls = sidecar.connect("https");
    tls.open("/", &[]);
    tls.echo("fives");
    tls.echo("fives");
    tls.finish();

    let samples = sidecar
        .wait_metrics("the end of both sessions", |samples| samples.sum("outrigger_sessions_ended_total", &[]) > 1.5);
    samples.expect(&[
        ("outrigger_sessions{scheme=\"ws\"}", 0.0),
        ("outrigger_sessions{scheme=\"wss\"}", 0.0),
        ("outrigger_sessions_opened_total{scheme=\"ws\"}", 1.0),
        ("outrigger_sessions_opened_total{scheme=\"wss\"}", 1.0),
        ("outrigger_sessions_ended_total{by=\"client\",cause=\"close\",side=\"\"}", 1.0),
        ("outrigger_sessions_ended_total{by=\"client\",cause=\"gone\",side=\"client\"}", 1.0),
        ("outrigger_session_duration_seconds_count{scheme=\"ws\"}", 1.0),
        ("outrigger_closes_total{side=\"client\",code=\"1000\"}", 1.0),
        ("outrigger_closes_total{side=\"app\",code=\"1000\"}", 1.0),
        ("outrigger_closes_total{side=\"client\",code=\"1006\"}", 1.0),
        ("outrigger_messages_total{from=\"client\",opcode=\"text\"}", 3.0),
        ("outrigger_messages_total{from=\"client\",opcode=\"binary\"}", 1.0),
        ("outrigger_messages_total{from=\"app\",opcode=\"text\"}", 3.0),
        ("outrigger_messages_total{from=\"app\",opcode=\"binary\"}", 1.0),
        ("outrigger_message_payload_bytes_total{from=\"client\",opcode=\"text\"}", 4.0 + 5.0 + 5.0),
        ("outrigger_message_payload_bytes_total{from=\"app\",opcode=\"binary\"}", 200.0),
        ("outrigger_message_size_bytes_bucket{from=\"client\",le=\"128.0\"}", 3.0),
        ("outrigger_message_size_bytes_bucket{from=\"client\",le=\"1024.0\"}", 4.0),
        ("outrigger_message_size_bytes_count{from=\"app\"}", 4.0),
        ("outrigger_message_size_bytes_sum{from=\"app\"}", 214.0),
        ("outrigger_control_frames_total{from=\"client\",opcode=\"ping\"}", 1.0),
        ("outrigger_control_frames_total{from=\"app\",opcode=\"pong\"}", 1.0),
        ("outrigger_control_frames_total{from=\"client\",opcode=\"close\"}", 1.0),
        // The second one answers the Close that the sidecar has sent for a client that went without.
        ("outrigger_control_frames_total{from=\"app\",opcode=\"close\"}", 2.0),
        ("outrigger_frames_injected_total{to=\"app\",opcode=\"close\"}", 1.0),
        ("outrigger_frames_injected_total{to=\"client\",opcode=\"close\"}", 0.0),
        // Masked headers: three of 6 bytes, one of 8, a ping and a Close of 6.
        ("outrigger_received_bytes_total{from=\"client\"}", (10 + 208 + 7 + 8 + 11 + 11).into()),
        // Bare ones; the second Close has the sidecar's words in it.
        ("outrigger_received_bytes_total{from=\"app\"}", (6 + 204 + 3 + 4 + 7 + 7 + 4 + 27).into()),
        ("outrigger_upgrades_total{outcome=\"accepted\"}", 2.0),
        ("outrigger_upgrade_duration_seconds_count", 2.0),
        ("outrigger_tls_handshakes_total{version=\"1.3\",result=\"ok\"}", 1.0),
        ("outrigger_tls_handshakes_total{version=\"1.2\",result=\"ok\"}", 0.0),
        ("outrigger_tls_handshake_duration_seconds_count", 1.0),
        ("outrigger_connections_accepted_total{listener=\"http\"}", 1.0),
        ("outrigger_connections_accepted_total{listener=\"https\"}", 1.0),
        ("outrigger_stage{stage=\"running\"}", 1.0),
        (&format!("outrigger_upstream_dials_total{{upstream=\"{}\",result=\"ok\"}}", app.addr()), 2.0),
        (&format!("outrigger_upstream_well{{upstream=\"{}\"}}", app.addr()), 1.0),
        (&format!("outrigger_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ]);
    assert!(samples.get("process_start_time_seconds") > 1.7e9);
}

#[test]
fn requests_are_counted_by_status_and_refusals_by_their_reason() {
    let app = App::http(|request, _| match request.target() {
        "/there" => response(200, &[], "it is"),
        _ => response(404, &[], "nothing"),
    });
    let origins = ["--allowed-origins", "https://good.test"];
    let sidecar = Sidecar::before(app.addr())
        .http()
        .flag("--upstream-keepalive-timeout", "15m")
        .flag(origins[0], origins[1])
        .start();
    let mut client = sidecar.client();
    client.ask(&get("/there", &[])).expect(200);
    client.ask(&get("/there", &[])).expect(200);
    client.ask(&get("/elsewhere", &[])).expect(404);
    client.ask("BREW /there HTTP/1.1\r\nHost: app.test\r\n\r\n").expect(200);
    client.ask(&upgrade("/there", &["Origin: https://evil.test"])).expect(403);
    sidecar.client().ask(&upgrade("/there", &["Origin: https://good.test"])).expect(200);
    sidecar.client().ask(&get("/", &["Host: second.test"])).expect(400);
    let all = |samples: &outrigger_tests::Samples| samples.sum("http_server_request_duration_seconds_count", &[]) > 6.5;
    let samples = sidecar.wait_metrics("all seven requests", all);
    let requests = |method: &str, status: u16| {
        samples.get(&format!(
            "http_server_request_duration_seconds_count{{http_request_method=\"{method}\",http_response_status_code=\"{status}\",url_scheme=\"http\"}}"
        ))
    };
    let counted = [("GET", 200, 3), ("GET", 404, 1), ("_OTHER", 200, 1), ("GET", 403, 1), ("GET", 400, 1)];
    for (method, status, count) in counted {
        assert!((requests(method, status) - f64::from(count)).abs() < 1e-9, "{method} {status}: {}", samples.page());
    }
    samples.expect(&[
        ("outrigger_upgrades_total{outcome=\"forbidden_origin\"}", 1.0),
        ("outrigger_upgrades_total{outcome=\"refused\"}", 1.0),
        // One for requests, which three more used, and one for the upgrade.
        (&format!("outrigger_upstream_dials_total{{upstream=\"{}\",result=\"ok\"}}", app.addr()), 2.0),
        (&format!("outrigger_upstream_reused_total{{upstream=\"{}\"}}", app.addr()), 3.0),
    ]);
}

#[test]
fn limits_and_violations_are_counted() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--max-message-size", "1k").start();
    let mut big = sidecar.session();
    big.send(Frame::client(TEXT, [b'x'; 2000]).bytes());
    big.expect_close(1009);
    let mut wrong = sidecar.session();
    wrong.send(Frame::app(TEXT, "not masked").bytes());
    wrong.expect_close(1002);
    drop((big, wrong));
    let both = |samples: &outrigger_tests::Samples| samples.sum("outrigger_sessions_ended_total", &[]) > 1.5;
    sidecar.wait_metrics("the end of both sessions", both).expect(&[
        ("outrigger_limits_hit_total{from=\"client\",limit=\"message_size\"}", 1.0),
        ("outrigger_limits_hit_total{from=\"app\",limit=\"message_size\"}", 0.0),
        ("outrigger_protocol_violations_total{from=\"client\"}", 1.0),
        ("outrigger_sessions_ended_total{by=\"sidecar\",cause=\"message_too_big\",side=\"client\"}", 1.0),
        ("outrigger_sessions_ended_total{by=\"sidecar\",cause=\"protocol\",side=\"client\"}", 1.0),
        ("outrigger_closes_total{side=\"client\",code=\"1009\"}", 1.0),
        ("outrigger_closes_total{side=\"client\",code=\"1002\"}", 1.0),
    ]);
}

#[test]
fn connections_over_the_limit_are_counted() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--max-connections", "1").start();
    let stays = sidecar.session();
    sidecar.client().ask(&get("/", &[])).expect(503);
    let answered =
        |samples: &outrigger_tests::Samples| samples.sum("http_server_request_duration_seconds_count", &["503"]) > 0.5;
    sidecar.wait_metrics("the 503", answered).expect(&[
        ("outrigger_connections", 1.0),
        ("outrigger_connections_limit", 1.0),
        ("outrigger_connections_accepted_total{listener=\"http\"}", 2.0),
        ("outrigger_connections_turned_away_total{listener=\"http\"}", 1.0),
    ]);
    drop(stays);
}

#[test]
fn keepalives_are_counted_with_their_round_trips() {
    let app = App::echo();
    let flags = [("--keepalive-client", "1s"), ("--keepalive-app", "off"), ("--pong-timeout", "1s")];
    let launch =
        flags.iter().fold(Sidecar::before(app.addr()).http(), |launch, (name, value)| launch.flag(name, value));
    let sidecar = launch.start();
    let mut client = sidecar.session();
    let ping = client.frame();
    assert_eq!(ping.opcode, PING);
    client.send(Frame::client(PONG, &ping.payload).bytes());
    let answered =
        |samples: &outrigger_tests::Samples| samples.get("outrigger_keepalive_pongs_total{from=\"client\"}") > 0.5;
    sidecar.wait_metrics("the pong", answered).expect(&[
        ("outrigger_keepalive_pongs_total{from=\"client\"}", 1.0),
        ("outrigger_keepalive_pongs_total{from=\"app\"}", 0.0),
        ("outrigger_ping_rtt_seconds_count{side=\"client\"}", 1.0),
        ("outrigger_frames_injected_total{to=\"app\",opcode=\"ping\"}", 0.0),
    ]);
    // The next one is not answered.
    assert_eq!(client.frame().opcode, PING);
    let lost = "outrigger_sessions_ended_total{by=\"sidecar\",cause=\"keepalive_lost\",side=\"client\"}";
    let samples = sidecar.wait_metrics("the end of a silent client", |samples| samples.get(lost) > 0.5);
    samples.expect(&[
        ("outrigger_frames_injected_total{to=\"client\",opcode=\"ping\"}", 2.0),
        ("outrigger_keepalive_pongs_total{from=\"client\"}", 1.0),
    ]);
}

#[test]
fn time_held_back_is_counted_until_the_reader_is_gone() {
    let app = App::scripted(|conn| {
        if conn.upgrade(&[]).is_none() {
            return;
        }
        let frame = Frame::app(BINARY, vec![0; 1 << 16]).bytes();
        while conn.try_send(&frame) {}
    });
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.open("/", &[]);
    let sessions = "outrigger_backpressure_sessions{from=\"app\"}";
    let time = "outrigger_backpressure_time_seconds_total{from=\"app\"}";
    let held = sidecar.wait_metrics("backpressure", |samples| samples.get(sessions) > 0.5 && samples.get(time) > 0.05);
    held.expect(&[(sessions, 1.0), ("outrigger_backpressure_sessions{from=\"client\"}", 0.0)]);
    client.reset();
    let over = |samples: &outrigger_tests::Samples| samples.sum("outrigger_sessions_ended_total", &[]) > 0.5;
    let after = sidecar.wait_metrics("the end of the session", over);
    after.expect(&[(sessions, 0.0), ("outrigger_backpressure_time_seconds_total{from=\"client\"}", 0.0)]);
    assert!(after.get(time) > held.get(time));
    // It stands still from now on.
    assert!((sidecar.metrics().get(time) - after.get(time)).abs() < 1e-9);
}

#[test]
fn a_drain_shows_how_far_it_is() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut clients: Vec<Wire> = (0..3).map(|_| sidecar.session()).collect();
    sidecar.metrics().expect(&[
        ("outrigger_drain_sessions_at_start", 0.0),
        ("outrigger_drain_sessions_left", 0.0),
        ("outrigger_drain_time_left_seconds", 0.0),
    ]);
    sidecar.admin_json("POST", "/drain?window=off", 202);
    sidecar.client().ask(&upgrade("/", &[])).expect(503);
    let refused = "outrigger_upgrades_total{outcome=\"draining\"}";
    let samples = sidecar.wait_metrics("the refusal", |samples| samples.get(refused) > 0.5);
    samples.expect(&[
        (refused, 1.0),
        ("outrigger_stage{stage=\"draining\"}", 1.0),
        ("outrigger_stage{stage=\"running\"}", 0.0),
        ("outrigger_drain_sessions_at_start", 3.0),
        ("outrigger_drain_sessions_left", 3.0),
    ]);
    let mut leaves = clients.pop().expect("there are three");
    leaves.send(Frame::client(CLOSE, Frame::close_payload(1000, "")).bytes());
    leaves.expect_close(1000);
    let two_left = |samples: &outrigger_tests::Samples| samples.get("outrigger_drain_sessions_left") < 2.5;
    sidecar
        .wait_metrics("a session that leaves", two_left)
        .expect(&[("outrigger_drain_sessions_at_start", 3.0), ("outrigger_drain_sessions_left", 2.0)]);
    // With the end of the process the sessions get their Close, each in its share of the window.
    sidecar.terminate();
    for mut client in clients {
        client.part();
    }
}

#[test]
fn the_health_and_the_choice_of_upstreams_is_shown() {
    let (app, away) = (App::echo(), Reserved::new());
    let (first, second) = (away.addr().to_string(), app.addr().to_string());
    let sidecar = outrigger_tests::Launch::new()
        .flag("--upstream", format!("{first};priority=0"))
        .flag("--upstream", format!("{second};priority=1"))
        .flag("--upstream-check", "off")
        .http()
        .start();
    let session = sidecar.session();
    let of = |name: &str, upstream: &str| format!("outrigger_upstream_{name}{{upstream=\"{upstream}\"}}");
    let dials = |upstream: &str, result: &str| {
        format!("outrigger_upstream_dials_total{{upstream=\"{upstream}\",result=\"{result}\"}}")
    };
    sidecar.metrics().expect(&[
        (&dials(&first, "refused"), 1.0),
        (&dials(&first, "ok"), 0.0),
        (&dials(&second, "ok"), 1.0),
        (&of("well", &first), 0.0),
        (&of("well", &second), 1.0),
        (&of("home", &first), 0.0),
        (&of("home", &second), 1.0),
        (&of("ejections_total", &first), 1.0),
        (&of("sessions", &second), 1.0),
        ("outrigger_upstream_moves_total", 1.0),
    ]);
    drop(session);
}
