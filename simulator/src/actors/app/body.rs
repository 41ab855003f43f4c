//! Bodies of answers: nothing, all at once, after the header, or an endless stream.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::WritePattern;

/// From the header to the body, where they are written apart. A simulated network makes one segment of what is written
/// at one moment, and this is the shortest time that a timer tells apart.
const APART: Duration = Duration::from_millis(1);

/// What feeds a stream: its next bytes, `None` at the end, and itself for the bytes after them.
pub(super) type Next<S> = Pin<Box<dyn Future<Output = Option<(Bytes, S)>> + Send>>;

/// The body of an answer.
pub(super) enum AnswerBody {
    Whole {
        bytes: Bytes,
        /// Until it is over, hyper is told to come again, and writes out the header meanwhile.
        pause: Option<Pin<Box<Sleep>>>,
    },
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>),
}

impl AnswerBody {
    pub(super) fn empty() -> Self {
        Self::Whole { bytes: Bytes::new(), pause: None }
    }

    pub(super) fn whole(bytes: impl Into<Bytes>, write: WritePattern) -> Self {
        let pause = (write == WritePattern::Apart).then(|| Box::pin(sleep(APART)));
        Self::Whole { bytes: bytes.into(), pause }
    }

    /// A stream whose every piece is made by `next` from what the piece before it left.
    pub(super) fn stream<S, F>(state: S, next: F) -> Self
    where
        S: Send + 'static,
        F: FnMut(S) -> Next<S> + Send + Unpin + 'static,
    {
        let mut next = next;
        let pending = next(state);
        Self::Stream(Box::pin(Unfold { pending: Some(pending), next }))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole { bytes, .. } if bytes.is_empty() => Poll::Ready(None),
            Self::Whole { bytes, pause } => {
                if let Some(pause) = pause {
                    ready!(pause.as_mut().poll(cx));
                }
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Self::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole { bytes, .. } if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { bytes, .. } => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

struct Unfold<S, F> {
    pending: Option<Next<S>>,
    next: F,
}

impl<S, F: FnMut(S) -> Next<S> + Unpin> Body for Unfold<S, F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Some(pending) = &mut this.pending else { return Poll::Ready(None) };
        match pending.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some((bytes, state))) => {
                this.pending = Some((this.next)(state));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready(None) => {
                this.pending = None;
                Poll::Ready(None)
            }
        }
    }
}
