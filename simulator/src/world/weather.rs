//! The network's state under faults that may overlap: every change is worked out from the links as they are without
//! faults and from all faults that are on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::hosts::{Base, micros};
use crate::backend::Network;
use crate::fault::Fault;
use crate::wan::{Link, Place};

/// All packets.
const WHOLE_PPM: u64 = 1_000_000;

/// What a fault does to one direction between two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Block,
    Loss { ppm: u32 },
    Latency(Duration),
}

pub(super) struct Weather {
    world: Network,
    base: Base,
    /// By the number of their fault.
    changes: Vec<(usize, Place, Place, Change)>,
    /// Links that are not, or were not always, as they are without faults, as they were last set.
    touched: BTreeMap<(Place, Place), Option<Link>>,
}

impl Weather {
    pub(super) fn new(world: Network, base: Base) -> Self {
        Self { world, base, changes: Vec::new(), touched: BTreeMap::new() }
    }

    pub(super) fn begin(&mut self, fault: usize, from: Place, to: Place, change: Change) {
        if change == Change::Block && !self.is_blocked(from, to) {
            self.world.apply(&Fault::Block { from, to });
        }
        self.changes.push((fault, from, to, change));
        if change != Change::Block {
            self.touch(from, to);
            self.update();
        }
    }

    /// Ends all that this fault has begun.
    pub(super) fn end(&mut self, fault: usize) {
        let (over, on) = std::mem::take(&mut self.changes).into_iter().partition(|change| change.0 == fault);
        self.changes = on;
        let over: Vec<(usize, Place, Place, Change)> = over;
        for (_, from, to, change) in over {
            if change == Change::Block && !self.is_blocked(from, to) {
                self.world.apply(&Fault::Unblock { from, to });
            }
        }
        self.update();
    }

    fn is_blocked(&self, from: Place, to: Place) -> bool {
        self.changes.iter().any(|change| (change.1, change.2, change.3) == (from, to, Change::Block))
    }

    /// Between regions the shared link itself changes, and so do those of single hosts that have one of their own.
    fn touch(&mut self, from: Place, to: Place) {
        let regions = matches!((from, to), (Place::Region(_), Place::Region(_)));
        if regions {
            self.touched.entry((from, to)).or_insert(None);
        }
        for source in self.base.hosts(from) {
            for target in self.base.hosts(to) {
                if source != target && (!regions || self.base.has_own(source, target)) {
                    self.touched.entry((source, target)).or_insert(None);
                }
            }
        }
    }

    fn update(&mut self) {
        let keys: Vec<_> = self.touched.keys().copied().collect();
        for (from, to) in keys {
            let link = self.worked_out(from, to);
            if self.touched[&(from, to)] != Some(link) {
                self.touched.insert((from, to), Some(link));
                self.world.apply(&Fault::Link { from, to, link });
            }
        }
    }

    fn worked_out(&self, from: Place, to: Place) -> Link {
        let mut link = self.base.link(from, to);
        for (_, source, target, change) in &self.changes {
            if !(self.covers(*source, from) && self.covers(*target, to)) {
                continue;
            }
            match *change {
                Change::Block => {}
                Change::Loss { ppm } => {
                    // Each loses its part of what the other lets through.
                    let passes = (WHOLE_PPM - u64::from(link.loss_ppm)) * (WHOLE_PPM - u64::from(ppm)) / WHOLE_PPM;
                    link.loss_ppm = u32::try_from(WHOLE_PPM - passes).expect("at most a million");
                }
                Change::Latency(more) => link.latency_us += micros(more),
            }
        }
        link
    }

    /// Whether all that is at `inner` is at `outer`.
    fn covers(&self, outer: Place, inner: Place) -> bool {
        outer == inner || (matches!(outer, Place::Region(_)) && self.base.region(inner) == outer)
    }
}
