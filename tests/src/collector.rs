//! A collector of OpenTelemetry's protocol, over HTTP and over gRPC, that answers as a test wants it. What it was sent is
//! decoded with OpenTelemetry's own types; what it did not take it does not have.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::ServerConfig;
use tokio::runtime::Builder;
use tokio::sync::Notify;

use crate::{App, Conn, PATIENCE};

const TRACES: &str = "/v1/traces";
const METRICS: &str = "/v1/metrics";
const GRPC_TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC_METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// As a collector does that takes all of it.
    Take,
    /// It takes all but the last so many spans of the request.
    Partial(usize),
    /// It takes nothing, and says so with this status (of HTTP, or of gRPC) and these header lines (or trailers).
    Refuse(u16, Vec<(&'static str, String)>),
    /// It takes nothing, and says that all is well with this type and body.
    Say(&'static str, Vec<u8>),
    /// It takes nothing, and writes this in the place of an answer; over gRPC it resets the stream.
    Raw(Vec<u8>),
    /// It takes nothing, and never answers.
    Hang,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// From 0, over both signals.
    pub nth: usize,
    pub traces: bool,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The message as it came.
    pub message: Vec<u8>,
    pub at: Instant,
    pub taken: bool,
}

/// What a collector has.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    pub requests: Vec<Request>,
    pub spans: Vec<Span>,
    /// The attributes of the resource that sent the last spans or figures.
    pub resource: BTreeMap<String, String>,
    /// The last of each name.
    pub metrics: BTreeMap<String, Metric>,
}

impl Taken {
    /// The spans of this name.
    pub fn named(&self, name: &str) -> Vec<Span> {
        self.spans.iter().filter(|span| span.name == name).cloned().collect()
    }

    /// The one span of this name and kind (1 internal, 2 server, 3 client).
    pub fn one(&self, name: &str, kind: i32) -> Option<Span> {
        let found: Vec<_> = self.spans.iter().filter(|span| span.name == name && span.kind == kind).collect();
        assert!(found.len() <= 1, "one {name} at most expected: {found:#?}");
        found.first().map(|span| (*span).clone())
    }
}

#[derive(Default)]
struct Record {
    taken: Mutex<Taken>,
    changed: Condvar,
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

/// A listening collector. Drop stops it.
pub struct Collector {
    addr: SocketAddr,
    scheme: &'static str,
    record: Arc<Record>,
    _stop: Stop,
}

enum Stop {
    App { _app: App },
    Runtime(Arc<Notify>),
}

impl Drop for Stop {
    fn drop(&mut self) {
        if let Stop::Runtime(stop) = self {
            stop.notify_one();
        }
    }
}

impl Collector {
    /// Over HTTP.
    pub fn http(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Collector {
        Collector::over_http(free(), None, answer)
    }

    /// Over HTTPS.
    pub fn https(tls: Arc<ServerConfig>, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Collector {
        Collector::over_http(free(), Some(tls), answer)
    }

    /// Over HTTP, at a socket that was there before.
    pub fn over_http(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Collector {
        let record: Arc<Record> = Arc::default();
        let shared = record.clone();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let app = App::on(listener, tls, move |conn| serve_http(conn, &shared, &answer));
        Collector { addr: app.addr(), scheme, record, _stop: Stop::App { _app: app } }
    }

    /// Over gRPC.
    pub fn grpc(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Collector {
        let listener = free();
        let addr = listener.local_addr().expect("a bound socket");
        listener.set_nonblocking(true).expect("a socket can be that");
        let (record, stop): (Arc<Record>, Arc<Notify>) = Default::default();
        let (shared, stopped) = (record.clone(), stop.clone());
        let answer: Arc<Answer> = Arc::new(answer);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a bound socket");
                loop {
                    tokio::select! {
                        biased;
                        () = stopped.notified() => return,
                        Ok((stream, _)) = listener.accept() => {
                            tokio::spawn(serve_grpc(stream, shared.clone(), answer.clone()));
                        }
                    }
                }
            });
        });
        Collector { addr, scheme: "http", record, _stop: Stop::Runtime(stop) }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What to give as `otlp_endpoint`.
    pub fn url(&self) -> String {
        // Certificates are for the name.
        format!("{}://localhost:{}", self.scheme, self.addr.port())
    }

    /// Everything so far.
    pub fn taken(&self) -> Taken {
        self.record.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `look` finds what it looks for; fails with all that there is.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, look: impl Fn(&Taken) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut taken = self.record.taken.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = look(&taken) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the collector waited for {what}, but has {taken:#?}");
            taken = self.record.changed.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for this many requests, taken or not.
    #[track_caller]
    pub fn wait_requests(&self, count: usize) -> Vec<Request> {
        self.wait(&format!("{count} requests"), |taken| (taken.requests.len() >= count).then(|| taken.requests.clone()))
    }
}

/// The attributes by name, values as text.
pub fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let texts = attributes.iter().map(|KeyValue { key, value, .. }| (key.clone(), text(value.as_ref())));
    let map: BTreeMap<_, _> = texts.collect();
    assert_eq!(map.len(), attributes.len(), "a name comes twice: {attributes:#?}");
    map
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => panic!("a plain value expected, not {other:?}"),
    }
}

fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

impl Record {
    /// Enters a request, asks what to answer, and takes what is taken.
    fn enter(&self, traces: bool, headers: BTreeMap<String, String>, message: Vec<u8>, answer: &Answer) -> Reply {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut request =
            Request { nth: taken.requests.len(), traces, headers, message, at: Instant::now(), taken: false };
        let reply = answer(&request);
        request.taken = matches!(reply, Reply::Take | Reply::Partial(_));
        if request.taken && traces {
            let message: ExportTraceServiceRequest = decode(&request.message);
            let mut spans = Vec::new();
            for group in message.resource_spans {
                taken.resource = attributes(&group.resource.expect("a resource").attributes);
                spans.extend(group.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
            if let Reply::Partial(rejected) = reply {
                spans.truncate(spans.len().saturating_sub(rejected));
            }
            taken.spans.extend(spans);
        } else if request.taken {
            let message: ExportMetricsServiceRequest = decode(&request.message);
            for group in message.resource_metrics {
                taken.resource = attributes(&group.resource.expect("a resource").attributes);
                let metrics = group.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
                taken.metrics.extend(metrics.map(|metric| (metric.name.clone(), metric)));
            }
        }
        taken.requests.push(request);
        drop(taken);
        self.changed.notify_all();
        reply
    }
}

/// A message that holds exactly what its type knows: nothing was left out, and nothing is unknown.
fn decode<M: Message + Default + Debug>(bytes: &[u8]) -> M {
    let message = M::decode(bytes).unwrap_or_else(|e| panic!("{e} in {bytes:?}"));
    // What is unknown, or zero and need not be there, is not kept and would be missing.
    assert_eq!(message.encoded_len(), bytes.len(), "{message:#?}");
    message
}

/// The body of a good answer.
fn success(traces: bool, rejected: usize) -> Vec<u8> {
    let rejected = i64::try_from(rejected).expect("few");
    let words = if rejected > 0 { "a test wants it so".to_owned() } else { String::new() };
    if traces {
        let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message: words };
        ExportTraceServiceResponse { partial_success: (rejected > 0).then_some(partial) }.encode_to_vec()
    } else {
        let partial = ExportMetricsPartialSuccess { rejected_data_points: rejected, error_message: words };
        ExportMetricsServiceResponse { partial_success: (rejected > 0).then_some(partial) }.encode_to_vec()
    }
}

fn serve_http(conn: &mut Conn, record: &Record, answer: &Answer) {
    while let Some(head) = conn.request() {
        let Ok(message) = conn.try_request_body(&head) else { return };
        assert_eq!((head.method(), head.get("content-type")), ("POST", Some("application/x-protobuf")), "{head:?}");
        let traces = match head.target() {
            TRACES => true,
            METRICS => false,
            other => panic!("nothing is at {other}"),
        };
        let headers = head.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        let good = |kind: &str, body: &[u8]| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        match record.enter(traces, headers, message, answer) {
            Reply::Take => conn.send(good("application/x-protobuf", &success(traces, 0))),
            Reply::Partial(rejected) => conn.send(good("application/x-protobuf", &success(traces, rejected))),
            Reply::Refuse(status, lines) => {
                let lines: Vec<String> = lines.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                conn.send(crate::app::response(status, &lines, "no"));
            }
            Reply::Say(kind, body) => {
                // Who has heard enough may hang up.
                if !conn.try_send(good(kind, &body)) {
                    return;
                }
            }
            Reply::Raw(bytes) => {
                // As above.
                conn.try_send(bytes);
                return;
            }
            Reply::Hang => {
                conn.rest();
                return;
            }
        }
    }
}

async fn serve_grpc(stream: tokio::net::TcpStream, record: Arc<Record>, answer: Arc<Answer>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer_grpc(request, respond, record.clone(), answer.clone()));
    }
}

async fn answer_grpc(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    record: Arc<Record>,
    answer: Arc<Answer>,
) {
    let (parts, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let Ok(chunk) = chunk else { return };
        let _ = body.flow_control().release_capacity(chunk.len());
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(
        (&parts.headers["content-type"], &parts.headers["te"]),
        (&"application/grpc".parse().unwrap(), &"trailers".parse().unwrap())
    );
    let length = u32::from_be_bytes(bytes[1..5].try_into().expect("four bytes"));
    assert_eq!((bytes[0], length as usize), (0, bytes.len() - 5), "one message, not compressed");
    let traces = match parts.uri.path() {
        GRPC_TRACES => true,
        GRPC_METRICS => false,
        other => panic!("nothing is at {other}"),
    };
    let value = |value: &HeaderValue| value.to_str().expect("text").to_owned();
    let headers = parts.headers.iter().map(|(name, text)| (name.to_string(), value(text))).collect();
    let head = || http::Response::builder().header("content-type", "application/grpc").body(()).expect("a response");
    let ok = || trailers(&[("grpc-status", "0".to_owned())]);
    let message = |body: &[u8]| {
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(u32::try_from(body.len()).expect("few"));
        framed.extend_from_slice(body);
        framed.freeze()
    };
    let (data, end) = match record.enter(traces, headers, bytes[5..].to_vec(), &*answer) {
        Reply::Take => (message(&success(traces, 0)), ok()),
        Reply::Partial(rejected) => (message(&success(traces, rejected)), ok()),
        Reply::Say(_, body) => (Bytes::from(body), ok()),
        Reply::Refuse(status, lines) => {
            // "Trailers-Only": the status is in the header.
            let mut response = head();
            response.headers_mut().insert("grpc-status", status.to_string().parse().expect("digits"));
            response.headers_mut().extend(trailers(&lines));
            let _ = respond.send_response(response, true);
            return;
        }
        Reply::Raw(_) => return respond.send_reset(h2::Reason::INTERNAL_ERROR),
        Reply::Hang => return std::future::pending().await,
    };
    let Ok(mut stream) = respond.send_response(head(), false) else { return };
    // Who has heard enough may be gone.
    let _ = stream.send_data(data, false);
    let _ = stream.send_trailers(end);
}

fn trailers(lines: &[(&'static str, String)]) -> HeaderMap {
    let line = |(name, value): &(&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header's value"))
    };
    lines.iter().map(line).collect()
}
