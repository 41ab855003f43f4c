//! Spans that wait for the collector.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::tally::{Loss, Tally};
use crate::telemetry::trace::{Attr, Attributes, Sink, Span};

/// Spans that go out together. Once so many wait, nobody waits for more.
pub(super) const BATCH: usize = 512;
/// Bytes of one text of a span; what is longer is cut. A path may be as long as the header that it came in.
const MAX_TEXT_BYTES: usize = 1024;

/// Takes spans from sessions without ever keeping one waiting, and gives them to whoever exports them.
#[derive(Debug)]
pub(super) struct Queue {
    /// Spans that wait at most.
    limit: usize,
    state: Mutex<State>,
    /// There is a whole batch.
    filled: Notify,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct State {
    spans: VecDeque<Span>,
    /// Nobody exports any more.
    closed: bool,
}

impl Queue {
    pub(super) fn new(limit: usize, tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default(), filled: Notify::new(), tally })
    }

    /// Done once a whole batch waits, or as many as may.
    pub(super) async fn filled(&self) {
        loop {
            let filled = self.filled.notified();
            if self.lock().spans.len() >= BATCH.min(self.limit) {
                return;
            }
            filled.await;
        }
    }

    /// The oldest, at most a batch of them.
    pub(super) fn take_batch(&self) -> Vec<Span> {
        let mut state = self.lock();
        let count = state.spans.len().min(BATCH);
        let batch = state.spans.drain(..count).collect();
        if state.spans.is_empty() {
            // What a burst needed is not kept.
            state.spans = VecDeque::new();
        }
        batch
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().spans.is_empty()
    }

    /// Nobody exports any more: what waits is lost, and so is what comes.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let left = std::mem::take(&mut state.spans);
        self.tally.lost(Loss::Stopped, left.len() as u64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Queue {
    fn take(&self, mut span: Span) {
        shorten(&mut span);
        let mut state = self.lock();
        if state.closed {
            return self.tally.lost(Loss::Stopped, 1);
        }
        // The oldest stay: what an outage began with is worth more than what it goes on with.
        if state.spans.len() >= self.limit {
            return self.tally.lost(Loss::QueueFull, 1);
        }
        state.spans.push_back(span);
        if state.spans.len() >= BATCH.min(self.limit) {
            self.filled.notify_one();
        }
    }
}

/// Cuts long texts, so that the limit of spans is one of memory as well.
fn shorten(span: &mut Span) {
    let of_events = span.events.iter_mut().map(|event| &mut event.attributes);
    for attributes in std::iter::once(&mut span.attributes).chain(of_events) {
        shorten_texts(attributes);
    }
}

fn shorten_texts(attributes: &mut Attributes) {
    for (_, value) in attributes {
        if let Attr::Text(Cow::Owned(text)) = value
            && text.len() > MAX_TEXT_BYTES
        {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            text.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use outrigger_shared::trace_context::SpanContext;

    use super::*;
    use crate::telemetry::trace::{Nanos, SpanKind};

    fn span(text: &str) -> Span {
        Span {
            context: SpanContext { trace: [1; 16], span: [2; 8], sampled: true },
            parent: None,
            state: None,
            kind: SpanKind::Internal,
            name: "test".into(),
            start: Nanos(1),
            end: Nanos(2),
            attributes: vec![("text", text.to_owned().into())],
            events: Vec::new(),
            events_lost: 0,
            links: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn what_is_over_the_limit_is_counted_and_nothing_else() {
        let tally = Arc::new(Tally::default());
        let queue = Queue::new(BATCH + 3, Arc::clone(&tally));
        for nth in 0..BATCH + 10 {
            queue.take(span(&nth.to_string()));
        }
        assert_eq!(tally.all_lost(), 7);
        let batch = queue.take_batch();
        assert_eq!((batch.len(), &batch[0]), (BATCH, &span("0")));
        assert_eq!(queue.take_batch().len(), 3);
        queue.take(span(""));
        queue.close();
        queue.take(span(""));
        assert_eq!((tally.all_lost(), queue.is_empty()), (9, true));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let queue = Queue::new(1, Arc::default());
        queue.take(span(&format!("x{}", "é".repeat(MAX_TEXT_BYTES))));
        let Attr::Text(text) = &queue.take_batch()[0].attributes[0].1 else { panic!("a text") };
        assert_eq!(text.len(), MAX_TEXT_BYTES - 1);
    }

    #[tokio::test]
    async fn a_whole_batch_is_told_of_also_before_anybody_waits() {
        let queue = Queue::new(2, Arc::default());
        queue.take(span(""));
        queue.take(span(""));
        queue.filled().await;
        queue.take_batch();
        let waits = tokio::time::timeout(std::time::Duration::from_millis(1), queue.filled()).await;
        assert!(waits.is_err());
    }
}
