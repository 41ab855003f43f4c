//! The account of one exchange, from the request's header to the end of the answer.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderMap};
use http::{Request, StatusCode};
use tokio::time::Instant;

use super::proxy::header_text;
use super::serve::Connection;
use crate::telemetry::trace::{RequestTrace, SessionTrace, Tracer};
use crate::telemetry::{Capture, Exchange, Fault, Notice, Observer};

/// Tells the observer when it is dropped. Until there is an answer, that means that the client has left.
pub(super) struct Watch {
    pub(super) exchange: Exchange,
    began: Instant,
    observer: Arc<dyn Observer>,
    /// Where the request's trace is recorded.
    trace: Option<(Arc<Tracer>, RequestTrace)>,
}

impl Watch {
    pub(super) fn new<B>(
        request: &Request<B>,
        connection: &Connection,
        observer: &Arc<dyn Observer>,
        tracer: Option<&Arc<Tracer>>,
        capture: &Capture,
    ) -> Box<Self> {
        let trace = tracer.and_then(|tracer| Some((Arc::clone(tracer), tracer.request(request.headers())?)));
        let exchange = Exchange {
            client: connection.peer,
            scheme: if connection.tls { "https" } else { "http" },
            method: request.method().clone(),
            host: header_text(request.headers(), &HOST),
            path: request.uri().path().into(),
            asked: capture.of(request.uri(), request.headers()),
            upstream: None,
            status: StatusCode::from_u16(499).expect("it is a number of three digits"),
            upgrade: false,
            fault: Some(Fault::ClientLeft),
            took: Duration::ZERO,
            body_bytes: 0,
            whole: false,
        };
        Box::new(Self { exchange, began: Instant::now(), observer: Arc::clone(observer), trace })
    }

    /// The request goes to the app with these headers.
    pub(super) fn asks(&mut self, upstream: &str, headers: &mut HeaderMap) {
        if let Some((tracer, trace)) = &mut self.trace {
            trace.ask(tracer, upstream, headers);
        }
    }

    /// The header of the app's answer is there, from this upstream.
    pub(super) fn answered(&mut self, status: StatusCode, upstream: &str) {
        if let Some((_, trace)) = &mut self.trace {
            trace.answered(status.as_u16(), upstream);
        }
    }

    /// The trace of a session that begins with this request.
    pub(super) fn session(&self) -> Option<Box<SessionTrace>> {
        let (tracer, trace) = self.trace.as_ref()?;
        Some(SessionTrace::new(Arc::clone(tracer), trace.handshake()))
    }

    /// There is an answer; `fault` where it is not the app's.
    pub(super) fn answer(&mut self, status: StatusCode, fault: Option<Fault>) {
        self.exchange.status = status;
        self.exchange.fault = fault;
    }

    /// So many more bytes of the answer's body went out.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.exchange.body_bytes += bytes as u64;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.exchange.took = self.began.elapsed();
        self.observer.notice(&Notice::Answered(&self.exchange));
        if let Some((tracer, trace)) = self.trace.take() {
            trace.finish(&tracer, &self.exchange);
        }
    }
}
