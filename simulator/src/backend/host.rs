//! The seam over either network.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use outrigger::net::{Endpoint, Listener, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::turmoil::{TurmoilListener, TurmoilNet, TurmoilStream};
use crate::net::{SimListener, SimNet, SimStream};

/// One process on a host, as [`Net`]. Clones are the same process.
#[derive(Debug, Clone)]
pub enum HostNet {
    TurmoilNet(SimNet),
    Turmoil(TurmoilNet),
}

impl HostNet {
    /// The same process; connections that it dials are counted under this label, where bytes are counted.
    #[must_use]
    pub fn labelled(&self, label: &str) -> Self {
        match self {
            Self::TurmoilNet(net) => Self::TurmoilNet(net.labelled(label)),
            Self::Turmoil(net) => Self::Turmoil(net.clone()),
        }
    }

    /// The host's place in [`crate::engine::Options::hosts`].
    pub fn index(&self) -> u16 {
        match self {
            Self::TurmoilNet(net) => net.index(),
            Self::Turmoil(net) => net.index(),
        }
    }

    /// Calls `f`, which may be about instants of this host: where each host has a runtime of its own, those of another
    /// one mean nothing to it.
    pub(crate) fn on_its_clock<T>(&self, f: impl FnOnce() -> T) -> T {
        match self {
            Self::TurmoilNet(_) => f(),
            Self::Turmoil(net) => net.on_its_clock(f),
        }
    }

    /// An address on this host, the same over restarts.
    pub fn addr(&self, port: u16) -> SocketAddr {
        let ip: IpAddr = match self {
            Self::TurmoilNet(net) => net.ip(),
            Self::Turmoil(net) => net.ip(),
        };
        SocketAddr::new(ip, port)
    }
}

impl Net for HostNet {
    type Stream = HostStream;
    type Listener = HostListener;

    async fn bind(&self, addr: SocketAddr) -> io::Result<HostListener> {
        match self {
            Self::TurmoilNet(net) => net.bind(addr).await.map(HostListener::TurmoilNet),
            Self::Turmoil(net) => net.bind(addr).await.map(HostListener::Turmoil),
        }
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<HostStream> {
        match self {
            Self::TurmoilNet(net) => net.connect(to).await.map(HostStream::TurmoilNet),
            Self::Turmoil(net) => net.connect(to).await.map(HostStream::Turmoil),
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::TurmoilNet(net) => net.resolve(host, port).await,
            Self::Turmoil(net) => net.resolve(host, port).await,
        }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        match self {
            Self::TurmoilNet(net) => net.spawn(task),
            Self::Turmoil(net) => net.spawn(task),
        }
    }

    fn wall_clock(&self) -> SystemTime {
        match self {
            Self::TurmoilNet(net) => net.wall_clock(),
            Self::Turmoil(net) => net.wall_clock(),
        }
    }

    fn entropy(&self, out: &mut [u8]) {
        match self {
            Self::TurmoilNet(net) => net.entropy(out),
            Self::Turmoil(net) => net.entropy(out),
        }
    }
}

/// A listener of a host.
#[derive(Debug)]
pub enum HostListener {
    TurmoilNet(SimListener),
    Turmoil(TurmoilListener),
}

impl Listener for HostListener {
    type Stream = HostStream;

    async fn accept(&self) -> io::Result<(HostStream, SocketAddr)> {
        match self {
            Self::TurmoilNet(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((HostStream::TurmoilNet(stream), peer))
            }
            Self::Turmoil(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((HostStream::Turmoil(stream), peer))
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::TurmoilNet(listener) => listener.local_addr(),
            Self::Turmoil(listener) => listener.local_addr(),
        }
    }
}

/// A stream of a host.
#[derive(Debug)]
pub enum HostStream {
    TurmoilNet(SimStream),
    Turmoil(TurmoilStream),
}

impl HostStream {
    pub fn local_addr(&self) -> SocketAddr {
        match self {
            Self::TurmoilNet(stream) => stream.local_addr(),
            Self::Turmoil(stream) => stream.local_addr(),
        }
    }
}

impl AsyncRead for HostStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::TurmoilNet(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Turmoil(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for HostStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::TurmoilNet(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Turmoil(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::TurmoilNet(stream) => Pin::new(stream).poll_flush(cx),
            Self::Turmoil(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::TurmoilNet(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Turmoil(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
