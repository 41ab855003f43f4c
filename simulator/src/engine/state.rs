//! Everything that a run knows, in one place of its thread.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use turmoil_net::{EnterGuard, HostId, Packet};

use super::event::{Event, Scheduled};
use super::{Options, RunError, Stats};
use crate::history::Log;
use crate::middlebox::{Cut, Hop};
use crate::rng::Stream;
use crate::wan::{Addr, Conns, Links, Side, TrafficTable};

/// Calls into the network without time going on, after which a run is taken to spin.
const CALLS_PER_INSTANT: u64 = 20_000_000;

/// A connection's number in its run, from 1; 0 is none (loopback).
pub(crate) type ConnId = u64;

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
    static GUARD: RefCell<Option<EnterGuard>> = const { RefCell::new(None) };
    /// A call may have left packets in a kernel: the next pass has something to do.
    static DIRTY: Cell<bool> = const { Cell::new(false) };
    /// The driver waits until no task is runnable.
    static WAITING: Cell<bool> = const { Cell::new(false) };
    /// What [`State::now`] has read from the runtime's clock, which stands still while tasks run.
    static NOW: Cell<Option<u64>> = const { Cell::new(None) };
    /// Turns that tasks have had, the play among them; and at how many the driver last knew that none could run.
    static TURNS: Cell<u64> = const { Cell::new(0) };
    static QUIET_AT: Cell<u64> = const { Cell::new(u64::MAX) };
    /// The play was woken and has not had its turn.
    static PLAY_WOKEN: Cell<bool> = const { Cell::new(false) };
    static WAKE: Arc<Notify> = Arc::new(Notify::new());
    /// Rung when the run has failed.
    static FAILED: Arc<Notify> = Arc::new(Notify::new());
}

pub(crate) struct Host {
    pub(crate) name: Arc<str>,
    pub(crate) region: u16,
    pub(crate) ip: Ipv4Addr,
    /// Identity and inner address of each life; the first life's address is `ip`.
    pub(crate) lives: Vec<(HostId, Ipv4Addr)>,
    pub(crate) life: u16,
    /// Powered; a host that was crashed is not, until it is restarted.
    pub(crate) up: bool,
    /// Ports that its kernels have given out for dialling, over all lives; the count starts over with the range.
    pub(crate) ports_taken: u16,
    /// Its process runs. What an earlier process spawns afterwards is dropped.
    pub(crate) process: u32,
    pub(crate) tasks: Vec<AbortHandle>,
    /// Finished handles are thrown out when there are this many.
    pub(crate) prune_at: usize,
    pub(crate) entropy: Stream,
    pub(crate) skew_us: i64,
    pub(crate) hops: Vec<Hop>,
}

pub(crate) struct State {
    pub(crate) start: Instant,
    /// The network's own clock while something happens to it that tasks may not hear of; it is ahead of theirs then.
    pub(crate) ahead_us: Option<u64>,
    /// When the play was done, in virtual microseconds.
    pub(crate) ended_us: u64,
    pub(crate) seed: u64,
    pub(crate) epoch: Duration,
    pub(crate) hosts: Vec<Host>,
    /// Inner and outer addresses to host and life.
    pub(crate) addresses: BTreeMap<Ipv4Addr, (u16, u16)>,
    pub(crate) names: BTreeMap<String, Vec<Ipv4Addr>>,
    pub(crate) links: Links,
    pub(crate) conns: Conns,
    /// Client and server address to connection.
    pub(crate) by_addr: BTreeMap<(Addr, Addr), ConnId>,
    /// Which connections have something that was written and not sent, in the order of the first write.
    pub(crate) unsent: Vec<(ConnId, Side)>,
    /// A task was woken since the driver last asked.
    pub(crate) roused: bool,
    pub(crate) retired: TrafficTable,
    /// Connections that their kernel has given up.
    pub(crate) timed_out: BTreeSet<ConnId>,
    pub(crate) cuts: Vec<Cut>,
    pub(crate) log: Log,
    pub(crate) trace: bool,
    pub(crate) stats: Stats,
    pub(crate) event_limit: u64,
    pub(crate) failure: Option<RunError>,
    heap: BinaryHeap<Reverse<Scheduled>>,
    /// Events that no task would hear of as things are. The clock does not stop for them: they happen before the next thing
    /// that comes after them.
    aside: BinaryHeap<Reverse<Scheduled>>,
    /// For kernels, as soon as the state is not borrowed.
    pub(crate) outbox: Vec<Packet>,
    calls: (u64, u64),
}

