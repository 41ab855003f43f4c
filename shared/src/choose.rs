//! Which of several upstreams a connection goes to. Told what became of dials, checks and sessions, and the time, it
//! answers with the order in which to try.
//!
//! Lower priority first, as in SRV records (RFC 2782). Of one priority, the region that is nearest by measured connect
//! time; in a region, the fewest connections per weight. An upstream that fails is ejected for a while that doubles, and
//! comes back when it is seen to be well. Nothing here moves a connection that lives.

mod line;
mod peer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::line::Pace;
use self::peer::{Health, Peer};
use crate::entropy::Entropy;
use crate::time::Micros;

/// A nearer region has to be nearer by this part of the connect time, so that two alike are not exchanged for one another.
const MARGIN_DIVISOR: u32 = 4;
/// And by this much at least.
const MARGIN_AT_LEAST: Duration = Duration::from_millis(5);
/// A region that was chosen because it is nearer is kept for this long, unless it fails.
const DWELL: Duration = Duration::from_secs(30);
/// Changes that nobody has asked for yet; older ones are forgotten.
const MAX_CHANGES: usize = 256;

/// One upstream, for as long as it is configured the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PeerId(u32);

/// What is configured of one upstream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spec {
    /// No other has it.
    pub name: Arc<str>,
    /// What makes it another upstream though the name is the same.
    pub address: Arc<str>,
    pub region: Arc<str>,
    /// Lower is tried first.
    pub priority: u16,
    /// At least 1.
    pub weight: u16,
}

/// How failures are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Failures in a row after which an upstream is ejected; at least 1.
    pub fails: u32,
    /// The first time out; each one that follows soon doubles it.
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// From one check of a well upstream to the next. `None` checks nothing: then a dial for a client is the test.
    pub check_every: Option<Duration>,
    /// Whether a check sees more than that the upstream takes connections, so that no dial stands for one.
    pub checks_are_deeper: bool,
    /// `None` lets everyone dial at once.
    pub pace: Option<Pace>,
}

/// A dial, or a check, that is underway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    pub peer: PeerId,
    began: Micros,
}

/// Something that an operator wants to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// No new connections for so long, at least.
    Ejected { name: Arc<str>, pause: Duration },
    /// It is well again, after so long.
    Returned { name: Arc<str>, away: Duration },
    /// New connections go to another region, or to another priority.
    Moved { from: Option<Place>, to: Place },
}

/// Where upstreams are that are alike for a new connection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub priority: u16,
    pub region: Arc<str>,
}

/// One upstream, as seen from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    pub id: PeerId,
    pub spec: Spec,
    /// Whether it was taken out of the configuration and lives on for its sessions alone.
    pub retired: bool,
    pub well: bool,
    /// While it is not: when it is tried again.
    pub out_until: Option<Micros>,
    /// Failures in a row.
    pub fails: u32,
    /// How often it was ejected.
    pub ejections: u64,
    /// The measured connect time.
    pub connect: Option<Duration>,
    pub sessions: u64,
    pub dialling: u64,
    /// Whether new connections go where it is.
    pub home: bool,
}

/// The chooser of one set of upstreams that can stand in for each other.
#[derive(Debug)]
pub struct Chooser {
    policy: Policy,
    chance: Entropy,
    peers: BTreeMap<PeerId, Peer>,
    next_id: u32,
    home: Option<Home>,
    /// How far turns have got; see [`Peer::turn`].
    turn: u64,
    changes: Vec<Change>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Home {
    place: Place,
    since: Micros,
    /// Whether it was taken because it is nearer than another that was well.
    nearer: bool,
}

impl Chooser {
    pub fn new(policy: Policy, seed: u64) -> Self {
        let (peers, changes) = (BTreeMap::new(), Vec::new());
        Self { policy, chance: Entropy(seed), peers, next_id: 0, home: None, turn: 0, changes }
    }

    /// Draws its chance from this seed from now on.
    pub fn reseed(&mut self, seed: u64) {
        self.chance = Entropy(seed);
    }

