//! `outrigger reload`: has a sidecar that runs read its configuration again, and says what became of it.

use std::time::Duration;

use serde::Deserialize;

use super::ask::{AskError, Running};
use crate::net::Net;

/// How long it may take: the names of new upstreams are looked up.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// What is to be said of a configuration that is in force.
#[derive(Debug, Clone, Deserialize)]
pub struct Reloaded {
    pub warnings: Vec<String>,
    /// Keys that keep their old values until the sidecar starts anew.
    pub needs_restart: Vec<String>,
}

/// Asks for it, and waits for the outcome.
pub async fn run<N: Net>(net: &N, sidecar: &Running) -> Result<Reloaded, AskError> {
    sidecar.order(net, "reload", "", ANSWER_WITHIN).await
}
