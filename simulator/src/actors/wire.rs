//! What a session's ends themselves put on their connection and got from it, byte by byte and in the clear.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Hears one end of one session: of a WebSocket from the byte behind the 101 on, of an event stream its body.
pub trait Wire: Send + Sync {
    /// The end's connection took these bytes.
    fn sent(&self, bytes: &[u8]);

    /// The end got these bytes.
    fn got(&self, bytes: &[u8]);

    /// The end has ended an event stream, or has got its proper end.
    fn ended(&self) {}
}

/// A stream of which somebody hears. It is above TLS, so that both ends speak of the same bytes.
pub(super) struct Heard<S> {
    stream: S,
    wire: Option<Arc<dyn Wire>>,
}

impl<S> Heard<S> {
    pub(super) fn new(stream: S, wire: Option<Arc<dyn Wire>>) -> Self {
        Self { stream, wire }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(wire) = &self.wire {
            wire.got(&buf.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        if let Some(wire) = &self.wire {
            wire.sent(&buf[..taken]);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
