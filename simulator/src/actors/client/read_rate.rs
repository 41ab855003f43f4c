//! Clients that read slowly, by the socket: what they do not read fills the buffers behind it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// No limit.
const UNLIMITED: u64 = u64::MAX;
/// Bytes read at once where there is a limit: small, so that the pace is even.
const CHUNK_BYTES: usize = 1024;
/// How often a client that reads nothing at all looks whether it may again.
const RECHECK: Duration = Duration::from_millis(100);

/// How many bytes a second a client reads from its sockets. Clones are the same rate, so that it can be changed while
/// the client runs; a pause that has begun is not shortened.
#[derive(Debug, Clone)]
pub struct ReadRate(Arc<AtomicU64>);

impl Default for ReadRate {
    fn default() -> Self {
        Self::unlimited()
    }
}

impl ReadRate {
    pub fn unlimited() -> Self {
        Self(Arc::new(AtomicU64::new(UNLIMITED)))
    }

    /// At most this many bytes a second; 0 reads nothing.
    pub fn bytes_per_second(rate: u64) -> Self {
        Self(Arc::new(AtomicU64::new(rate)))
    }

    /// `None` lifts the limit.
    pub fn set(&self, bytes_per_second: Option<u64>) {
        self.0.store(bytes_per_second.unwrap_or(UNLIMITED), Ordering::Release);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A stream that is read no faster than its rate.
pub(super) struct Throttled<S> {
    stream: S,
    rate: ReadRate,
    /// Nothing is read before its end.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Throttled<S> {
    pub(super) fn new(stream: S, rate: ReadRate) -> Self {
        Self { stream, rate, pause: None }
    }

    fn pause_for(&mut self, pause: Duration) {
        self.pause = Some(Box::pin(sleep_until(Instant::now() + pause)));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Throttled<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.rate.get() {
                UNLIMITED => return Pin::new(&mut self.stream).poll_read(cx, buf),
                0 => self.pause_for(RECHECK),
                rate => {
                    let mut chunk = [0; CHUNK_BYTES];
                    let most = buf.remaining().min(CHUNK_BYTES);
                    let mut chunk = ReadBuf::new(&mut chunk[..most]);
                    ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
                    buf.put_slice(chunk.filled());
                    let read = chunk.filled().len();
                    let bytes = u64::try_from(read).unwrap_or(0);
                    self.pause_for(Duration::from_micros(bytes * 1_000_000 / rate));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Throttled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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
