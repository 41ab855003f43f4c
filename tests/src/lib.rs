//! What the end-to-end tests stand on: the real `outrigger` process, a client that writes and reads exact
//! bytes, an app that records every byte it was sent, certificates, and other people's clients.
//!
//! Everything is plain threads and blocking sockets, so that a test reads like the conversation it checks.
//! Nothing sleeps to synchronise: a test waits for a condition, at most [`PATIENCE`] long, and when the
//! condition does not come, the failure shows what did.

#![expect(clippy::return_self_not_must_use, reason = "a chain of checks may end after any of them")]

pub mod app;
pub mod certs;
pub mod collector;
pub mod held;
pub mod hop;
pub mod http;
pub mod kubernetes;
pub mod samples;
pub mod scratch;
pub mod sidecar;
pub mod tools;
pub mod wire;
pub mod ws;

use std::time::Duration;

pub use app::{App, Conn};
pub use certs::{Authority, Identity};
pub use collector::{Collector, Reply};
pub use held::Held;
pub use hop::Hop;
pub use http::{Head, Response};
pub use samples::Samples;
pub use scratch::Scratch;
pub use sidecar::{Launch, Sidecar};
pub use wire::{End, Wire};
pub use ws::{Frame, Side};

/// How long a test waits for something that must happen. Generous: machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes as a person wants to read them in a failure: escaped, and cut after 2,000 of them.
pub fn show(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 2000;
    let cut = bytes.len().min(SHOWN_BYTES);
    let more = if bytes.len() > cut { format!("… ({} bytes in all)", bytes.len()) } else { String::new() };
    format!("\"{}\"{more}", bytes[..cut].escape_ascii())
}
