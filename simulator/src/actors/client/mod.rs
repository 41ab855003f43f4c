//! The clients: four ways to learn of updates.
//!
//! A client is one future that holds its connections: dropped, it is a client whose machine was switched off. Told to
//! stop, it leaves in good order.

mod backoff;
mod dial;
mod http;
mod long_poller;
mod poller;
mod push;
mod read_rate;
mod reconnect;
mod session;
mod sse;

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

pub use backoff::{Backoff, Jitter};
pub use long_poller::{LongPoller, LongPolling};
pub use poller::{Poller, Polling};
pub use push::{Messages, Pinging, Push, PushClient};
pub use read_rate::ReadRate;
pub use sse::{Sse, SseClient};

/// What all kinds of clients are told.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    pub target: Target,
    pub timeouts: Timeouts,
    /// Sent with every request, on top of `Host` and what the request needs. What a client sends here is a good part
    /// of what polling costs.
    pub headers: HeaderMap,
    /// The feed that is listened to, for the account alone.
    pub feed: u32,
    /// The client wants the updates after this one.
    pub since: u64,
    /// Whether polls say who asks, as requests for sessions always do: an app whose updates are for some must know.
    pub polls_name_client: bool,
}

impl ClientSettings {
    /// Everything after the beginning, default timeouts, no further headers.
    pub fn new(target: Target, feed: u32) -> Self {
        Self {
            target,
            timeouts: Timeouts::default(),
            headers: HeaderMap::new(),
            feed,
            since: 0,
            polls_name_client: false,
        }
    }
}

/// Where a client dials to. The name is resolved anew at each dial.
#[derive(Debug, Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    pub tls: Option<ClientTls>,
}

/// How a client speaks TLS.
#[derive(Debug, Clone)]
pub struct ClientTls {
    pub config: Arc<ClientConfig>,
    /// The name that is asked for, and that the certificate must have.
    pub name: ServerName<'static>,
}

/// How long a client waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the name and for a connection to each of its addresses, together.
    pub connect: Duration,
    /// For the TLS handshake.
    pub tls_handshake: Duration,
    /// For the whole of an answer, and for the head of an upgrade's or an event stream's. A long poll gets it on top
    /// of the time it asks for.
    pub answer: Duration,
    /// For the connection to take one WebSocket frame.
    pub write: Duration,
    /// For the other end to finish a closing handshake.
    pub close: Duration,
}

impl Default for Timeouts {
    /// 10 s, 10 s, 30 s, 30 s, 2 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            tls_handshake: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            write: Duration::from_secs(30),
            close: Duration::from_secs(2),
        }
    }
}
