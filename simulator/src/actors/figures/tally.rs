//! Counts and distributions of one group of clients.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::actors::event::{ClientEvent, Ending, RequestFailure, RequestKind};

/// Figures are exact to three digits.
const SIGNIFICANT_DIGITS: u8 = 3;
/// The longest time that is told apart, a day in microseconds; what is longer counts as a day.
const LONGEST_US: u64 = 24 * 3600 * 1_000_000;

/// What clients did and got.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    pub clients: u64,
    pub connections: u64,
    /// Connections that did not come about, by the reason.
    pub connect_failures: BTreeMap<String, u64>,
    pub tls_handshakes: u64,
    /// Requests of all kinds, upgrades among them.
    pub requests: u64,
    pub requests_by_kind: BTreeMap<String, u64>,
    pub answers: u64,
    /// Answers that told nothing new.
    pub empty_answers: u64,
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer of use, but for those that a status refused, by the reason.
    pub request_failures: BTreeMap<String, u64>,
    /// WebSockets and event streams that were opened.
    pub sessions: u64,
    /// Those of them that were not a client's first.
    pub reconnects: u64,
    /// Waits before another attempt.
    pub retries: u64,
    /// Ends of sessions: `Close 1012`, `Eof`, `Left 1000` and the like.
    pub ends: BTreeMap<String, u64>,
    /// Distinct updates, summed over the clients.
    pub updates_received: u64,
    pub updates_duplicated: u64,
    /// Never came though a later one did.
    pub updates_lost: u64,
    /// Newer than everything that the client has.
    pub updates_outstanding: u64,
    pub messages_sent: u64,
    pub messages_acked: u64,
    pub acks_missing: u64,
    /// Not acknowledged in their session, and no app has them on record.
    pub messages_unarrived: u64,
    /// Acknowledged though no app has them on record: must be 0.
    pub messages_lost: u64,
    /// From an update's existence at the app to the client having it; the first time only.
    pub update_delay: Spread,
    /// How old the newest update is that a client knows, over all samples.
    pub age: Spread,
    pub connect_time: Spread,
    pub tls_time: Spread,
    /// From the dialling to the open session.
    pub session_time: Spread,
    pub answer_time: Spread,
    pub ack_time: Spread,
}

/// A distribution of times in microseconds, exact to three digits; all zero if `count` is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    pub count: u64,
    pub min_us: u64,
    pub mean_us: f64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

/// The figures in the making, with whole distributions, so that tallies can be added up.
#[derive(Clone, Default)]
pub(super) struct Tally {
    pub(super) clients: u64,
    pub(super) updates_lost: u64,
    pub(super) updates_outstanding: u64,
    pub(super) messages_unarrived: u64,
    pub(super) age: Times,
    connect_failures: BTreeMap<String, u64>,
    requests: BTreeMap<RequestKind, u64>,
    empty_answers: u64,
    statuses: BTreeMap<u16, u64>,
    request_failures: BTreeMap<String, u64>,
    reconnects: u64,
    retries: u64,
    ends: BTreeMap<String, u64>,
    updates_duplicated: u64,
    messages_sent: u64,
    acks_missing: u64,
    messages_lost: u64,
    update_delay: Times,
    connect_time: Times,
    tls_time: Times,
    session_time: Times,
    answer_time: Times,
    ack_time: Times,
}

impl Tally {
    /// Counts an event that needs no knowledge of the client.
    pub(super) fn count(&mut self, event: &ClientEvent) {
        match event {
            ClientEvent::Connected { took } => self.connect_time.add(*took),
            ClientEvent::TlsDone { took } => self.tls_time.add(*took),
            ClientEvent::ConnectFailed { why } => bump(&mut self.connect_failures, format!("{why:?}")),
            ClientEvent::RequestSent { request } => bump(&mut self.requests, *request),
            ClientEvent::AnswerReceived { status, empty, took, .. } => {
                bump(&mut self.statuses, *status);
                self.empty_answers += u64::from(*empty);
                self.answer_time.add(*took);
            }
            // Of a refusal the answer is counted, by its status.
            ClientEvent::RequestFailed { why } if *why != RequestFailure::Refused => {
                bump(&mut self.request_failures, format!("{why:?}"));
            }
            ClientEvent::Closed { how, code, .. } => bump(&mut self.ends, end_name(*how, *code)),
            ClientEvent::ReconnectIn(_) => self.retries += 1,
            ClientEvent::MessageSent { .. } => self.messages_sent += 1,
            ClientEvent::AckMissing { .. } => self.acks_missing += 1,
            ClientEvent::RequestFailed { .. }
            | ClientEvent::Started { .. }
            | ClientEvent::HandshakeDone { .. }
            | ClientEvent::UpdateReceived { .. }
            | ClientEvent::Acked { .. } => {}
        }
    }

