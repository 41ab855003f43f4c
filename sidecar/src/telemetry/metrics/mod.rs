//! Figures of the whole process, for Prometheus and OpenTelemetry.
//!
//! They are counted here and not by a metrics library: page and OTLP are both made from one [`Snapshot`], and what a
//! busy session adds on every turn is a handful of atomic additions.

mod store;
mod table;
mod text;
mod traffic;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use http::Method;
use outrigger_shared::choose::Change;
use outrigger_shared::close::{CloseCode, Initiator, Side};
use outrigger_shared::event::Event;
use outrigger_shared::relay::{Relay, Stats};
use tokio::time::Instant;

pub use store::{Snapshot, Value};
pub use table::{FAMILIES, Family, Id, Kind};
pub use text::Format;

use self::store::Store;
use self::traffic::Traffic;
use super::otlp::Tally;
use super::{Exchange, Fault, Notice, Observer};
use crate::drain::Progress;
use crate::lifecycle::Stage;
use crate::session::Who;
use crate::upstream;

/// Upstreams of which all series are shown from the start: as many as have room beside each other. Those of further ones
/// begin with their first event.
const MAX_ZEROS_OF_UPSTREAMS: usize = 32;

/// What is not counted as it happens but looked up when somebody asks.
#[derive(Debug, Clone)]
pub struct Now {
    pub stage: Stage,
    /// `None` before there is one.
    pub drain: Option<Progress>,
    /// Clients' connections that are open, and how many there may be.
    pub connections: usize,
    pub max_connections: usize,
    /// What the app is called, and how many upgrades wait for it.
    pub held: (String, usize),
    pub upstreams: Vec<upstream::Snapshot>,
}

impl Now {
    /// The upstreams that are configured, as they are called in all that is counted of them.
    fn named(&self) -> impl Iterator<Item = (&str, &upstream::Snapshot)> {
        // One that was taken out of the configuration may have left its name to another.
        let there = || self.upstreams.iter().filter(|upstream| !upstream.retired);
        // A single one is called by its address.
        let only = there().count() == 1;
        there().map(move |upstream| (if only { &*self.held.0 } else { &*upstream.name }, upstream))
    }
}

/// All figures of a process.
#[derive(Debug)]
pub struct Metrics {
    started: SystemTime,
    store: Store,
    traffic: Traffic,
    /// By the [`Side`] that is not read.
    held_back: [Mutex<HeldBack>; 2],
    /// Where something is exported.
    exports: OnceLock<Arc<Tally>>,
}

/// How many sessions are held back, and for how long all of them together have been.
#[derive(Debug)]
struct HeldBack {
    sessions: u32,
    time: Duration,
    /// `time` is right as of this moment.
    at: Instant,
}

impl HeldBack {
    fn settle(&mut self) -> &mut Self {
        let now = Instant::now();
        self.time += (now - self.at) * self.sessions;
        self.at = now;
        self
    }
}

impl Metrics {
    /// Call within the runtime; `started` is the wall clock now.
    pub fn new(started: SystemTime) -> Self {
        let held_back = || Mutex::new(HeldBack { sessions: 0, time: Duration::ZERO, at: Instant::now() });
        let metrics = Self {
            started,
            store: Store::new(),
            traffic: Traffic::default(),
            held_back: [held_back(), held_back()],
            exports: OnceLock::new(),
        };
        metrics.show_zeros();
        metrics
    }

    /// The page that Prometheus scrapes.
    pub fn page(&self, now: &Now, format: Format) -> String {
        text::page(&self.snapshot(now), format)
    }

