//! The one table of metrics: names, units, labels, help. Names are those of OpenTelemetry; those of Prometheus follow
//! from them (OpenTelemetry's "Prometheus and OpenMetrics Compatibility").

/// What kind of figure a family holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    Gauge,
    /// Upper bounds, inclusive, of its classes; the last class has none.
    Histogram(&'static [f64]),
}

/// A family of time series.
#[derive(Debug)]
pub struct Family {
    /// With dots, as in OpenTelemetry.
    pub name: &'static str,
    pub kind: Kind,
    /// A UCUM unit; `{things}` where things are counted.
    pub unit: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

impl Family {
    /// The name in Prometheus, with its unit and `_total`.
    pub fn prometheus(&self) -> String {
        let mut name = self.base();
        if self.kind == Counter {
            name.push_str("_total");
        }
        name
    }

    /// As [`Family::prometheus`], without the `_total` of a counter, which OpenMetrics counts among its samples' names.
    pub(super) fn base(&self) -> String {
        let mut name = label(self.name);
        if let Some(suffix) = self.unit_suffix() {
            name.push('_');
            name.push_str(suffix);
        }
        name
    }

    /// The unit as part of the name.
    pub(super) fn unit_suffix(&self) -> Option<&'static str> {
        match self.unit {
            "s" => Some("seconds"),
            "By" => Some("bytes"),
            _ => None,
        }
    }
}

/// The name of a label in Prometheus.
pub(super) fn label(name: &str) -> String {
    name.replace('.', "_")
}

/// Up to ten seconds, for what a client waits for.
const WAITS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From a loopback to a satellite.
const ROUND_TRIPS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// From a second to a week; the usual idle limits of hops lie on bounds.
const LIVES: &[f64] = &[1.0, 10.0, 30.0, 60.0, 100.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0, 604_800.0];
/// [`SIZE_BOUNDS`](outrigger_shared::relay::SIZE_BOUNDS); a test holds them together.
const SIZES: &[f64] = &[128.0, 1024.0, 8192.0, 65_536.0, 524_288.0, 4_194_304.0];

macro_rules! families {
    ($($id:ident: $kind:expr, $name:literal, $unit:literal, $labels:expr, $help:literal;)*) => {
        /// A family's place in the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Id { $($id),* }

        /// Every family, in the order of [`Id`].
        pub static FAMILIES: &[Family] =
            &[$(Family { name: $name, kind: $kind, unit: $unit, labels: &$labels, help: $help }),*];
    };
}

use Kind::{Counter, Gauge, Histogram};

