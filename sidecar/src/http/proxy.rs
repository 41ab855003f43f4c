//! What becomes of a request: an answer of the app, an upgrade, or a refusal that says why.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use http::{Method, Request, Response, StatusCode, Version, request, response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use outrigger_shared::handshake::{Ask, Negotiated, check_answer, classify};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::body::{RequestBody, ResponseBody};
use super::forward::{Sender, mark_upgrade, to_app, to_client};
use super::guard::{Answering, Guard};
use super::origin;
use super::reply::{and_close, reply, retry_after};
use super::serve::Connection;
use super::watch::Watch;
use crate::config::Inspect;
use crate::lifecycle::{Lifecycle, Stage};
use crate::listen::Permit;
use crate::net::{Net, Stream};
use crate::registry::Registry;
use crate::session::{self, Account, Kind, Who};
use crate::settings::Settings;
use crate::telemetry::trace::{SessionTrace, Tracer};
use crate::telemetry::{Fault, Observer};
use crate::transport::Transport;
use crate::upstream::{DialError, Seat, SendError, Upstream};

/// How long the orderly end of a connection may take that came to nothing.
const FAREWELL: Duration = Duration::from_secs(1);

/// Everything that all connections of the process share.
pub struct Proxy<N> {
    net: N,
    settings: ArcSwap<Settings<N>>,
    lifecycle: Arc<Lifecycle>,
    registry: Arc<Registry>,
    observer: Arc<dyn Observer>,
    tracer: Option<Arc<Tracer>>,
    sessions: AtomicU64,
}

impl<N: Net> Proxy<N> {
    pub(crate) fn new(net: N, settings: Settings<N>, observer: Arc<dyn Observer>, tracer: Option<Arc<Tracer>>) -> Self {
        Self {
            net,
            settings: ArcSwap::from_pointee(settings),
            lifecycle: Lifecycle::new(),
            registry: Registry::new(),
            observer,
            tracer,
            sessions: AtomicU64::new(1),
        }
    }

    /// What is in force now. Whoever goes on for long must not hold it for as long.
    pub(crate) fn settings(&self) -> Arc<Settings<N>> {
        self.settings.load_full()
    }

    /// What begins from now on goes by these; what has begun keeps its own.
    pub(crate) fn put_into_force(&self, settings: Settings<N>) {
        self.settings.store(Arc::new(settings));
    }

    pub fn lifecycle(&self) -> &Arc<Lifecycle> {
        &self.lifecycle
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub fn net(&self) -> &N {
        &self.net
    }

    pub(crate) fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }

    /// Answers one request. Never fails: what goes wrong becomes an answer.
    pub(super) async fn handle(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
        answering: &Arc<Answering>,
    ) -> Response<ResponseBody> {
        let settings = self.settings();
        let mut watch = Watch::new(&request, connection, &self.observer, self.tracer.as_ref(), &settings.capture);
        let Answer(response, fault) = self.answer(&settings, request, connection, answering, &mut watch).await;
        watch.answer(response.status(), fault);
        response.map(|body| body.watched(watch))
    }