    /// Puts a configuration into force and answers with the upstreams in its order. What is known of one that stays is
    /// kept; one that is gone lives on until its last session has ended.
    pub fn configure(&mut self, policy: Policy, specs: &[Spec], now: Micros) -> Vec<PeerId> {
        self.policy = policy;
        for peer in self.peers.values_mut() {
            peer.retired = true;
        }
        let mut ids = Vec::new();
        for (place, spec) in (0..).zip(specs) {
            let same = |peer: &Peer| peer.spec.name == spec.name && peer.spec.address == spec.address;
            let known = self.peers.iter().find(|(_, peer)| same(peer)).map(|(id, _)| *id);
            let id = known.unwrap_or_else(|| {
                self.next_id += 1;
                PeerId(self.next_id)
            });
            let peer = self.peers.entry(id).or_insert_with(|| Peer::new(spec.clone(), now));
            (peer.spec, peer.retired, peer.place) = (spec.clone(), false, place);
            ids.push(id);
        }
        self.bury();
        ids
    }

    /// The order in which a new connection tries the upstreams: those that are well, best first; then, in case all of
    /// them fail, the others. Never empty unless nothing is configured.
    pub fn order(&mut self, now: Micros) -> Vec<PeerId> {
        self.settle(now);
        let mut first = Vec::new();
        let mut last = Vec::new();
        for (id, peer) in self.peers.iter().filter(|(_, peer)| !peer.retired) {
            let tries = self.is_tried(peer, now);
            if peer.is_well() || tries {
                let elsewhere = !tries && self.home.as_ref().is_none_or(|home| home.place != peer.place());
                let distance = self.distance(&peer.place()).or(peer.connect()).unwrap_or(Duration::MAX);
                let key = (peer.spec.priority, elsewhere, distance, peer.load(), peer.turn(self.turn), peer.place);
                first.push((key, *id));
            } else {
                last.push(((peer.out_until(), peer.spec.priority, peer.place), *id));
            }
        }
        first.sort_unstable();
        last.sort_unstable();
        let first = first.into_iter().map(|(_, id)| id);
        let order: Vec<PeerId> = first.chain(last.into_iter().map(|(_, id)| id)).collect();
        if let Some(peer) = order.first().and_then(|first| self.peers.get_mut(first)) {
            self.turn = peer.take_turn(self.turn);
        }
        order
    }

    /// A dial for a client begins. Ends with one of [`connected`](Self::connected), [`failed`](Self::failed) and
    /// [`abandoned`](Self::abandoned).
    pub fn dial(&mut self, peer: PeerId, now: Micros) -> Attempt {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.dialling += 1;
        }
        Attempt { peer, began: now }
    }

    /// How long the dial has to wait for its turn. With too many before it, or longer than `patience`, how long they take, and up to twice that by
    /// chance: those who are sent away shall not come back together.
    pub fn wait(&mut self, attempt: Attempt, patience: Duration, now: Micros) -> Result<Duration, Duration> {
        let (Some(pace), Some(peer)) = (self.policy.pace, self.peers.get_mut(&attempt.peer)) else {
            return Ok(Duration::ZERO);
        };
        peer.line.enter(pace, patience, now).map_err(|wait| {
            let most = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
            wait + Duration::from_micros(self.chance.up_to(most))
        })
    }

    /// Whether it is well, as far as is known.
    pub fn is_well(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(Peer::is_well)
    }

    /// The dial took so long to connect, names and TLS aside.
    pub fn connected(&mut self, attempt: Attempt, connect: Duration, now: Micros) {
        let policy = self.policy;
        let spread = self.spread(policy.check_every.unwrap_or_default());
        let Some(peer) = self.peers.get_mut(&attempt.peer) else { return };
        peer.dialling -= 1;
        peer.measure(connect);
        let news = attempt.began >= peer.since;
        match (peer.is_well(), policy.check_every.is_some()) {
            (true, _) if !policy.checks_are_deeper => {
                peer.fails = 0;
                // It may be suspected since.
                if peer.check_at > now {
                    peer.check_at = now + spread;
                }
            }
            // The checks have the word, but need not wait.
            (false, true) if news => peer.check_at = peer.check_at.min(now),
            (false, false) if news => self.returned(attempt.peer, now),
            _ => {}
        }
        self.bury();
    }

