//! Structured logs on stderr: text on a terminal, JSON otherwise.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use outrigger_shared::choose::Change;
use outrigger_shared::event::Event;
use outrigger_shared::relay::Relay;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, reload};

use super::{Notice, Observer};
use crate::config::{self, LogFormat};
use crate::session::Who;

/// Sends everything at `log.level` and above to stderr. A second call changes nothing, and neither does its answer.
pub fn init(log: config::Log) -> Level {
    let terminal = stderr().is_terminal();
    let json = is_json(log.format);
    let (filter, level) = reload::Layer::new(LevelFilter::from_level(log.level));
    let registry = Registry::default().with(filter);
    let lines = fmt::layer().with_writer(stderr).with_target(false);
    // h2 tells of every frame, which is nobody's business here.
    let ours = filter_fn(|line| line.target().starts_with(env!("CARGO_CRATE_NAME")));
    // Fails only where a subscriber is set already, which is what the caller wants.
    let _ = if json {
        let lines = lines.json().flatten_event(true).with_current_span(false).with_filter(ours);
        tracing::subscriber::set_global_default(registry.with(lines))
    } else {
        tracing::subscriber::set_global_default(registry.with(lines.with_ansi(terminal).with_filter(ours)))
    };
    Level(level)
}

/// Whether stderr gets JSON.
pub(super) fn is_json(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

/// The level of the log, which can be changed while it is written.
#[derive(Debug, Clone)]
pub struct Level(reload::Handle<LevelFilter, Registry>);

impl Level {
    /// From here on, everything at `level` and above is logged.
    pub fn set(&self, level: tracing::Level) {
        // Fails only where the subscriber is gone, and then nobody logs anything.
        let _ = self.0.reload(LevelFilter::from_level(level));
    }

    /// Of a log that nobody writes.
    #[cfg(test)]
    pub(crate) fn of_no_log() -> Self {
        Self(reload::Layer::new(LevelFilter::OFF).1)
    }

    pub fn get(&self) -> Option<tracing::Level> {
        self.0.clone_current().and_then(LevelFilter::into_level)
    }
}

/// Writes to the log what an operator should see of sessions and upstreams while they live. The account of each at its end
/// is the [access log](super::AccessLog)'s.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Observer for Log {
    fn event(&self, who: &Who, event: &Event) {
        step(who, event);
    }

    fn ended(&self, _: &Who, _: Duration, _: &Relay) {}

    fn notice(&self, notice: &Notice<'_>) {
        if let Notice::Upstream(change) = notice {
            upstream(change);
        }
    }
}

/// Steps that are an operator's business are warnings, the others are for debugging.
fn step(who: &Who, event: &Event) {
    let session = who.id;
    match event {
        Event::SessionOpened => {
            tracing::debug!(session, client = %who.client, scheme = who.scheme, host = %who.host, path = %who.path, "session opened");
        }
        Event::Backpressure { from, on } => tracing::debug!(session, from = from.as_str(), on, "backpressure"),
        Event::PingSent { to } => tracing::trace!(session, to = to.as_str(), "keepalive ping sent"),
        Event::PongReceived { from, rtt } => {
            tracing::trace!(session, from = from.as_str(), rtt_us = micros(*rtt), "keepalive pong received");
        }
        Event::CloseReceived { from, code } => {
            tracing::debug!(session, from = from.as_str(), code = code.0, "close received");
        }
        Event::CloseSent { to, code } => tracing::debug!(session, to = to.as_str(), code = code.0, "close sent"),
        Event::LimitHit { from, limit } => {
            tracing::warn!(session, from = from.as_str(), limit = limit.as_str(), "limit hit");
        }
        Event::RateLimited { from, on } => tracing::debug!(session, from = from.as_str(), on, "rate limited"),
        Event::Violation { from, what } => {
            tracing::warn!(session, from = from.as_str(), what = %what, "protocol violation");
        }
        // The access log has all the figures.
        _ => {}
    }
}

/// What becomes of one of several upstreams.
fn upstream(change: &Change) {
    match change {
        Change::Ejected { name, pause } => {
            tracing::warn!(upstream = %name, pause_ms = millis(*pause), "upstream ejected: new connections go elsewhere");
        }
        Change::Returned { name, away } => {
            tracing::info!(upstream = %name, away_ms = millis(*away), "upstream is well again");
        }
        Change::Moved { from, to } => {
            let (region, priority) = (&*to.region, to.priority);
            let before = from.as_ref().map(|from| &*from.region);
            tracing::info!(region, priority, before, "new connections go to this region");
        }
    }
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}
