use std::sync::Mutex;

use http::{HeaderMap, Method, StatusCode};
use outrigger_shared::close::Side;
use outrigger_shared::event::{Event, Message};
use outrigger_shared::limits::{Limit, Policy};
use outrigger_shared::relay::{Negotiated, Relay};
use outrigger_shared::time::Micros;
use tokio::time::sleep;

use super::*;
use crate::session::Who;
use crate::telemetry::{Exchange, Fault};

const ALWAYS: Sampler = Sampler { parent_based: true, ratio: 1.0 };
const CAME: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[derive(Default)]
struct Spans(Mutex<Vec<Span>>);

impl Sink for Spans {
    fn take(&self, span: Span) {
        self.0.lock().unwrap().push(span);
    }
}

fn tracer(sampler: Sampler) -> (Arc<Tracer>, Arc<Spans>) {
    let spans = Arc::new(Spans::default());
    let plan = Plan { sampler, messages: None, segment: Duration::from_mins(5) };
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    (Tracer::new(plan, 1, clock, spans.clone()), spans)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn exchange() -> Exchange {
    Exchange {
        client: "[::ffff:192.0.2.7]:4711".parse().unwrap(),
        scheme: "https",
        method: Method::GET,
        host: "app.example:8443".into(),
        path: "/feed".into(),
        asked: None,
        upstream: None,
        status: StatusCode::SWITCHING_PROTOCOLS,
        upgrade: true,
        fault: None,
        took: Duration::ZERO,
        body_bytes: 0,
        whole: true,
    }
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Attr> {
    span.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[tokio::test(start_paused = true)]
async fn a_trace_is_taken_up_and_handed_on_to_the_app() {
    let (tracer, spans) = tracer(ALWAYS);
    let mut headers = headers(&[("traceparent", CAME), ("tracestate", "a=b")]);
    let mut trace = tracer.request(&headers).unwrap();
    sleep(Duration::from_millis(2)).await;
    trace.ask(&tracer, "app:3000", &mut headers);
    sleep(Duration::from_millis(5)).await;
    trace.answered(101, "app:3000");
    sleep(Duration::from_millis(1)).await;
    let handshake = trace.handshake();
    trace.finish(&tracer, &exchange());
    let spans = spans.0.lock().unwrap();
    let [client, server] = &spans[..] else { panic!("{spans:?}") };
    let came = SpanContext::parse(CAME.as_bytes()).unwrap();
    assert_eq!((server.context, server.parent), (handshake, Some(came.span)));
    assert_eq!((server.context.trace, client.context.trace), (came.trace, came.trace));
    assert_eq!((client.parent, server.state.as_deref()), (Some(server.context.span), Some("a=b")));
    // What the app gets is a child of the client's span, and the state with it.
    assert_eq!(headers["traceparent"], client.context.to_header());
    assert_eq!(headers["tracestate"], "a=b");
    assert_eq!((server.kind, client.kind), (SpanKind::Server, SpanKind::Client));
    let start = 1_000_000_000_000;
    assert_eq!((server.start, server.end), (Nanos(start), Nanos(start + 8_000_000)));
    assert_eq!((client.start, client.end), (Nanos(start + 2_000_000), Nanos(start + 7_000_000)));
    assert_eq!(attribute(server, "http.response.status_code"), Some(&Attr::Int(101)));
    assert_eq!(attribute(server, "client.address"), Some(&String::from("192.0.2.7").into()));
    assert_eq!(attribute(server, "server.port"), Some(&Attr::Int(8443)));
    assert_eq!(attribute(client, "url.full"), Some(&String::from("http://app:3000/feed").into()));
    assert_eq!((server.error, client.error), (None, None));
}

#[tokio::test(start_paused = true)]
async fn who_sampled_before_decides_and_the_ratio_is_for_the_others() {
    let unsampled = CAME.replace("-01", "-00");
    let (tracer_of_none, spans) = tracer(Sampler { parent_based: true, ratio: 0.0 });
    assert!(tracer_of_none.request(&headers(&[("traceparent", CAME)])).is_some());
    assert!(tracer_of_none.request(&headers(&[])).is_none());
    let (tracer_of_all, _) = tracer(ALWAYS);
    assert!(tracer_of_all.request(&headers(&[("traceparent", &unsampled)])).is_none());
    let begun = tracer_of_all.request(&headers(&[("traceparent", "nonsense"), ("tracestate", "a=b")])).unwrap();
    begun.finish(&tracer_of_all, &exchange());
    let (always, _) = tracer(Sampler { parent_based: false, ratio: 1.0 });
    assert!(always.request(&headers(&[("traceparent", &unsampled)])).is_some());
    let (quarter, _) = tracer(Sampler { parent_based: true, ratio: 0.25 });
    let sampled = (0..4000).filter(|_| quarter.request(&headers(&[])).is_some()).count();
    assert!((850..1150).contains(&sampled), "{sampled}");
    assert!(spans.0.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_says_so_on_both_sides() {
    let (tracer, spans) = tracer(ALWAYS);
    let mut headers = headers(&[]);
    let mut trace = tracer.request(&headers).unwrap();
    trace.ask(&tracer, "unix:/run/app.sock", &mut headers);
    let status = StatusCode::BAD_GATEWAY;
    trace.finish(&tracer, &Exchange { status, fault: Some(Fault::Unreachable), ..exchange() });
    let refused = tracer.request(&headers).unwrap();
    let status = StatusCode::FORBIDDEN;
    refused.finish(&tracer, &Exchange { status, fault: Some(Fault::ForbiddenOrigin), ..exchange() });
    let spans = spans.0.lock().unwrap();
    let [client, server, refused] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((client.error, server.error), (Some("unreachable"), Some("unreachable")));
    assert_eq!(attribute(client, "server.address"), Some(&String::from("unix:/run/app.sock").into()));
    // A 4xx is the client's fault: no error of the server's span (HTTP conventions).
    assert_eq!((refused.error, attribute(refused, "error.type")), (None, Some(&"forbidden_origin".into())));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_cut_into_segments_that_are_linked_to_its_handshake() {
    let (tracer, spans) = tracer(ALWAYS);
    let trace = tracer.request(&headers(&[])).unwrap();
    let handshake = trace.handshake();
    let mut session = SessionTrace::new(Arc::clone(&tracer), handshake);
    let who = Who {
        id: 7,
        client: "192.0.2.1:1".parse().unwrap(),
        scheme: "wss",
        host: "a".into(),
        path: "/feed".into(),
        protocol: None,
        upstream: None,
        asked: None,
    };
    let mut relay = Relay::websocket(Arc::new(Policy::default()), Negotiated::default(), 1, Micros(0));
    relay.receive(Side::App, &[0x81, 2, b'h', b'i'], Micros(1), &mut |_| {});
    for _ in 0..40 {
        session.event(&Event::LimitHit { from: Side::Client, limit: Limit::Rate });
    }
    sleep(Duration::from_mins(5)).await;
    session.cut(&who, &relay);
    session.event(&Event::Message { from: Side::App, message: Message { binary: true, bytes: 9, frames: 1 } });
    session.forwarded(&who, true);
    session.forwarded(&who, true);
    relay.receive(Side::App, &[0x81, 1, b'x'], Micros(1), &mut |_| {});
    relay.failed(Side::Client, Micros(2), &mut |event| session.event(&event));
    relay.failed(Side::App, Micros(2), &mut |event| session.event(&event));
    assert!(relay.end().is_some());
    sleep(Duration::from_secs(3)).await;
    session.cut(&who, &relay);
    let spans = spans.0.lock().unwrap();
    let [first, message, last] = &spans[..] else { panic!("{spans:?}") };
    let mut seen = vec![handshake.trace];
    for span in &spans[..] {
        assert_eq!((span.links.as_slice(), span.parent), ([handshake].as_slice(), None));
        assert!(!seen.contains(&span.context.trace), "each is a trace of its own");
        seen.push(span.context.trace);
    }
    let seconds = |span: &Span| (span.end.0 - span.start.0) / 1_000_000_000;
    assert_eq!((seconds(first), seconds(last), first.end), (300, 3, last.start));
    assert_eq!((first.events.len(), first.events_lost), (32, 8));
    assert_eq!(first.events[0].name, "outrigger.limit_hit");
    // What passed in each, not since the beginning.
    assert_eq!(attribute(first, "outrigger.app.bytes"), Some(&Attr::Int(4)));
    assert_eq!(attribute(last, "outrigger.app.bytes"), Some(&Attr::Int(3)));
    assert_eq!(attribute(first, "outrigger.session.last"), Some(&Attr::Bool(false)));
    assert_eq!(attribute(last, "outrigger.session.segment"), Some(&Attr::Int(1)));
    assert_eq!(attribute(last, "outrigger.end.cause"), Some(&"reset".into()));
    assert_eq!((last.error, first.error), (Some("reset"), None));
    assert_eq!(message.name, "websocket message");
    assert_eq!(attribute(message, "outrigger.message.size"), Some(&Attr::Int(9)));
    for span in &spans[..] {
        assert!(attribute(span, "network.io.direction").is_none());
    }
}

#[test]
fn ids_are_of_the_seed_and_differ() {
    let (one, _) = tracer(ALWAYS);
    let (same, _) = tracer(ALWAYS);
    let ids: std::collections::BTreeSet<_> = (0..10_000).map(|_| one.id()).collect();
    assert_eq!(ids.len(), 10_000);
    assert!((0..10_000).all(|_| ids.contains(&same.id())));
}

#[tokio::test(start_paused = true)]
async fn a_tracer_aside_changes_nothing_and_is_in_the_trace_that_was_started_for_the_app() {
    let spans = Arc::new(Spans::default());
    let plan = Plan { sampler: ALWAYS, messages: None, segment: Duration::from_mins(5) };
    let tracer = Tracer::aside(plan, 1, || SystemTime::UNIX_EPOCH, spans.clone());
    for (came, parent) in [(None, None), (Some(CAME), Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]))] {
        let request = came.map_or_else(HeaderMap::new, |came| headers(&[("traceparent", came)]));
        let mut trace = tracer.request(&request).unwrap();
        let sent = headers(&[("traceparent", CAME)]);
        let mut to_app = sent.clone();
        trace.ask(&tracer, "app:3000", &mut to_app);
        assert_eq!(to_app, sent);
        trace.answered(101, "app:3000");
        let handshake = trace.handshake();
        trace.finish(&tracer, &exchange());
        let spans = std::mem::take(&mut *spans.0.lock().unwrap());
        let (client, server) = (&spans[0], &spans[1]);
        let told = SpanContext::parse(CAME.as_bytes()).unwrap();
        assert_eq!((client.context.trace, server.context.trace, handshake), (told.trace, told.trace, server.context));
        assert_eq!((client.parent, server.parent), (Some(server.context.span), parent));
        assert_eq!(client.context.span == told.span, came.is_none());
    }
    assert_eq!(SessionTrace::new(tracer, SpanContext::parse(CAME.as_bytes()).unwrap()).wakes(), None);
}
