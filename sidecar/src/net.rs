//! The seam: everything the sidecar takes from the world goes through [`Net`].
//!
//! Production uses [`TokioNet`]; the simulator puts its own hosts under the same code. Time is not here: it is
//! `tokio::time`, which a simulation pauses.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use rustix::net::{SocketFlags, acceptfrom_with, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::Semaphore;

/// Connections that the kernel may hold ready for `accept`; the kernel's own `somaxconn` caps it further.
const LISTEN_BACKLOG: u32 = 4096;
/// Names looked up at once; more wait for their turn.
const MAX_LOOKUPS: usize = 16;

/// Where a stream socket can be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A byte stream of the network below.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// A bound listener.
pub trait Listener: Send + Sync + 'static {
    type Stream: Stream;

    /// The next connection and the peer's address. Errors that concern one connection only are not returned.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// The address really bound, its port never 0.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// A connection that the kernel holds ready at this very moment, without waiting for one; `None` where there is none
    /// or where nobody can tell. For the last look before the listener closes.
    fn accept_queued(&self) -> Option<(Self::Stream, SocketAddr)> {
        None
    }
}

/// One host's view of network, tasks, wall clock and entropy.
///
/// The value carries the host's identity, so a task spawned through it always runs on its own (simulated) host.
pub trait Net: Clone + Send + Sync + 'static {
    type Stream: Stream;
    type Listener: Listener<Stream = Self::Stream>;

    /// Binds and listens; port 0 takes a free one. Fails with the kernel's error, e.g. `AddrInUse`.
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Dials once, without a time limit of its own; Nagle's algorithm is off on the stream returned.
    fn connect(&self, to: &Endpoint) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// All addresses of a name, in the resolver's order; never `Ok` of an empty list.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Runs a task on this host.
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F);

    /// For stamps that people read; never for intervals.
    fn wall_clock(&self) -> SystemTime;

    /// Fills `out` with bytes that nobody can guess (in a simulation: with bytes of the seed).
    fn entropy(&self, out: &mut [u8]);

    /// Eight bytes of [`Net::entropy`], as a seed.
    fn seed(&self) -> u64 {
        let mut bytes = [0; 8];
        self.entropy(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The real network.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioNet {
    /// Whether what is bound may be bound by other processes of the same user as well (SO_REUSEPORT).
    pub reuse_port: bool,
}

impl Net for TokioNet {
    type Stream = Socket;
    type Listener = TokioListener;

    async fn bind(&self, addr: SocketAddr) -> io::Result<TokioListener> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if addr.is_ipv6() {
            // As in nginx: `[::]` is IPv6 alone, so that it can stand beside `0.0.0.0`.
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        if self.reuse_port {
            sockopt::set_socket_reuseport(&socket, true)?;
        }
        // A restart must not wait for the last process's connections to leave TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        Ok(TokioListener(socket.listen(LISTEN_BACKLOG)?))
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<Socket> {
        match to {
            Endpoint::Tcp(addr) => {
                let stream = TcpStream::connect(addr).await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        static LOOKUPS: Semaphore = Semaphore::const_new(MAX_LOOKUPS);
        let place = LOOKUPS.acquire().await.expect("the semaphore is never closed");
        let host = host.to_owned();
        // The resolver blocks and cannot be stopped: its place is free when it is done, not when nobody waits for it
        // any more. So a resolver that hangs costs this many threads and no more.
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            drop(place);
            found
        });
        let found = lookup.await.map_err(io::Error::other)??;
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that the rule points to")]
        drop(tokio::spawn(task));
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that the rule points to")]
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn entropy(&self, out: &mut [u8]) {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that the rule points to")]
        getrandom::fill(out).expect("the kernel has entropy once it has booted");
    }
}

/// A listener of the real network.
#[derive(Debug)]
pub struct TokioListener(TcpListener);

impl TokioListener {
    /// A socket that listens already. Call within the runtime.
    pub fn adopt(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(TcpListener::from_std(listener)?))
    }

    /// Another descriptor of the same socket: as long as it is open, the port is.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }
}

impl Listener for TokioListener {
    type Stream = Socket;

    async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        loop {
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    // Small frames must not wait for the peer's delayed ACK. It fails only on a dead socket,
                    // which the first read reports better.
                    let _ = stream.set_nodelay(true);
                    return Ok((Socket::Tcp(stream), peer));
                }
                // These say that one connection died before it was taken; the listener is fine.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn accept_queued(&self) -> Option<(Socket, SocketAddr)> {
        // The kernel itself is asked: the runtime would answer with what it last heard of the socket.
        let (stream, peer) = acceptfrom_with(&self.0, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok()?;
        let stream = TcpStream::from_std(stream.into()).ok()?;
        let _ = stream.set_nodelay(true);
        Some((Socket::Tcp(stream), SocketAddr::try_from(peer?).ok()?))
    }
}

/// A stream socket of the real network.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_flush(cx),
            Self::Unix(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Self::Unix(s) => Pin::new(s).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
