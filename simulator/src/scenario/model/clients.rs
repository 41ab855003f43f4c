//! Clients and how they behave.

use std::time::Duration;

use super::{Hop, RegionId, SidecarId, SizeRange, TimeRange};

/// Clients that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientGroup {
    pub name: String,
    /// At least one.
    pub count: u32,
    pub region: RegionId,
    /// Never empty, no sidecar twice.
    pub targets: Vec<SidecarId>,
    pub pick: Pick,
    /// How long a balancer takes to learn of a sidecar that it is not ready any more, or ready again; `None` for never.
    pub endpoint_lag: Option<TimeRange>,
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

/// Which of several targets an attempt goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The first; after a failure the next, after the last the first.
    InOrder,
    /// Any that is ready.
    Random,
    /// Of those that are ready the one with the fewest open connections.
    LeastConnections,
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
    /// How long a client stays before it closes with 1000 and comes back at once; drawn each time.
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
    /// Drawn once for each client.
    pub base: TimeRange,
    /// At least 1.
    pub factor: f64,
    /// Not less than `base`.
    pub max: Duration,
    pub jitter: Jitter,
    /// A session that lived this long was no failure.
    pub stable_after: Duration,
}

impl Eq for Backoff {}

/// What is drawn from a wait of w.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// w itself.
    None,
    /// From w/2 to w.
    Equal,
    /// From w/2 to 3w/2, and only then no more than the longest wait.
    Half,
    /// From 0 to w.
    Full,
}
