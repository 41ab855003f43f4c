//! The one table of figures that a run yields and that a scenario may expect.

/// What a figure counts, and the number that stands for it in [`super::Metrics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A whole number.
    Count,
    /// Microseconds.
    Time,
    /// Bytes.
    Bytes,
    /// So many times a second.
    PerSecond,
    /// A number without unit.
    Ratio,
}

impl Unit {
    /// As the reference says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Time => "time",
            Self::Bytes => "bytes",
            Self::PerSecond => "per second",
            Self::Ratio => "ratio",
        }
    }
}

/// A figure, measured for every group of clients and for all clients together.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub unit: Unit,
    /// A sentence.
    pub about: &'static str,
    pub parts: Parts,
}

/// What stands after the dot in the name of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Nothing: there is no dot.
    None,
    /// The cause of an end, see [`CAUSES`].
    Cause,
    /// Another group of clients, to which the figure is set in relation.
    Group,
}

/// Why sessions end, as the sidecar tells it (`outrigger_shared::close::Cause`), without the side.
pub const CAUSES: [&str; 17] = [
    "close",
    "idle",
    "keepalive_lost",
    "lifetime",
    "drain",
    "message_too_big",
    "too_many_fragments",
    "frame_too_big",
    "rate_exceeded",
    "protocol",
    "gone",
    "reset",
    "stalled",
    "eof",
    "shutdown",
    "operator",
    "rebalance",
];

/// The metric of this name, without what comes after a dot.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

const fn metric(name: &'static str, unit: Unit, about: &'static str) -> Metric {
    Metric { name, unit, about, parts: Parts::None }
}

/// All metrics, in the order of the reference.
pub static METRICS: [Metric; 46] = [
    metric("requests", Unit::Count, "HTTP requests that clients sent, upgrades included."),
    metric("failed_requests", Unit::Count, "Requests without an answer, or with a status of 400 and above."),
    metric("connections", Unit::Count, "TCP connections that clients opened."),
    metric("failed_connects", Unit::Count, "Attempts to connect that failed, TLS and upgrade included."),
    metric("tls_handshakes", Unit::Count, "TLS handshakes that clients finished."),
    metric("handshakes", Unit::Count, "WebSocket upgrades that were answered with 101."),
    metric("connection_time", Unit::Time, "Time that connections of clients were open, summed up."),
    metric(
        "bytes_up",
        Unit::Bytes,
        "Bytes on the wire from clients: headers of IP and TCP, ACKs, TLS and retransmissions included.",
    ),
    metric("bytes_down", Unit::Bytes, "The same towards clients."),
    metric("payload_up", Unit::Bytes, "Payload of messages, or bodies of requests, from clients."),
    metric("payload_down", Unit::Bytes, "Payload of messages, or bodies of answers, to clients."),
    metric("messages_up", Unit::Count, "WebSocket messages that apps received."),
    metric("messages_sent", Unit::Count, "WebSocket messages that clients sent."),
    metric(
        "messages_unacknowledged",
        Unit::Count,
        "Those of them whose session ended before their acknowledgement came.",
    ),
    metric("messages_lost", Unit::Count, "Those of these that no app has."),
    metric("acknowledged_lost", Unit::Count, "Messages that were acknowledged and that no app has."),
    metric("messages_down", Unit::Count, "WebSocket messages or events that clients received."),
    metric("updates", Unit::Count, "Updates that were made, each counted once for every client that it was for."),
    metric("updates_delivered", Unit::Count, "Updates that clients got, each counted once per client."),
    metric("updates_lost", Unit::Count, "Updates that a client should have got and had not at the end of the run."),
    metric("updates_duplicated", Unit::Count, "Updates that a client got once more."),
    metric("update_delay_p50", Unit::Time, "From the moment an update exists to the moment its client has it: median."),
    metric("update_delay_p99", Unit::Time, "The same: 99 of 100 are faster."),
    metric("update_delay_max", Unit::Time, "The same: the slowest."),
    metric(
        "staleness_p50",
        Unit::Time,
        "How long ago a client's newest knowledge was true, looked at once a second: median.",
    ),
    metric("staleness_p99", Unit::Time, "The same: 99 of 100 are fresher."),
    metric("staleness_max", Unit::Time, "The same: the stalest."),
    metric("sessions_opened", Unit::Count, "Upgraded sessions, event streams included."),
    metric("sessions_lost", Unit::Count, "Sessions that ended though neither client nor app wanted it."),
    metric("sessions_open", Unit::Count, "Sessions that are open at the end of the run."),
    metric("reconnects", Unit::Count, "Sessions opened by a client that had one before."),
    metric("reconnect_peak_per_s", Unit::PerSecond, "Most sessions re-opened within one second."),
    metric("reconnect_peak_5s", Unit::PerSecond, "The same within any five seconds, for each second of them."),
    metric(
        "drain_peak",
        Unit::Ratio,
        "Of the sessions that one drain ended, the most re-opened within any half of its window, compared with half of \
         them: 1 is even, 2 is all at once. The greatest of all drains of 20 sessions and more.",
    ),
    metric(
        "time_to_recover_p50",
        Unit::Time,
        "From the loss of a session, known to its client or not, to the next one: median.",
    ),
    metric("time_to_recover_p99", Unit::Time, "The same: 99 of 100 are faster."),
    metric("time_to_recover_max", Unit::Time, "The same: the slowest."),
    metric(
        "app_peak_per_s",
        Unit::PerSecond,
        "Most sessions that one app of a sidecar with several got within one second.",
    ),
    metric(
        "upstream_moves",
        Unit::Count,
        "Times that new connections of any sidecar went to another region than before.",
    ),
    metric("upstream_ejections", Unit::Count, "Times that any sidecar ejected an app."),
    metric("close_1006", Unit::Count, "Ends that a client saw without any Close frame."),
    metric("hop_cuts", Unit::Count, "Connections that a hop cut."),
    Metric {
        name: "ended_by_cause",
        unit: Unit::Count,
        about: "Sessions that the sidecar ended with, or saw ended by, this cause.",
        parts: Parts::Cause,
    },
    Metric {
        name: "requests_vs",
        unit: Unit::Ratio,
        about: "This group's `requests` per client, divided by those of the group after the dot.",
        parts: Parts::Group,
    },
    Metric {
        name: "bytes_vs",
        unit: Unit::Ratio,
        about: "This group's `bytes_up` and `bytes_down` per client, divided by those of the group after the dot.",
        parts: Parts::Group,
    },
    Metric {
        name: "update_delay_p99_vs",
        unit: Unit::Ratio,
        about: "This group's `update_delay_p99`, divided by that of the group after the dot.",
        parts: Parts::Group,
    },
];
