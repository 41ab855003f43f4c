//! What goes wrong, and when.

use std::time::Duration;

use super::{AppId, GroupId, RegionId, SidecarId, TimeRange};

/// A fault as it is written, one for each host of a list: times may still be ranges, drawn by
/// [`schedule`](crate::scenario::schedule()).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The fault's `name`, or `faults/N` with N counting from 0; of several hosts, with `/N` behind it. No two are the
    /// same.
    pub label: String,
    /// Names its stream of randomness: its label, or, for all hosts of one list, what their labels have in common.
    pub drawn_as: String,
    pub at: TimeRange,
    /// Comes so long after what is drawn from `at`.
    pub later: Duration,
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
    /// Whole milliseconds; never beyond the end of [`Scenario::duration`](super::Scenario::duration).
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
