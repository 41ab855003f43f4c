//! A sidecar's network with somebody who counts: every byte between its sockets and itself passes here.
//!
//! The counting is outside of the sidecar and knows nothing of how it works; see [`gauge`].

mod gauge;
mod records;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use outrigger::net::{Endpoint, Listener, Net};
use outrigger_shared::close::Side;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use self::gauge::Gauges;
use super::tamper::{Meddled, Tamper};

/// A [`Net`] of which [`Gauges`] hear.
#[derive(Clone)]
pub(super) struct Tapped<N> {
    pub(super) net: N,
    pub(super) gauges: Gauges,
    pub(super) tamper: Option<Arc<dyn Tamper>>,
}

impl<N: Net> Tapped<N> {
    fn stream(&self, stream: N::Stream, side: Side, peer: Option<SocketAddr>) -> Meddled<TapStream<N::Stream>> {
        let conn = self.gauges.connected(side, peer);
        let stream = TapStream { stream, conn, gauges: self.gauges.clone() };
        Meddled::new(stream, self.tamper.as_ref().and_then(|tamper| tamper.stream(side)))
    }
}

impl<N: Net> Net for Tapped<N> {
    type Stream = Meddled<TapStream<N::Stream>>;
    type Listener = TapListener<N>;

    async fn bind(&self, addr: SocketAddr) -> io::Result<TapListener<N>> {
        Ok(TapListener { listener: self.net.bind(addr).await?, net: self.clone() })
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<Self::Stream> {
        Ok(self.stream(self.net.connect(to).await?, Side::App, None))
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.net.resolve(host, port).await
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        match &self.tamper {
            None => self.net.spawn(task),
            Some(tamper) => self.net.spawn(tamper.task(Box::pin(task))),
        }
    }

    fn wall_clock(&self) -> SystemTime {
        self.net.wall_clock()
    }

    fn entropy(&self, out: &mut [u8]) {
        self.net.entropy(out);
    }
}

pub(super) struct TapListener<N: Net> {
    listener: N::Listener,
    net: Tapped<N>,
}

impl<N: Net> Listener for TapListener<N> {
    type Stream = Meddled<TapStream<N::Stream>>;

    async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        Ok((self.net.stream(stream, Side::Client, Some(peer)), peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection of a sidecar.
pub(super) struct TapStream<S> {
    stream: S,
    conn: usize,
    gauges: Gauges,
}

impl<S: AsyncRead + Unpin> AsyncRead for TapStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let fresh = &buf.filled()[before..];
        if read.is_err() || (fresh.is_empty() && room) {
            self.gauges.over(self.conn);
        } else {
            self.gauges.read(self.conn, fresh);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TapStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        match &written {
            Poll::Pending => self.gauges.blocked(self.conn),
            Poll::Ready(Ok(taken)) => self.gauges.wrote(self.conn, &buf[..*taken]),
            Poll::Ready(Err(_)) => self.gauges.over(self.conn),
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
