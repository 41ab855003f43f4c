//! The second network: `turmoil`, each host with a runtime of its own, time in ticks.
//!
//! turmoil steps all hosts by one tick after the other. What a task decides about the network itself, as the director
//! does, is done when the tick is over.

mod links;
mod net;
mod state;
mod task;

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::turmoil::Sim;
use tokio::task::JoinError;

use self::links::Pairs;
pub(super) use self::net::{TurmoilListener, TurmoilNet, TurmoilStream};
use self::state::{Order, State};
pub(super) use self::state::{now_us, with};
use crate::engine::{self, Options, Outcome, RunError};
use crate::fault::Fault;
use crate::rng::Stream;

/// The step of time: tokio's timers know no smaller one. Every tick costs something, whether anything happens or not.
const TICK: Duration = Duration::from_millis(1);
/// Where the play runs: a host that no fault touches, and that has no link to speak of.
const DIRECTOR: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
/// Segments that a stream takes before a write blocks, and SYNs that may wait for `accept`: turmoil has one number for
/// both, and panics when there are more SYNs. After a partition all those are there at once that clients have given up
/// long ago.
const CAPACITY: usize = 4096;

/// Runs `play` as a host of its own among those of `options`, on a thread of its own, until it is done.
///
/// Of the options, hops, bandwidths and the limit of events mean nothing here.
pub(super) fn run<R, Fut>(options: Options, play: impl FnOnce(World) -> Fut + Send) -> Result<Outcome<R>, RunError>
where
    R: Send + 'static,
    Fut: Future<Output = R> + 'static,
{
    engine::check(&options)?;
    engine::on_own_thread(options.seed, move || {
        state::install(State::new(&options));
        let played = step_until_done(&options, play);
        let state = state::uninstall().expect("it was installed and nobody else takes it");
        let (result, virtual_time) = played?;
        let mut log = state.log;
        let digest = log.digest();
        Ok(Outcome {
            result,
            stats: state.stats,
            virtual_time,
            digest,
            log: log.take(),
            cuts: Vec::new(),
            traffic: Vec::new(),
        })
    })
}

fn step_until_done<R: 'static, Fut: Future<Output = R> + 'static>(
    options: &Options,
    play: impl FnOnce(World) -> Fut,
) -> Result<(R, Duration), RunError> {
    let mut sim = build(options);
    let result = Rc::new(RefCell::new(None));
    let (slot, play) = (Rc::clone(&result), play(World(())));
    sim.client(DIRECTOR.to_string(), async move {
        let played = play.await;
        *slot.borrow_mut() = Some(played);
        Ok(())
    });
    let mut pairs = with(|s| Pairs::new(s));
    pairs.update(&sim);
    loop {
        let now = sim.elapsed();
        if now >= options.time_limit {
            return Err(RunError::TimeLimit(options.time_limit));
        }
        state::ticking(true, now);
        let stepped = catch_unwind(AssertUnwindSafe(|| sim.step()));
        state::ticking(false, sim.elapsed());
        let done = match stepped {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => return Err(failed(error)),
            Err(panic) => return Err(RunError::panic("turmoil", &*panic)),
        };
        with(|s| s.stats.passes += 1);
        if let Some(error) = with(|s| s.failure.take()) {
            return Err(error);
        }
        if done {
            // Everything else is dropped with the simulation.
            let result = result.borrow_mut().take().expect("a play that is done has yielded something");
            return Ok((result, sim.elapsed()));
        }
        obey(&mut sim, &mut pairs);
        pairs.lose(&sim);
    }
}

fn build<'a>(options: &Options) -> Sim<'a> {
    let mut builder = ::turmoil::Builder::new();
    builder
        .rng_seed(Stream::new(options.seed, "turmoil").next_u64())
        .epoch(SystemTime::UNIX_EPOCH + options.epoch)
        .tick_duration(TICK)
        .tcp_capacity(CAPACITY)
        // The limit is watched over here; turmoil's own would leave no result.
        .simulation_duration(options.time_limit + TICK);
    let mut sim = builder.build();
    sim.set_message_latency_curve(links::JITTER_CURVE);
    let hosts: Vec<(u16, Ipv4Addr)> = with(|s| (0..).zip(s.hosts.iter().map(|host| host.ip)).collect());
    for (index, ip) in hosts {
        // A host's software does nothing by itself; it is the runtime that counts, for everybody to run tasks on.
        sim.host(ip.to_string(), move || {
            task::began(index);
            std::future::pending::<::turmoil::Result>()
        });
    }
    sim
}

