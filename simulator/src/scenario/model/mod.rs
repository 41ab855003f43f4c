//! What a scenario resolves to: every reference is an id, every default is filled in.
//!
//! Times are exact to the microsecond. An id is an index into the list of its kind, in the order of the file.

mod clients;
mod faults;

use std::time::Duration;

use outrigger::config::Config;

pub use self::clients::*;
pub use self::faults::*;

/// An index into [`Scenario::regions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegionId(pub usize);

/// An index into [`Scenario::apps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppId(pub usize);

/// An index into [`Scenario::sidecars`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SidecarId(pub usize);

/// An index into [`Scenario::clients`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(pub usize);

/// One world, complete and free of contradictions.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: String,
    /// Shown in reports; may be empty.
    pub description: String,
    /// Virtual time in which clients run, updates are made and faults happen.
    pub duration: Duration,
    /// Virtual time after that, free of faults and updates, in which everything has to converge.
    pub heal: Duration,
    /// Seeds that a run takes when nobody says how many.
    pub seeds: u32,
    /// Never empty.
    pub regions: Vec<Region>,
    /// One way from the first region to the second; the diagonal joins hosts within a region. See [`Scenario::link`].
    pub links: Vec<Vec<Link>>,
    /// Between an app and a sidecar of the same region, each way.
    pub lan: Link,
    /// Never empty.
    pub apps: Vec<App>,
    /// Never empty.
    pub sidecars: Vec<Sidecar>,
    /// Never empty.
    pub clients: Vec<ClientGroup>,
    pub workload: Workload,
    pub faults: Vec<Fault>,
    pub random_faults: Option<RandomFaults>,
    pub expect: Expect,
    pub prices: Option<Prices>,
    /// At most two; [`variants`](super::variants) makes a scenario of each combination of their values.
    pub sweeps: Vec<Sweep>,
    /// The file itself, for [`write`](super::write) and [`variants`](super::variants).
    pub(in crate::scenario) source: crate::scenario::source::Source,
}

impl Scenario {
    /// The link from one region to another, or within one.
    pub fn link(&self, from: RegionId, to: RegionId) -> &Link {
        &self.links[from.0][to.0]
    }

    /// The file as it was read.
    pub fn text(&self) -> &str {
        &self.source.text
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    pub name: String,
}

/// One direction of a path between hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// One way, without jitter.
    pub latency: Duration,
    /// Added to the latency: from 0 to this much, drawn for each packet.
    pub jitter: Duration,
    /// Bits per second, shared by all that goes this way; `None` for no limit.
    pub bandwidth: Option<u64>,
    /// Packets lost, per million.
    pub loss_ppm: u32,
}

/// A closed interval of times from which one is drawn; both ends are the same when it is a fixed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    pub from: Duration,
    /// Not less than `from`.
    pub to: Duration,
}

/// A closed interval of bytes from which a size is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    pub from: u64,
    /// Not less than `from`.
    pub to: u64,
}

/// The server that sidecars stand in front of. Every update exists at every app at the same instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub name: String,
    pub region: RegionId,
    /// From the last byte of a request to the first of its answer, besides any wait for news.
    pub processing: TimeRange,
    /// How long a long poll is held before it is answered without news.
    pub hold: Duration,
    /// Updates kept for clients that ask for what they missed; older ones are lost to them.
    pub history: u32,
    /// The app's own WebSocket pings (SSE: comments) to each client.
    pub ping: Option<Duration>,
    /// Bytes of headers in an answer, besides those that HTTP and the simulated app need.
    pub headers: u32,
}

/// A sidecar: the real one, with its real configuration.
#[derive(Debug, Clone)]
pub struct Sidecar {
    pub name: String,
    pub region: RegionId,
    /// Never empty. Of several, each is an upstream by its own name.
    pub apps: Vec<AppId>,
    /// Resolved by `outrigger`'s own code. Its upstreams are `http://NAME:80` with the apps' names; where a listener
    /// needs a certificate, the paths are [`CERTIFICATE`] and [`CERTIFICATE_KEY`], which stand for the simulator's own.
    pub config: Config,
    /// Boxes between clients and this sidecar, the one nearest to the clients first.
    pub hops: Vec<Hop>,
}

/// Stands for the simulator's own certificate in [`Sidecar::config`].
pub const CERTIFICATE: &str = "simulated.crt";

/// Stands for the key of [`CERTIFICATE`].
pub const CERTIFICATE_KEY: &str = "simulated.key";

/// The port of every simulated app.
pub const APP_PORT: u16 = 80;

/// A load balancer or NAT on the way that ends connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Its name in the file, or that of its preset.
    pub name: String,
    /// Cuts a connection after this much silence of both sides; drawn once per connection.
    pub idle: Option<TimeRange>,
    /// Cuts a connection at this age, idle or not.
    pub lifetime: Option<Duration>,
    pub cut: Cut,
}

/// How a hop ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both sides get an RST.
    Rst,
    /// Both sides get a FIN.
    Fin,
    /// Nobody is told; packets of this connection vanish from then on.
    Silence,
}

/// What the apps have to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub updates: Updates,
    /// Bytes of one update.
    pub size: SizeRange,
    /// Of 10,000 clients, how many an update is for on average: each client draws for each update. 10,000 is all.
    pub listeners_per_10k: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    None,
    /// Independent of each other, on average `every` apart.
    Poisson {
        every: Duration,
    },
    /// Exactly `every` apart.
    Periodic {
        every: Duration,
    },
    /// `count` at once, the bursts exactly `every` apart.
    Burst {
        every: Duration,
        count: u32,
    },
}

/// Figures that must hold, in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    pub all: Vec<Expectation>,
}

/// One figure and its bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// `None` is for all clients together.
    pub group: Option<GroupId>,
    /// The group's name, empty for all: the first half of the key in [`Metrics`](super::Metrics).
    pub group_name: String,
    /// The second half: a name of the table of metrics, with its part after the dot if it has one.
    pub metric: String,
    pub unit: crate::scenario::metrics::Unit,
    pub bound: crate::scenario::expect::Bound,
    /// Where it is written.
    pub place: outrigger::config::Place,
    /// For metrics that set the group in relation to another.
    pub versus: Option<Versus>,
}

/// The other group of a relation.
#[derive(Debug, Clone, PartialEq)]
pub struct Versus {
    pub group_name: String,
    /// Clients of the group itself and of the other.
    pub counts: (u32, u32),
}

/// A key whose values are tried one after the other.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// As it is written: `clients.web.interval`.
    pub key: String,
    pub(in crate::scenario) values: Vec<crate::scenario::source::Value>,
    pub(in crate::scenario) place: outrigger::config::Place,
}

/// What things cost, in the user's currency; a price that is not given is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    pub currency: String,
    /// For a million requests.
    pub million_requests: Option<f64>,
    /// For one connection that is open for an hour.
    pub connection_hour: Option<f64>,
    /// For 2^30 bytes sent to clients.
    pub gib: Option<f64>,
}
