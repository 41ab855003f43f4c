//! A stream of an app that may freeze.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::AppControl;

/// While the app is stalled, nothing is read and nothing is written.
pub(super) struct Stallable<S> {
    stream: S,
    control: AppControl,
    read_pause: Option<Pin<Box<Sleep>>>,
    write_pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Stallable<S> {
    pub(super) fn new(stream: S, control: AppControl) -> Self {
        Self { stream, control, read_pause: None, write_pause: None }
    }
}

/// Pending while there is a stall; reading and writing each wait by a timer of their own, for they may be two tasks.
fn poll_running(control: &AppControl, pause: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
    while let Some(end) = control.stalled_until() {
        let sleep = pause.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if sleep.deadline() < end {
            sleep.as_mut().reset(end);
        }
        ready!(sleep.as_mut().poll(cx));
    }
    *pause = None;
    Poll::Ready(())
}

impl<S: AsyncRead + Unpin> AsyncRead for Stallable<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(poll_running(&this.control, &mut this.read_pause, cx));
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stallable<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(poll_running(&this.control, &mut this.write_pause, cx));
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(poll_running(&this.control, &mut this.write_pause, cx));
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
