//! What sidecars counted, read off as an exporter of metrics would, and kept apart from the run.
//!
//! An exporter has a timer, and a timer is a step of the run. So a process is read when the world is looked at anyway:
//! each second while faults happen, ten times a second while everything heals.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use outrigger::control::Control;
use outrigger::net::Net;
use outrigger::telemetry::metrics::Snapshot;
use outrigger::telemetry::trace::Nanos;

use super::hosts::micros;
use super::tap::Tapped;
use crate::actors::Clock;
use crate::backend::HostNet;

/// Readings that are kept of one run; of others only the number. Each is some tens of kilobytes.
const MAX_READINGS: usize = 10_000;

/// The readings of a run.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// In the order in which they were taken.
    pub all: Vec<Reading>,
    /// Beyond what is kept.
    pub left_out: usize,
}

/// Every figure of one process of a sidecar at one moment, summed up since the process started.
#[derive(Debug, Clone)]
pub struct Reading {
    pub sidecar: usize,
    /// Which process of this sidecar, counted from 0.
    pub process: u32,
    /// When the process started, and when it was read, by its host's wall clock.
    pub since: Nanos,
    pub at: Nanos,
    /// When it was read, in virtual microseconds.
    pub at_us: u64,
    pub figures: Vec<Snapshot>,
}

/// Where all processes of a run put theirs.
#[derive(Debug)]
pub(super) struct ReadingStore {
    clock: Clock,
    readings: Mutex<Readings>,
}

impl ReadingStore {
    pub(super) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, readings: Mutex::default() })
    }

    pub(super) fn take(&self) -> Readings {
        std::mem::take(&mut self.readings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, reading: impl FnOnce() -> Reading) {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if readings.all.len() == MAX_READINGS {
            readings.left_out += 1;
        } else {
            readings.all.push(reading());
        }
    }
}

/// Reads one process.
pub(super) struct Meter {
    store: Arc<ReadingStore>,
    sidecar: usize,
    process: u32,
    net: HostNet,
    /// What a process has is gone with it, and no later.
    control: Weak<Control<Tapped<HostNet>>>,
    every: Duration,
    /// When the next reading is due, in virtual microseconds; `None` after the last one.
    next_us: Mutex<Option<u64>>,
}

impl Meter {
    /// To be made when the process starts; it is read `every` so often from then on.
    pub(super) fn new(
        store: &Arc<ReadingStore>,
        (sidecar, process): (usize, u32),
        net: HostNet,
        control: &Arc<Control<Tapped<HostNet>>>,
        every: Duration,
    ) -> Arc<Self> {
        let next_us = Mutex::new(Some(store.clock.now_us().saturating_add(micros(every))));
        Arc::new(Self {
            store: Arc::clone(store),
            sidecar,
            process,
            net,
            control: Arc::downgrade(control),
            every,
            next_us,
        })
    }

    /// Reads the process if that is due.
    pub(super) fn look(&self) {
        let now_us = self.store.clock.now_us();
        let mut next_us = self.next_us.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = next_us.filter(|due| *due <= now_us) {
            // As an exporter does, it does not make up for what it has missed.
            *next_us = Some(due.saturating_add(micros(self.every)).max(now_us));
            self.read(now_us);
        }
    }

    /// Reads the process for the last time: it ends.
    pub(super) fn last(&self) {
        if self.next_us.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            self.read(self.store.clock.now_us());
        }
    }

    fn read(&self, at_us: u64) {
        let Some(control) = self.control.upgrade() else { return };
        let Some(metrics) = control.metrics() else { return };
        self.store.put(|| Reading {
            sidecar: self.sidecar,
            process: self.process,
            since: metrics.started().into(),
            at: self.net.wall_clock().into(),
            at_us,
            figures: self.net.on_its_clock(|| metrics.snapshot(&control.now())),
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn what_is_over_the_limit_is_counted_and_nothing_else() {
        let store = ReadingStore::new(Clock::since(Instant::now()));
        for nth in 0..MAX_READINGS as u64 + 5 {
            let reading =
                || Reading { sidecar: 0, process: 0, since: Nanos(0), at: Nanos(nth), at_us: nth, figures: Vec::new() };
            store.put(reading);
        }
        let readings = store.take();
        assert_eq!((readings.all.len(), readings.left_out, readings.all[0].at), (MAX_READINGS, 5, Nanos(0)));
    }
}
