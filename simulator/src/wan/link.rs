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

/// What a packet from one host to another takes, until [`Links`] change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    link: usize,
    /// Nothing gets through.
    pub(crate) blocked: bool,
    /// Worked out when there had been so many changes.
    changes: u64,
}

/// All links of a run.
pub(crate) struct Links {
    seed: u64,
    states: Vec<State>,
    places: BTreeMap<(Place, Place), usize>,
    blocked: BTreeSet<(Place, Place)>,
    changes: u64,
}

impl Links {
    pub(crate) fn new(seed: u64, links: &[(Place, Place, Link)]) -> Self {
        let (places, blocked) = (BTreeMap::new(), BTreeSet::new());
        let mut all = Self { seed, states: Vec::new(), places, blocked, changes: 0 };
        for (from, to, link) in links {
            all.set(*from, *to, *link);
        }
        all
    }

    /// Sets one direction; what is on the way stays on its way.
    pub(crate) fn set(&mut self, from: Place, to: Place, link: Link) {
        let at = self.place((from, to));
        self.states[at].link = link;
        self.changes += 1;
    }

    /// The link between exactly these places; the default one, if none was set.
    pub(crate) fn between(&self, from: Place, to: Place) -> Link {
        self.places.get(&(from, to)).map_or(DEFAULT_LINK, |at| self.states[*at].link)
    }

    pub(crate) fn block(&mut self, from: Place, to: Place) {
        self.blocked.insert((from, to));
        self.changes += 1;
    }

    pub(crate) fn unblock(&mut self, from: Place, to: Place) {
        self.blocked.remove(&(from, to));
        self.changes += 1;
    }

    /// What a packet from `from` to `to` takes; each is a host and its region. A link between the hosts wins over one
    /// between host and region, and that over one between the regions.
    pub(crate) fn route(&mut self, from: (u16, u16), to: (u16, u16)) -> Route {
        const ALL_LOST: u32 = 1_000_000;
        let targets = [Place::Host(to.0), Place::Region(to.1)];
        let pairs = [Place::Host(from.0), Place::Region(from.1)].map(|source| targets.map(|target| (source, target)));
        let mut pairs = pairs.as_flattened().iter();
        let cut = pairs.clone().any(|pair| self.blocked.contains(pair));
        let found = pairs.find_map(|pair| self.places.get(pair).copied());
        let link = found.unwrap_or_else(|| self.place((Place::Region(from.1), Place::Region(to.1))));
        let blocked = cut || self.states[link].link.loss_ppm >= ALL_LOST;
        Route { link, blocked, changes: self.changes }
    }

    pub(crate) fn is_current(&self, route: Route) -> bool {
        route.changes == self.changes
    }

    pub(crate) fn link(&self, route: Route) -> Link {
        self.states[route.link].link
    }

    /// Sends `wire` bytes at `now`.
    pub(crate) fn carry(&mut self, route: Route, wire: u32, now: u64) -> Passage {
        const BITS_US: u64 = 8 * 1_000_000;
        let state = &mut self.states[route.link];
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
    pub(crate) fn loses_again(&mut self, route: Route) -> bool {
        let state = &mut self.states[route.link];
        state.link.loss_ppm > 0 && state.rng.chance(u64::from(state.link.loss_ppm), 1_000_000)
    }

    /// Where the state of a link is, which is made if there is none.
    fn place(&mut self, places: (Place, Place)) -> usize {
        *self.places.entry(places).or_insert_with(|| {
            let rng = Stream::new(self.seed, &format!("link {places:?}"));
            self.states.push(State { link: DEFAULT_LINK, busy_until: 0, rng });
            self.states.len() - 1
        })
    }
}
