//! What can be said of an upstream at one moment, for people.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::{DialError, Snapshot, Way};

/// One upstream as the sidecar finds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer to a question of its own")]
pub(crate) struct Shown {
    name: String,
    address: String,
    /// `None` where none is configured.
    region: Option<String>,
    priority: u16,
    weight: u16,
    /// Whether it is where the app beside the sidecar goes out to.
    egress: bool,
    /// The requests that it is for, where not for all.
    host: Option<String>,
    path: Option<String>,
    /// Whether it was taken out of the configuration, and is there for its sessions alone.
    retired: bool,
    well: bool,
    /// Whether new connections go to its region and priority.
    home: bool,
    /// Failures in a row.
    fails: u32,
    ejections: u64,
    /// While it is ejected: how long until it is tried.
    ejected_for_s: Option<f64>,
    /// The average time to connect, once it is known.
    connect_s: Option<f64>,
    /// Sessions, and requests without an answer yet.
    sessions: u64,
    dialling: u64,
    /// HTTP connections that wait for a further request.
    idle_connections: usize,
    last_dial: Option<LastDial>,
}

/// The line of upgrades that wait for the app.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Held {
    pub(super) waiting: usize,
    pub(super) max: usize,
    /// How long the app has been away; `None` while it is there.
    pub(super) away_s: Option<f64>,
}

/// The dial that ended last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LastDial {
    ok: bool,
    /// Why it failed.
    error: Option<String>,
    /// How long ago it ended, and how long it took.
    ago_s: f64,
    took_s: f64,
}

/// The same, to be kept.
#[derive(Debug)]
pub(super) struct Dialled {
    ended: Instant,
    took: Duration,
    error: Option<String>,
}

impl Shown {
    pub(super) fn new(snapshot: &Snapshot, idle_connections: usize, last_dial: Option<LastDial>) -> Self {
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
        Self {
            region: (!snapshot.region.is_empty()).then(|| snapshot.region.to_string()),
            name: snapshot.name.to_string(),
            address: snapshot.address.to_string(),
            priority: snapshot.priority,
            weight: snapshot.weight,
            egress: false,
            host: None,
            path: None,
            retired: snapshot.retired,
            well: snapshot.is_well,
            home: snapshot.is_home,
            fails: snapshot.fails,
            ejections: snapshot.ejections,
            ejected_for_s: seconds(snapshot.ejected_for),
            connect_s: seconds(snapshot.connect),
            sessions: snapshot.sessions,
            dialling: snapshot.dialling,
            idle_connections,
            last_dial,
        }
    }

    /// The same, in a set that takes this.
    pub(super) fn on(self, way: &Way) -> Self {
        Self { egress: way.egress, host: way.route.host.clone(), path: way.route.path.clone(), ..self }
    }
}

impl Held {
    /// Both lines as one; what is away is away for as long as the first that is.
    pub(super) fn and(self, other: Self) -> Self {
        let away_s = self.away_s.into_iter().chain(other.away_s).reduce(f64::max);
        Self { waiting: self.waiting + other.waiting, max: self.max + other.max, away_s }
    }
}

impl Dialled {
    pub(super) fn new<T>(began: Instant, outcome: &Result<T, DialError>) -> Self {
        let ended = Instant::now();
        let error = outcome.as_ref().err().map(ToString::to_string);
        Self { ended, took: ended.saturating_duration_since(began), error }
    }

    pub(super) fn show(&self) -> LastDial {
        LastDial {
            ok: self.error.is_none(),
            error: self.error.clone(),
            ago_s: self.ended.elapsed().as_secs_f64(),
            took_s: self.took.as_secs_f64(),
        }
    }
}
