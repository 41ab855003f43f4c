//! One run: hosts, a seed, and a future that plays on them.

mod driver;
mod event;
mod state;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use turmoil_net::KernelConfig;

pub(crate) use self::driver::pass_now;
pub(crate) use self::event::{AckInfo, Event, Segment, Step};
use self::state::Host;
pub(crate) use self::state::{ConnId, State, call, count_turn, mark_dirty, try_with, with};
pub use self::world::World;
use crate::history::{Digest, Entry};
use crate::middlebox::{Cut, Hop};
use crate::rng::Stream;
use crate::wan::{BACKLOG, Link, Place, Traffic};

/// Wall clock at the start of every run unless it says otherwise: 2026-01-01T00:00:00Z, in seconds since 1970.
pub const EPOCH_S: u64 = 1_767_225_600;
/// Virtual time after which a run is an error.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_hours(24);
/// Packets, ACKs and timers of the network after which a run is an error.
pub const DEFAULT_EVENT_LIMIT: u64 = 50_000_000;
/// Lives that a host may have: restarts after a crash, plus one.
pub const MAX_LIVES: u16 = 64;
/// What a kernel keeps of a sender within its host, in bytes: as much as a window of 16 bits lets out, so that one pass
/// empties it.
const KERNEL_SEND_BYTES: usize = 65_535;
/// What a kernel keeps for a reader within its host, in bytes.
pub(crate) const KERNEL_RECEIVE_BYTES: usize = 8 * 1024 * 1024;
/// Ethernet's 1500 less the 12 bytes of TCP timestamps, which the kernels do not know of.
const KERNEL_MTU: u32 = 1488;
/// Handles of tasks that a host keeps before it throws out those of finished ones.
pub(crate) const MIN_TASKS_TO_PRUNE: usize = 64;
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// One host.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// Unique; also what the host is found by with [`outrigger::net::Net::resolve`].
    pub name: String,
    pub region: u16,
    /// How many crashes it can be restarted after, plus one; at most [`MAX_LIVES`].
    pub lives: u16,
    /// What stands between this host and the others, the nearest first.
    pub hops: Vec<Hop>,
}

impl HostSpec {
    pub fn new(name: impl Into<String>, region: u16) -> Self {
        Self { name: name.into(), region, lives: 1, hops: Vec::new() }
    }

    #[must_use]
    pub fn lives(self, lives: u16) -> Self {
        Self { lives, ..self }
    }

    #[must_use]
    pub fn hop(mut self, hop: Hop) -> Self {
        self.hops.push(hop);
        self
    }
}

/// Everything that decides how a run goes.
#[derive(Debug, Clone)]
pub struct Options {
    pub seed: u64,
    pub hosts: Vec<HostSpec>,
    /// One direction each; where there is none, latency is 100 µs and nothing is lost.
    pub links: Vec<(Place, Place, Link)>,
    /// More names, each for one or more hosts.
    pub names: Vec<(String, Vec<String>)>,
    /// Virtual time after which the run fails.
    pub time_limit: Duration,
    /// Events of the network after which the run fails.
    pub event_limit: u64,
    /// Wall clock at the start, since 1970.
    pub epoch: Duration,
    /// Every packet becomes a line of the history.
    pub trace: bool,
}

impl Options {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            hosts: Vec::new(),
            links: Vec::new(),
            names: Vec::new(),
            time_limit: DEFAULT_TIME_LIMIT,
            event_limit: DEFAULT_EVENT_LIMIT,
            epoch: Duration::from_secs(EPOCH_S),
            trace: false,
        }
    }

    #[must_use]
    pub fn host(mut self, host: HostSpec) -> Self {
        self.hosts.push(host);
        self
    }

    /// The same link in both directions.
    #[must_use]
    pub fn link(mut self, a: Place, b: Place, link: Link) -> Self {
        self.links.push((a, b, link));
        if a != b {
            self.links.push((b, a, link));
        }
        self
    }
}

/// What the network did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sent by hosts and middleboxes, retransmissions included.
    pub packets: u64,
    /// On the wire without Ethernet.
    pub bytes: u64,
    /// Packets, ACKs and timers that were scheduled.
    pub events: u64,
    /// Sweeps over all kernels: the cost of a run grows with them.
    pub passes: u64,
    /// Times that a task, or the play, was polled, as each is when something has woken it; and once for each task's end.
    pub turns: u64,
}

/// A run that came to its end.
#[derive(Debug)]
pub struct Outcome<R> {
    /// What the future returned.
    pub result: R,
    pub stats: Stats,
    pub virtual_time: Duration,
    pub digest: Digest,
    pub log: Vec<Entry>,
    pub cuts: Vec<Cut>,
    pub traffic: Vec<Traffic>,
}

/// Why a run has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error("panic in {place}: {message}")]
    Panic { place: String, message: String },
    #[error("the run was not done after {0:?} of virtual time")]
    TimeLimit(Duration),
    #[error("the run was not done after {0} events of the network")]
    EventLimit(u64),
    #[error("the options do not fit together: {0}")]
    Options(String),
}

/// Runs `play` on paused time among the hosts of `options`, on a thread of its own, until it is done.
///
/// Tasks that are still running then are dropped. A panic in `play` or in any task of a host is the error of the run.
pub fn run<R, Fut>(options: Options, play: impl FnOnce(World) -> Fut + Send) -> Result<Outcome<R>, RunError>
where
    R: Send,
    Fut: Future<Output = R>,
{
    check(&options)?;
    on_own_thread(options.seed, move || run_here(&options, play))
}

