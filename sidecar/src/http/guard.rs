//! Time limits that hyper does not have, on the socket under it.
//!
//! - A header block that is not complete within its limit gets 408; the limit runs from accept, or from the first
//!   byte of a further request. hyper's own `header_read_timeout` also hits an idle connection that is kept for its
//!   next request, and says nothing to the client.
//! - A connection idle between requests is closed after another limit.
//! - A peer that takes nothing of what it is sent is cut.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::net::Stream;

const ANSWER_408: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: text/plain\r\n\
Content-Length: 53\r\n\r\nThe request's header took longer than it is allowed.\n";

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Nothing of the first request has come.
    Fresh(Instant),
    /// Part of a header block has come.
    Header(Instant),
    /// A request is being answered.
    Busy,
    /// Between two requests.
    Idle(Instant),
}

/// Where a connection stands, shared between its socket and the service above hyper.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Who reads while a request is being answered: hyper does not always read again after the answer, and the
    /// idle limit starts with a read.
    reader: Option<Waker>,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> Phase {
        self.state().phase
    }

    fn set(&self, phase: Phase) {
        self.state().phase = phase;
    }

    /// Whether nothing of the first request has come.
    pub(super) fn is_fresh(&self) -> bool {
        matches!(self.get(), Phase::Fresh(_))
    }

    /// A request has come; its answer is over when the token is dropped.
    pub(crate) fn request(&self) -> Answering {
        self.set(Phase::Busy);
        Answering(self.clone())
    }
}

/// A request is being answered.
#[derive(Debug)]
pub(crate) struct Answering(Progress);

impl Drop for Answering {
    fn drop(&mut self) {
        let reader = {
            let mut state = self.0.state();
            state.phase = Phase::Idle(Instant::now());
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// Limits of a [`Guard`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
}

/// A stream with time limits.
pub struct Guard<S> {
    io: S,
    progress: Progress,
    limits: Limits,
    read_timer: Timer,
    write_timer: Timer,
}

/// A sleep that is made on first use and moved only when its deadline changes.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn passed(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl<S: Stream> Guard<S> {
    /// The header limit runs from now.
    pub(crate) fn new(io: S, limits: Limits) -> (Self, Progress) {
        let state = State { phase: Phase::Fresh(Instant::now()), reader: None };
        let progress = Progress(Arc::new(Mutex::new(state)));
        let guard = Self {
            io,
            progress: progress.clone(),
            limits,
            read_timer: Timer::default(),
            write_timer: Timer::default(),
        };
        (guard, progress)
    }

    /// For a stream on which only writes have a limit.
    pub(crate) fn for_writes(io: S, write: Duration) -> Self {
        let unlimited = Duration::MAX;
        let (guard, progress) = Self::new(io, Limits { header: unlimited, idle: unlimited, write });
        progress.set(Phase::Busy);
        guard
    }

    /// The stream without its limits: they end with the upgrade.
    pub fn into_inner(self) -> S {
        self.io
    }

    /// When the limit on what is being read ends. While a request is being answered there is none.
    fn read_deadline(&self, cx: &Context<'_>) -> Option<Instant> {
        let mut state = self.progress.state();
        match state.phase {
            Phase::Fresh(since) | Phase::Header(since) => Some(since + self.limits.header),
            Phase::Idle(since) => Some(since + self.limits.idle),
            Phase::Busy => {
                state.reader = Some(cx.waker().clone());
                None
            }
        }
    }

    fn give_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Phase::Header(_) = self.progress.get() {
            // Nothing else is being written before a request is complete, so this fits into the socket's empty
            // buffer in one go; a client that does not even take that has no use for it.
            let _ = Pin::new(&mut self.io).poll_write(cx, ANSWER_408);
            let _ = Pin::new(&mut self.io).poll_flush(cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request's header took too long")));
        }
        // To hyper an orderly end: a connection that is merely unused gets no answer it did not ask for.
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.io).poll_read(cx, buf) {
            if buf.filled().len() > before {
                match this.progress.get() {
                    Phase::Fresh(since) => this.progress.set(Phase::Header(since)),
                    Phase::Idle(_) => this.progress.set(Phase::Header(Instant::now())),
                    Phase::Header(_) | Phase::Busy => {}
                }
            }
            return Poll::Ready(result);
        }
        match this.read_deadline(cx) {
            Some(deadline) if this.read_timer.passed(cx, deadline) => this.give_up(cx),
            _ => Poll::Pending,
        }
    }
}

impl<S: Stream> Guard<S> {
    /// Passes a write's outcome on, unless it has been pending for too long.
    fn written<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_timer.0 = None;
            return outcome;
        }
        let deadline = match &self.write_timer.0 {
            Some(running) => running.deadline(),
            None => Instant::now() + self.limits.write,
        };
        if self.write_timer.passed(cx, deadline) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")));
        }
        Poll::Pending
    }
}

impl<S: Stream> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write(cx, buf);
        this.written(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_flush(cx);
        this.written(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_shutdown(cx);
        this.written(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_408_announces_its_own_length() {
        let text = std::str::from_utf8(ANSWER_408).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{} bytes", body.len());
    }
}
