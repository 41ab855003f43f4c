//! What a load balancer knows of the sidecars behind it: which of them are ready, and how many connections each has.
//!
//! It learns late. A sidecar that drains refuses new sessions from that moment on, and whoever is sent there until the
//! balancer has learned of it comes in vain, as it is with a Service of Kubernetes and its endpoints.

use std::sync::{Mutex, PoisonError};

use super::hosts::micros;
use crate::actors::Clock;
use crate::rng::Stream;
use crate::scenario::{Pick, Scenario, TimeRange};

/// Of all sidecars of a world, by their numbers.
pub(super) struct Balancer {
    clock: Clock,
    sidecars: Mutex<Vec<Known>>,
}

#[derive(Default)]
struct Known {
    /// When it became ready or ceased to be, each time; it counts as ready before the first.
    changes: Vec<(u64, bool)>,
    /// Connections that clients have to it.
    open: u32,
}

impl Balancer {
    pub(super) fn new(clock: Clock, scenario: &Scenario) -> Self {
        Self { clock, sidecars: Mutex::new(scenario.sidecars.iter().map(|_| Known::default()).collect()) }
    }

    /// A sidecar takes new sessions from now on, or takes none.
    pub(super) fn is_ready(&self, sidecar: usize, ready: bool) {
        let now = self.clock.now_us();
        self.with(|sidecars| {
            let changes = &mut sidecars[sidecar].changes;
            if changes.last().is_none_or(|last| last.1 != ready) {
                changes.push((now, ready));
            }
        });
    }

    pub(super) fn opened(&self, sidecar: usize) {
        self.with(|sidecars| sidecars[sidecar].open += 1);
    }

    pub(super) fn closed(&self, sidecar: usize) {
        self.with(|sidecars| sidecars[sidecar].open -= 1);
    }

    /// Which of these sidecars an attempt goes to, as a place in the list. It is not empty.
    pub(super) fn choose(&self, sidecars: &[usize], pick: Pick, lag: Option<TimeRange>, stream: &mut Stream) -> usize {
        let lag = lag.map(|TimeRange { from, to }| stream.between(micros(from), micros(to)));
        let seen_us = lag.map(|lag| self.clock.now_us().saturating_sub(lag));
        self.with(|known| {
            let all = || (0..sidecars.len()).collect::<Vec<_>>();
            let mut fit = all();
            if let Some(seen_us) = seen_us {
                fit.retain(|place| known[sidecars[*place]].was_ready(seen_us));
            }
            if fit.is_empty() {
                fit = all();
            }
            if pick == Pick::LeastConnections {
                let open = |place: &usize| known[sidecars[*place]].open;
                let least = fit.iter().map(open).min();
                fit.retain(|place| Some(open(place)) == least);
            }
            *stream.pick(&fit)
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Vec<Known>) -> T) -> T {
        look(&mut self.sidecars.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn was_ready(&self, at_us: u64) -> bool {
        self.changes.iter().rev().find(|change| change.0 <= at_us).is_none_or(|change| change.1)
    }
}
