//! Traces and exported metrics as a collector gets them, over HTTP and over gRPC.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use outrigger_tests::collector::attributes;
use outrigger_tests::{App, Authority, Collector, Launch, Reply, Sidecar};

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// What the tests' clients say they are part of.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn parent(sampled: bool) -> String {
    format!("traceparent: 00-{TRACE}-{CALLER}-0{}", u8::from(sampled))
}

/// A sidecar that exports to this collector, soon.
fn exporting(app: &App, collector: &Collector, protocol: &str) -> Launch {
    exporting_to(app, &collector.url(), protocol)
}

fn exporting_to(app: &App, url: &str, protocol: &str) -> Launch {
    Sidecar::before(app.addr())
        .http()
        .flag("--otlp-endpoint", url)
        .flag("--otlp-protocol", protocol)
        .flag("--span-export-interval", "20ms")
        .flag("--metric-export-interval", "100ms")
}

fn both() -> [(&'static str, Collector); 2] {
    [("http/protobuf", Collector::http(|_| Reply::Take)), ("grpc", Collector::grpc(|_| Reply::Take))]
}

/// The segments of the sessions at this path, in order, once the last is among them.
#[track_caller]
fn segments(collector: &Collector, path: &str) -> Vec<Span> {
    collector.wait("the last segment", |taken| {
        let mut of_path: Vec<_> = taken.named("websocket session");
        of_path.retain(|span| attributes(&span.attributes)["url.path"] == path);
        of_path.sort_by_key(|span| span.start_time_unix_nano);
        let last = of_path.last()?;
        (attributes(&last.attributes)["outrigger.session.last"] == "true").then_some(of_path)
    })
}

#[test]
fn one_trace_goes_from_the_client_over_the_sidecar_to_the_app() {
    for (protocol, collector) in both() {
        let app = App::echo();
        let sidecar = exporting(&app, &collector, protocol)
            .flag("--resource-attributes", "deployment.environment.name=test")
            .start();
        let mut client = sidecar.client();
        client.open("/chat?token=s3cret", &[&parent(true), "tracestate: vendor=value"]);
        client.echo("hello");
        client.leave();

        let last = segments(&collector, "/chat").pop().expect("a session has one at least");
        let (server, caller) = collector
            .wait("both spans of the handshake", |taken| Some((taken.one("GET", SERVER)?, taken.one("GET", CLIENT)?)));
        let asked = app.request(0);
        // The client's trace goes on: its span is the parent of ours, and ours is the parent of the app's.
        assert_eq!((hex(&server.trace_id), hex(&server.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
        assert_eq!((&caller.trace_id, &caller.parent_span_id), (&server.trace_id, &server.span_id));
        let handed_on = format!("00-{TRACE}-{}-01", hex(&caller.span_id));
        assert_eq!((asked.get("traceparent"), asked.get("tracestate")), (Some(&*handed_on), Some("vendor=value")));
        assert_eq!((server.trace_state.as_str(), caller.trace_state.as_str()), ("vendor=value", "vendor=value"));
        // Recorded; of the server, that its parent is elsewhere (`SpanFlags`).
        assert_eq!((server.flags, caller.flags), (0x301, 0x101));

        // By the stable conventions for HTTP.
        let of_server = attributes(&server.attributes);
        let port = sidecar.addr("http").port().to_string();
        let client_port = of_server["client.port"].clone();
        let expected = BTreeMap::from([
            ("http.request.method", "GET"),
            ("url.scheme", "http"),
            ("url.path", "/chat"),
            ("client.address", "127.0.0.1"),
            ("client.port", &client_port),
            ("network.protocol.version", "1.1"),
            ("server.address", "app.test"),
            ("http.response.status_code", "101"),
            ("outrigger.upgrade", "accepted"),
        ]);
        let seen: BTreeMap<_, _> = of_server.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(without(&seen, "server.port"), expected);
        assert!(seen.get("server.port").is_none_or(|named| *named == port));
        let of_client = attributes(&caller.attributes);
        assert_eq!(of_client["url.full"], format!("http://{}/chat", app.addr()));
        assert_eq!(of_client["server.port"], app.addr().port().to_string());
        assert_eq!(of_client["http.response.status_code"], "101");
        assert!(server.status.is_none() && caller.status.is_none());

        // They end with the 101, and what follows is linked to them in traces of its own.
        assert!(server.start_time_unix_nano <= caller.start_time_unix_nano);
        assert!(caller.end_time_unix_nano <= server.end_time_unix_nano);
        assert!(server.end_time_unix_nano <= last.end_time_unix_nano);
        assert_ne!(last.trace_id, server.trace_id);
        assert_eq!((last.kind, last.parent_span_id.len(), last.links.len()), (INTERNAL, 0, 1));
        let link = &last.links[0];
        assert_eq!((&link.trace_id, &link.span_id), (&server.trace_id, &server.span_id));
        let of_session = attributes(&last.attributes);
        for (name, value) in [
            ("outrigger.client.messages", "1"),
            ("outrigger.app.messages", "1"),
            ("outrigger.client.close_code", "1000"),
            ("outrigger.end.by", "client"),
            ("outrigger.end.cause", "close"),
            ("outrigger.session.segment", "0"),
        ] {
            assert_eq!(of_session[name], value, "{name} of {of_session:?}");
        }
        let resource = collector.taken().resource;
        assert_eq!(resource["service.name"], "outrigger");
        assert_eq!(resource["deployment.environment.name"], "test");
        assert_eq!(resource["service.instance.id"].len(), 36);
    }
}

fn without<'a>(map: &BTreeMap<&'a str, &'a str>, name: &str) -> BTreeMap<&'a str, &'a str> {
    map.iter().filter(|(known, _)| **known != name).map(|(name, value)| (*name, *value)).collect()
}

#[test]
fn without_a_caller_a_trace_begins_here() {
    let (app, collector) = (App::ok(), Collector::http(|_| Reply::Take));
    let sidecar = exporting(&app, &collector, "http/protobuf").start();
    sidecar.client().ask("GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(200);
    let server = collector.wait("the server's span", |taken| taken.one("GET", SERVER));
    assert_eq!((server.parent_span_id.len(), server.flags), (0, 0x101));
    let handed_on = app.request(0).get("traceparent").expect("one is started").to_owned();
    assert!(
        handed_on.starts_with(&format!("00-{}-", hex(&server.trace_id))) && handed_on.ends_with("-01"),
        "{handed_on}"
    );
}

#[test]
fn who_is_not_recorded_is_passed_on_as_such() {
    let (app, collector) = (App::ok(), Collector::http(|_| Reply::Take));
    let sidecar = exporting(&app, &collector, "http/protobuf").start();
    let ask = |path: &str, line: &str| {
        sidecar.client().ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n")).expect(200);
    };
    ask("/not", &parent(false));
    ask("/recorded", &parent(true));
    let server = collector.wait("the server's span", |taken| taken.one("GET", SERVER));
    assert_eq!(attributes(&server.attributes)["url.path"], "/recorded");
    assert_eq!(app.request(0).get("traceparent"), Some(&*format!("00-{TRACE}-{CALLER}-00")));

    // The same with a sampler that does not ask the caller.
    let collector = Collector::http(|_| Reply::Take);
    let sidecar = exporting(&app, &collector, "http/protobuf").flag("--traces-sampler", "always_on").start();
    let line = parent(false);
    sidecar.client().ask(&format!("GET / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n")).expect(200);
    let server = collector.wait("the server's span", |taken| taken.one("GET", SERVER));
    assert_eq!(hex(&server.trace_id), TRACE);
}

#[test]
fn a_ratio_is_kept_to() {
    const REQUESTS: usize = 400;
    let (app, collector) = (App::ok(), Collector::http(|_| Reply::Take));
    let mut sidecar = exporting(&app, &collector, "http/protobuf")
        .flag("--traces-sampler", "parentbased_traceidratio")
        .flag("--traces-sampler-arg", "0.25")
        .start();
    let mut client = sidecar.client();
    for _ in 0..REQUESTS {
        client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(200);
    }
    drop(client);
    sidecar.terminate();
    sidecar.wait_exit();
    let recorded = collector.taken().spans.iter().filter(|span| span.kind == SERVER).count();
    // Seven standard deviations.
    assert!((40..160).contains(&recorded), "{recorded} of {REQUESTS}");
}

#[test]
fn a_long_session_is_cut_into_segments_that_add_up() {
    let (app, collector) = (App::echo(), Collector::grpc(|_| Reply::Take));
    let sidecar = exporting(&app, &collector, "grpc").flag("--trace-segment", "1s").start();
    let mut client = sidecar.client();
    client.open("/long", &[]);
    let mut sent = 0;
    for wanted in 1..=2 {
        // At least one message in each segment.
        client.echo("still here");
        sent += 1;
        collector.wait("a segment", |taken| (taken.named("websocket session").len() >= wanted).then_some(()));
    }
    client.leave();
    let segments = segments(&collector, "/long");
    assert!(segments.len() >= 3);
    let server = collector.wait("the server's span", |taken| taken.one("GET", SERVER));
    let mut messages = 0;
    for (nth, segment) in segments.iter().enumerate() {
        let said = attributes(&segment.attributes);
        assert_eq!(said["outrigger.session.segment"], nth.to_string());
        messages += said["outrigger.client.messages"].parse::<usize>().unwrap();
        assert_eq!(segment.links[0].span_id, server.span_id);
        assert_eq!(said["outrigger.session.last"], (nth + 1 == segments.len()).to_string());
        assert_eq!(said.contains_key("outrigger.end.cause"), nth + 1 == segments.len());
    }
    assert_eq!(messages, sent);
    // One begins where the last one ended, and each is a trace of its own.
    assert!(segments.windows(2).all(|pair| pair[0].end_time_unix_nano == pair[1].start_time_unix_nano));
    assert!(segments.windows(2).all(|pair| pair[0].trace_id != pair[1].trace_id));
}

#[test]
fn messages_are_traced_as_configured() {
    const MESSAGES: usize = 30;
    for (share, expected) in [("100%", 2 * MESSAGES), ("off", 0)] {
        let (app, collector) = (App::echo(), Collector::http(|_| Reply::Take));
        let sidecar = exporting(&app, &collector, "http/protobuf").flag("--trace-messages", share).start();
        let mut client = sidecar.client();
        client.open("/talk", &[]);
        for _ in 0..MESSAGES {
            client.echo("twelve bytes");
        }
        client.leave();
        let last = segments(&collector, "/talk").pop().expect("a session has one at least");
        let taken = collector.taken();
        let messages = taken.named("websocket message");
        assert_eq!(messages.len(), expected, "{share}");
        for message in messages {
            let said = attributes(&message.attributes);
            assert_eq!((&*said["outrigger.message.size"], &*said["outrigger.message.opcode"]), ("12", "text"));
            assert_eq!(message.links, last.links);
            assert!(message.start_time_unix_nano <= message.end_time_unix_nano);
        }
    }
}

#[test]
fn metrics_are_exported_as_they_are_on_the_page() {
    for (protocol, collector) in both() {
        let app = App::echo();
        let mut sidecar = exporting(&app, &collector, protocol).start();
        let mut client = sidecar.session();
        client.echo("hello");
        client.leave();
        sidecar.session_ended();
        let first = collector.wait("metrics", |taken| taken.metrics.get("outrigger.sessions.opened").cloned());
        assert_eq!(first.unit, "{session}");
        sidecar.terminate();
        sidecar.wait_exit();

        // The last export is at the very end, so that nothing is missing.
        let taken = collector.taken();
        let sum = |name: &str, labels: &[(&str, &str)]| {
            let Some(Data::Sum(sum)) = &taken.metrics[name].data else { panic!("{name} is a sum") };
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{name}");
            let wanted: BTreeMap<String, String> =
                labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let mut points = sum.data_points.iter().filter(|point| attributes(&point.attributes) == wanted);
            let point = points.next().unwrap_or_else(|| panic!("no {wanted:?} in {sum:#?}"));
            assert!(point.start_time_unix_nano < point.time_unix_nano);
            match point.value {
                Some(Value::AsDouble(value)) => value,
                ref other => panic!("a double expected, not {other:?}"),
            }
        };
        let is = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
        is(sum("outrigger.sessions.opened", &[("scheme", "ws")]), 1.0);
        // The session said that it is up, and hello.
        is(sum("outrigger.messages", &[("from", "client"), ("opcode", "text")]), 2.0);
        // A label that is empty is none.
        is(sum("outrigger.sessions.ended", &[("by", "client"), ("cause", "close")]), 1.0);
        let Some(Data::Histogram(requests)) = &taken.metrics["http.server.request.duration"].data else {
            panic!("a histogram")
        };
        let point = &requests.data_points[0];
        assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (1, 1));
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!(attributes(&point.attributes)["http.response.status_code"], "101");
        assert!(matches!(&taken.metrics["outrigger.sessions"].data, Some(Data::Gauge(_))));
        // What was exported is counted, and nothing is lost.
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        is(sum("outrigger.otlp.spans.exported", &[]), taken.spans.len() as f64);
        for reason in ["queue_full", "unavailable", "refused", "rejected", "nonsense", "stopped"] {
            is(sum("outrigger.otlp.spans.lost", &[("reason", reason)]), 0.0);
        }
    }
}

#[test]
fn what_is_left_goes_out_at_the_end() {
    for (protocol, collector) in both() {
        let app = App::echo();
        let launch = Sidecar::before(app.addr()).http().flag("--otlp-endpoint", collector.url());
        let mut sidecar = launch.flag("--otlp-protocol", protocol).flag("--span-export-interval", "60s").start();
        let mut client = sidecar.session();
        client.echo("hello");
        sidecar.terminate();
        // The drain closes it.
        client.part();
        sidecar.wait_exit();
        let taken = collector.taken();
        assert!(taken.one("GET", SERVER).is_some() && taken.one("GET", CLIENT).is_some());
        let last = taken.one("websocket session", INTERNAL).expect("the segment that the drain ended");
        let events: Vec<&str> = last.events.iter().map(|event| event.name.as_str()).collect();
        assert!(events.contains(&"outrigger.drain"), "{events:?}");
    }
}

#[test]
fn opentelemetrys_own_variables_are_enough() {
    let (app, traces, metrics) = (App::ok(), Collector::grpc(|_| Reply::Take), Collector::http(|_| Reply::Take));
    let sidecar = Sidecar::before(app.addr())
        .http()
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces.url())
        .env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &metrics.url())
        .env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=top%20s3cret")
        .env("OTEL_SERVICE_NAME", "chat")
        .env("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=chat-0,service.name=other")
        .env("OTEL_BSP_SCHEDULE_DELAY", "20")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "100")
        .start();
    sidecar.client().ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(200);
    let of_traces = traces.wait("a span", |taken| (!taken.spans.is_empty()).then(|| taken.clone()));
    let of_metrics = metrics.wait("metrics", |taken| (!taken.metrics.is_empty()).then(|| taken.clone()));
    for taken in [of_traces, of_metrics] {
        assert_eq!((&*taken.resource["service.name"], &*taken.resource["k8s.pod.name"]), ("chat", "chat-0"));
        assert_eq!(taken.requests[0].headers["api-key"], "top s3cret");
    }
    assert!(metrics.taken().spans.is_empty() && traces.taken().metrics.is_empty());

    // And they are enough to have none of it.
    let quiet = Sidecar::before(app.addr())
        .http()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &metrics.url())
        .env("OTEL_SDK_DISABLED", "true")
        .start();
    assert!(!quiet.metrics().page().contains("outrigger_otlp"), "nothing is exported, so nothing is counted of it");
}

