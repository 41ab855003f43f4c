//! The network as one client has it: it dials the sidecar whose turn it is, or that a balancer picks, and its connections
//! are on record.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::SystemTime;

use outrigger::net::{Endpoint, Listener, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::balancer::Balancer;
use super::ledger::Ledger;
use crate::backend::{HostNet, HostStream};
use crate::rng::Stream;
use crate::scenario::{Pick, TimeRange};

/// A client's [`Net`]. It resolves any name to one sidecar: the one whose turn it is, which passes with each failure, or
/// the one that the balancer picks.
#[derive(Clone)]
pub(super) struct ClientNet {
    pub(super) net: HostNet,
    pub(super) client: u32,
    pub(super) targets: Arc<Targets>,
    /// What this client's picks are drawn from.
    pub(super) picks: Arc<Mutex<Stream>>,
    pub(super) balancer: Arc<Balancer>,
    pub(super) ledger: Arc<Ledger>,
}

/// Where a group's clients connect, and how it is picked.
pub(super) struct Targets {
    /// The numbers of the sidecars; never empty.
    pub(super) sidecars: Vec<usize>,
    /// Where each of them listens for clients of this kind.
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) pick: Pick,
    pub(super) endpoint_lag: Option<TimeRange>,
}

impl Net for ClientNet {
    type Stream = Recorded;
    type Listener = Never;

    async fn bind(&self, _: SocketAddr) -> io::Result<Never> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "clients listen to nothing"))
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<Recorded> {
        let stream = self.net.connect(to).await?;
        let connection = self.ledger.connected(self.client, stream.local_addr());
        let at = |addr: &SocketAddr| *to == Endpoint::Tcp(*addr);
        let place = self.targets.addrs.iter().position(at).expect("every name resolves to a target");
        let sidecar = self.targets.sidecars[place];
        self.balancer.opened(sidecar);
        let (balancer, ledger) = (Arc::clone(&self.balancer), Arc::clone(&self.ledger));
        Ok(Recorded { stream, connection, sidecar, balancer, ledger })
    }

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        // Names are looked up once for each attempt to connect.
        self.ledger.dials(self.client);
        let Targets { sidecars, addrs, pick, endpoint_lag } = &*self.targets;
        let place = if *pick == Pick::InOrder {
            self.ledger.turn(self.client) % addrs.len()
        } else {
            let mut picks = self.picks.lock().unwrap_or_else(PoisonError::into_inner);
            self.balancer.choose(sidecars, *pick, *endpoint_lag, &mut picks)
        };
        Ok(vec![addrs[place]])
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        self.net.spawn(task);
    }

    fn wall_clock(&self) -> SystemTime {
        self.net.wall_clock()
    }

    fn entropy(&self, out: &mut [u8]) {
        self.net.entropy(out);
    }
}

/// What is never there.
pub(super) enum Never {}

impl Listener for Never {
    type Stream = Recorded;

    async fn accept(&self) -> io::Result<(Recorded, SocketAddr)> {
        match *self {}
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match *self {}
    }
}

/// A client's connection, on record from its handshake until it is dropped.
pub(super) struct Recorded {
    stream: HostStream,
    connection: usize,
    sidecar: usize,
    balancer: Arc<Balancer>,
    ledger: Arc<Ledger>,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.ledger.disconnected(self.connection);
        self.balancer.closed(self.sidecar);
    }
}

impl AsyncRead for Recorded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
