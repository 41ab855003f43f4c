//! What a run over `turmoil` knows besides turmoil itself, in one place of its thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::task::{Guarded, Kept};
use crate::engine::{Options, RunError, Stats};
use crate::history::Log;
use crate::rng::Stream;
use crate::wan::Links;

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
    /// The host whose task is being polled.
    static HERE: Cell<Option<u16>> = const { Cell::new(None) };
    /// When the present tick began, in virtual microseconds; or, in between, when the next one begins.
    static TICK_AT: Cell<u64> = const { Cell::new(0) };
    /// Tasks run. In between, turmoil's own clock is none.
    static TICKING: Cell<bool> = const { Cell::new(false) };
}

pub(in crate::backend) struct Host {
    pub(super) name: Arc<str>,
    pub(super) region: u16,
    pub(super) ip: Ipv4Addr,
    /// Powered.
    pub(super) up: bool,
    /// Its process runs; tasks of an earlier one do not go on.
    pub(super) process: u32,
    /// Where its tasks run; none between the end of a process and the next.
    pub(super) runtime: Option<Handle>,
    /// Tasks of a process that is about to begin: those by which it starts.
    pub(super) waiting: Vec<Guarded>,
    /// Tasks that are not over, by their process and a number that counts up.
    pub(super) kept: BTreeMap<(u32, u64), Kept>,
    spawned: u64,
    pub(in crate::backend) entropy: Stream,
    pub(super) skew_us: i64,
}

/// What turmoil has to be told when a tick is over: nobody can tell it in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Tasks are dropped; their sockets close, and say so.
    Kill(u16),
    /// Tasks are dropped, and nobody hears of it.
    PowerOff(u16),
    Restart(u16),
    /// Links, or what blocks them, have changed.
    Links,
}

pub(in crate::backend) struct State {
    pub(super) seed: u64,
    pub(super) epoch: Duration,
    pub(super) hosts: Vec<Host>,
    names: Vec<(String, Vec<String>)>,
    /// As the scenario has them at this moment.
    pub(super) links: Links,
    pub(super) orders: Vec<Order>,
    pub(super) log: Log,
    trace: bool,
    pub(super) stats: Stats,
    pub(super) failure: Option<RunError>,
}

impl Host {
    /// Keeps a task; returns its number.
    pub(super) fn keep(&mut self, task: Kept) -> u64 {
        self.spawned += 1;
        self.kept.insert((self.process, self.spawned), task);
        self.spawned
    }

    /// All tasks of a process, in the order in which they were made.
    pub(super) fn take_all(&mut self, process: u32) -> Vec<Kept> {
        let of_it = self.kept.extract_if((process, 0)..=(process, u64::MAX), |_, _| true);
        of_it.map(|(_, kept)| kept).collect()
    }
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        let host = |(index, spec): (u16, &crate::engine::HostSpec)| Host {
            name: Arc::from(spec.name.as_str()),
            region: spec.region,
            ip: crate::engine::address(index, spec.region),
            up: true,
            process: 0,
            runtime: None,
            waiting: Vec::new(),
            kept: BTreeMap::new(),
            spawned: 0,
            entropy: Stream::new(options.seed, &format!("host {}", spec.name)),
            skew_us: 0,
        };
        Self {
            seed: options.seed,
            epoch: options.epoch,
            hosts: (0..).zip(&options.hosts).map(host).collect(),
            names: options.names.clone(),
            links: Links::new(options.seed, &options.links),
            orders: Vec::new(),
            log: Log::default(),
            trace: options.trace,
            stats: Stats::default(),
            failure: None,
        }
    }

    pub(super) fn host(&self, host: u16) -> &Host {
        &self.hosts[usize::from(host)]
    }

    pub(in crate::backend) fn host_mut(&mut self, host: u16) -> &mut Host {
        &mut self.hosts[usize::from(host)]
    }

    pub(super) fn resolve(&self, name: &str) -> Vec<Ipv4Addr> {
        let more = self.names.iter().filter(|(known, _)| known == name).flat_map(|(_, hosts)| hosts);
        let names: Vec<&str> = std::iter::once(name).chain(more.map(String::as_str)).collect();
        self.hosts.iter().filter(|host| names.contains(&&*host.name)).map(|host| host.ip).collect()
    }

    /// The host with its region, as [`Links`] want it.
    pub(super) fn place(&self, host: u16) -> (u16, u16) {
        (host, self.host(host).region)
    }

    /// Ends the run; the first failure counts.
    pub(super) fn fail(&mut self, error: RunError) {
        self.failure.get_or_insert(error);
    }

    /// A reader has these bytes: what there is of packets here. They are in the digest, with time and place.
    pub(super) fn carried(&mut self, now: u64, host: u16, (from, to): (SocketAddr, SocketAddr), bytes: &[u8]) {
        let fold = self.log.at(now);
        fold.word(now);
        fold.word(u64::from(from.port()) << 16 | u64::from(to.port()));
        fold.bytes(bytes);
        if self.trace {
            let name = self.host(host).name.clone();
            self.log.push(now, name, format!("{from} > {to} {} bytes are read", bytes.len()));
        }
    }

    /// A segment leaves.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.stats.packets += 1;
        self.stats.bytes += bytes as u64;
    }
}

/// Virtual microseconds since the start. Within a tick a host's own clock counts, which is at most a tick ahead of
/// that of a host whose turn has yet to come.
pub(in crate::backend) fn now_us() -> u64 {
    let host = if TICKING.get() { ::turmoil::sim_elapsed() } else { None };
    host.map_or(TICK_AT.get(), |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Whether tasks run from here on; `at` is the time then.
pub(super) fn ticking(on: bool, at: Duration) {
    TICKING.set(on);
    TICK_AT.set(u64::try_from(at.as_micros()).unwrap_or(u64::MAX));
}

/// Whether tasks run now.
pub(super) fn is_ticking() -> bool {
    TICKING.get()
}

/// Says whose task is polled from here on; returns whose it was.
pub(super) fn enter(host: Option<u16>) -> Option<u16> {
    HERE.replace(host)
}

/// Whether this is the place to touch a host's sockets: they act on whatever host is current to turmoil. Between
/// ticks, when turmoil drops the tasks of a process, it has made its host the current one.
pub(super) fn is_here(host: u16) -> bool {
    !TICKING.get() || HERE.get() == Some(host)
}

/// Runs `f` on the state of this thread's run.
///
/// # Panics
/// Outside of a run.
pub(in crate::backend) fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    try_with(f).expect("the simulated network is used inside a run, on its own thread")
}

/// The same; `None` outside of a run, as when a stream outlives it.
pub(super) fn try_with<R>(f: impl FnOnce(&mut State) -> R) -> Option<R> {
    STATE.with(|state| state.borrow_mut().as_mut().map(f))
}

pub(super) fn install(state: State) {
    ticking(false, Duration::ZERO);
    STATE.with(|slot| *slot.borrow_mut() = Some(state));
}

pub(super) fn uninstall() -> Option<State> {
    STATE.with(|slot| slot.borrow_mut().take())
}
