//! The admin API: what people, probes and scripts may see of a running sidecar, and ask of it.
//!
//! A listener of its own, plain HTTP/1.1. Whoever reaches it may read; who may change something is [`access`]'s to say.
//! It answers until the process ends, so that readiness and the progress of a drain can be read to the last, or until
//! another process serves at the same address.
//!
//! [`route`] is the one table of what there is. Each family of endpoints is a file: it gets a [`call::Call`] and gives
//! back a response.

mod access;
mod call;
mod config;
mod drain;
mod health;
mod log;
mod metrics;
mod query;
mod reload;
mod reply;
mod route;
mod serve;
mod sessions;
mod token;
mod upstreams;

use std::sync::Arc;

use tokio::time::Instant;

use crate::control::Control;
use crate::net::Net;

pub(crate) use serve::accept;
pub use token::TokenError;
pub(crate) use token::TokenFile;

/// What the endpoints stand on.
pub(crate) struct Admin<N: Net> {
    control: Arc<Control<N>>,
    token: Option<TokenFile>,
    since: Instant,
}

impl<N: Net> Admin<N> {
    /// `token` lets other hosts change something.
    pub(crate) fn new(control: Arc<Control<N>>, token: Option<TokenFile>) -> Arc<Self> {
        Arc::new(Self { control, token, since: Instant::now() })
    }
}
