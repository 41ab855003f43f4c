//! The seam over `turmoil`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use ::turmoil::net as sockets;
use outrigger::net::{Endpoint, Listener, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;

use super::state::{is_here, now_us, try_with, with};
use super::task;
use crate::engine::RunError;

/// When a kernel gives a dial up that nobody answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);
/// What one write takes at most: turmoil makes a single segment of a write, however long.
const MAX_SEGMENT_BYTES: usize = 16 * 1024;

/// One process on a host, as [`Net`]. Clones are the same process.
#[derive(Debug, Clone)]
pub struct TurmoilNet {
    host: u16,
    process: u32,
}

impl TurmoilNet {
    pub(super) fn current(host: u16) -> Self {
        with(|s| Self { host, process: s.host(host).process })
    }

    pub(in crate::backend) fn index(&self) -> u16 {
        self.host
    }

    pub(in crate::backend) fn ip(&self) -> IpAddr {
        with(|s| s.host(self.host).ip.into())
    }

    /// Calls `f` within the host's runtime, whose clock instants are of.
    pub(in crate::backend) fn on_its_clock<T>(&self, f: impl FnOnce() -> T) -> T {
        let runtime = with(|s| s.host(self.host).runtime.clone());
        let _entered = runtime.as_ref().map(Handle::enter);
        f()
    }
}

impl Net for TurmoilNet {
    type Stream = TurmoilStream;
    type Listener = TurmoilListener;

    async fn bind(&self, addr: SocketAddr) -> io::Result<TurmoilListener> {
        assert!(is_here(self.host), "a host's ports are bound by its own tasks");
        // turmoil knows no addresses of a host but this one; all of a host's addresses are one here, as they are in
        // the other network.
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), addr.port());
        let inner = sockets::TcpListener::bind(any).await?;
        let port = inner.local_addr()?.port();
        let ip = if addr.ip().is_unspecified() { addr.ip() } else { self.ip() };
        Ok(TurmoilListener { inner: Some(inner), host: self.host, addr: SocketAddr::new(ip, port) })
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<TurmoilStream> {
        let Endpoint::Tcp(to) = to else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "simulated hosts have no Unix sockets"));
        };
        if to.is_ipv6() {
            return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, "the simulated network is IPv4 alone"));
        }
        assert!(is_here(self.host), "a host's connections are dialled by its own tasks");
        let dial = sockets::TcpStream::connect(*to);
        match tokio::time::timeout(CONNECT_TIMEOUT, dial).await {
            Ok(stream) => TurmoilStream::new(stream?, self.host),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let found = with(|s| s.resolve(host));
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no host has this name"));
        }
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip.into(), port)).collect())
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        task::spawn(self.host, self.process, Box::pin(task));
    }

    fn wall_clock(&self) -> SystemTime {
        let now = Duration::from_micros(now_us());
        let since = with(|s| {
            let skew = s.host(self.host).skew_us;
            let (now, offset) = (s.epoch + now, Duration::from_micros(skew.unsigned_abs()));
            if skew < 0 { now.saturating_sub(offset) } else { now + offset }
        });
        SystemTime::UNIX_EPOCH + since
    }

    fn entropy(&self, out: &mut [u8]) {
        with(|s| s.host_mut(self.host).entropy.fill(out));
    }
}

/// A listener of a host.
pub struct TurmoilListener {
    /// Taken only by drop.
    inner: Option<sockets::TcpListener>,
    host: u16,
    addr: SocketAddr,
}

impl std::fmt::Debug for TurmoilListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurmoilListener").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Listener for TurmoilListener {
    type Stream = TurmoilStream;

    async fn accept(&self) -> io::Result<(TurmoilStream, SocketAddr)> {
        let inner = self.inner.as_ref().expect("it is taken only by drop");
        let (stream, peer) = inner.accept().await?;
        Ok((TurmoilStream::new(stream, self.host)?, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

impl Drop for TurmoilListener {
    fn drop(&mut self) {
        closes_here(self.host, self.inner.take());
    }
}

/// A stream of a host.
#[derive(Debug)]
pub struct TurmoilStream {
    /// Taken only by drop.
    inner: Option<sockets::TcpStream>,
    host: u16,
    local: SocketAddr,
    peer: SocketAddr,
    shut: bool,
}

impl TurmoilStream {
    fn new(inner: sockets::TcpStream, host: u16) -> io::Result<Self> {
        let (local, peer) = (inner.local_addr()?, inner.peer_addr()?);
        Ok(Self { inner: Some(inner), host, local, peer, shut: false })
    }

    pub(in crate::backend) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn socket(&mut self) -> Pin<&mut sockets::TcpStream> {
        Pin::new(self.inner.as_mut().expect("it is taken only by drop"))
    }
}

impl AsyncRead for TurmoilStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(self.socket().poll_read(cx, buf));
        let (now, bytes) = (now_us(), &buf.filled()[before..]);
        with(|s| s.carried(now, self.host, (self.peer, self.local), bytes));
        Poll::Ready(read)
    }
}

impl AsyncWrite for TurmoilStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let segment = &buf[..buf.len().min(MAX_SEGMENT_BYTES)];
        let written = ready!(self.socket().poll_write(cx, segment));
        if let Ok(bytes) = written {
            with(|s| s.sent(bytes));
        }
        Poll::Ready(written)
    }

    /// Nothing waits in the stream itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A kernel has nothing against a second one; turmoil has.
        if !self.shut {
            ready!(self.socket().poll_shutdown(cx))?;
            self.shut = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for TurmoilStream {
    fn drop(&mut self) {
        closes_here(self.host, self.inner.take());
    }
}

/// Closes a socket. turmoil looks for it on whatever host is current, so that has to be the right one.
fn closes_here<S>(host: u16, socket: Option<S>) {
    if try_with(|_| ()).is_some() && !is_here(host) {
        // A panic while a panic unwinds would be the end of the process.
        with(|s| s.fail(RunError::panic("the network", &"a socket was closed by another host's task")));
        std::mem::forget(socket);
    }
}