    /// Every family at this moment.
    pub fn snapshot(&self, now: &Now) -> Vec<Snapshot> {
        self.show_zeros_of(now);
        let mut snapshots = self.store.snapshot();
        let mut put = |id: Id, labels: &[&str], value: Value| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            snapshots[id as usize].series.push((labels, value));
        };
        let mut number = |id, labels: &[&str], number| put(id, labels, Value::Number(number));
        number(Id::BuildInfo, &[env!("CARGO_PKG_VERSION")], 1.0);
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        number(Id::Started, &[], started.as_secs_f64());
        for stage in [Stage::Running, Stage::Draining, Stage::Stopping, Stage::Closing] {
            number(Id::Stage, &[stage.as_str()], f64::from(u8::from(stage == now.stage)));
        }
        let drain = now.drain.as_ref();
        number(Id::DrainBegan, &[], drain.map_or(0.0, |drain| count(drain.sessions)));
        number(Id::DrainLeft, &[], drain.map_or(0.0, |drain| count(drain.left)));
        number(Id::DrainTime, &[], drain.and_then(|drain| drain.window_left).unwrap_or_default().as_secs_f64());
        number(Id::Connections, &[], count(now.connections));
        number(Id::MaxConnections, &[], count(now.max_connections));
        let (app, held) = &now.held;
        number(Id::Held, &[app], count(*held));
        for (name, upstream) in now.named() {
            let flag = |flag: bool| f64::from(u8::from(flag));
            number(Id::UpstreamWell, &[name], flag(upstream.is_well));
            number(Id::UpstreamHome, &[name], flag(upstream.is_home));
            number(Id::UpstreamSessions, &[name], float(upstream.sessions));
            number(Id::Ejections, &[name], float(upstream.ejections));
        }
        for side in Side::BOTH {
            let mut held_back = lock(&self.held_back[side as usize]);
            let HeldBack { sessions, time, .. } = held_back.settle();
            number(Id::HeldBack, &[side.as_str()], f64::from(*sessions));
            number(Id::HeldBackTime, &[side.as_str()], time.as_secs_f64());
        }
        self.traffic.snapshot(&mut put);
        if let Some(exports) = self.exports.get() {
            exports.snapshot(&mut put);
        }
        snapshots
    }

    /// What became of exports is among the figures from now on. The first one holds.
    pub(crate) fn show_exports(&self, tally: Arc<Tally>) {
        let _ = self.exports.set(tally);
    }

    /// Since when everything is counted.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// Makes series whose labels are known, so that the first event is an increase and not a beginning.
    fn show_zeros(&self) {
        for scheme in ["ws", "wss", "tls"] {
            self.store.add(Id::Sessions, &[scheme], 0.0);
            self.store.add(Id::Opened, &[scheme], 0.0);
        }
        for (by, cause, sides) in ENDS {
            for side in *sides {
                self.store.add(Id::Ended, &[by, cause, side], 0.0);
            }
        }
        for listener in ["http", "https", "tls"] {
            self.store.add(Id::Accepted, &[listener], 0.0);
            self.store.add(Id::TurnedAway, &[listener], 0.0);
        }
        for (version, result) in [("1.2", "ok"), ("1.3", "ok"), ("none", "failed"), ("none", "timeout")] {
            self.store.add(Id::TlsHandshakes, &[version, result], 0.0);
        }
        for outcome in ["accepted", "refused"].into_iter().chain(Fault::ALL.map(Fault::as_str)) {
            self.store.add(Id::Upgrades, &[outcome], 0.0);
        }
        self.store.add(Id::Moves, &[], 0.0);
        for side in Side::BOTH.map(Side::as_str) {
            for limit in ["message_size", "frame_size", "fragments", "rate"] {
                self.store.add(Id::LimitsHit, &[side, limit], 0.0);
            }
            self.store.add(Id::RateLimited, &[side], 0.0);
            self.store.add(Id::Violations, &[side], 0.0);
            self.store.add(Id::Pongs, &[side], 0.0);
        }
    }

    /// The same for upstreams, which a reload can change.
    fn show_zeros_of(&self, now: &Now) {
        for reason in ["full", "too_long", "draining"] {
            self.store.add(Id::NotHeld, &[&now.held.0, reason], 0.0);
        }
        for (name, _) in now.named().take(MAX_ZEROS_OF_UPSTREAMS) {
            for result in ["ok", "refused", "timeout", "resolve", "tls", "tls_timeout", "failed"] {
                self.store.add(Id::Dials, &[name, result], 0.0);
            }
            self.store.add(Id::Reused, &[name], 0.0);
        }
    }

    fn answered(&self, exchange: &Exchange) {
        let status = exchange.status.as_str();
        let took = exchange.took.as_secs_f64();
        self.store.observe(Id::Requests, &[known_method(&exchange.method), status, exchange.scheme], took);
        if exchange.upgrade {
            self.add(Id::Upgrades, &[exchange.outcome()]);
            if exchange.has_session() {
                self.store.observe(Id::UpgradeDuration, &[], took);
            }
        }
    }

    fn add(&self, id: Id, labels: &[&str]) {
        self.store.add(id, labels, 1.0);
    }

    fn closed(&self, side: Side, code: Option<CloseCode>) {
        self.add(Id::Closes, &[side.as_str(), &code_label(code)]);
    }
}

/// Who can begin which end, and the sides that can be at fault.
const ENDS: &[(&str, &str, &[&str])] = &[
    ("client", "close", &[""]),
    ("app", "close", &[""]),
    ("sidecar", "idle", &[""]),
    ("sidecar", "lifetime", &[""]),
    ("sidecar", "drain", &[""]),
    ("sidecar", "shutdown", &[""]),
    ("sidecar", "operator", &[""]),
    ("sidecar", "rebalance", &[""]),
    ("sidecar", "cut", &[""]),
    ("client", "gone", &["client"]),
    ("app", "gone", &["app"]),
    ("client", "reset", &["client"]),
    ("app", "reset", &["app"]),
    ("sidecar", "keepalive_lost", &["client", "app"]),
    ("sidecar", "message_too_big", &["client", "app"]),
    ("sidecar", "frame_too_big", &["client", "app"]),
    ("sidecar", "too_many_fragments", &["client", "app"]),
    ("sidecar", "rate_exceeded", &["client", "app"]),
    ("sidecar", "protocol", &["client", "app"]),
    ("sidecar", "stalled", &["client", "app"]),
    ("client", "eof", &[""]),
    ("app", "eof", &[""]),
];