#[test]
fn a_collector_behind_tls_is_reached_if_its_authority_is_trusted() {
    let (app, authority) = (App::ok(), Authority::new());
    let identity = authority.issue(&["localhost"]);
    let collector = Collector::https(identity.server(), |_| Reply::Take);
    // gRPC comes through a sidecar that takes TLS off.
    let inner = Collector::grpc(|_| Reply::Take);
    let front = Sidecar::before(inner.addr()).tls().start();
    let grpc = format!("https://localhost:{}", front.addr("tls").port());
    for (protocol, url, to, trusted) in
        [("http/protobuf", collector.url(), &collector, &authority), ("grpc", grpc, &inner, front.authority())]
    {
        let launch = exporting_to(&app, &url, protocol);
        let ca = launch.file("ca.pem", &trusted.pem());
        let sidecar = launch.flag("--otlp-ca", ca).start();
        sidecar.client().ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(200);
        to.wait("a span over TLS", |taken| taken.one("GET", SERVER));

        let stranger = exporting_to(&app, &url, protocol).start();
        stranger.client().ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(200);
        let line = stranger.wait_log("a complaint", |line| {
            line["message"].as_str().is_some_and(|text| text.starts_with("the collector does not"))
        });
        assert!(line["why"].as_str().unwrap().contains("TLS failed"), "{line}");
        let exported = stranger.metrics().get("outrigger_otlp_spans_exported_total");
        assert!(exported.abs() < 1e-9, "{exported} spans went to a stranger");
    }
}

#[test]
fn no_secret_is_in_what_is_exported() {
    const SECRET: &str = "hush-hush";
    for (protocol, collector) in both() {
        let app = App::echo();
        let sidecar = exporting(&app, &collector, protocol)
            .flag("--trace-messages", "100%")
            .flag("--log-level", "trace")
            .flag("--otlp-headers", format!("authorization: Bearer {SECRET}"))
            .start();
        let mut client = sidecar.client();
        let lines = [format!("Cookie: id={SECRET}"), format!("Authorization: Basic {SECRET}")];
        client.open(&format!("/a?token={SECRET}"), &[&lines[0], &lines[1]]);
        client.echo(&format!("payload {SECRET}"));
        client.leave();
        segments(&collector, "/a");
        let requests = collector.taken().requests;
        assert!(requests.iter().all(|request| request.headers["authorization"] == format!("Bearer {SECRET}")));
        for request in requests {
            assert!(!String::from_utf8_lossy(&request.message).contains(SECRET), "{request:?}");
        }
        let config = sidecar.admin_json("GET", "/config", 200).to_string();
        assert!(config.contains("otlp_headers") && !config.contains(SECRET), "{config}");
        assert!(sidecar.log().iter().all(|line| !line.contains(SECRET)));
    }
}
