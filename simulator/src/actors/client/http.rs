//! One HTTP/1.1 connection of a client, driven by the very future that uses it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use outrigger::net::Net;
use tokio::time::{Duration, Instant, timeout};

use super::dial::{Connection, dial};
use super::read_rate::ReadRate;
use super::{ClientSettings, Target};
use crate::actors::Actor;
use crate::actors::event::{ClientEvent, RequestFailure, RequestKind};

/// The longest answer that is not a stream. Apps put 1 MiB of updates into one.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Headers of one request, beside those of the client's settings.
pub(super) type Extra<'a> = &'a [(HeaderName, HeaderValue)];

/// A connection that carries one request after the other.
pub(super) struct HttpConnection {
    sender: http1::SendRequest<Empty<Bytes>>,
    /// `None` once it has ended.
    driver: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    requests: u64,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) etag: Option<HeaderValue>,
    pub(super) body: Bytes,
}

impl HttpConnection {
    /// Dials; `None` if that fails, which the observer has been told.
    pub(super) async fn open<N: Net>(actor: &Actor<N>, settings: &ClientSettings, rate: &ReadRate) -> Option<Self> {
        let stream: Connection<N> = dial(actor, settings, rate).await.ok()?;
        // It does no I/O yet, and so it does not fail.
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .writev(false)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .ok()?;
        // How it ended is told by the request that it cut.
        let driver = async move { drop(connection.with_upgrades().await) };
        Some(Self { sender, driver: Some(Box::pin(driver)), requests: 0 })
    }

    /// Does `work` and keeps the connection going meanwhile.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let driver = &mut self.driver;
        let mut work = pin!(work);
        poll_fn(|cx| {
            if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
                *driver = None;
            }
            match work.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(done),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Whether a further request has a chance.
    pub(super) fn is_usable(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }

    /// Whether it has carried a request before the last one: then the other end may have closed it as idle just when
    /// that request was on its way, and asking again is right.
    pub(super) fn is_reused(&self) -> bool {
        self.requests > 1
    }

    /// Asks, and returns with the head of the answer. `within` limits the wait.
    pub(super) async fn head<N: Net>(
        &mut self,
        actor: &Actor<N>,
        request: Request<Empty<Bytes>>,
        kind: RequestKind,
        within: Duration,
    ) -> Result<Response<Incoming>, RequestFailure> {
        self.requests += 1;
        actor.client_event(&ClientEvent::RequestSent { request: kind });
        let answer = self.sender.send_request(request);
        match timeout(within, self.drive(answer)).await {
            Ok(answer) => answer.map_err(|_| RequestFailure::Cut),
            Err(_) => Err(RequestFailure::Timeout),
        }
    }

    /// Asks, and returns with the whole of the answer, having told the observer of both. `empty` tells whether an
    /// answer had nothing new.
    pub(super) async fn ask<N: Net>(
        &mut self,
        actor: &Actor<N>,
        request: Request<Empty<Bytes>>,
        kind: RequestKind,
        within: Duration,
        empty: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, RequestFailure> {
        let began = Instant::now();
        let target = request.uri().to_string();
        let answer = match self.head(actor, request, kind, within).await {
            Ok(response) => {
                let left = within.saturating_sub(began.elapsed());
                self.whole(response, left).await
            }
            Err(why) => Err(why),
        };
        match &answer {
            Ok(answer) => {
                let bytes = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
                let (status, took) = (answer.status.as_u16(), began.elapsed());
                if answer.status == StatusCode::OK {
                    actor.observer.body_got(&target, &answer.body);
                }
                actor.client_event(&ClientEvent::AnswerReceived { status, empty: empty(answer), bytes, took });
            }
            Err(why) => actor.client_event(&ClientEvent::RequestFailed { why: *why }),
        }
        answer
    }

    async fn whole(&mut self, response: Response<Incoming>, within: Duration) -> Result<Answer, RequestFailure> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect();
        let body = timeout(within, self.drive(body)).await.map_err(|_| RequestFailure::Timeout)?;
        let body = body.map_err(|_| RequestFailure::Cut)?.to_bytes();
        let etag = head.headers.get(http::header::ETAG).cloned();
        Ok(Answer { status: head.status, etag, body })
    }
}

/// A GET with the headers that every client sends.
pub(super) fn get(settings: &ClientSettings, path: &str, extra: Extra<'_>) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    // Made of numbers and fixed words by the callers.
    *request.uri_mut() = path.parse().expect("a path of plain characters");
    let headers = request.headers_mut();
    headers.insert(HOST, authority(&settings.target));
    for (name, value) in &settings.headers {
        headers.append(name.clone(), value.clone());
    }
    for (name, value) in extra {
        headers.insert(name.clone(), value.clone());
    }
    request
}

/// `Host`, without the scheme's own port (RFC 9110 §7.2). A name that is none goes as an empty one: it has not
/// resolved, so nothing is sent.
fn authority(target: &Target) -> HeaderValue {
    let own_port = if target.tls.is_some() { 443 } else { 80 };
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    let text = if target.port == own_port { host } else { format!("{host}:{}", target.port) };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
