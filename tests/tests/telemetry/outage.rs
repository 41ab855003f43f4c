//! Collectors that are away, slow, or full: what is lost is counted to the span, and sessions do not notice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outrigger_tests::app::Reserved;
use outrigger_tests::{App, Collector, Launch, Reply, Samples, Sidecar, Wire};

/// Spans of one request to the app: the sidecar's own, and that of its request to the app.
const SPANS: usize = 2;

fn launch(app: &App, url: &str) -> Launch {
    Sidecar::before(app.addr())
        .http()
        .flag("--otlp-endpoint", url)
        .flag("--metrics-exporter", "none")
        .flag("--span-export-interval", "20ms")
}

fn ask(client: &mut Wire, count: usize) {
    for _ in 0..count {
        client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(200);
    }
}

fn lost(page: &Samples) -> f64 {
    page.sum("outrigger_otlp_spans_lost_total", &[])
}

/// Waits until nothing waits any more of so many spans, and checks the account of them against what the collector has.
#[track_caller]
fn account(sidecar: &Sidecar, collector: &Collector, made: usize) -> Samples {
    let exported = |page: &Samples| page.get("outrigger_otlp_spans_exported_total");
    let made = count(made);
    let page = sidecar.wait_metrics("an account of every span", |page| exported(page) + lost(page) >= made);
    let has: BTreeSet<_> = collector.taken().spans.iter().map(|span| span.span_id.clone()).collect();
    let missing = made - count(has.len());
    is(lost(&page), missing);
    is(exported(&page), made - missing);
    page
}

#[track_caller]
fn is(figure: f64, expected: f64) {
    assert!((figure - expected).abs() < 1e-9, "{figure} is not {expected}");
}

#[expect(clippy::cast_precision_loss, reason = "a few")]
fn count(things: usize) -> f64 {
    things as f64
}

#[test]
fn after_an_outage_the_metric_says_just_what_is_missing() {
    // Nobody listens at first, then somebody does, then he is full for a while.
    const BEFORE: usize = 60;
    let (app, port) = (App::ok(), Reserved::new());
    let url = format!("http://localhost:{}", port.addr().port());
    let sidecar = launch(&app, &url).flag("--span-queue", "50").start();
    let mut client = sidecar.client();
    ask(&mut client, BEFORE);
    assert!(lost(&sidecar.metrics()) > 0.0, "there is no room for all of them");
    let full = Arc::new(AtomicBool::new(false));
    let is_full = full.clone();
    let collector = Collector::over_http(port.listen(), None, move |_| {
        if is_full.load(Ordering::SeqCst) { Reply::Refuse(503, Vec::new()) } else { Reply::Take }
    });
    let after_first = account(&sidecar, &collector, SPANS * BEFORE);
    assert!(after_first.sum("outrigger_otlp_spans_lost_total", &["queue_full"]) > 0.0);
    ask(&mut client, 10);
    let after_quiet = account(&sidecar, &collector, SPANS * (BEFORE + 10));
    is(lost(&after_quiet), lost(&after_first));
    full.store(true, Ordering::SeqCst);
    ask(&mut client, BEFORE);
    full.store(false, Ordering::SeqCst);
    let at_last = account(&sidecar, &collector, SPANS * (2 * BEFORE + 10));
    assert!(lost(&at_last) > lost(&after_quiet));
    // The log tells of it too, and not once for each.
    let log = sidecar.log();
    let told = |what: &str| log.iter().filter(|line| line.contains(what)).count();
    // A minute apart, whatever the machine does.
    for what in ["spans are lost", "the collector does not take"] {
        assert!((1..=3).contains(&told(what)), "{what}: {log:#?}");
    }
}

#[test]
fn a_dead_collector_neither_delays_sessions_nor_the_end_and_the_losses_are_told() {
    for protocol in ["http/protobuf", "grpc"] {
        let (app, port) = (App::echo(), Reserved::new());
        let url = format!("http://localhost:{}", port.addr().port());
        let mut sidecar = launch(&app, &url).flag("--otlp-protocol", protocol).start();
        let mut client = sidecar.session();
        client.echo("as if nothing were");
        client.leave();
        sidecar.session_ended();
        let asked = Instant::now();
        sidecar.terminate();
        assert!(sidecar.wait_exit().success());
        assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
        let log = sidecar.log();
        let line = log.iter().rfind(|line| line.contains("spans are lost")).unwrap_or_else(|| panic!("{log:#?}"));
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["all"], 3, "handshake, its request to the app, and the only segment: {line}");
    }
}

#[test]
fn what_a_collector_asks_to_be_told_later_it_is_told_later() {
    let later = |nth: usize| nth == 0;
    let http = Collector::http(move |request| {
        if later(request.nth) { Reply::Refuse(503, vec![("retry-after", "2".to_owned())]) } else { Reply::Take }
    });
    // UNAVAILABLE says no time.
    let grpc =
        Collector::grpc(move |request| if later(request.nth) { Reply::Refuse(14, Vec::new()) } else { Reply::Take });
    for (protocol, collector, at_least) in [("http/protobuf", &http, 2000), ("grpc", &grpc, 500)] {
        let app = App::ok();
        let sidecar = launch(&app, &collector.url()).flag("--otlp-protocol", protocol).start();
        ask(&mut sidecar.client(), 1);
        let page = account(&sidecar, collector, SPANS);
        is(lost(&page), 0.0);
        let requests = collector.wait_requests(2);
        // Our clock begins when the answer is on its way.
        let waited = requests[1].at - requests[0].at;
        assert!(waited >= Duration::from_millis(at_least), "{protocol}: {waited:?}");
        assert_eq!(requests[0].message, requests[1].message);
        let attempts = page.get("outrigger_otlp_exports_total{signal=\"traces\",result=\"unavailable\"}");
        is(attempts, 1.0);
    }
}

#[test]
fn what_a_collector_rejects_of_a_request_is_counted() {
    for (protocol, collector) in
        [("http/protobuf", Collector::http(|_| Reply::Partial(1))), ("grpc", Collector::grpc(|_| Reply::Partial(1)))]
    {
        let app = App::ok();
        let sidecar = launch(&app, &collector.url()).flag("--otlp-protocol", protocol).start();
        ask(&mut sidecar.client(), 1);
        let page = account(&sidecar, &collector, SPANS);
        assert!(page.get("outrigger_otlp_spans_lost_total{reason=\"rejected\"}") >= 1.0);
        let told = sidecar.wait_log("what it says", |line| line["words"] == "a test wants it so");
        assert_eq!(told["signal"], "traces");
    }
}