/// Does what was ordered in the tick that is over.
fn obey(sim: &mut Sim, pairs: &mut Pairs) {
    let orders = with(|s| std::mem::take(&mut s.orders));
    if orders.is_empty() {
        return;
    }
    for order in orders {
        match order {
            Order::Kill(host) => sim.crash(ip(host)),
            Order::PowerOff(host) => {
                pairs.silence(sim, host);
                sim.crash(ip(host));
            }
            Order::Restart(host) => sim.bounce(ip(host)),
            Order::Links => {}
        }
    }
    pairs.update(sim);
}

fn ip(host: u16) -> Ipv4Addr {
    with(|s| s.host(host).ip)
}

/// A play that panics is all that turmoil can fail of.
fn failed(error: Box<dyn std::error::Error>) -> RunError {
    match error.downcast::<JoinError>().map(|join| join.try_into_panic()) {
        Ok(Ok(panic)) => RunError::panic("the play", &*panic),
        Ok(Err(join)) => RunError::panic("the play", &join.to_string()),
        Err(error) => RunError::panic("turmoil", &error.to_string()),
    }
}

/// A handle on the run of this thread. Every method panics outside of the run.
#[derive(Debug, Clone, Copy)]
pub struct World(());

#[expect(clippy::unused_self, reason = "the handle is what shows that there is a run")]
impl World {
    pub(super) fn host(self, name: &str) -> TurmoilNet {
        TurmoilNet::current(self.index(name))
    }

    fn index(self, name: &str) -> u16 {
        let found = with(|s| s.hosts.iter().position(|host| *host.name == *name));
        let index = found.unwrap_or_else(|| panic!("no host is called {name}"));
        u16::try_from(index).expect("the options were checked")
    }

    pub(super) fn log(self, host: &str, text: String) {
        let now = now_us();
        with(|s| s.log.push(now, Arc::from(host), text));
    }

    pub(super) fn kill(self, name: &str) {
        self.apply(&Fault::Kill { host: self.index(name) });
    }

    pub(super) fn crash(self, name: &str) {
        self.apply(&Fault::Crash { host: self.index(name) });
    }

    pub(super) fn restart(self, name: &str) -> TurmoilNet {
        let index = self.index(name);
        self.log(name, "restart".to_owned());
        with(|s| {
            let seed = s.seed;
            let host = s.host_mut(index);
            host.end_process();
            host.up = true;
            host.entropy = Stream::new(seed, &format!("host {} process {}", host.name, host.process));
            s.orders.push(Order::Restart(index));
        });
        TurmoilNet::current(index)
    }

    pub(super) fn apply(self, fault: &Fault) {
        self.log("", format!("{fault:?}"));
        with(|s| s.apply(fault));
    }
}

impl State {
    fn apply(&mut self, fault: &Fault) {
        let order = match *fault {
            Fault::Block { from, to } => {
                self.links.block(from, to);
                Order::Links
            }
            Fault::Unblock { from, to } => {
                self.links.unblock(from, to);
                Order::Links
            }
            Fault::Partition { a, b } => {
                self.links.block(a, b);
                self.links.block(b, a);
                Order::Links
            }
            Fault::Heal { a, b } => {
                self.links.unblock(a, b);
                self.links.unblock(b, a);
                Order::Links
            }
            Fault::Link { from, to, link } => {
                self.links.set(from, to, link);
                Order::Links
            }
            Fault::Crash { host } => {
                self.host_mut(host).end_process();
                self.host_mut(host).up = false;
                Order::PowerOff(host)
            }
            Fault::Kill { host } => {
                self.host_mut(host).end_process();
                Order::Kill(host)
            }
            Fault::Skew { host, offset_us } => {
                self.host_mut(host).skew_us = offset_us;
                return;
            }
        };
        self.orders.push(order);
    }
}

impl state::Host {
    /// Its tasks do not go on; turmoil drops them when the tick is over.
    fn end_process(&mut self) {
        self.process += 1;
        self.runtime = None;
        self.waiting.clear();
    }
}
