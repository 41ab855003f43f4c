//! One client connection, from its first byte to its last request or its upgrade.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use outrigger_shared::proxy_protocol::Ends;
use tokio::time::sleep;
use tower::{ServiceExt, service_fn};

use super::forward::decorate;
use super::guard::{Guard, Limits};
use super::proxy::Proxy;
use crate::lifecycle::Stage;
use crate::listen::Permit;
use crate::net::Net;
use crate::transport::Transport;

/// hyper takes no smaller buffer.
const MIN_BUFFER_BYTES: usize = 8192;
/// How long a client that had only just connected when a drain begins has for the first byte of its request: a round
/// trip, and the repetition of a segment that was lost.
const FIRST_BYTE: Duration = Duration::from_secs(2);

/// What is known of a client's connection.
#[derive(Debug)]
pub struct Connection {
    /// The client, as far as it is known.
    pub peer: SocketAddr,
    /// Where it connected.
    pub listener: SocketAddr,
    /// Whether it is the app beside the sidecar that connects, to go out.
    pub egress: bool,
    /// Whether TLS ended here.
    pub tls: bool,
    /// Its place among those that are allowed; `None` where there was none left, and everything is answered 503.
    pub permit: Option<Arc<Permit>>,
}

impl Connection {
    /// A proxy that is trusted has said who connects.
    pub(crate) fn announce(&mut self, ends: Option<Ends>) {
        if let Some(Ends { source, destination }) = ends {
            (self.peer, self.listener) = (source, destination);
        }
    }

    /// Who connects to whom.
    pub(crate) fn ends(&self) -> Ends {
        Ends { source: self.peer, destination: self.listener }
    }
}

/// Serves requests until the connection ends, is upgraded, or the process stops.
pub async fn serve<N: Net>(proxy: Arc<Proxy<N>>, io: Transport<N::Stream>, connection: Connection) {
    let settings = proxy.settings();
    let limits = settings.http.clone();
    let idle = limits.keepalive_timeout.unwrap_or_default();
    let (guard, progress) =
        Guard::new(io, Limits { header: limits.header_timeout, idle, write: settings.send_timeout });
    let connection = Arc::new(connection);

    // The connection may live for long, and must not keep an old configuration alive.
    drop(settings);
    let lifecycle = proxy.lifecycle();
    // One that comes during a drain is heard once: it may well ask for a session, and is told to go elsewhere.
    let keep = limits.keepalive_timeout.is_some() && lifecycle.stage() == Stage::Running;
    let (handler, answered, decorator) = (Arc::clone(&proxy), progress.clone(), Arc::clone(&proxy));
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = Arc::new(answered.request());
        let (proxy, connection) = (Arc::clone(&handler), Arc::clone(&connection));
        async move {
            let response = proxy.handle(request, &connection, &answering).await;
            Ok::<_, Infallible>(response.map(|body| body.answering(answering)))
        }
    })
    .map_response(move |mut response| {
        decorate(response.headers_mut(), &decorator.settings().headers);
        response
    });

    let mut connection = pin!(
        http1::Builder::new()
            .preserve_header_case(true)
            .auto_date_header(false)
            .header_read_timeout(None)
            .keep_alive(keep)
            .max_header_size(limits.max_header)
            .max_buf_size(limits.max_header.max(MIN_BUFFER_BYTES))
            .serve_connection(TokioIo::new(guard), TowerToHyperService::new(service))
            .with_upgrades()
    );
    let mut draining = pin!(lifecycle.reached(Stage::Draining));
    let mut closing = pin!(lifecycle.reached(Stage::Closing));
    // hyper's goodbye closes a connection of which it has heard nothing, though its request may be on the way.
    let mut patience = None;
    let mut told = false;
    let result = poll_fn(|cx| {
        if closing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        loop {
            if !told && (patience.is_some() || draining.as_mut().poll(cx).is_ready()) {
                let patience = patience.get_or_insert_with(|| Box::pin(sleep(FIRST_BYTE)));
                if !progress.is_fresh() || patience.as_mut().poll(cx).is_ready() {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
            let fresh = progress.is_fresh();
            let polled = connection.as_mut().poll(cx);
            // What has come in this very turn is the one request that it waited for.
            if polled.is_pending() && !told && patience.is_some() && fresh && !progress.is_fresh() {
                continue;
            }
            return polled;
        }
    })
    .await;
    if let Err(error) = result {
        tracing::debug!(%error, "a client's connection ended badly");
    }
}