/// Runs are on a thread each: what they know is in its thread-locals.
pub(crate) fn on_own_thread<R: Send>(
    seed: u64,
    work: impl FnOnce() -> Result<R, RunError> + Send,
) -> Result<R, RunError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(format!("seed {seed}")).stack_size(STACK_BYTES);
        let running = thread.spawn_scoped(scope, work).expect("threads are left");
        running.join().unwrap_or_else(|panic| Err(RunError::panic("the engine", &*panic)))
    })
}

impl RunError {
    pub(crate) fn panic(place: &str, payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        let message = text.unwrap_or_else(|| "of an unknown kind".to_owned());
        Self::Panic { place: place.to_owned(), message }
    }
}

pub(crate) fn check(options: &Options) -> Result<(), RunError> {
    let fail = |what: String| Err(RunError::Options(what));
    if options.hosts.len() > usize::from(u16::MAX) {
        return fail("more than 65,535 hosts".into());
    }
    for (index, host) in options.hosts.iter().enumerate() {
        if options.hosts[..index].iter().any(|other| other.name == host.name) {
            return fail(format!("two hosts are called {}", host.name));
        }
        if !(1..=MAX_LIVES).contains(&host.lives) {
            return fail(format!("{} has {} lives; write 1 to {MAX_LIVES}", host.name, host.lives));
        }
    }
    let known = |name: &String| options.hosts.iter().any(|host| host.name == *name);
    match options.names.iter().flat_map(|(_, hosts)| hosts).find(|name| !known(name)) {
        Some(name) => fail(format!("no host is called {name}")),
        None => Ok(()),
    }
}

fn run_here<R, Fut: Future<Output = R>>(
    options: &Options,
    play: impl FnOnce(World) -> Fut,
) -> Result<Outcome<R>, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park(state::on_park)
        .on_thread_unpark(state::forget_now)
        .build()
        .expect("a runtime without I/O needs nothing that can be missing");
    let hosts = register(options);
    let limit_us = u64::try_from(options.time_limit.as_micros()).unwrap_or(u64::MAX / 2);
    let played = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            state::install(State::new(options, hosts));
            play_until_done(play, limit_us).await
        })
    }));
    // Streams close their sockets when they are dropped, so every task goes before the kernels do.
    drop(runtime);
    let state = state::uninstall();
    let result = played.map_err(|panic| RunError::panic("the play", &*panic))??;
    let mut state = state.expect("it was installed and nobody else takes it");
    if let Some(error) = state.failure.take() {
        return Err(error);
    }
    Ok(Outcome {
        result,
        stats: Stats { turns: state::turns(), ..state.stats },
        virtual_time: Duration::from_micros(state.ended_us),
        digest: state.log.digest(),
        traffic: state.traffic(),
        log: state.log.take(),
        cuts: std::mem::take(&mut state.cuts),
    })
}

async fn play_until_done<R, Fut: Future<Output = R>>(
    play: impl FnOnce(World) -> Fut,
    limit_us: u64,
) -> Result<R, RunError> {
    #[expect(clippy::disallowed_methods, reason = "the driver belongs to no host")]
    let mut driver = tokio::spawn(driver::drive(limit_us));
    let ended = tokio::select! {
        biased;
        () = state::failed() => Err(with(|s| s.failure.clone()).expect("it rings only then")),
        ended = &mut driver => Err(match ended {
            Ok(error) => error,
            Err(join) => match join.try_into_panic() {
                Ok(panic) => RunError::panic("the network", &*panic),
                Err(join) => unreachable!("nobody cancels the driver: {join}"),
            },
        }),
        result = state::play(play(World::new())) => Ok(result),
    };
    driver.abort();
    // Outside of the runtime, time is real again.
    with(State::end);
    ended
}

/// Builds the kernels of all lives of all hosts: none can be added later.
fn register(options: &Options) -> Vec<Host> {
    let config = KernelConfig::default()
        .mtu(KERNEL_MTU)
        .send_buf_cap(KERNEL_SEND_BYTES)
        .recv_buf_cap(KERNEL_RECEIVE_BYTES)
        .default_backlog(BACKLOG)
        // Its own retransmission counts passes, not time; nothing is lost between kernel and network.
        .retx_threshold(u32::MAX);
    let mut kernels = turmoil_net::Net::with_config(config);
    let host = |(index, spec): (u16, &HostSpec)| {
        let [high, low] = index.to_be_bytes();
        let ip = address(index, spec.region);
        let address = |life: u16| {
            let [_, life_low] = life.to_be_bytes();
            if life == 0 { ip } else { std::net::Ipv4Addr::new(100, 64 + life_low, high, low) }
        };
        let lives = (0..spec.lives).map(|life| (kernels.add_host(std::net::IpAddr::V4(address(life))), address(life)));
        let lives = lives.collect();
        Host {
            name: Arc::from(spec.name.as_str()),
            region: spec.region,
            ip,
            lives,
            life: 0,
            up: true,
            ports_taken: 0,
            process: 0,
            tasks: Vec::new(),
            prune_at: MIN_TASKS_TO_PRUNE,
            entropy: Stream::new(options.seed, &format!("host {}", spec.name)),
            skew_us: 0,
            hops: spec.hops.clone(),
        }
    };
    let hosts = (0..).zip(&options.hosts).map(host).collect();
    state::install_guard(kernels.enter());
    hosts
}

/// The outer address of a host.
pub(crate) fn address(index: u16, region: u16) -> std::net::Ipv4Addr {
    let ([high, low], [_, region]) = (index.to_be_bytes(), region.to_be_bytes());
    std::net::Ipv4Addr::new(10, region, high, low)
}
