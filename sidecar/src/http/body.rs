//! Bodies on their way through: streamed, counted against their limits, never collected.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::guard::Answering;
use super::watch::Watch;
use crate::upstream::Lease;

/// Why a body stopped on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("the request body is larger than client_max_body_size")]
    TooLarge,
    #[error("the client sent nothing of its body for client_body_timeout")]
    ClientSilent,
    #[error("the app sent nothing of its body for proxy_read_timeout")]
    AppSilent,
    #[error("the client left inside its request body")]
    ClientGone,
    #[error("the app left inside its body")]
    AppGone,
}

/// How far a request body has come, for whoever waits for the answer to it.
#[derive(Debug)]
pub(crate) struct Upload(Mutex<UploadState>);

#[derive(Debug, Clone, Copy)]
pub(crate) struct UploadState {
    pub(crate) moved: Instant,
    pub(crate) done: bool,
    /// The client has to send more before anything can go on.
    pub(crate) awaited: bool,
    pub(crate) fault: Option<BodyFault>,
}

impl Upload {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(UploadState { moved: Instant::now(), done: false, awaited: false, fault: None })))
    }

    pub(crate) fn state(&self) -> UploadState {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut UploadState)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A client's body on its way to the app.
pub struct RequestBody {
    /// `None` for no body at all.
    incoming: Option<Incoming>,
    left: Option<u64>,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    upload: Arc<Upload>,
    /// The exchange is not over before the body is, whatever the answer.
    #[expect(dead_code, reason = "held for what its drop does")]
    answering: Option<Arc<Answering>>,
}

impl RequestBody {
    /// At most `max` bytes, with no silence longer than `timeout`.
    pub(super) fn new(incoming: Incoming, max: Option<u64>, timeout: Duration, answering: Arc<Answering>) -> Self {
        let upload = Upload::new();
        if incoming.is_end_stream() {
            upload.update(|u| u.done = true);
        }
        Self { incoming: Some(incoming), left: max, timeout, timer: None, upload, answering: Some(answering) }
    }

    /// No body, for a request that is sent again.
    pub(crate) fn none() -> Self {
        let upload = Upload::new();
        upload.update(|u| u.done = true);
        Self { incoming: None, left: None, timeout: Duration::ZERO, timer: None, upload, answering: None }
    }

    pub(crate) fn upload(&self) -> Arc<Upload> {
        Arc::clone(&self.upload)
    }

    fn fail(&self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.upload.update(|u| u.fault = Some(fault));
        Poll::Ready(Some(Err(fault)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Pending => {
                this.upload.update(|u| u.awaited = true);
                let deadline = Instant::now() + this.timeout;
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                ready!(timer.as_mut().poll(cx));
                this.fail(BodyFault::ClientSilent)
            }
            Poll::Ready(None) => {
                this.upload.update(|u| (u.done, u.moved) = (true, Instant::now()));
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => this.fail(BodyFault::ClientGone),
            Poll::Ready(Some(Ok(frame))) => {
                this.timer = None;
                // A body of known length is not asked for a frame behind its last.
                let done = incoming.is_end_stream();
                this.upload.update(|u| (u.moved, u.done, u.awaited) = (Instant::now(), done, false));
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.as_mut().map(|left| left.checked_sub(bytes).map(|rest| *left = rest)) {
                    Some(None) => this.fail(BodyFault::TooLarge),
                    _ => Poll::Ready(Some(Ok(frame))),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// A body on its way to the client.
pub struct ResponseBody {
    source: Source,
    /// Says "answered" when the body is dropped.
    answering: Option<Arc<Answering>>,
    /// Tells of the whole exchange when the body is dropped.
    watch: Option<Box<Watch>>,
}

enum Source {
    Text(Option<Bytes>),
    App(FromApp),
}

struct FromApp {
    incoming: Incoming,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// The app's connection, given back to the pool at the body's end. Dropping it earlier closes it.
    lease: Option<Lease>,
}

impl ResponseBody {
    pub(crate) fn text(text: Bytes) -> Self {
        Self::new(Source::Text(Some(text)))
    }

    pub(super) fn empty() -> Self {
        Self::new(Source::Text(None))
    }

    /// `timeout` is the app's longest silence.
    pub(super) fn app(incoming: Incoming, timeout: Duration, mut lease: Option<Lease>) -> Self {
        if incoming.is_end_stream()
            && let Some(lease) = lease.take()
        {
            lease.give_back();
        }
        Self::new(Source::App(FromApp { incoming, timeout, timer: None, lease }))
    }

    fn new(source: Source) -> Self {
        Self { source, answering: None, watch: None }
    }

    pub(super) fn watched(mut self, watch: Box<Watch>) -> Self {
        self.watch = Some(watch);
        self
    }

    pub(crate) fn answering(mut self, token: Arc<Answering>) -> Self {
        self.answering = Some(token);
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        let frame = match &mut this.source {
            Source::Text(text) => Poll::Ready(text.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::App(app) => app.poll_frame(cx),
        };
        if let (Some(watch), Poll::Ready(Some(Ok(frame)))) = (&mut this.watch, &frame) {
            watch.sent(frame.data_ref().map_or(0, Bytes::len));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Text(text) => text.is_none(),
            Source::App(app) => app.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |t| t.len() as u64)),
            Source::App(app) => app.incoming.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let whole = self.is_end_stream();
        if let Some(watch) = &mut self.watch {
            // Nobody reads the body of an answer to HEAD, though there may be one.
            watch.exchange.whole = whole || watch.exchange.method == Method::HEAD;
        }
    }
}

impl FromApp {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            let deadline = Instant::now() + self.timeout;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(BodyFault::AppSilent)));
        };
        self.timer = None;
        match frame {
            Some(Ok(frame)) => {
                if self.incoming.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => {
                self.lease = None;
                Poll::Ready(Some(Err(BodyFault::AppGone)))
            }
            None => {
                self.finish();
                Poll::Ready(None)
            }
        }
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}
