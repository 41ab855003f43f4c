//! The spans of a request: that of the server, which the sidecar is to the client, and that of the client, which it is to
//! the app. By the stable HTTP conventions of OpenTelemetry; of an upgrade they end at the 101.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use outrigger_shared::trace_context::SpanContext;
use tokio::time::Instant;

use super::{Attr, Attributes, Nanos, Span, SpanKind, Tracer};
use crate::telemetry::metrics::known_method;
use crate::telemetry::{Exchange, Fault};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest `tracestate` that is taken up (W3C Trace Context §3.3.1.5 asks for this much).
const MAX_STATE_BYTES: usize = 512;

/// A request whose trace is recorded.
#[derive(Debug)]
pub(crate) struct RequestTrace {
    server: SpanContext,
    parent: Option<[u8; 8]>,
    state: Option<Box<str>>,
    start: Nanos,
    began: Instant,
    /// The request to the app, once it is on its way.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    span: [u8; 8],
    upstream: Box<str>,
    at: Instant,
    /// When its answer began, and the status.
    answered: Option<(Instant, u16)>,
}

impl Tracer {
    /// Takes up the trace that a request belongs to, or begins one. `None` if it is not recorded.
    pub(crate) fn request(&self, headers: &HeaderMap) -> Option<RequestTrace> {
        let came = traceparent(headers);
        let trace = came.map_or_else(|| self.root().trace, |came| came.trace);
        if !self.plan.sampler.samples(trace, came) {
            return None;
        }
        // A tracestate belongs to its traceparent (W3C Trace Context §3.3).
        let state = headers.get(&TRACESTATE).filter(|_| came.is_some()).and_then(|state| state.to_str().ok());
        Some(RequestTrace {
            server: SpanContext { trace, span: self.span_id(), sampled: true },
            parent: came.map(|parent| parent.span),
            state: state.filter(|state| state.len() <= MAX_STATE_BYTES).map(Into::into),
            start: self.now(),
            began: Instant::now(),
            asked: None,
        })
    }
}

fn traceparent(headers: &HeaderMap) -> Option<SpanContext> {
    headers.get(&TRACEPARENT).and_then(|value| SpanContext::parse(value.as_bytes()))
}

fn header(context: SpanContext) -> HeaderValue {
    HeaderValue::from_str(&context.to_header()).expect("it is hex and dashes")
}

impl RequestTrace {
    /// What the spans of a session are linked to.
    pub(crate) fn handshake(&self) -> SpanContext {
        self.server
    }

    /// The request goes to the app now: its headers say so, so that the app's own span becomes a child of ours.
    pub(crate) fn ask(&mut self, tracer: &Tracer, upstream: &str, headers: &mut HeaderMap) {
        let mut span = tracer.span_id();
        if !tracer.aside {
            headers.insert(TRACEPARENT, header(SpanContext { span, ..self.server }));
        } else if let (None, Some(started)) = (self.parent, traceparent(headers)) {
            // It was started for the app, in whose eyes this is its parent.
            (self.server.trace, span) = (started.trace, started.span);
        }
        self.asked = Some(Asked { span, upstream: upstream.into(), at: Instant::now(), answered: None });
    }

    /// The header of the app's answer is there, from this upstream.
    pub(crate) fn answered(&mut self, status: u16, upstream: &str) {
        if let Some(asked) = &mut self.asked {
            if *asked.upstream != *upstream {
                asked.upstream = upstream.into();
            }
            asked.answered = Some((Instant::now(), status));
        }
    }

