//! What a scenario resolves to: every reference is an id, every default is filled in.
//!
//! Times are exact to the microsecond. An id is an index into the list of its kind, in the order of the file.

use std::time::Duration;

use outrigger::config::Config;

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
    /// At most two; [`super::variants`] makes a scenario of each combination of their values.
    pub sweeps: Vec<Sweep>,
    /// The file itself, for [`super::write`] and [`super::variants`].
    pub(super) source: super::source::Source,
}

impl Scenario {
    /// The link from one region to another, or within one.
    pub fn link(&self, from: RegionId, to: RegionId) -> &Link {
        &self.links[from.0][to.0]
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
    pub app: AppId,
    /// Resolved by `outrigger`'s own code. Its upstream is `http://NAME:80` with the app's name; where a listener
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

/// Clients that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientGroup {
    pub name: String,
    /// At least one.
    pub count: u32,
    pub region: RegionId,
    /// Sidecars in the order in which a client tries them; after a failure it takes the next, after the last the
    /// first. Never empty, no sidecar twice.
    pub targets: Vec<SidecarId>,
    /// Every target has a listener that fits: `https` with TLS, `http` without.
    pub tls: bool,
    /// Boxes on the clients' side, the one nearest to the client first; they come before those of the sidecar.
    pub via: Vec<Hop>,
    /// Clients start spread evenly at random over this much time.
    pub start_spread: Duration,
    /// Bytes of headers in a request, besides those that HTTP and WebSocket need: cookies, user agent.
    pub headers: u32,
    /// Bytes per second that a client reads at most.
    pub reads: Option<u64>,
    /// For TCP and TLS; then the attempt counts as failed.
    pub connect_timeout: Duration,
    /// Waits between attempts to connect, or between requests that fail.
    pub reconnect: Backoff,
    pub kind: ClientKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKind {
    Push(Push),
    Poller(Poller),
    LongPoller(LongPoller),
    Sse(Sse),
}

impl ClientKind {
    /// As it is written in a scenario.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Push(_) => "push",
            Self::Poller(_) => "poller",
            Self::LongPoller(_) => "long-poller",
            Self::Sse(_) => "sse",
        }
    }
}

/// A WebSocket client to which the app pushes; it reconnects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// After a reconnect it asks for what it missed.
    pub resume: bool,
    /// Pings of its own after this much silence; a ping unanswered for as long ends the connection.
    pub ping: Option<Duration>,
    /// Messages of its own, which the app takes and does not answer.
    pub sends: Option<Sends>,
    /// How long a client stays before it closes with 1000 and comes back; drawn each time.
    pub stays: Option<TimeRange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sends {
    /// One message each time this much has passed.
    pub every: Duration,
    pub size: SizeRange,
}

/// Short polling: a request each interval, answered at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poller {
    /// From the start of one request to the start of the next; a request that takes longer delays the next.
    pub interval: Duration,
    /// Sends the last `ETag`, and gets a 304 without body when there is no news.
    pub etag: bool,
    /// Keeps its connection between requests.
    pub keep_alive: bool,
    /// For one answer; then the request counts as failed.
    pub timeout: Duration,
}

/// Long polling: the app holds a request until there is news; the next follows at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongPoller {
    /// Keeps its connection between requests.
    pub keep_alive: bool,
    /// For one answer; then the request counts as failed.
    pub timeout: Duration,
}

/// Server-sent events over one long answer; it reconnects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sse {
    /// Sends `Last-Event-ID` after a reconnect, and so gets what it missed.
    pub resume: bool,
}

/// Waits after failures: `base`, then each `factor` times the one before, never above `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    pub base: Duration,
    /// At least 1.
    pub factor: f64,
    /// Not less than `base`.
    pub max: Duration,
    pub jitter: Jitter,
}

impl Eq for Backoff {}

/// What is drawn from a wait of w.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// w itself.
    None,
    /// From w/2 to w.
    Equal,
    /// From 0 to w.
    Full,
}

/// What the apps have to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub updates: Updates,
    /// Bytes of one update.
    pub size: SizeRange,
    /// Of 10,000 clients, how many an update is for; who they are is drawn for each update. 10,000 is all.
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

/// A fault as it is written: times may still be ranges, drawn by [`super::schedule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Names its stream of randomness: the fault's `name`, or `faults/N` with N counting from 0. No two are the same.
    pub label: String,
    pub at: TimeRange,
    /// How long it lasts.
    pub lasts: TimeRange,
    pub kind: FaultKind,
}

