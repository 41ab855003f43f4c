//! `outrigger reload`: has a sidecar that runs read its configuration again, and says what became of it.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use super::ask::{AskError, Running, refusal};
use crate::net::Net;

/// How long it may take: the names of new upstreams are looked up.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// Why the configuration before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the sidecar at {admin} refuses to reload ({status}): {why}")]
    Refused { admin: SocketAddr, status: StatusCode, why: String },
}

/// What is to be said of a configuration that is in force.
#[derive(Debug, Clone, Deserialize)]
pub struct Reloaded {
    pub warnings: Vec<String>,
    /// Keys that keep their old values until the sidecar starts anew.
    pub needs_restart: Vec<String>,
}

/// Asks for it, and waits for the outcome.
pub async fn run<N: Net>(net: &N, sidecar: &Running) -> Result<Reloaded, ReloadError> {
    let (status, body) = sidecar.order(net, "/reload", ANSWER_WITHIN).await?;
    match serde_json::from_slice(&body) {
        Ok(reloaded) if status.is_success() => Ok(reloaded),
        _ => Err(ReloadError::Refused { admin: sidecar.admin, status, why: refusal(&body) }),
    }
}
