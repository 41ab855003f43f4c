//! The network under a world, so that nothing above has to know which of two it is.
//!
//! The first is [`crate::engine`], over `turmoil-net`: exact to the microsecond, with a model of TCP, of links and of
//! the hops on the way. The second is `turmoil`, which shares no code with it, knows less and keeps other time. What
//! holds on both does not hold by the grace of one network's own mistakes.

mod host;
mod turmoil;

use std::time::Duration;

use tokio::time::Instant;

pub use self::host::{HostListener, HostNet, HostStream};
use crate::actors::Clock;
use crate::engine::{self, Options, Outcome, RunError};
use crate::fault::Fault;
use crate::middlebox::Cut;
use crate::wan::Traffic;

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    #[default]
    TurmoilNet,
    Turmoil,
}

impl Backend {
    pub const ALL: [Self; 2] = [Self::TurmoilNet, Self::Turmoil];

    /// As it is given on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TurmoilNet => "turmoil-net",
            Self::Turmoil => "turmoil",
        }
    }
}

/// Runs `play` among the hosts of `options`, as [`engine::run`] does, on one of the two networks.
pub fn run<R, Fut>(
    backend: Backend,
    options: Options,
    play: impl FnOnce(Network) -> Fut + Send,
) -> Result<Outcome<R>, RunError>
where
    R: Send + 'static,
    Fut: Future<Output = R> + 'static,
{
    match backend {
        Backend::TurmoilNet => engine::run(options, |world| play(Network::TurmoilNet(world))),
        Backend::Turmoil => turmoil::run(options, |world| play(Network::Turmoil(world))),
    }
}

/// A handle on the network of this thread's run; clones are the same.
#[derive(Debug, Clone, Copy)]
pub enum Network {
    TurmoilNet(engine::World),
    Turmoil(turmoil::World),
}

impl Network {
    /// The time of the run, the same on every host. To be called once, when the run begins.
    pub fn clock(self) -> Clock {
        match self {
            Self::TurmoilNet(_) => Clock::since(Instant::now()),
            Self::Turmoil(_) => Clock::of(turmoil::now_us),
        }
    }

    /// Virtual time since the start.
    pub fn now(self) -> Duration {
        match self {
            Self::TurmoilNet(world) => world.now(),
            Self::Turmoil(_) => Duration::from_micros(turmoil::now_us()),
        }
    }

    /// The host's current process. Panics on a name that is none.
    pub fn host(self, name: &str) -> HostNet {
        match self {
            Self::TurmoilNet(world) => HostNet::TurmoilNet(world.host(name)),
            Self::Turmoil(world) => HostNet::Turmoil(world.host(name)),
        }
    }

    /// A new process on the host; see [`engine::World::restart`].
    pub fn restart(self, name: &str) -> HostNet {
        match self {
            Self::TurmoilNet(world) => HostNet::TurmoilNet(world.restart(name)),
            Self::Turmoil(world) => HostNet::Turmoil(world.restart(name)),
        }
    }

    /// See [`Fault::Kill`].
    pub fn kill(self, name: &str) {
        match self {
            Self::TurmoilNet(world) => world.kill(name),
            Self::Turmoil(world) => world.kill(name),
        }
    }

    /// See [`Fault::Crash`].
    pub fn crash(self, name: &str) {
        match self {
            Self::TurmoilNet(world) => world.crash(name),
            Self::Turmoil(world) => world.crash(name),
        }
    }

    /// Does it now.
    pub fn apply(self, fault: &Fault) {
        match self {
            Self::TurmoilNet(world) => world.apply(fault),
            Self::Turmoil(world) => world.apply(fault),
        }
    }

    /// Appends to the history; `host` may be empty.
    pub fn log(self, host: &str, text: impl Into<String>) {
        match self {
            Self::TurmoilNet(world) => world.log(host, text),
            Self::Turmoil(world) => world.log(host, text.into()),
        }
    }

    /// What hops have cut so far.
    pub fn cuts(self) -> Vec<Cut> {
        match self {
            Self::TurmoilNet(world) => world.cuts(),
            Self::Turmoil(_) => Vec::new(),
        }
    }

    /// What was on the wire so far; `None` where nobody knows.
    pub fn traffic(self) -> Option<Vec<Traffic>> {
        match self {
            Self::TurmoilNet(world) => Some(world.traffic()),
            Self::Turmoil(_) => None,
        }
    }
}

/// A host's entropy in the run of this thread, for code that is given nothing but the host's number.
///
/// # Panics
/// Outside of a run.
pub(crate) fn entropy(host: u16, out: &mut [u8]) {
    if engine::try_with(|s| s.host_mut(host).entropy.fill(out)).is_none() {
        turmoil::with(|s| s.host_mut(host).entropy.fill(out));
    }
}