    async fn answer(
        &self,
        settings: &Settings<N>,
        mut request: Request<Incoming>,
        connection: &Connection,
        answering: &Arc<Answering>,
        watch: &mut Watch,
    ) -> Answer {
        let Some(permit) = &connection.permit else {
            let why = "There are too many connections.";
            return self.refuse(Fault::TooManyConnections, StatusCode::SERVICE_UNAVAILABLE, why).and_close();
        };
        if *request.method() == Method::CONNECT {
            return self
                .refuse(Fault::BadRequest, StatusCode::NOT_IMPLEMENTED, "This is no forward proxy.")
                .and_close();
        }
        if let Err(why) = settle_target(&mut request, &settings.authority) {
            return self.refuse(Fault::BadRequest, StatusCode::BAD_REQUEST, why).and_close();
        }
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (mut parts, body) = request.into_parts();
        let ask = classify(&parts);
        let host = header_text(&parts.headers, &HOST);
        let Some(upstream) = settings.upstreams.find(connection.egress, &host, parts.uri.path()) else {
            let why = "There is no upstream for this host and path.";
            return self.refuse(Fault::NoRoute, StatusCode::NOT_FOUND, why).and_close();
        };
        // Of the app beside the sidecar there is nothing to say: it is the one that asks.
        let sender = (!connection.egress).then_some(Sender {
            addr: connection.peer,
            scheme: if connection.tls { "https" } else { "http" },
            trusted: &settings.access.trusted_proxies,
        });
        let asked = Asked { settings, upstream, connection };
        match ask {
            Ask::Refused(refusal) => {
                watch.exchange.upgrade = true;
                self.refuse(Fault::BadRequest, refusal.status(), &sentence(&refusal)).and_close()
            }
            Ask::Plain => {
                to_app(&mut parts, sender, || self.entropy());
                watch.asks(upstream.name(), &mut parts.headers);
                self.forward(asked, parts, body, answering, watch).await
            }
            Ask::WebSocket { key } => {
                watch.exchange.upgrade = true;
                if !connection.egress && !origin::allowed(settings.access.allowed_origins.as_deref(), &parts.headers) {
                    let why = "This origin may not open a session.";
                    return self.refuse(Fault::ForbiddenOrigin, StatusCode::FORBIDDEN, why);
                }
                if self.lifecycle.refuses_sessions() {
                    let why = "This server is shutting down.";
                    return self.refuse(Fault::Draining, StatusCode::SERVICE_UNAVAILABLE, why).and_close();
                }
                let who = Who {
                    id: self.sessions.fetch_add(1, Ordering::Relaxed),
                    client: connection.peer,
                    scheme: if connection.tls { "wss" } else { "ws" },
                    host,
                    path: parts.uri.path().into(),
                    protocol: None,
                    upstream: None,
                    asked: watch.exchange.asked.clone(),
                };
                to_app(&mut parts, sender, || self.entropy());
                mark_upgrade(&mut parts.headers);
                watch.asks(upstream.name(), &mut parts.headers);
                let body = RequestBody::new(body, Some(0), settings.http.body_timeout, Arc::clone(answering));
                let opening = Opening { on_client: on_upgrade, key: &key, who, permit };
                self.upgrade(asked, Request::from_parts(parts, body), opening, watch).await
            }
        }
    }

    /// An ordinary request.
    async fn forward(
        &self,
        asked: Asked<'_, N>,
        parts: request::Parts,
        body: Incoming,
        answering: &Arc<Answering>,
        watch: &mut Watch,
    ) -> Answer {
        let Asked { settings, upstream, connection } = asked;
        let announced = body.size_hint().lower();
        if settings.http.max_body.is_some_and(|max| announced > max) {
            let why = "The request body is larger than is allowed.";
            return self.refuse(Fault::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, why).and_close();
        }
        let body = RequestBody::new(body, settings.http.max_body, settings.http.body_timeout, Arc::clone(answering));
        let answer = upstream.send(Request::from_parts(parts, body), Some(connection.ends())).await;
        if let Ok((response, lease)) = &answer {
            watch.exchange.upstream = upstream.name_of(lease.seat());
            watch.answered(response.status(), upstream.address_of(lease.seat()));
        }
        match answer {
            Err(error) => self.failed(&error),
            Ok((response, _)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                let why = "The app switched protocols without being asked.";
                self.refuse(Fault::BadAnswer, StatusCode::BAD_GATEWAY, why)
            }
            Ok((response, lease)) => {
                let (mut parts, body) = response.into_parts();
                to_client(&mut parts);
                Answer::of_app(parts, ResponseBody::app(body, settings.read_timeout, Some(lease)))
            }
        }
    }

