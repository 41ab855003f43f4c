//! Bodies of answers: nothing, all at once, after the header, or an endless stream.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::WritePattern;

/// What feeds a stream: its next bytes, `None` at the end, and itself for the bytes after them.
pub(super) type Next<S> = Pin<Box<dyn Future<Output = Option<(Bytes, S)>> + Send>>;

/// The body of an answer.
pub(super) enum AnswerBody {
    Whole {
        bytes: Bytes,
        /// Whether hyper is to be told once to come again, which makes it write out the header meanwhile.
        hold: bool,
    },
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>),
}

impl AnswerBody {
    pub(super) fn empty() -> Self {
        Self::Whole { bytes: Bytes::new(), hold: false }
    }

    pub(super) fn whole(bytes: impl Into<Bytes>, write: WritePattern) -> Self {
        Self::Whole { bytes: bytes.into(), hold: write == WritePattern::Apart }
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
            Self::Whole { hold, .. } if *hold => {
                *hold = false;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Whole { bytes, .. } if bytes.is_empty() => Poll::Ready(None),
            Self::Whole { bytes, .. } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
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
