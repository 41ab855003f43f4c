//! Simulated streams.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil_net::shim::tokio::net as shim;
use turmoil_net::{HostId, Packet, TcpFlags, TcpSegment, Transport, set_current};

use super::SimNet;
use crate::engine::{ConnId, KERNEL_RECEIVE_BYTES, call, mark_dirty, try_with, with};
use crate::wan::{Addr, Side};

/// A stream of a simulated host.
#[derive(Debug)]
pub struct SimStream {
    inner: Option<shim::TcpStream>,
    kernel: HostId,
    conn: ConnId,
    side: Side,
    local: SocketAddr,
    peer: SocketAddr,
    /// Both ends as the kernel knows them.
    loopback: (SocketAddr, SocketAddr),
}

impl SimStream {
    pub(super) fn new(inner: shim::TcpStream, net: &SimNet) -> Self {
        set_current(net.kernel);
        let unknown = || SocketAddr::new(net.ip(), 0);
        let peer = inner.peer_addr().unwrap_or_else(|_| unknown());
        let bound = inner.local_addr().unwrap_or_else(|_| unknown());
        let local = SocketAddr::new(net.ip(), bound.port());
        let ends = Addr::new(local.ip(), local.port()).zip(Addr::new(peer.ip(), peer.port()));
        let (conn, side) = with(|s| {
            let (here, there) = ends?;
            let dialled = s.by_addr.get(&(here, there)).map(|id| (*id, Side::Client));
            let found = dialled.or_else(|| s.by_addr.get(&(there, here)).map(|id| (*id, Side::Server)))?;
            if let (Side::Client, Some(conn)) = (found.1, s.conns.get_mut(found.0)) {
                conn.label = net.label.clone();
            }
            Some(found)
        })
        .unwrap_or((0, Side::Client));
        Self { inner: Some(inner), kernel: net.kernel, conn, side, local, peer, loopback: (bound, peer) }
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Ready once a read would not wait: there is data, the end, or an error. Call it again after each read.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(readable) = with(|s| s.readable(self.conn, self.side, cx)) {
            return readable.map(Ok);
        }
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        let readable = self.socket().poll_peek(cx, &mut buf);
        readable.map_ok(|_| ()).map_err(|error| self.meaning(error))
    }

    fn socket(&mut self) -> &mut shim::TcpStream {
        set_current(self.kernel);
        self.inner.as_mut().expect("it is taken only by drop")
    }

    /// Within a host the kernel alone carries the bytes, and does not say when a closed window is open again unless a
    /// single read frees half of the buffer; so that is said here.
    fn reopen_loopback(&self, bytes: usize) {
        let (here, there) = self.loopback;
        let sockets = turmoil_net::netstat(here.ip());
        let found = sockets.entries.iter().find(|socket| socket.local == here && socket.peer == Some(there));
        let Some(waiting) = found.map(|socket| socket.recv_q) else { return };
        if waiting + bytes + usize::from(u16::MAX) < KERNEL_RECEIVE_BYTES {
            return;
        }
        let room = KERNEL_RECEIVE_BYTES.saturating_sub(waiting);
        let tcp = TcpSegment {
            src_port: here.port(),
            dst_port: there.port(),
            seq: 0,
            // Acknowledges nothing: kernels pass over what lies outside of their window, but for the window itself.
            ack: 0,
            flags: TcpFlags { ack: true, ..TcpFlags::default() },
            window: u16::try_from(room).unwrap_or(u16::MAX),
            payload: Bytes::new(),
        };
        with(|s| s.outbox.push(Packet { src: here.ip(), dst: there.ip(), ttl: 64, payload: Transport::Tcp(tcp) }));
        mark_dirty();
    }

    /// The network gives connections up by a forged RST; what that means is in its record.
    fn meaning(&self, error: io::Error) -> io::Error {
        let timed_out = with(|s| s.timed_out.contains(&self.conn));
        if timed_out && error.kind() == io::ErrorKind::ConnectionReset {
            return io::ErrorKind::TimedOut.into();
        }
        error
    }

    /// A connection that was reset cannot be written to, even while there is something to read.
    fn check_reset(&self) -> io::Result<()> {
        if with(|s| s.reset_waits(self.conn, self.side)) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for SimStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(read) = call(|s| s.read(self.conn, self.side, cx, buf)) {
            return read.map(Ok);
        }
        let before = buf.filled().len();
        let read = ready!(Pin::new(self.socket()).poll_read(cx, buf));
        let bytes = buf.filled().len() - before;
        if self.conn == 0 && bytes > 0 {
            self.reopen_loopback(bytes);
            call(|_| ());
        }
        Poll::Ready(read.map_err(|error| self.meaning(error)))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_reset()?;
        if let Some(written) = call(|s| s.write(self.conn, self.side, cx, buf)) {
            return written.map(Ok);
        }
        let written = ready!(Pin::new(self.socket()).poll_write(cx, buf));
        mark_dirty();
        Poll::Ready(written.map_err(|error| self.meaning(error)))
    }

    /// Nothing waits in the stream itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_reset()?;
        let shut = ready!(Pin::new(self.socket()).poll_shutdown(cx));
        with(|s| s.was_shut(self.conn, self.side));
        mark_dirty();
        Poll::Ready(shut.map_err(|error| self.meaning(error)))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let inner = self.inner.take();
        if try_with(|_| ()).is_none() {
            // The kernels are gone, and closing a socket without one panics.
            std::mem::forget(inner);
            return;
        }
        let (conn, side) = (self.conn, self.side);
        call(|s| s.will_drop(conn, side));
        set_current(self.kernel);
        drop(inner);
        call(|s| s.dropped(conn, side));
        mark_dirty();
    }
}
