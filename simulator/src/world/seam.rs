//! The network as one client has it: it dials the sidecar whose turn it is, and its connections are on record.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use outrigger::net::{Endpoint, Listener, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ledger::Ledger;
use crate::backend::{HostNet, HostStream};

/// A client's [`Net`]. It resolves any name to the one sidecar whose turn it is; the turn passes with each failure.
#[derive(Clone)]
pub(super) struct ClientNet {
    pub(super) net: HostNet,
    pub(super) client: u32,
    /// In the order in which they are tried; never empty.
    pub(super) targets: Arc<[SocketAddr]>,
    pub(super) ledger: Arc<Ledger>,
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
        Ok(Recorded { stream, connection, ledger: Arc::clone(&self.ledger) })
    }

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        // Names are looked up once for each attempt to connect.
        self.ledger.dials(self.client);
        Ok(vec![self.targets[self.ledger.turn(self.client) % self.targets.len()]])
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
    ledger: Arc<Ledger>,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.ledger.disconnected(self.connection);
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
