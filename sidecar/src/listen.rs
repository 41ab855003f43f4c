//! Accept loops: one per listener. They never wait for a handshake, and never take more than there is room for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use outrigger_shared::proxy_protocol::{self, Ends, MAX_V1, Malformed, SIGNATURE, V1_START, V2_HEADER};
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::config::{self, Scheme};
use crate::http::{self, Connection, Proxy};
use crate::lifecycle::{Live, Stage};
use crate::net::{Listener as _, Net, Stream};
use crate::telemetry::Notice;
use crate::tls;
use crate::transport::Transport;

/// Connections over `max_connections` that are still taken, to be told 503 instead of being left to guess.
const MAX_TURNED_AWAY: usize = 64;
/// Pause after an accept that failed for want of descriptors or memory: time for some to be freed.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are taken from the kernel's queue when a listener closes: more than it holds at once.
const MAX_LAST_ACCEPTS: usize = 8192;

/// A connection's place among those that are allowed; given back when the last who holds it drops it.
#[derive(Debug)]
pub struct Permit(Arc<Count>);

/// How many connections there may be, over all listeners.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    open: Arc<Count>,
    turned_away: Arc<Count>,
}

#[derive(Debug)]
struct Count {
    taken: AtomicUsize,
    limit: AtomicUsize,
}

impl Places {
    pub(crate) fn new(max_connections: usize) -> Self {
        let count = |limit| Arc::new(Count { taken: AtomicUsize::new(0), limit: AtomicUsize::new(limit) });
        Self { open: count(max_connections), turned_away: count(MAX_TURNED_AWAY) }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.open.taken.load(Ordering::Relaxed)
    }

    /// How many there may be.
    pub(crate) fn limit(&self) -> usize {
        self.open.limit.load(Ordering::Relaxed)
    }

    /// Another limit. Who is there stays, also where there are more than that now.
    pub(crate) fn resize(&self, max_connections: usize) {
        self.open.limit.store(max_connections, Ordering::Relaxed);
    }
}

impl Count {
    fn take(self: &Arc<Self>) -> Option<Permit> {
        let limit = self.limit.load(Ordering::Relaxed);
        let one_more = |taken: usize| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A listener that is bound and knows what to do with its connections.
pub(crate) struct Bound<L> {
    pub(crate) configured: config::Listener,
    pub(crate) listener: L,
    /// Whether whoever gave it to this process holds it too: what it has queued is then for the next one.
    pub(crate) shared: bool,
}

/// Accepts until the process stops; `listening` is given back then.
pub(crate) async fn accept<N: Net>(bound: Bound<N::Listener>, proxy: Arc<Proxy<N>>, places: Places, listening: Live) {
    let lifecycle = Arc::clone(proxy.lifecycle());
    let mut stopping = std::pin::pin!(lifecycle.reached(Stage::Stopping));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopping => break,
            accepted = bound.listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => take(&proxy, &places, bound.configured, stream, peer),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if !bound.shared && !lifecycle.is_handed_over() {
        // Nobody else will: what the kernel has queued would be reset.
        for _ in 0..MAX_LAST_ACCEPTS {
            let Some((stream, peer)) = bound.listener.accept_queued() else { break };
            take(&proxy, &places, bound.configured, stream, peer);
        }
    }
    drop((bound, listening));
}

/// Serves a connection as a task of its own, if there is room.
fn take<N: Net>(
    proxy: &Arc<Proxy<N>>,
    places: &Places,
    listener: config::Listener,
    stream: N::Stream,
    peer: SocketAddr,
) {
    let scheme = listener.scheme;
    let notice = |notice| proxy.observer().notice(&notice);
    let permit = places.open.take().map(Arc::new);
    notice(Notice::Accepted { scheme: scheme.as_str() });
    let turned_away = if permit.is_none() {
        notice(Notice::TurnedAway { scheme: scheme.as_str() });
        // Over both limits the connection is dropped at once: answering costs more than there is.
        let Some(place) = places.turned_away.take() else { return };
        tracing::warn!(client = %peer, "max_connections is reached");
        Some(place)
    } else {
        None
    };
    let live = proxy.lifecycle().enter();
    let proxy_of_task = Arc::clone(proxy);
    let connection =
        Connection { peer, listener: listener.addr, egress: listener.egress, tls: scheme.needs_certificate(), permit };
    proxy.net().spawn(async move {
        serve(proxy_of_task, scheme, stream, connection).await;
        drop((live, turned_away));
    });
}

async fn serve<N: Net>(proxy: Arc<Proxy<N>>, scheme: Scheme, mut stream: N::Stream, mut connection: Connection) {
    let settings = proxy.settings();
    if trusts(&settings.access.proxy_protocol_from, connection.peer) {
        match timeout(settings.http.header_timeout, announced(&mut stream)).await {
            Ok(Ok(ends)) => {
                connection.announce(ends);
            }
            Ok(Err(error)) => {
                tracing::warn!(peer = %connection.peer, %error, "a connection without the PROXY header that is due");
                return;
            }
            Err(_) => {
                tracing::debug!(peer = %connection.peer, "the PROXY header took too long");
                return;
            }
        }
    }
    if scheme == Scheme::Http {
        drop(settings);
        return http::serve(proxy, Transport::Plain(stream), connection).await;
    }
    let tls = settings.tls.as_ref().expect("a configuration with TLS listeners has certificates");
    let config = Arc::clone(if scheme == Scheme::Tls { &tls.raw } else { &tls.https });
    let handshake = tls::accept(stream, config);
    // Boxed: the handshake's buffers must not be room in a task that lives as long as its connection.
    let began = Instant::now();
    let handshake = timeout(settings.http.tls_handshake_timeout, Box::pin(handshake)).await;
    let result = match &handshake {
        Ok(Ok(stream)) => Ok(stream.version_label()),
        Ok(Err(_)) => Err("failed"),
        Err(_) => Err("timeout"),
    };
    proxy.observer().notice(&Notice::TlsHandshake { result, took: began.elapsed() });
    let stream = match handshake {
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
    // The connection may live for long, and must not keep an old configuration alive.
    drop(settings);
    if scheme == Scheme::Tls {
        proxy.raw(Transport::Tls(Box::new(stream.strict())), connection).await;
    } else {
        http::serve(proxy, Transport::Tls(Box::new(stream)), connection).await;
    }
}

fn trusts(networks: &[IpNet], peer: SocketAddr) -> bool {
    let ip = peer.ip().to_canonical();
    networks.iter().any(|network| network.contains(&ip))
}

/// Reads a PROXY header and not a byte more. `None` where the proxy speaks for itself.
async fn announced<S: Stream>(stream: &mut S) -> io::Result<Option<Ends>> {
    let wrong = |why: Malformed| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut header = [0; V2_HEADER];
    let (start, end) = header.split_at_mut(SIGNATURE.len());
    stream.read_exact(start).await?;
    if *start == SIGNATURE {
        stream.read_exact(end).await?;
        let mut rest = vec![0; proxy_protocol::v2_rest(&header).map_err(wrong)?];
        stream.read_exact(&mut rest).await?;
        return proxy_protocol::read_v2(&header, &rest).map_err(wrong);
    }
    if !start.starts_with(&V1_START) {
        return Err(wrong(Malformed::None));
    }
    let mut line = start.to_vec();
    // Byte by byte: where it ends is not known, and what follows is the client's.
    while line.last() != Some(&b'\n') {
        if line.len() == MAX_V1 {
            return Err(wrong(Malformed::Line));
        }
        line.push(stream.read_u8().await?);
    }
    proxy_protocol::read_v1(&line).map_err(wrong)
}