    pub(super) fn update(&mut self, fresh: bool, delay: Duration) {
        if fresh {
            self.update_delay.add(delay);
        } else {
            self.updates_duplicated += 1;
        }
    }

    pub(super) fn session(&mut self, again: bool, took: Duration) {
        self.reconnects += u64::from(again);
        self.session_time.add(took);
    }

    pub(super) fn ack(&mut self, on_record: bool, took: Duration) {
        self.messages_lost += u64::from(!on_record);
        self.ack_time.add(took);
    }

    /// Adds another group's counts.
    pub(super) fn add(&mut self, other: &Self) {
        self.clients += other.clients;
        self.updates_lost += other.updates_lost;
        self.updates_outstanding += other.updates_outstanding;
        self.empty_answers += other.empty_answers;
        self.reconnects += other.reconnects;
        self.retries += other.retries;
        self.updates_duplicated += other.updates_duplicated;
        self.messages_sent += other.messages_sent;
        self.acks_missing += other.acks_missing;
        self.messages_unarrived += other.messages_unarrived;
        self.messages_lost += other.messages_lost;
        add_map(&mut self.connect_failures, &other.connect_failures);
        add_map(&mut self.requests, &other.requests);
        add_map(&mut self.statuses, &other.statuses);
        add_map(&mut self.request_failures, &other.request_failures);
        add_map(&mut self.ends, &other.ends);
        self.age.join(&other.age);
        self.update_delay.join(&other.update_delay);
        self.connect_time.join(&other.connect_time);
        self.tls_time.join(&other.tls_time);
        self.session_time.join(&other.session_time);
        self.answer_time.join(&other.answer_time);
        self.ack_time.join(&other.ack_time);
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            clients: self.clients,
            connections: self.connect_time.count(),
            connect_failures: self.connect_failures.clone(),
            tls_handshakes: self.tls_time.count(),
            requests: self.requests.values().sum(),
            requests_by_kind: self.requests.iter().map(|(kind, count)| (format!("{kind:?}"), *count)).collect(),
            answers: self.answer_time.count(),
            empty_answers: self.empty_answers,
            statuses: self.statuses.clone(),
            request_failures: self.request_failures.clone(),
            sessions: self.session_time.count(),
            reconnects: self.reconnects,
            retries: self.retries,
            ends: self.ends.clone(),
            updates_received: self.update_delay.count(),
            updates_duplicated: self.updates_duplicated,
            updates_lost: self.updates_lost,
            updates_outstanding: self.updates_outstanding,
            messages_sent: self.messages_sent,
            messages_acked: self.ack_time.count(),
            acks_missing: self.acks_missing,
            messages_unarrived: self.messages_unarrived,
            messages_lost: self.messages_lost,
            update_delay: self.update_delay.spread(),
            age: self.age.spread(),
            connect_time: self.connect_time.spread(),
            tls_time: self.tls_time.spread(),
            session_time: self.session_time.spread(),
            answer_time: self.answer_time.spread(),
            ack_time: self.ack_time.spread(),
        }
    }
}

/// How an end is named in figures.
pub(super) fn end_name(how: Ending, code: Option<u16>) -> String {
    match code {
        Some(code) => format!("{how:?} {code}"),
        None => format!("{how:?}"),
    }
}

fn bump<K: Ord>(map: &mut BTreeMap<K, u64>, key: K) {
    *map.entry(key).or_default() += 1;
}

fn add_map<K: Ord + Clone>(map: &mut BTreeMap<K, u64>, other: &BTreeMap<K, u64>) {
    for (key, count) in other {
        *map.entry(key.clone()).or_default() += count;
    }
}

/// A distribution; it takes no room before its first time.
#[derive(Clone, Default)]
pub(super) struct Times(Option<Histogram<u64>>);

impl Times {
    fn add(&mut self, time: Duration) {
        self.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn record(&mut self, us: u64) {
        let histogram = self.0.get_or_insert_with(empty);
        histogram.record(us.min(LONGEST_US)).expect("it grows up to the longest time");
    }

    fn join(&mut self, other: &Self) {
        if let Some(theirs) = &other.0 {
            self.0.get_or_insert_with(empty).add(theirs).expect("it grows up to the longest time");
        }
    }

    fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    fn spread(&self) -> Spread {
        let Some(histogram) = &self.0 else { return Spread::default() };
        Spread {
            count: histogram.len(),
            min_us: histogram.min(),
            mean_us: histogram.mean(),
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}

fn empty() -> Histogram<u64> {
    let mut histogram = Histogram::new(SIGNIFICANT_DIGITS).expect("three digits are allowed");
    histogram.auto(true);
    histogram
}
