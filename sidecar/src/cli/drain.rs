//! `outrigger drain`: begins a drain by the admin API of a sidecar that runs, and waits until no session is left. For
//! `preStop` in images without a shell.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::ask::{AskError, Running};
use crate::net::Net;

/// How long the sidecar may take to answer one question.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often it is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// Answers that may fail to come in a row, as they do where a machine is very busy.
const MAX_FAILURES: u32 = 4;
/// How long is waited beyond the last Close: for answers to it, and for slow readers.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long is waited where sessions are left alone: the longest window there is.
const PATIENCE_WITHOUT_WINDOW: Duration = Duration::from_hours(1);

/// What `outrigger drain` was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    pub sidecar: Running,
    /// Instead of the sidecar's own, as it is written.
    pub window: Option<String>,
    /// `None` waits for what the drain needs, and two minutes.
    pub timeout: Option<Duration>,
    /// Whether to wait until no session is left.
    pub wait: bool,
}

/// Why it came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the sidecar at {admin} answers no more, with {left} sessions left: {why}")]
    Gone { admin: SocketAddr, left: usize, why: String },
    #[error("gave up after {} s, with {left} sessions left; the drain goes on", .waited.as_secs())]
    GaveUp { waited: Duration, left: usize },
}

/// As much of the answer as matters here.
#[derive(Debug, Clone, Deserialize)]
pub struct Progress {
    pub sessions: usize,
    pub sessions_left: usize,
    pub seconds_left: Option<f64>,
}

/// Begins the drain, or joins one that is underway, and waits for its end. `tell` hears how far it is.
pub async fn run<N: Net>(net: &N, drain: &Drain, mut tell: impl FnMut(&Progress)) -> Result<(), DrainError> {
    let (sidecar, admin) = (&drain.sidecar, drain.sidecar.admin);
    let query = drain.window.as_ref().map_or_else(String::new, |window| format!("?window={window}"));
    let began = Instant::now();
    let mut progress: Progress = sidecar.order(net, "drain", &query, ANSWER_WITHIN).await?;
    tell(&progress);
    let needed = progress.seconds_left.and_then(|left| Duration::try_from_secs_f64(left).ok());
    let needed = needed.map_or(PATIENCE_WITHOUT_WINDOW, |needed| needed + PATIENCE);
    let patience = drain.timeout.unwrap_or(needed);
    let mut failures = 0;
    while drain.wait && progress.sessions_left > 0 {
        let waited = began.elapsed();
        if waited >= patience {
            return Err(DrainError::GaveUp { waited, left: progress.sessions_left });
        }
        sleep(ASK_EVERY.min(patience.saturating_sub(waited))).await;
        match sidecar.look(net, "/drain", ANSWER_WITHIN).await {
            Ok((StatusCode::OK, body)) if serde_json::from_slice::<Progress>(&body).is_ok() => {
                progress = serde_json::from_slice(&body).expect("it has just been read");
                failures = 0;
                tell(&progress);
            }
            outcome => {
                failures += 1;
                if failures > MAX_FAILURES {
                    let why = outcome.map_or_else(|why| why, |(status, _)| status.to_string());
                    return Err(DrainError::Gone { admin, left: progress.sessions_left, why });
                }
            }
        }
    }
    Ok(())
}
