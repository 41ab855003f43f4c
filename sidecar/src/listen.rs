//! Accept loops: one per listener. They never wait for a handshake, and never take more than there is room for.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::config::Scheme;
use crate::http::{self, Connection, Proxy};
use crate::lifecycle::Stage;
use crate::net::{Listener as _, Net};
use crate::tls;
use crate::transport::Transport;

/// Connections over `max_connections` that are still taken, to be told 503 instead of being left to guess.
const MAX_TURNED_AWAY: usize = 64;
/// Pause after an accept that failed for want of descriptors or memory: time for some to be freed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection's place among those that are allowed; given back when the last who holds it drops it.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for what its drop does")] OwnedSemaphorePermit);

/// How many connections there may be, over all listeners.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    open: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
}

impl Places {
    pub(crate) fn new(max_connections: usize) -> Self {
        Self {
            open: Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS))),
            turned_away: Arc::new(Semaphore::new(MAX_TURNED_AWAY)),
        }
    }
}

/// A listener that is bound and knows what to do with its connections.
pub(crate) struct Bound<L> {
    pub(crate) scheme: Scheme,
    pub(crate) listener: L,
    /// Present where the scheme has TLS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// Accepts until the process stops.
pub(crate) async fn accept<N: Net>(bound: Bound<N::Listener>, proxy: Arc<Proxy<N>>, places: Places) {
    let lifecycle = Arc::clone(proxy.lifecycle());
    let mut stopping = std::pin::pin!(lifecycle.reached(Stage::Stopping));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopping => return,
            accepted = bound.listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let permit = Arc::clone(&places.open).try_acquire_owned().ok().map(|p| Arc::new(Permit(p)));
        let turned_away = if permit.is_none() {
            // Over both limits the connection is dropped at once: answering costs more than there is.
            let Ok(place) = Arc::clone(&places.turned_away).try_acquire_owned() else { continue };
            tracing::warn!(client = %peer, "max_connections is reached");
            Some(place)
        } else {
            None
        };
        let live = lifecycle.enter();
        let (scheme, tls, proxy_of_task) = (bound.scheme, bound.tls.clone(), Arc::clone(&proxy));
        let connection = Connection { peer, tls: tls.is_some(), permit };
        proxy.net().spawn(async move {
            serve(proxy_of_task, scheme, tls, stream, connection).await;
            drop((live, turned_away));
        });
    }
}

async fn serve<N: Net>(
    proxy: Arc<Proxy<N>>,
    scheme: Scheme,
    tls: Option<Arc<ServerConfig>>,
    stream: N::Stream,
    connection: Connection,
) {
    let Some(config) = tls else {
        return http::serve(proxy, Transport::Plain(stream), connection).await;
    };
    let handshake = tls::accept(stream, config);
    // Boxed: the handshake's buffers must not be room in a task that lives as long as its connection.
    let stream = match timeout(proxy.tls_handshake_timeout(), Box::pin(handshake)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(client = %connection.peer, %error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(client = %connection.peer, "TLS handshake took too long");
            return;
        }
    };
    if scheme == Scheme::Tls {
        proxy.raw(Transport::Tls(Box::new(stream.strict())), connection).await;
    } else {
        http::serve(proxy, Transport::Tls(Box::new(stream)), connection).await;
    }
}
