//! What the process knows of the upstreams that can stand in for each other, shared by all that use it. It outlives a
//! configuration: what is known of an upstream that stays is kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrigger_shared::choose::{Attempt, Chooser, PeerId, Policy, Spec, View};
use outrigger_shared::time::Micros;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::telemetry::{Notice, Observer};

/// One upstream at a moment, for whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub name: Arc<str>,
    pub address: Arc<str>,
    /// Empty where none is configured.
    pub region: Arc<str>,
    pub priority: u16,
    pub weight: u16,
    /// Whether it was taken out of the configuration, and is there for its sessions alone.
    pub retired: bool,
    pub is_well: bool,
    /// While it is ejected: how long until it is tried.
    pub ejected_for: Option<Duration>,
    /// Failures in a row.
    pub fails: u32,
    /// How often it was ejected.
    pub ejections: u64,
    /// The average time to connect; `None` until it is known.
    pub connect: Option<Duration>,
    /// Sessions, and requests without an answer yet.
    pub sessions: u64,
    pub dialling: u64,
    /// Whether new connections go to its region and priority.
    pub is_home: bool,
}

pub(crate) struct Board {
    /// What its times count from.
    epoch: Instant,
    chooser: Mutex<Chooser>,
    /// How many configurations there have been; who checks for an older one is done.
    configured: AtomicU64,
    observer: Arc<dyn Observer>,
    /// Rung when a check is due sooner than it was, and when whoever checks has to go.
    pub(super) rung: Notify,
}

impl Board {
    pub(crate) fn new(policy: Policy, observer: Arc<dyn Observer>) -> Arc<Self> {
        let chooser = Mutex::new(Chooser::new(policy, 0));
        let (epoch, configured, rung) = (Instant::now(), AtomicU64::new(0), Notify::new());
        Arc::new(Self { epoch, chooser, configured, observer, rung })
    }

    /// Puts a configuration into force, with new chance where it needs any: its number, and its upstreams in order.
    pub(super) fn configure(&self, policy: Policy, specs: &[Spec], seed: Option<u64>) -> (u64, Vec<PeerId>) {
        self.with(|chooser, now| {
            if let Some(seed) = seed {
                chooser.reseed(seed);
            }
            let ids = chooser.configure(policy, specs, now);
            (self.configured.fetch_add(1, Ordering::Relaxed) + 1, ids)
        })
    }

    /// The order in which a new connection tries the upstreams.
    pub(super) fn order(&self) -> Vec<PeerId> {
        self.with(Chooser::order)
    }

    pub(super) fn is_well(&self, peer: PeerId) -> bool {
        self.with(|chooser, _| chooser.is_well(peer))
    }

    /// A dial begins; dropped without a word, it was given up.
    pub(super) fn dial(self: &Arc<Self>, peer: PeerId) -> Dialling {
        let attempt = self.with(|chooser, now| chooser.dial(peer, now));
        Dialling { board: Arc::clone(self), attempt: Some(attempt) }
    }

    /// A session or a request begins on a connection that is there.
    pub(super) fn seat(self: &Arc<Self>, peer: PeerId) -> Seat {
        self.with(|chooser, _| chooser.opened(peer));
        Seat { board: Arc::clone(self), peer }
    }

    pub(super) fn next_check(&self) -> Option<Instant> {
        let next = self.with(|chooser, _| chooser.next_check())?;
        Some(self.epoch + Duration::from_micros(next.0))
    }

    /// What the configuration of this number has to check now; `None` if it is not in force any more.
    pub(super) fn due(&self, configured: u64) -> Option<Vec<Attempt>> {
        self.with(|chooser, now| (self.configured.load(Ordering::Relaxed) == configured).then(|| chooser.due(now)))
    }

    pub(super) fn checked(&self, attempt: Attempt, seen: Option<Duration>) {
        self.with(|chooser, now| chooser.checked(attempt, seen, now));
    }

    /// The upstreams whose sessions could be where new ones go, for so long by now.
    pub(super) fn strays(&self, settled: Duration) -> Vec<PeerId> {
        self.with(|chooser, now| chooser.strays(settled, now))
    }

    pub(super) fn snapshot(&self) -> Vec<Snapshot> {
        let now = self.now();
        let shown = |view: View| Snapshot {
            name: view.spec.name,
            address: view.spec.address,
            region: view.spec.region,
            priority: view.spec.priority,
            weight: view.spec.weight,
            retired: view.retired,
            is_well: view.well,
            ejected_for: view.out_until.map(|until| until.since(now)),
            fails: view.fails,
            ejections: view.ejections,
            connect: view.connect,
            sessions: view.sessions,
            dialling: view.dialling,
            is_home: view.home,
        };
        self.with(|chooser, _| chooser.view()).into_iter().map(shown).collect()
    }

    fn now(&self) -> Micros {
        Micros(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn with<T>(&self, tell: impl FnOnce(&mut Chooser, Micros) -> T) -> T {
        let mut chooser = self.chooser.lock().unwrap_or_else(PoisonError::into_inner);
        let before = chooser.next_check();
        let answer = tell(&mut chooser, self.now());
        let sooner = chooser.next_check().is_some_and(|next| before.is_none_or(|before| next < before));
        let changes = chooser.changes();
        drop(chooser);
        if sooner {
            self.rung.notify_one();
        }
        for change in &changes {
            self.observer.notice(&Notice::Upstream(change));
        }
        answer
    }
}

/// A dial that is underway.
pub(super) struct Dialling {
    board: Arc<Board>,
    /// `None` once it is known what became of it.
    attempt: Option<Attempt>,
}

impl Dialling {
    /// How long it has to wait for its turn; or, with too many before it, when it is worth to come back.
    pub(super) fn wait(&self, patience: Duration) -> Result<Duration, Duration> {
        let attempt = self.attempt.expect("it has not ended");
        self.board.with(|chooser, now| chooser.wait(attempt, patience, now))
    }

    /// It is there, after so long, names and TLS aside. The seat is for what it was dialled for.
    pub(super) fn connected(mut self, connect: Duration) -> Seat {
        let attempt = self.attempt.take().expect("it ends once");
        self.board.with(|chooser, now| {
            chooser.opened(attempt.peer);
            chooser.connected(attempt, connect, now);
        });
        Seat { board: Arc::clone(&self.board), peer: attempt.peer }
    }

    /// It came to nothing, through the upstream's fault.
    pub(super) fn failed(mut self) {
        let attempt = self.attempt.take().expect("it ends once");
        self.board.with(|chooser, now| chooser.failed(attempt, now));
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.board.with(|chooser, _| chooser.abandoned(attempt));
        }
    }
}

/// A session's or a request's place at an upstream, given back when it is dropped.
pub struct Seat {
    board: Arc<Board>,
    peer: PeerId,
}

impl Seat {
    pub(super) fn peer(&self) -> PeerId {
        self.peer
    }

    /// It ended in a way that makes one doubt that the upstream can be reached.
    pub(crate) fn suspect(&self) {
        self.board.with(|chooser, now| chooser.suspect(self.peer, now));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.board.with(|chooser, _| chooser.closed(self.peer));
    }
}
