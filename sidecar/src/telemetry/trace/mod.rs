//! Traces: which are recorded, and spans of handshakes, requests, sessions and messages.
//!
//! A session is not one long span: backends drop those, and they spoil every figure of latency. The spans of its handshake
//! end at the 101. Then come segments, traces of their own that are linked to the handshake, and messages as a sample.

mod request;
mod session;
mod span;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use outrigger_shared::entropy::Entropy;
use outrigger_shared::trace_context::SpanContext;

pub(crate) use request::RequestTrace;
pub(crate) use session::SessionTrace;
pub use span::{Attr, Attributes, Nanos, Span, SpanEvent, SpanKind};

/// Which traces are recorded, by the names of `OTEL_TRACES_SAMPLER`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whoever sent a `traceparent` decides; the ratio is for traces that begin here.
    pub parent_based: bool,
    /// Of traces, 0 to 1.
    pub ratio: f64,
}

impl Sampler {
    /// By the lower half of a trace's id, so that all who sample like that sample the same.
    fn samples(self, trace: [u8; 16], parent: Option<SpanContext>) -> bool {
        if let (true, Some(parent)) = (self.parent_based, parent) {
            return parent.sampled;
        }
        let lower = u64::from_be_bytes(trace[8..].try_into().expect("half of sixteen bytes"));
        // Sixty-three bits, as the SDKs of OpenTelemetry do it.
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a bound"
        )]
        let bound = (self.ratio * (1_u64 << 63) as f64) as u64;
        self.ratio >= 1.0 || (lower >> 1) < bound
    }
}

/// What is recorded of what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    pub sampler: Sampler,
    /// One in so many messages of sessions whose handshake is recorded.
    pub messages: Option<NonZeroU32>,
    /// How long a segment of a session is.
    pub segment: Duration,
}

/// Takes spans. It must not wait.
pub trait Sink: Send + Sync + 'static {
    fn take(&self, span: Span);
}

/// Makes spans.
pub struct Tracer {
    plan: Plan,
    /// Each id is the next number of the seed.
    ids: AtomicU64,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
    sink: Arc<dyn Sink>,
    /// Everything goes on as it would without it.
    aside: bool,
}

impl Tracer {
    pub fn new(
        plan: Plan,
        seed: u64,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
        sink: Arc<dyn Sink>,
    ) -> Arc<Self> {
        Arc::new(Self { plan, ids: AtomicU64::new(seed), clock: Box::new(clock), sink, aside: false })
    }

    /// As [`Tracer::new`], but nothing that goes over the network is another one because of it, and nobody wakes up for
    /// it: requests go to the app with the `traceparent` that they would have anyway, whose trace their spans are in, and
    /// a segment that is long enough ends when something happens in its session.
    pub fn aside(
        plan: Plan,
        seed: u64,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
        sink: Arc<dyn Sink>,
    ) -> Arc<Self> {
        Arc::new(Self { plan, ids: AtomicU64::new(seed), clock: Box::new(clock), sink, aside: true })
    }

    fn now(&self) -> Nanos {
        (self.clock)().into()
    }

    fn id(&self) -> u64 {
        // An `Entropy` steps by an odd number: sixty-four bits of every place are different ids.
        let place = self.ids.fetch_add(Entropy::STEP, Ordering::Relaxed);
        // Ids of zeros are invalid.
        Entropy(place).next().max(1)
    }

    fn span_id(&self) -> [u8; 8] {
        self.id().to_be_bytes()
    }

    fn root(&self) -> SpanContext {
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&self.id().to_be_bytes());
        trace[8..].copy_from_slice(&self.id().to_be_bytes());
        SpanContext { trace, span: self.span_id(), sampled: true }
    }
}

impl Nanos {
    fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests;
