//! What can be said of the app at one moment, for people.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::DialError;
use crate::config::Target;

/// The app as the sidecar finds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
    pub target: String,
    /// HTTP connections that wait for a further request.
    pub idle_connections: usize,
    /// How many may.
    pub idle_connections_max: usize,
    /// `None` where upgrades do not wait for an app that is away.
    pub hold: Option<Held>,
    pub last_dial: Option<LastDial>,
}

/// The line of upgrades that wait for the app.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    pub waiting: usize,
    pub max: usize,
    /// How long the app has been away; `None` while it is there.
    pub away_s: Option<f64>,
}

/// The dial that ended last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastDial {
    pub ok: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// How long ago it ended, and how long it took.
    pub ago_s: f64,
    pub took_s: f64,
}

/// The same, to be kept.
#[derive(Debug)]
pub(super) struct Dialled {
    ended: Instant,
    took: Duration,
    error: Option<String>,
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

pub(super) fn show_target(target: &Target, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    match target {
        Target::Tcp { host, port } if host.contains(':') => format!("{scheme}://[{host}]:{port}"),
        Target::Tcp { host, port } => format!("{scheme}://{host}:{port}"),
        Target::Unix(path) => format!("unix:{}", path.display()),
    }
}