    /// A valid opening handshake.
    async fn upgrade(
        &self,
        asked: Asked<'_, N>,
        request: Request<RequestBody>,
        opening: Opening<'_>,
        watch: &mut Watch,
    ) -> Answer {
        let Asked { settings, upstream, connection } = asked;
        let Opening { on_client, key, mut who, permit } = opening;
        let draining = self.lifecycle.reached(Stage::Draining);
        let opened = upstream.open(request, Some(connection.ends()), draining).await;
        let (mut response, seat) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.failed(&error),
        };
        watch.answered(response.status(), upstream.address_of(&seat));
        who.upstream = upstream.name_of(&seat);
        watch.exchange.upstream.clone_from(&who.upstream);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            // A refusal is passed on. The app's connection was opened for this and ends with it.
            let (mut parts, body) = response.into_parts();
            to_client(&mut parts);
            return Answer::of_app(parts, ResponseBody::app(body, settings.read_timeout, None));
        }
        let on_app = hyper::upgrade::on(&mut response);
        let (mut parts, _) = response.into_parts();
        let negotiated = match check_answer(&parts, key) {
            Ok(negotiated) => negotiated,
            Err(fault) => {
                tracing::warn!(session = who.id, %fault, "the app's upgrade is not believed");
                return self.refuse(Fault::BadAnswer, StatusCode::BAD_GATEWAY, "The app gave no valid answer.");
            }
        };
        if negotiated == Negotiated::Unknown {
            tracing::warn!(session = who.id, "an unknown extension is in force: the session is relayed blind");
        }
        let protocol = Some(header_text(&parts.headers, &SEC_WEBSOCKET_PROTOCOL)).filter(|p| !p.is_empty());
        who.protocol = protocol.map(|protocol| settings.capture.subprotocol(protocol));
        to_client(&mut parts);
        mark_upgrade(&mut parts.headers);

        let kind = match settings.inspect {
            Inspect::Frames => Kind::WebSocket(negotiated),
            Inspect::Off => Kind::Raw,
        };
        let setup = self.setup(settings, who, kind, seat, permit, watch.session());
        let net = self.net.clone();
        self.net.spawn(async move {
            match (on_client.await, on_app.await) {
                (Ok(client), Ok(app)) => session::spawn(&net, parts_of::<N>(client), parts_of::<N>(app), setup),
                (Err(error), _) | (_, Err(error)) => tracing::debug!(%error, "a peer left before its session began"),
            }
        });
        Answer::of_app(parts, ResponseBody::empty())
    }

    /// A raw session on a `tls` listener, its dial included.
    pub(crate) async fn raw(&self, mut client: Transport<N::Stream>, connection: Connection) {
        let Some(permit) = &connection.permit else { return farewell(&mut client).await };
        let settings = self.settings();
        let upstream = settings.upstreams.find(false, "", "").expect("one takes what has no host and no path");
        let (app, seat) = match upstream.dial(Some(connection.ends())).await {
            Ok(dialled) => dialled,
            Err(error) => {
                let peer = connection.peer;
                tracing::warn!(client = %peer, scheme = "tls", cause = "unreachable", reason = %error, "session refused");
                return farewell(&mut client).await;
            }
        };
        let who = Who {
            id: self.sessions.fetch_add(1, Ordering::Relaxed),
            client: connection.peer,
            scheme: "tls",
            host: Box::default(),
            path: Box::default(),
            protocol: None,
            upstream: upstream.name_of(&seat),
            asked: None,
        };
        let setup = self.setup(&settings, who, Kind::Raw, seat, permit, None);
        session::spawn(&self.net, (client, Vec::new()), (app, Vec::new()), setup);
    }

    fn setup(
        &self,
        settings: &Settings<N>,
        who: Who,
        kind: Kind,
        seat: Seat,
        permit: &Arc<Permit>,
        trace: Option<Box<SessionTrace>>,
    ) -> session::Setup {
        let (observer, registry, permit) = (Arc::clone(&self.observer), Arc::clone(&self.registry), Arc::clone(permit));
        let account = Account::new(who, observer, registry, seat, permit, self.lifecycle.enter(), trace);
        session::Setup { policy: Arc::clone(&settings.policy), kind, account }
    }

    fn refuse(&self, fault: Fault, status: StatusCode, why: &str) -> Answer {
        Answer(reply(status, why, self.net.wall_clock()), Some(fault))
    }

    fn failed(&self, error: &SendError) -> Answer {
        let mut response = self.refuse(error.fault(), error.status(), error.for_client());
        if let Some(wait) = error.retry_after() {
            response.0.headers_mut().insert(RETRY_AFTER, retry_after(wait));
        }
        match error {
            // The rest of the body is still to come and nobody will read it.
            SendError::Body(_) => response.and_close(),
            // There may be a thousand of them: the hold gives one account of all.
            SendError::Held(_) | SendError::Dial(DialError::Busy { .. }) => response,
            _ => {
                tracing::warn!(status = error.status().as_u16(), %error, "the app gave no answer");
                response
            }
        }
    }

    fn entropy(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        self.net.entropy(&mut bytes);
        bytes
    }
}

