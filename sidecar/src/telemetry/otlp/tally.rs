//! What became of spans and exports.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::metrics::{Id, Value};

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    const ALL: [Self; 2] = [Self::Traces, Self::Metrics];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// Why no collector has a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Too many waited for the collector.
    QueueFull,
    /// The collector could not be had for too long.
    Unavailable,
    /// The collector refused the request that it was in.
    Refused,
    /// The collector took the others of that request.
    Rejected,
    /// The answer was not a collector's.
    Nonsense,
    /// The process ended.
    Stopped,
}

impl Loss {
    const ALL: [Self; 6] =
        [Self::QueueFull, Self::Unavailable, Self::Refused, Self::Rejected, Self::Nonsense, Self::Stopped];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Nonsense => "nonsense",
            Self::Stopped => "stopped",
        }
    }
}

/// What became of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    /// Taken, but for some.
    Partial,
    Unavailable,
    Refused,
    Nonsense,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Accepted, Self::Partial, Self::Unavailable, Self::Refused, Self::Nonsense];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Partial => "partial",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Nonsense => "nonsense",
        }
    }
}

/// Counts of a process.
#[derive(Debug, Default)]
pub struct Tally {
    exported: AtomicU64,
    lost: [AtomicU64; Loss::ALL.len()],
    attempts: [[AtomicU64; Outcome::ALL.len()]; Signal::ALL.len()],
}

impl Tally {
    pub(super) fn exported(&self, spans: u64) {
        self.exported.fetch_add(spans, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, why: Loss, spans: u64) {
        self.lost[why as usize].fetch_add(spans, Ordering::Relaxed);
    }

    pub(super) fn attempted(&self, signal: Signal, outcome: Outcome) {
        self.attempts[signal as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Spans lost so far, for whatever reason.
    pub(super) fn all_lost(&self) -> u64 {
        self.lost.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(in crate::telemetry) fn snapshot(&self, put: &mut impl FnMut(Id, &[&str], Value)) {
        #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
        let load = |count: &AtomicU64| Value::Number(count.load(Ordering::Relaxed) as f64);
        put(Id::SpansExported, &[], load(&self.exported));
        for (why, count) in Loss::ALL.into_iter().zip(&self.lost) {
            put(Id::SpansLost, &[why.as_str()], load(count));
        }
        for (signal, counts) in Signal::ALL.into_iter().zip(&self.attempts) {
            for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
                put(Id::Exports, &[signal.as_str(), outcome.as_str()], load(count));
            }
        }
    }
}