    /// The dial came to nothing, through the upstream's fault.
    pub fn failed(&mut self, attempt: Attempt, now: Micros) {
        self.abandoned(attempt);
        self.blame(attempt, now);
    }

    /// The dial was given up, through nobody's fault or our own.
    pub fn abandoned(&mut self, attempt: Attempt) {
        if let Some(peer) = self.peers.get_mut(&attempt.peer) {
            peer.dialling -= 1;
        }
        self.bury();
    }

    /// A session or a request begins there.
    pub fn opened(&mut self, peer: PeerId) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.sessions += 1;
        }
    }

    /// It is over.
    pub fn closed(&mut self, peer: PeerId) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.sessions -= 1;
        }
        self.bury();
    }

    /// A session ended in a way that makes one doubt that the upstream can be reached, or a request was not answered: it
    /// is checked at once.
    pub fn suspect(&mut self, peer: PeerId, now: Micros) {
        if let Some(peer) = self.peers.get_mut(&peer)
            && peer.is_well()
        {
            peer.check_at = peer.check_at.min(now);
        }
    }

    /// When [`due`](Self::due) has something to check next; `None` if nothing is ever checked.
    pub fn next_check(&self) -> Option<Micros> {
        self.policy.check_every?;
        self.peers.values().filter(|peer| !peer.retired && !peer.checking).map(|peer| peer.check_at).min()
    }

    /// The upstreams to check now. Each check ends with [`checked`](Self::checked).
    pub fn due(&mut self, now: Micros) -> Vec<Attempt> {
        if self.policy.check_every.is_none() {
            return Vec::new();
        }
        let due = self.peers.iter_mut().filter(|(_, peer)| !peer.retired && !peer.checking && peer.check_at <= now);
        due.map(|(id, peer)| {
            peer.checking = true;
            Attempt { peer: *id, began: now }
        })
        .collect()
    }

    /// What a check saw: the connect time, or nothing good.
    pub fn checked(&mut self, attempt: Attempt, seen: Option<Duration>, now: Micros) {
        let every = self.policy.check_every.unwrap_or_default();
        let spread = self.spread(every);
        let Some(peer) = self.peers.get_mut(&attempt.peer) else { return };
        peer.checking = false;
        peer.check_at = now + spread;
        match seen {
            Some(connect) => {
                peer.measure(connect);
                if peer.is_well() {
                    peer.fails = 0;
                } else if peer.passed(now) {
                    self.returned(attempt.peer, now);
                }
            }
            None => self.blame(attempt, now),
        }
        // A suspicion may have found the check underway, and a failure has set a time of its own.
        self.settle(now);
    }

    /// Sessions that began elsewhere because the place where new ones go was away: the upstreams that hold them. Empty
    /// until that place has been the home for `settled`.
    pub fn strays(&self, settled: Duration, now: Micros) -> Vec<PeerId> {
        let Some(home) = self.home.as_ref().filter(|home| now.since(home.since) >= settled) else { return Vec::new() };
        let away =
            self.peers.iter().filter(|(_, peer)| peer.sessions > 0 && (peer.retired || peer.place() != home.place));
        away.map(|(id, _)| *id).collect()
    }

    /// Where new connections go.
    pub fn home(&self) -> Option<&Place> {
        self.home.as_ref().map(|home| &home.place)
    }

    /// What has changed since the last call, oldest first.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// All upstreams, in the order in which they came to be known.
    pub fn view(&self) -> Vec<View> {
        let view = |(id, peer): (&PeerId, &Peer)| View {
            id: *id,
            spec: peer.spec.clone(),
            retired: peer.retired,
            well: peer.is_well(),
            out_until: peer.out_until(),
            fails: peer.fails,
            ejections: peer.ejections,
            connect: peer.connect(),
            sessions: peer.sessions,
            dialling: peer.dialling,
            home: self.home.as_ref().is_some_and(|home| home.place == peer.place()),
        };
        self.peers.iter().map(view).collect()
    }

    /// Whether a client's dial tries if it is well again, as where nothing else does. One at a time.
    fn is_tried(&self, peer: &Peer, now: Micros) -> bool {
        let due = peer.out_until().is_some_and(|until| until <= now);
        due && self.policy.check_every.is_none() && peer.dialling == 0
    }

    /// The connect time to a place: that of the nearest of its upstreams that are well.
    fn distance(&self, place: &Place) -> Option<Duration> {
        let there = self.peers.values().filter(|peer| !peer.retired && peer.is_well() && peer.place() == *place);
        there.filter_map(Peer::connect).min()
    }

    /// Decides where new connections go from now on.
    fn settle(&mut self, now: Micros) {
        let well = self.peers.values().filter(|peer| !peer.retired && peer.is_well());
        let mut places: Vec<(u32, Place)> = well.map(|peer| (peer.place, peer.place())).collect();
        let Some(best) = places.iter().map(|(_, place)| place.priority).min() else { return };
        places.retain(|(_, place)| place.priority == best);
        // Unknown is far.
        let far = |place: &Place| self.distance(place).unwrap_or(Duration::MAX);
        let nearest = places.iter().min_by_key(|(at, place)| (far(place), *at)).map(|(_, place)| place.clone());
        let Some(to) = nearest else { return };
        let stays = self.home.as_ref().filter(|home| places.iter().any(|(_, place)| *place == home.place));
        if let Some(home) = stays {
            let (ours, theirs) = (far(&home.place), far(&to));
            let margin =
                if ours == Duration::MAX { Duration::ZERO } else { (ours / MARGIN_DIVISOR).max(MARGIN_AT_LEAST) };
            if theirs.saturating_add(margin) >= ours || home.nearer && now.since(home.since) < DWELL {
                return;
            }
        }
        let nearer = stays.is_some();
        let from = self.home.replace(Home { place: to.clone(), since: now, nearer }).map(|home| home.place);
        self.tell(Change::Moved { from, to });
    }

    /// A failure that is the upstream's. Of one that is out already only a test that was due says anything new.
    fn blame(&mut self, attempt: Attempt, now: Micros) {
        let Some(peer) = self.peers.get_mut(&attempt.peer) else { return };
        let was_well = match peer.health {
            Health::Well if attempt.began >= peer.since => true,
            Health::Out { until, .. } if attempt.began >= until => false,
            Health::Well | Health::Out { .. } => return,
        };
        peer.fails = peer.fails.saturating_add(1);
        if was_well && peer.fails < self.policy.fails {
            return;
        }
        let pause = peer.next_pause(&self.policy, now);
        let half = pause / 2;
        let spread = self.chance.up_to(u64::try_from(half.as_micros()).unwrap_or(u64::MAX));
        let pause = half + Duration::from_micros(spread);
        peer.eject(pause, now);
        if was_well {
            let name = Arc::clone(&peer.spec.name);
            self.tell(Change::Ejected { name, pause });
        }
        self.settle(now);
    }

    fn returned(&mut self, id: PeerId, now: Micros) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let away = peer.let_in(now);
        let name = Arc::clone(&peer.spec.name);
        self.tell(Change::Returned { name, away });
        self.settle(now);
    }

    /// A time near `every`: checks of several sidecars do not keep time with each other.
    fn spread(&mut self, every: Duration) -> Duration {
        let shift = self.chance.up_to(u64::try_from((every / 5).as_micros()).unwrap_or(u64::MAX));
        (every * 9) / 10 + Duration::from_micros(shift)
    }

    fn tell(&mut self, change: Change) {
        if self.changes.len() == MAX_CHANGES {
            self.changes.remove(0);
        }
        self.changes.push(change);
    }

    /// Forgets what is not configured any more and has nothing left.
    fn bury(&mut self) {
        self.peers.retain(|_, peer| !peer.retired || peer.sessions + peer.dialling > 0);
    }
}

#[cfg(test)]
mod tests;