impl Observer for Metrics {
    fn event(&self, who: &Who, event: &Event) {
        match event {
            Event::SessionOpened => {
                self.add(Id::Opened, &[who.scheme]);
                self.store.add(Id::Sessions, &[who.scheme], 1.0);
            }
            Event::Backpressure { from, on } => {
                let mut held_back = lock(&self.held_back[*from as usize]);
                let held_back = held_back.settle();
                held_back.sessions = held_back.sessions.saturating_add_signed(if *on { 1 } else { -1 });
            }
            Event::PongReceived { from, rtt } => {
                self.add(Id::Pongs, &[from.as_str()]);
                self.store.observe(Id::PingRtt, &[from.as_str()], rtt.as_secs_f64());
            }
            Event::LimitHit { from, limit } => self.add(Id::LimitsHit, &[from.as_str(), limit.as_str()]),
            Event::RateLimited { from, on: true } => self.add(Id::RateLimited, &[from.as_str()]),
            Event::Violation { from, .. } => self.add(Id::Violations, &[from.as_str()]),
            // Counted from the relay's own figures, or at the end.
            _ => {}
        }
    }

    fn ended(&self, who: &Who, lived: Duration, relay: &Relay) {
        self.store.add(Id::Sessions, &[who.scheme], -1.0);
        self.store.observe(Id::Lived, &[who.scheme], lived.as_secs_f64());
        let Some(end) = relay.end() else { return };
        let side = end.cause.side().map_or("", Side::as_str);
        self.add(Id::Ended, &[end.by.as_str(), end.cause.as_str(), side]);
        // Raw sessions have no Closes.
        if who.scheme != "tls" {
            self.closed(Side::Client, end.client_code);
            self.closed(Side::App, end.app_code);
        }
    }

    fn cut(&self, who: &Who) {
        self.store.add(Id::Sessions, &[who.scheme], -1.0);
        self.add(Id::Ended, &[Initiator::Sidecar.as_str(), "cut", ""]);
    }

    fn passed(&self, from: Side, passed: &Stats) {
        self.traffic.add(from, passed);
    }

    fn counts_traffic(&self) -> bool {
        true
    }

    fn notice(&self, notice: &Notice<'_>) {
        match *notice {
            Notice::Accepted { scheme } => self.add(Id::Accepted, &[scheme]),
            Notice::TurnedAway { scheme } => self.add(Id::TurnedAway, &[scheme]),
            Notice::TlsHandshake { result: Ok(version), took } => {
                self.add(Id::TlsHandshakes, &[version, "ok"]);
                self.store.observe(Id::TlsDuration, &[], took.as_secs_f64());
            }
            Notice::TlsHandshake { result: Err(why), .. } => self.add(Id::TlsHandshakes, &["none", why]),
            Notice::Answered(exchange) => self.answered(exchange),
            Notice::Dialled { upstream, result, took } => {
                self.add(Id::Dials, &[upstream, result.err().unwrap_or("ok")]);
                if result.is_ok() {
                    self.store.observe(Id::DialDuration, &[upstream], took.as_secs_f64());
                }
            }
            Notice::Reused { upstream } => self.add(Id::Reused, &[upstream]),
            Notice::NotHeld { upstream, why } => self.add(Id::NotHeld, &[upstream, why]),
            Notice::Upstream(Change::Moved { from: Some(_), .. }) => self.add(Id::Moves, &[]),
            Notice::Upstream(_) => {}
        }
    }
}

/// The methods of OpenTelemetry's conventions; a client's own are `_OTHER`.
pub(crate) fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        "QUERY" => "QUERY",
        _ => "_OTHER",
    }
}

/// Peers choose among thousands of codes: those with a meaning by their number, the others by their kind.
fn code_label(code: Option<CloseCode>) -> String {
    match code.map(|code| code.0) {
        None => "1006".to_owned(),
        Some(code @ 1000..=1015) => code.to_string(),
        Some(3000..=3999) => "3xxx".to_owned(),
        Some(_) => "4xxx".to_owned(),
    }
}

fn count(n: usize) -> f64 {
    float(n as u64)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn float(n: u64) -> f64 {
    n as f64
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