impl State {
    pub(crate) fn new(options: &Options, hosts: Vec<Host>) -> Self {
        let mut addresses = BTreeMap::new();
        for (index, host) in (0..).zip(&hosts) {
            for (life, (_, ip)) in (0..).zip(&host.lives) {
                addresses.insert(*ip, (index, life));
            }
        }
        let mut names: BTreeMap<String, Vec<Ipv4Addr>> = BTreeMap::new();
        for host in &hosts {
            names.entry(host.name.to_string()).or_default().push(host.ip);
        }
        for (name, targets) in &options.names {
            let found = hosts.iter().filter(|host| targets.iter().any(|target| **target == *host.name));
            names.entry(name.clone()).or_default().extend(found.map(|host| host.ip));
        }
        Self {
            start: Instant::now(),
            ahead_us: None,
            ended_us: 0,
            seed: options.seed,
            epoch: options.epoch,
            hosts,
            addresses,
            names,
            links: Links::new(options.seed, &options.links),
            conns: Conns::default(),
            by_addr: BTreeMap::new(),
            unsent: Vec::new(),
            roused: false,
            retired: TrafficTable::default(),
            timed_out: BTreeSet::new(),
            cuts: Vec::new(),
            log: Log::default(),
            trace: options.trace,
            stats: Stats::default(),
            event_limit: options.event_limit,
            failure: None,
            heap: BinaryHeap::new(),
            aside: BinaryHeap::new(),
            outbox: Vec::new(),
            calls: (0, 0),
        }
    }

    /// Virtual microseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        if let Some(ahead) = self.ahead_us {
            return ahead;
        }
        NOW.get().unwrap_or_else(|| {
            let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
            NOW.set(Some(now));
            now
        })
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        let next = self.numbered(at, event);
        // The driver may be asleep until what was next so far.
        WAITING.set(true);
        self.heap.push(Reverse(next));
    }

    /// The same for an event that no task would hear of, unless [`State::hurry`] is called before it is due.
    pub(crate) fn schedule_aside(&mut self, at: u64, event: Event) {
        let next = self.numbered(at, event);
        self.aside.push(Reverse(next));
    }

    fn numbered(&mut self, at: u64, event: Event) -> Scheduled {
        self.stats.events += 1;
        if self.stats.events == self.event_limit {
            self.fail(RunError::EventLimit(self.event_limit));
        }
        Scheduled { at, tie: self.stats.events, event }
    }

    /// Something has changed by which tasks may hear of what was put aside.
    pub(crate) fn hurry(&mut self) {
        if !self.aside.is_empty() {
            WAITING.set(true);
            self.heap.append(&mut self.aside);
        }
    }

    /// The play is done: nothing happens any more.
    pub(crate) fn end(&mut self) {
        self.ended_us = self.now();
        self.aside.clear();
    }

    /// When the clock has to stop for the next event.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|next| next.0.at)
    }

    /// The first event up to `now`, be it aside or not.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<(u64, Event)> {
        let aside = match (self.heap.peek(), self.aside.peek()) {
            (Some(next), Some(aside)) => aside.0 < next.0,
            (next, aside) => next.is_none() && aside.is_some(),
        };
        let from = if aside { &mut self.aside } else { &mut self.heap };
        if from.peek()?.0.at > now {
            return None;
        }
        from.pop().map(|next| (next.0.at, next.0.event))
    }

    /// Does what was put aside and is due before `now`, so that whoever has a turn now finds the network as it is now.
    fn catch_up(&mut self) {
        if self.aside.is_empty() {
            return;
        }
        let now = self.now();
        while self.aside.peek().is_some_and(|next| next.0.at < now) {
            let Some(Reverse(next)) = self.aside.pop() else { break };
            self.ahead_us = Some(next.at);
            self.happen(next.event);
        }
        self.ahead_us = None;
    }

    /// Ends the run; the first failure counts.
    pub(crate) fn fail(&mut self, error: RunError) {
        self.failure.get_or_insert(error);
        FAILED.with(|failed| failed.notify_one());
    }

    pub(crate) fn host(&self, host: u16) -> &Host {
        &self.hosts[usize::from(host)]
    }

    pub(crate) fn host_mut(&mut self, host: u16) -> &mut Host {
        &mut self.hosts[usize::from(host)]
    }

    /// The host with its region, as [`Links`] want it.
    pub(crate) fn place(&self, host: u16) -> (u16, u16) {
        (host, self.host(host).region)
    }

    /// Counts calls, so that a task that spins at one instant ends the run instead of hanging it.
    fn count_call(&mut self) {
        let now = self.now();
        if self.calls.0 != now {
            self.calls = (now, 0);
        }
        self.calls.1 += 1;
        assert!(self.calls.1 < CALLS_PER_INSTANT, "a task calls the network for ever without time going on");
    }
}