    /// The exchange is over: both spans.
    pub(crate) fn finish(self, tracer: &Arc<Tracer>, exchange: &Exchange) {
        let now = Instant::now();
        let at = |instant: Instant| self.start.plus(instant - self.began);
        let method = known_method(&exchange.method);
        // Of a method that is nobody's, the conventions want the span to be named like this.
        let name = if method == "_OTHER" { "HTTP" } else { method };
        if let Some(asked) = &self.asked {
            let (end, status) = asked.answered.map_or((now, None), |(at, status)| (at, Some(status)));
            let mut attributes: Attributes = vec![("http.request.method", method.into())];
            server_address(&asked.upstream, &mut attributes);
            attributes.push(("url.full", format!("{}{}", upstream_url(&asked.upstream), exchange.path).into()));
            let error = finish_client(status, exchange.fault, &mut attributes);
            tracer.sink.take(Span {
                context: SpanContext { span: asked.span, ..self.server },
                parent: Some(self.server.span),
                state: self.state.clone(),
                kind: SpanKind::Client,
                name: name.into(),
                start: at(asked.at),
                end: at(end),
                attributes,
                events: Vec::new(),
                events_lost: 0,
                links: Vec::new(),
                error,
            });
        }
        let attributes = server_attributes(method, exchange);
        let failed = exchange.status.is_server_error().then(|| exchange.fault.map_or("5xx", Fault::as_str));
        tracer.sink.take(Span {
            context: self.server,
            parent: self.parent,
            state: self.state,
            kind: SpanKind::Server,
            name: name.into(),
            start: self.start,
            end: self.start.plus(now - self.began),
            attributes,
            events: Vec::new(),
            events_lost: 0,
            links: Vec::new(),
            error: failed,
        });
    }
}

fn server_attributes(method: &'static str, exchange: &Exchange) -> Attributes {
    let mut attributes: Attributes = vec![
        ("http.request.method", method.into()),
        ("url.scheme", exchange.scheme.into()),
        ("url.path", exchange.path.to_string().into()),
        ("client.address", canonical(exchange.client.ip()).into()),
        ("client.port", Attr::Int(exchange.client.port().into())),
        ("network.protocol.version", "1.1".into()),
    ];
    server_address(&exchange.host, &mut attributes);
    if exchange.fault == Some(Fault::ClientLeft) {
        attributes.push(("error.type", Fault::ClientLeft.as_str().into()));
        return attributes;
    }
    attributes.push(("http.response.status_code", Attr::Int(exchange.status.as_u16().into())));
    if let Some(fault) = exchange.fault {
        attributes.push(("error.type", fault.as_str().into()));
    } else if exchange.status.is_server_error() {
        attributes.push(("error.type", exchange.status.as_str().to_owned().into()));
    }
    if exchange.upgrade {
        attributes.push(("outrigger.upgrade", exchange.outcome().into()));
    }
    attributes
}

/// The status and what was wrong, and the error of the span: to a client, 4xx is one as well.
fn finish_client(status: Option<u16>, fault: Option<Fault>, attributes: &mut Attributes) -> Option<&'static str> {
    match (status, fault) {
        (Some(status), fault) => {
            attributes.push(("http.response.status_code", Attr::Int(status.into())));
            match fault {
                Some(fault) => {
                    attributes.push(("error.type", fault.as_str().into()));
                    Some(fault.as_str())
                }
                None if status >= 400 => {
                    attributes.push(("error.type", status.to_string().into()));
                    Some(if status >= 500 { "5xx" } else { "4xx" })
                }
                None => None,
            }
        }
        (None, fault) => {
            let why = fault.map_or("_OTHER", Fault::as_str);
            attributes.push(("error.type", why.into()));
            Some(why)
        }
    }
}

/// `server.address`, and `server.port` where there is one.
fn server_address(authority: &str, attributes: &mut Attributes) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.starts_with("unix:") => (host, port.parse().ok()),
        _ => (authority, None),
    };
    if !host.is_empty() {
        attributes.push(("server.address", host.trim_matches(['[', ']']).to_owned().into()));
    }
    if let Some(port) = port {
        attributes.push(("server.port", Attr::Int(port)));
    }
}

fn upstream_url(upstream: &str) -> String {
    // A Unix socket has no host; `localhost` is what its requests name.
    if upstream.starts_with("unix:") { "http://localhost".to_owned() } else { format!("http://{upstream}") }
}

pub(super) fn canonical(ip: IpAddr) -> String {
    ip.to_canonical().to_string()
}