/// Faults that are drawn from the seed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RandomFaults {
    pub count: u32,
    /// Never empty; each can happen in this world.
    pub kinds: Vec<FaultWord>,
    pub at: TimeRange,
    pub lasts: TimeRange,
}

/// A fault with its time and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFault {
    /// As [`Fault::label`]; faults drawn as a whole are `random/N`.
    pub label: String,
    /// Whole milliseconds from the start.
    pub at: Duration,
    /// Whole milliseconds; never beyond the end of [`Scenario::duration`].
    pub lasts: Duration,
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing passes between the two, in neither direction.
    Partition { a: Peer, b: Peer },
    /// Nothing passes from the first to the second.
    OneWayPartition { from: Peer, to: Peer },
    /// Loss between the two, in both directions, on top of that of the link.
    LossBurst { a: Peer, b: Peer, loss_ppm: u32 },
    /// Latency between the two, in both directions, on top of that of the link.
    LatencySpike { a: Peer, b: Peer, latency: Duration },
    /// The process dies and its kernel says so (RST); a new one starts at the end.
    Kill { host: Host },
    /// The machine dies and says nothing; a new one starts at the end.
    PowerLoss { host: Host },
    /// SIGTERM: a sidecar drains, an app closes its sockets in order. A new process starts when the old one is gone and
    /// the time is over, whichever is later.
    Restart { host: Host },
    /// Some clients read no more than this.
    SlowReader {
        group: GroupId,
        /// Of 10,000 clients of the group; at least one client is slow.
        per_10k: u16,
        /// Bytes per second; 0 reads nothing.
        reads: u64,
    },
    /// The app neither reads, answers nor pushes; its sockets stay.
    AppStall { app: AppId },
    /// The host's wall clock is off by this much.
    ClockSkew { host: Host, ahead: bool, by: Duration },
}

impl FaultKind {
    pub fn word(&self) -> FaultWord {
        match self {
            Self::Partition { .. } => FaultWord::Partition,
            Self::OneWayPartition { .. } => FaultWord::OneWayPartition,
            Self::LossBurst { .. } => FaultWord::LossBurst,
            Self::LatencySpike { .. } => FaultWord::LatencySpike,
            Self::Kill { .. } => FaultWord::Kill,
            Self::PowerLoss { .. } => FaultWord::PowerLoss,
            Self::Restart { .. } => FaultWord::Restart,
            Self::SlowReader { .. } => FaultWord::SlowReader,
            Self::AppStall { .. } => FaultWord::AppStall,
            Self::ClockSkew { .. } => FaultWord::ClockSkew,
        }
    }
}

/// The kind of a fault, without whom it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultWord {
    Partition,
    OneWayPartition,
    LossBurst,
    LatencySpike,
    Kill,
    PowerLoss,
    Restart,
    SlowReader,
    AppStall,
    ClockSkew,
}

impl FaultWord {
    pub const ALL: [Self; 10] = [
        Self::Partition,
        Self::OneWayPartition,
        Self::LossBurst,
        Self::LatencySpike,
        Self::Kill,
        Self::PowerLoss,
        Self::Restart,
        Self::SlowReader,
        Self::AppStall,
        Self::ClockSkew,
    ];

    /// As it is written in a scenario.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::OneWayPartition => "one-way-partition",
            Self::LossBurst => "loss-burst",
            Self::LatencySpike => "latency-spike",
            Self::Kill => "kill",
            Self::PowerLoss => "power-loss",
            Self::Restart => "restart",
            Self::SlowReader => "slow-reader",
            Self::AppStall => "app-stall",
            Self::ClockSkew => "clock-skew",
        }
    }
}

/// A machine with a process that can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    App(AppId),
    Sidecar(SidecarId),
}

/// One end of a path: everything in a region, one machine, or one group of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    Region(RegionId),
    App(AppId),
    Sidecar(SidecarId),
    Clients(GroupId),
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
    /// The group's name, empty for all: the first half of the key in [`super::Metrics`].
    pub group_name: String,
    /// The second half: a name of the table of metrics, with its part after the dot if it has one.
    pub metric: String,
    pub unit: super::metrics::Unit,
    pub bound: super::expect::Bound,
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
    pub(super) values: Vec<super::source::Value>,
    pub(super) place: outrigger::config::Place,
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
