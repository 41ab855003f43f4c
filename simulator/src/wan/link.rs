//! Links: what a packet meets on its way from one place to another.

use std::collections::{BTreeMap, BTreeSet};

use crate::rng::Stream;

/// Where a link or a partition begins or ends: a whole region, or one host (by its index in
/// [`crate::engine::Options::hosts`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Region(u16),
    Host(u16),
}

/// One direction between two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// One way, in microseconds.
    pub latency_us: u64,
    /// Added to the latency, uniformly from 0 up to this, in microseconds; order within a connection is kept.
    pub jitter_us: u64,
    /// Bits per second, shared by everything on this link; 0 is without limit.
    pub bandwidth_bps: u64,
    /// Lost packets per million. A loss delays its connection as TCP's recovery would; 1,000,000 is a partition.
    pub loss_ppm: u32,
    /// How long a packet may wait for its turn before the queue is full and it counts as lost, in microseconds.
    pub queue_us: u64,
}

impl Link {
    /// Latency alone.
    pub const fn latency(latency_us: u64) -> Self {
        Self { latency_us, jitter_us: 0, bandwidth_bps: 0, loss_ppm: 0, queue_us: 200_000 }
    }

    #[must_use]
    pub const fn jitter(self, jitter_us: u64) -> Self {
        Self { jitter_us, ..self }
    }

    #[must_use]
    pub const fn bandwidth(self, bandwidth_bps: u64) -> Self {
        Self { bandwidth_bps, ..self }
    }

    #[must_use]
    pub const fn loss(self, loss_ppm: u32) -> Self {
        Self { loss_ppm, ..self }
    }
}

/// Between hosts of a region, and between regions without a link of their own.
const DEFAULT_LINK: Link = Link::latency(100);

struct State {
    link: Link,
    busy_until: u64,
    rng: Stream,
}

/// How a packet fares.
pub(crate) struct Passage {
    /// When it is there, were it not lost.
    pub(crate) arrival: u64,
    /// It was lost on the way, or found the queue full.
    pub(crate) lost: bool,
}

/// All links of a run.
pub(crate) struct Links {
    seed: u64,
    states: BTreeMap<(Place, Place), State>,
    blocked: BTreeSet<(Place, Place)>,
}

impl Links {
    pub(crate) fn new(seed: u64, links: &[(Place, Place, Link)]) -> Self {
        let mut all = Self { seed, states: BTreeMap::new(), blocked: BTreeSet::new() };
        for (from, to, link) in links {
            all.set(*from, *to, *link);
        }
        all
    }

    /// Sets one direction; what is on the way stays on its way.
    pub(crate) fn set(&mut self, from: Place, to: Place, link: Link) {
        self.state((from, to)).link = link;
    }

    /// The link that a packet from `from` to `to` takes; each is a host and its region. A link between the hosts
    /// wins over one between host and region, and that over one between the regions.
    pub(crate) fn find(&self, from: (u16, u16), to: (u16, u16)) -> (Place, Place) {
        let sources = [Place::Host(from.0), Place::Region(from.1)];
        let targets = [Place::Host(to.0), Place::Region(to.1)];
        for source in sources {
            for target in targets {
                if self.states.contains_key(&(source, target)) {
                    return (source, target);
                }
            }
        }
        (sources[1], targets[1])
    }

    pub(crate) fn get(&self, key: (Place, Place)) -> Link {
        self.states.get(&key).map_or(DEFAULT_LINK, |state| state.link)
    }

    pub(crate) fn block(&mut self, from: Place, to: Place) {
        self.blocked.insert((from, to));
    }

    pub(crate) fn unblock(&mut self, from: Place, to: Place) {
        self.blocked.remove(&(from, to));
    }

    /// Whether nothing gets from one host to the other now.
    pub(crate) fn is_blocked(&self, from: (u16, u16), to: (u16, u16)) -> bool {
        const ALL_LOST: u32 = 1_000_000;
        let sources = [Place::Host(from.0), Place::Region(from.1)];
        let targets = [Place::Host(to.0), Place::Region(to.1)];
        let cut = || sources.iter().any(|s| targets.iter().any(|t| self.blocked.contains(&(*s, *t))));
        (!self.blocked.is_empty() && cut()) || self.get(self.find(from, to)).loss_ppm >= ALL_LOST
    }

    /// Sends `wire` bytes at `now`.
    pub(crate) fn carry(&mut self, key: (Place, Place), wire: u32, now: u64) -> Passage {
        const BITS_US: u64 = 8 * 1_000_000;
        let state = self.state(key);
        let link = state.link;
        let start = state.busy_until.max(now);
        let time = (u64::from(wire) * BITS_US).checked_div(link.bandwidth_bps).unwrap_or(0);
        let full = start - now > link.queue_us;
        if !full {
            state.busy_until = start + time;
        }
        let jitter = if link.jitter_us == 0 { 0 } else { state.rng.below(link.jitter_us) };
        let lost = full || (link.loss_ppm > 0 && state.rng.chance(u64::from(link.loss_ppm), 1_000_000));
        Passage { arrival: start + time + link.latency_us + jitter, lost }
    }

    /// Whether a retransmission is lost too.
    pub(crate) fn loses_again(&mut self, key: (Place, Place)) -> bool {
        let state = self.state(key);
        state.link.loss_ppm > 0 && state.rng.chance(u64::from(state.link.loss_ppm), 1_000_000)
    }

    fn state(&mut self, key: (Place, Place)) -> &mut State {
        let seed = self.seed;
        self.states.entry(key).or_insert_with(|| State {
            link: DEFAULT_LINK,
            busy_until: 0,
            rng: Stream::new(seed, &format!("link {key:?}")),
        })
    }
}
