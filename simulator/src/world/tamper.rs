//! Joints of a run at which a test can put something wrong, to see that the checks notice. In a run of a scenario there
//! is nothing here: the bugs themselves live with the tests.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use outrigger::config::Config;
use outrigger_shared::close::{End, Side};
use outrigger_shared::event::Event;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::actors::{AppEvent, Push};

/// Bytes taken from the network at once on behalf of a sidecar that is meddled with.
const READ_BYTES: usize = 16 * 1024;

/// A task of a sidecar.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Each joint is left alone unless it says otherwise.
pub trait Tamper: Send + Sync {
    /// What a sidecar is really given; the checks go by the scenario.
    fn config(&self, _config: &mut Config) {}

    /// Who sits between a sidecar and a new connection of it.
    fn stream(&self, _side: Side) -> Option<Box<dyn Meddler>> {
        None
    }

    /// What runs in place of a task of a sidecar.
    fn task(&self, task: Task) -> Task {
        task
    }

    /// What a sidecar says of a session; `None` keeps it quiet.
    fn event(&self, event: Event) -> Option<Event> {
        Some(event)
    }

    /// How a sidecar says that a session ended; `None` keeps it quiet.
    fn end(&self, end: End) -> Option<End> {
        Some(end)
    }

    /// How a client really behaves.
    fn push(&self, _push: &mut Push) {}

    /// Whether an app really has what it says it has.
    fn app(&self, _event: &AppEvent) -> bool {
        true
    }
}

/// Changes what goes through a connection; chunks are as the sidecar and the network make them.
pub trait Meddler: Send {
    /// On its way to the sidecar.
    fn read(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    /// On its way from the sidecar.
    fn write(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    /// Whether the sidecar hears of the end of what the peer sends.
    fn hears_end(&self) -> bool {
        true
    }

    /// Whether every write is taken at once, however much waits.
    fn takes_all(&self) -> bool {
        false
    }
}

/// A stream with a meddler in it, or without.
pub(super) struct Meddled<S> {
    stream: S,
    meddler: Option<Meddling>,
}

struct Meddling {
    meddler: Box<dyn Meddler>,
    /// For the sidecar.
    inbox: Vec<u8>,
    /// For the network.
    outbox: Vec<u8>,
}

impl<S> Meddled<S> {
    pub(super) fn new(stream: S, meddler: Option<Box<dyn Meddler>>) -> Self {
        let meddling = |meddler| Meddling { meddler, inbox: Vec::new(), outbox: Vec::new() };
        Self { stream, meddler: meddler.map(meddling) }
    }
}

impl<S: AsyncWrite + Unpin> Meddled<S> {
    /// Writes what waits; ready once nothing does.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(Meddling { outbox, .. }) = &mut self.meddler else { return Poll::Ready(Ok(())) };
        while !outbox.is_empty() {
            let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, outbox))?;
            outbox.drain(..taken);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Meddled<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(Meddling { meddler, inbox, .. }) = &mut this.meddler else {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        };
        while inbox.is_empty() {
            let mut room = vec![0; READ_BYTES];
            let mut fresh = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut fresh))?;
            if fresh.filled().is_empty() {
                return if meddler.hears_end() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            inbox.extend(meddler.read(fresh.filled().to_vec()));
        }
        let taken = inbox.len().min(buf.remaining());
        buf.put_slice(&inbox[..taken]);
        inbox.drain(..taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Meddled<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.meddler.is_none() {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        }
        let drained = this.poll_drain(cx)?;
        let Some(Meddling { meddler, outbox, .. }) = &mut this.meddler else { unreachable!("it was just there") };
        if drained.is_pending() && !meddler.takes_all() {
            return Poll::Pending;
        }
        outbox.extend(meddler.write(buf.to_vec()));
        // What the network does not take now goes with the next write or flush.
        let _ = this.poll_drain(cx)?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