/// What an opening handshake brings along besides the request.
struct Opening<'a> {
    on_client: OnUpgrade,
    key: &'a [u8],
    who: Who,
    permit: &'a Arc<Permit>,
}

/// What a request goes by.
struct Asked<'a, N: Net> {
    settings: &'a Settings<N>,
    upstream: &'a Upstream<N>,
    connection: &'a Connection,
}

/// An answer, and why it is not the app's, where it is not.
struct Answer(Response<ResponseBody>, Option<Fault>);

impl Answer {
    fn of_app(parts: response::Parts, body: ResponseBody) -> Self {
        Self(Response::from_parts(parts, body), None)
    }

    fn and_close(self) -> Self {
        Self(and_close(self.0), self.1)
    }
}

/// Makes the request say once, and only once, whom it asks (RFC 9112 §3.2): an absolute target replaces the `Host`, and
/// a request of HTTP/1.0 without one asks the app itself.
fn settle_target(request: &mut Request<Incoming>, app: &HeaderValue) -> Result<(), &'static str> {
    let hosts = request.headers().get_all(HOST).iter().count();
    let named = request.uri().authority().map(|authority| {
        let authority = authority.as_str();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host).parse::<HeaderValue>()
    });
    if request.uri().path_and_query().is_none() {
        return Err("The target of the request is not a path.");
    }
    let host = match (hosts, named) {
        (2.., _) => return Err("The request has more than one Host header."),
        (0, _) if request.version() != Version::HTTP_10 => return Err("The request has no Host header."),
        (_, Some(Ok(host))) => host,
        (_, Some(Err(_))) => return Err("The target of the request is not valid."),
        (1, None) => return Ok(()),
        (0, None) => app.clone(),
    };
    request.headers_mut().insert(HOST, host);
    Ok(())
}

pub(super) fn header_text(headers: &HeaderMap, name: &http::HeaderName) -> Box<str> {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().into()
}

/// Ends a connection in order, with `close_notify` inside TLS, so that the client can tell an end from a cut.
async fn farewell<S: Stream>(client: &mut Transport<S>) {
    // It is over either way: a client that takes not even this is not waited for.
    let _ = timeout(FAREWELL, client.shutdown()).await;
}

fn sentence(error: &impl std::error::Error) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).chain(['.']).collect())
}

/// A stream without hyper and its time limits, and the bytes that came behind the request or the 101.
fn parts_of<N: Net>(upgraded: Upgraded) -> (Transport<N::Stream>, Vec<u8>) {
    let parts = upgraded
        .downcast::<TokioIo<Guard<Transport<N::Stream>>>>()
        .unwrap_or_else(|_| unreachable!("hyper gives back the stream that it was given"));
    (parts.io.into_inner().into_inner(), parts.read_buf.to_vec())
}
