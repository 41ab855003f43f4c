//! What sidecars record for traces, kept apart from the run.

use std::sync::{Arc, Mutex, PoisonError};

use outrigger::telemetry::trace::{Sink, Span};

/// Spans that are kept of one run; of others only the number.
const MAX_SPANS: usize = 500_000;

/// The spans of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spans {
    /// By process, in the order in which processes ended their first span.
    pub processes: Vec<OfProcess>,
    /// Beyond what is kept.
    pub left_out: usize,
}

/// The spans of one process of a sidecar, in the order in which they ended.
#[derive(Debug, Clone, PartialEq)]
pub struct OfProcess {
    pub sidecar: usize,
    /// Which process of this sidecar, counted from 0.
    pub process: u32,
    pub spans: Vec<Span>,
}

/// Where all processes of a run put theirs.
#[derive(Debug, Default)]
pub(super) struct SpanStore(Mutex<(Spans, usize)>);

impl SpanStore {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// For one process.
    pub(super) fn of(self: &Arc<Self>, sidecar: usize, process: u32) -> Arc<dyn Sink> {
        Arc::new(ProcessSink { store: Arc::clone(self), sidecar, process })
    }

    pub(super) fn take(&self) -> Spans {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0)
    }
}

struct ProcessSink {
    store: Arc<SpanStore>,
    sidecar: usize,
    process: u32,
}

impl Sink for ProcessSink {
    fn take(&self, span: Span) {
        let mut store = self.store.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (spans, kept) = &mut *store;
        if *kept == MAX_SPANS {
            spans.left_out += 1;
            return;
        }
        *kept += 1;
        let of_it = |of: &&mut OfProcess| (of.sidecar, of.process) == (self.sidecar, self.process);
        if let Some(of) = spans.processes.iter_mut().find(of_it) {
            of.spans.push(span);
        } else {
            let (sidecar, process) = (self.sidecar, self.process);
            spans.processes.push(OfProcess { sidecar, process, spans: vec![span] });
        }
    }
}