families! {
    BuildInfo: Gauge, "outrigger.build.info", "1", ["version"],
        "1, with the version of the program.";
    Started: Gauge, "process.start_time", "s", [],
        "When the process started, in seconds since 1970.";
    Stage: Gauge, "outrigger.stage", "1", ["stage"],
        "1 for the stage of the process: running, draining, stopping or closing.";
    DrainBegan: Gauge, "outrigger.drain.sessions.at_start", "{session}", [],
        "Sessions that were open when the drain began; 0 before it.";
    DrainLeft: Gauge, "outrigger.drain.sessions.left", "{session}", [],
        "Sessions that the drain has still to see the end of; 0 before it.";
    DrainTime: Gauge, "outrigger.drain.time_left", "s", [],
        "Time until the drain has asked the last session to close; 0 before it.";

    Connections: Gauge, "outrigger.connections", "{connection}", [],
        "Connections of clients that are open, those of sessions included.";
    MaxConnections: Gauge, "outrigger.connections.limit", "{connection}", [],
        "How many there may be: max_connections, or what follows from the limit on open files.";
    Accepted: Counter, "outrigger.connections.accepted", "{connection}", ["listener"],
        "Connections that listeners took, by the listener's scheme.";
    TurnedAway: Counter, "outrigger.connections.turned_away", "{connection}", ["listener"],
        "Connections over max_connections.";
    TlsHandshakes: Counter, "outrigger.tls.handshakes", "{handshake}", ["version", "result"],
        "TLS handshakes of clients, by version and result: ok, failed or timeout.";
    TlsDuration: Histogram(WAITS), "outrigger.tls.handshake.duration", "s", [],
        "Time that successful TLS handshakes took.";

    Requests: Histogram(WAITS), "http.server.request.duration", "s",
        ["http.request.method", "http.response.status_code", "url.scheme"],
        "Time from the header of a request to the end of its answer; for an upgrade, to the 101.";
    Upgrades: Counter, "outrigger.upgrades", "{request}", ["outcome"],
        "Requests for a session, by outcome: accepted, refused by the app, or why the sidecar refused.";
    UpgradeDuration: Histogram(WAITS), "outrigger.upgrade.duration", "s", [],
        "Time from a request for a session to the 101, for those that were accepted.";

    Sessions: Gauge, "outrigger.sessions", "{session}", ["scheme"],
        "Sessions that are open.";
    Opened: Counter, "outrigger.sessions.opened", "{session}", ["scheme"],
        "Sessions opened.";
    Ended: Counter, "outrigger.sessions.ended", "{session}", ["by", "cause", "side"],
        "Sessions ended: who began the end, why, and the side at fault if there is one.";
    Lived: Histogram(LIVES), "outrigger.session.duration", "s", ["scheme"],
        "How long sessions lived.";
    Closes: Counter, "outrigger.closes", "{close}", ["side", "code"],
        "Close codes with which sessions ended, as each side saw it; 1006 for a bare end.";

    Messages: Counter, "outrigger.messages", "{message}", ["from", "opcode"],
        "Messages, counted at their first frame.";
    Payload: Counter, "outrigger.message.payload", "By", ["from", "opcode"],
        "Payload of whole messages as it was on the wire, that is compressed where compression was agreed on.";
    MessageSize: Histogram(SIZES), "outrigger.message.size", "By", ["from"],
        "Payload of whole messages as it was on the wire.";
    Control: Counter, "outrigger.control_frames", "{frame}", ["from", "opcode"],
        "Pings, pongs and Closes of the peers' own.";
    Received: Counter, "outrigger.received", "By", ["from"],
        "Bytes that sessions received, frame headers included.";
    Injected: Counter, "outrigger.frames.injected", "{frame}", ["to", "opcode"],
        "Pings and Closes of the sidecar's own.";

    PingRtt: Histogram(ROUND_TRIPS), "outrigger.ping.rtt", "s", ["side"],
        "Round trips of keepalive pings.";
    Pongs: Counter, "outrigger.keepalive.pongs", "{pong}", ["from"],
        "Answers to keepalive pings.";
    HeldBack: Gauge, "outrigger.backpressure.sessions", "{session}", ["from"],
        "Sessions that are not read from this side because the other one is slow.";
    HeldBackTime: Counter, "outrigger.backpressure.time", "s", ["from"],
        "Time for which sessions were not read from this side because the other one is slow, summed over sessions.";
    LimitsHit: Counter, "outrigger.limits.hit", "{session}", ["from", "limit"],
        "Sessions that ended at a limit.";
    RateLimited: Counter, "outrigger.rate_limited", "{time}", ["from"],
        "How often a side went over its rate and was slowed down.";
    Violations: Counter, "outrigger.protocol.violations", "{violation}", ["from"],
        "Frames that RFC 6455 forbids.";

    Dials: Counter, "outrigger.upstream.dials", "{dial}", ["upstream", "result"],
        "Attempts to connect to an upstream, by result: ok, refused, timeout, resolve, tls, tls_timeout or failed.";
    DialDuration: Histogram(WAITS), "outrigger.upstream.dial.duration", "s", ["upstream"],
        "Time that successful attempts took, TLS included.";
    Reused: Counter, "outrigger.upstream.reused", "{request}", ["upstream"],
        "Requests sent over a connection that was kept.";
    UpstreamWell: Gauge, "outrigger.upstream.well", "1", ["upstream"],
        "1 while new connections may go to an upstream, 0 while it is ejected.";
    UpstreamHome: Gauge, "outrigger.upstream.home", "1", ["upstream"],
        "1 for the upstreams of the region and priority that new connections go to.";
    UpstreamSessions: Gauge, "outrigger.upstream.sessions", "{session}", ["upstream"],
        "Sessions with an upstream, and requests that it has not answered yet.";
    Ejections: Counter, "outrigger.upstream.ejections", "{ejection}", ["upstream"],
        "How often an upstream was ejected after failures in a row.";
    Moves: Counter, "outrigger.upstream.moves", "{move}", [],
        "How often new connections went over to another region or priority.";
    Held: Gauge, "outrigger.upstream.held", "{upgrade}", ["upstream"],
        "Upgrades that wait for an upstream that cannot be reached.";
    SpansExported: Counter, "outrigger.otlp.spans.exported", "{span}", [],
        "Spans that a collector took.";
    SpansLost: Counter, "outrigger.otlp.spans.lost", "{span}", ["reason"],
        "Spans that no collector has: queue_full, unavailable, refused, rejected, nonsense or stopped.";
    Exports: Counter, "outrigger.otlp.exports", "{request}", ["signal", "result"],
        "Attempts to hand traces or metrics to a collector, by result: accepted, partial, unavailable, refused or nonsense.";

    NotHeld: Counter, "outrigger.upstream.not_held", "{upgrade}", ["upstream", "reason"],
        "Upgrades that were refused while an upstream could not be reached: full, too_long or draining.";
}
