//! Counts bytes at the socket, and books each on whoever caused it.
//!
//! HTTP/1.1 carries one request after the other, so the account follows the connection: what is read belongs to the
//! request that comes next, what is written to the request that came last. The exception is a peer that pipelines: the
//! bytes of its next request may be booked on the one before. Proxies do not pipeline.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clients::Tally;

/// A stream that counts each byte which passes through it, TCP and TLS not included.
pub(super) struct MeteredStream<S> {
    stream: S,
    meter: Arc<Meter>,
}

/// One connection's account; shared by the stream, which counts, and the service, which knows whose bytes they are.
#[derive(Default)]
pub(super) struct Meter(Mutex<Account>);

#[derive(Default)]
struct Account {
    /// Bytes read of a request that has not been recognized yet.
    unclaimed_read: u64,
    owner: Owner,
}

/// Whom bytes are booked on.
#[derive(Default)]
pub(super) enum Owner {
    /// A request that is none of the compared ones.
    #[default]
    Nobody,
    /// One request and its response.
    Exchange(Arc<Tally>),
    /// An upgrade request, and all that follows on the connection.
    Connection(Arc<Tally>),
}

impl Meter {
    /// Says whose the request is that was just parsed. Call once for each request, before its response is written.
    pub(super) fn claim(&self, owner: Owner) {
        self.with(|account| {
            let read = std::mem::take(&mut account.unclaimed_read);
            if let Owner::Exchange(tally) | Owner::Connection(tally) = &owner {
                tally.update(|counts| counts.bytes_in += read);
            }
            account.owner = owner;
        });
    }

    fn read(&self, bytes: usize) {
        self.with(|account| match &account.owner {
            Owner::Connection(tally) => tally.update(|counts| counts.bytes_in += bytes as u64),
            Owner::Nobody | Owner::Exchange(_) => account.unclaimed_read += bytes as u64,
        });
    }

    fn written(&self, bytes: usize) {
        self.with(|account| {
            if let Owner::Exchange(tally) | Owner::Connection(tally) = &account.owner {
                tally.update(|counts| counts.bytes_out += bytes as u64);
            }
        });
    }

    fn with(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<S> MeteredStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, meter: Arc::default() }
    }

    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.meter.read(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.meter.written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.meter.written(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
