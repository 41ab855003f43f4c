use std::sync::Arc;

use outrigger_shared::limits::Policy;
use outrigger_shared::relay::SIZE_BOUNDS;
use outrigger_shared::time::Micros;

use super::*;

fn now() -> Now {
    Now {
        stage: Stage::Running,
        drain: None,
        connections: 7,
        max_connections: 1000,
        held: ("localhost:3000".to_owned(), 2),
        upstreams: Vec::new(),
    }
}

fn who(scheme: &'static str) -> Who {
    let client = "192.0.2.1:4711".parse().unwrap();
    Who { id: 1, client, scheme, host: "a".into(), path: "/".into(), protocol: None, upstream: None, asked: None }
}

/// The value of a sample, by its name and labels as on the page.
fn sample(metrics: &Metrics, name: &str) -> f64 {
    let page = metrics.page(&now(), Format::Prometheus);
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().unwrap()
}

fn metrics() -> Metrics {
    Metrics::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000))
}

#[test]
fn names_follow_the_rules_of_both_worlds() {
    let mut seen = std::collections::BTreeSet::new();
    for family in FAMILIES {
        let Family { name, kind, unit, labels, help } = family;
        assert!(seen.insert(*name), "{name} twice");
        let dotted = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_');
        assert!(dotted(name) && labels.iter().all(|label| dotted(label)), "{name}");
        assert!(["outrigger.", "http.", "process."].iter().any(|prefix| name.starts_with(prefix)), "{name}");
        assert!(matches!(*unit, "s" | "By" | "1") || (unit.starts_with('{') && unit.ends_with('}')), "{name}: {unit}");
        assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
        // Units and totals are put behind the name, so they are not in it (Prometheus and OpenTelemetry agree on that).
        assert!(!name.ends_with("total") && !name.ends_with("seconds") && !name.ends_with("bytes"), "{name}");
        if let Kind::Histogram(bounds) = kind {
            assert!(bounds.is_sorted() && !bounds.is_empty(), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_classes_of_sizes_are_those_of_the_relay() {
    let Kind::Histogram(bounds) = FAMILIES[Id::MessageSize as usize].kind else { panic!("a histogram") };
    #[expect(clippy::cast_precision_loss, reason = "they are small")]
    let relay: Vec<f64> = SIZE_BOUNDS.iter().map(|bound| *bound as f64).collect();
    assert_eq!(bounds, relay);
}

#[tokio::test(start_paused = true)]
async fn sessions_are_counted_from_opened_to_ended() {
    let metrics = metrics();
    let policy = Arc::new(Policy::default());
    metrics.event(&who("wss"), &Event::SessionOpened);
    metrics.event(&who("tls"), &Event::SessionOpened);
    metrics.event(&who("ws"), &Event::SessionOpened);
    metrics.cut(&who("ws"));
    let mut relay = Relay::websocket(Arc::clone(&policy), outrigger_shared::relay::Negotiated::default(), 1, Micros(0));
    relay.eof(Side::App, Micros(5), &mut |event| metrics.event(&who("wss"), &event));
    relay.failed(Side::Client, Micros(6), &mut |event| metrics.event(&who("wss"), &event));
    assert!(relay.end().is_some());
    metrics.ended(&who("wss"), Duration::from_secs(90), &relay);
    for (name, value) in [
        ("outrigger_sessions{scheme=\"wss\"}", 0.0),
        ("outrigger_sessions{scheme=\"tls\"}", 1.0),
        ("outrigger_sessions{scheme=\"ws\"}", 0.0),
        ("outrigger_sessions_opened_total{scheme=\"wss\"}", 1.0),
        ("outrigger_sessions_ended_total{by=\"app\",cause=\"gone\",side=\"app\"}", 1.0),
        ("outrigger_sessions_ended_total{by=\"sidecar\",cause=\"cut\",side=\"\"}", 1.0),
        ("outrigger_sessions_ended_total{by=\"sidecar\",cause=\"idle\",side=\"\"}", 0.0),
        ("outrigger_closes_total{side=\"app\",code=\"1006\"}", 1.0),
        ("outrigger_session_duration_seconds_bucket{scheme=\"wss\",le=\"60.0\"}", 0.0),
        ("outrigger_session_duration_seconds_bucket{scheme=\"wss\",le=\"100.0\"}", 1.0),
        ("outrigger_connections", 7.0),
        ("process_start_time_seconds", 1_000.0),
        ("outrigger_stage{stage=\"running\"}", 1.0),
        ("outrigger_stage{stage=\"draining\"}", 0.0),
    ] {
        assert!((sample(&metrics, name) - value).abs() < 1e-9, "{name} is {}", sample(&metrics, name));
    }
}

#[tokio::test(start_paused = true)]
async fn time_held_back_is_summed_over_sessions_and_goes_on_while_they_are() {
    let metrics = metrics();
    let held_back = |on| metrics.event(&who("ws"), &Event::Backpressure { from: Side::App, on });
    held_back(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    held_back(true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    held_back(false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Two alone, three with another, five alone.
    let time = sample(&metrics, "outrigger_backpressure_time_seconds_total{from=\"app\"}");
    assert!((time - 13.0).abs() < 0.02, "{time}");
    assert!((sample(&metrics, "outrigger_backpressure_sessions{from=\"app\"}") - 1.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn codes_of_peers_cannot_make_series_without_end() {
    let metrics = metrics();
    for code in (1000..=1015).chain(3000..=4999) {
        metrics.closed(Side::Client, Some(CloseCode(code)));
    }
    let page = metrics.page(&now(), Format::Prometheus);
    assert_eq!(page.lines().filter(|line| line.starts_with("outrigger_closes_total{")).count(), 18);
    assert_eq!(known_method(&Method::from_bytes(b"BREW").unwrap()), "_OTHER");
}

#[tokio::test(start_paused = true)]
async fn traffic_is_counted_by_direction_and_opcode() {
    let metrics = metrics();
    let mut passed = Stats { bytes: 100, text: 2, binary: 1, text_bytes: 50, binary_bytes: 30, ..Stats::default() };
    passed.sizes[0] = 3;
    metrics.passed(Side::Client, &passed);
    metrics.passed(Side::Client, &passed);
    for (name, value) in [
        ("outrigger_received_bytes_total{from=\"client\"}", 200.0),
        ("outrigger_received_bytes_total{from=\"app\"}", 0.0),
        ("outrigger_messages_total{from=\"client\",opcode=\"text\"}", 4.0),
        ("outrigger_message_payload_bytes_total{from=\"client\",opcode=\"binary\"}", 60.0),
        ("outrigger_message_size_bytes_bucket{from=\"client\",le=\"128.0\"}", 6.0),
        ("outrigger_message_size_bytes_sum{from=\"client\"}", 160.0),
    ] {
        assert!((sample(&metrics, name) - value).abs() < 1e-9, "{name} is {}", sample(&metrics, name));
    }
}

/// The families as the page about them has them.
fn reference() -> String {
    let mut table = "| In Prometheus | In OpenTelemetry | Kind, unit | Labels | |\n|---|---|---|---|---|\n".to_owned();
    for family in FAMILIES {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<_> = family.labels.iter().map(|name| format!("`{}`", table::label(name))).collect();
        let (name, dotted, unit, help) = (family.prometheus(), family.name, family.unit, family.help);
        let row = format!("| `{name}` | `{dotted}` | {kind}, `{unit}` | {} | {help} |\n", labels.join(", "));
        table.push_str(&row);
    }
    table
}

/// With `UPDATE_PAGES=1` in the environment the page is written instead of compared.
#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for people who change the table; no test depends on it")]
fn the_page_has_every_family() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/METRICS.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- begin").unwrap();
    let (begin, rest) = rest.split_once("-->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let wanted = format!("{before}<!-- begin{begin}-->\n{}<!-- end -->{after}", reference());
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page == wanted, "docs/METRICS.md is out of date: run the tests with UPDATE_PAGES=1");
}