/// Runs `f` on the state of this thread's run.
///
/// # Panics
/// Outside of a run.
pub(crate) fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    try_with(f).expect("the simulated network is used inside engine::run, on its own thread")
}

/// The same; `None` outside of a run, as when a stream outlives it.
pub(crate) fn try_with<R>(f: impl FnOnce(&mut State) -> R) -> Option<R> {
    STATE.with(|state| state.borrow_mut().as_mut().map(f))
}

/// A call from the application: it may have produced packets, and may have packets for kernels.
pub(crate) fn call<R>(f: impl FnOnce(&mut State) -> R) -> R {
    let result = with(|state| {
        state.count_call();
        f(state)
    });
    flush();
    result
}

/// Hands waiting packets to their kernels. True if there were any: tasks may be runnable now.
pub(crate) fn flush() -> bool {
    let mut any = false;
    while let Some(packets) = try_with(|state| std::mem::take(&mut state.outbox)).filter(|p| !p.is_empty()) {
        any = true;
        GUARD.with(|guard| {
            let guard = guard.borrow();
            let guard = guard.as_ref().expect("the guard lives as long as the state");
            for packet in packets {
                guard.deliver(packet);
            }
        });
    }
    any
}

/// Takes what the kernels want to send, all of them.
pub(crate) fn egress(out: &mut Vec<Packet>) {
    DIRTY.set(false);
    GUARD.with(|guard| guard.borrow().as_ref().expect("the guard lives as long as the run").egress_all(out));
}

/// A kernel may have something to send.
pub(crate) fn mark_dirty() {
    DIRTY.set(true);
}

pub(crate) fn is_dirty() -> bool {
    DIRTY.get()
}

/// The runtime's clock may go on from here: it does so while the runtime is parked, and when the driver says so.
pub(super) fn forget_now() {
    NOW.set(None);
}

/// Called by the runtime when no task is runnable.
pub(super) fn on_park() {
    if WAITING.replace(false) || DIRTY.get() || try_with(|state| !state.unsent.is_empty()) == Some(true) {
        WAKE.with(|wake| wake.notify_one());
    }
}

/// Done once no task is runnable.
///
/// Parking tells for sure, but reads clocks and goes through the timers. It is not needed where nobody had a turn since the last
/// time: what can run is in the queue, which is first in, first out, before the driver.
pub(super) async fn quiet() {
    to_the_back().await;
    if TURNS.get() == QUIET_AT.get() && !PLAY_WOKEN.get() {
        is_up_to_date();
        return;
    }
    WAITING.set(true);
    woken().await;
    QUIET_AT.set(TURNS.get());
}

/// The driver has looked at all that is scheduled.
pub(super) fn is_up_to_date() {
    WAITING.set(false);
}

/// Lets every task have its turn that can run now.
async fn to_the_back() {
    let mut gone = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gone, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A task has its turn.
pub(crate) fn count_turn() {
    TURNS.set(TURNS.get() + 1);
    try_with(State::catch_up);
}

/// See [`Stats::turns`].
pub(super) fn turns() -> u64 {
    TURNS.get()
}

/// Runs the play, which is in no queue, so that [`quiet`] knows of it.
pub(super) async fn play<F: Future>(play: F) -> F::Output {
    struct Alarm(Waker);
    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            PLAY_WOKEN.set(true);
            self.0.wake_by_ref();
        }
    }
    let mut play = std::pin::pin!(play);
    poll_fn(|cx| {
        count_turn();
        PLAY_WOKEN.set(false);
        let alarm = Waker::from(Arc::new(Alarm(cx.waker().clone())));
        play.as_mut().poll(&mut Context::from_waker(&alarm))
    })
    .await
}

/// Done when a kernel may have something to send, or something was scheduled, and no task is runnable.
pub(super) async fn woken() {
    WAKE.with(Arc::clone).notified().await;
}

pub(super) async fn failed() {
    FAILED.with(Arc::clone).notified().await;
}

pub(super) fn install(state: State) {
    forget_now();
    TURNS.set(0);
    QUIET_AT.set(u64::MAX);
    STATE.with(|slot| *slot.borrow_mut() = Some(state));
}

pub(super) fn install_guard(guard: EnterGuard) {
    GUARD.with(|slot| *slot.borrow_mut() = Some(guard));
}

/// Takes the state out, then the kernels; every task must be gone.
pub(super) fn uninstall() -> Option<State> {
    let state = STATE.with(|slot| slot.borrow_mut().take());
    GUARD.with(|slot| drop(slot.borrow_mut().take()));
    state
}
