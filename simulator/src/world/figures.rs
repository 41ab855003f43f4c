//! From the record of a run to the figures of [`crate::scenario::metrics`].

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hdrhistogram::Histogram;
use outrigger::config::Config;
use outrigger_shared::close::{Cause, Initiator};

use super::clients::middle;
use super::hosts::micros;
use super::ledger::Evidence;
use super::record::{ClientSession, SidecarSession};
use super::staleness::histogram;
use crate::actors::{Ending, Figures, Spread};
use crate::middlebox::Cut;
use crate::scenario::metrics::CAUSES;
use crate::scenario::{ClientKind, Metrics, Scenario};
use crate::wan::Traffic;

const SECOND_US: u64 = 1_000_000;
/// Of `reconnect_peak_5s`.
const PEAK_SECONDS: u64 = 5;
const THOUSAND: u64 = 1000;
/// Of `drain_peak`: a part of the window that is long enough for a rate, whatever the clients' own back-off draws.
const PARTS_OF_WINDOW: u64 = 2;
/// With fewer sessions the greatest part of them is a matter of chance.
const MIN_DRAINED: u64 = 20;
const SWITCHING_PROTOCOLS: u16 = 101;
const FIRST_FAILURE: u16 = 400;

/// Figures of every group, and of all clients under the empty name. Without traffic there are no bytes on the wire.
pub(super) fn metrics(scenario: &Scenario, evidence: &Evidence, traffic: Option<&[Traffic]>, cuts: &[Cut]) -> Metrics {
    let record = Joined::new(evidence, cuts);
    let mut metrics = Metrics::new();
    let groups = scenario.clients.iter().enumerate();
    let all = groups.map(|(index, group)| (Some(index), group.name.as_str())).chain([(None, "")]);
    for (index, name) in all {
        let figures = if index.is_some() { evidence.account.groups.get(name) } else { Some(&evidence.account.total) };
        let mut sheet = Sheet { scenario, evidence, record: &record, group: index, name, metrics: &mut metrics };
        sheet.asked(figures.unwrap_or(&Figures::default()));
        if let Some(traffic) = traffic {
            sheet.on_the_wire(traffic);
        }
        sheet.carried();
        sheet.sessions();
    }
    metrics
}

/// The record with its parts joined by addresses.
struct Joined<'a> {
    cuts: &'a [Cut],
    /// Sidecars' sessions by the client's address; ports come round again, so there may be several.
    by_addr: BTreeMap<SocketAddr, Vec<&'a SidecarSession>>,
    /// The group of clients at an address.
    groups: BTreeMap<IpAddr, usize>,
}

impl<'a> Joined<'a> {
    fn new(evidence: &'a Evidence, cuts: &'a [Cut]) -> Self {
        let mut by_addr: BTreeMap<SocketAddr, Vec<&SidecarSession>> = BTreeMap::new();
        for session in &evidence.sidecar_sessions {
            by_addr.entry(session.client).or_default().push(session);
        }
        let group = |client: u32| evidence.clients[client as usize].group;
        let groups = evidence.connections.iter().map(|found| (found.addr.ip(), group(found.client))).collect();
        Self { cuts, by_addr, groups }
    }

    fn is_in(&self, group: Option<usize>, addr: SocketAddr) -> bool {
        group.is_none() || self.groups.get(&addr.ip()).copied() == group
    }

    /// The sidecar's side of a client's session.
    fn sidecar_session(&self, session: &ClientSession) -> Option<&'a SidecarSession> {
        let of_addr = self.by_addr.get(&session.addr?)?;
        // The sidecar has it first: its 101 is what opens the client's.
        of_addr.iter().rev().find(|found| found.opened_us <= session.opened_us).copied()
    }

    /// The process of a sidecar whose drain ended a session, if one did.
    fn drained_by(&self, session: &ClientSession) -> Option<(usize, u32)> {
        let sidecar = self.sidecar_session(session)?;
        (sidecar.ended()?.end.cause == Cause::Drain).then_some((sidecar.sidecar, sidecar.process))
    }

    /// When a session was lost, if it was and neither end wanted it.
    fn lost_us(&self, session: &ClientSession) -> Option<u64> {
        let end = session.closed.map_or(u64::MAX, |closed| closed.at_us);
        let of_it = |cut: &&Cut| Some(cut.client) == session.addr && (session.opened_us..=end).contains(&cut.at_us);
        let cut_us = self.cuts.iter().find(of_it).map(|cut| cut.at_us);
        let sidecar = self.sidecar_session(session);
        let over_us = sidecar.and_then(SidecarSession::over_us).filter(|over| *over <= end);
        let wanted = sidecar.and_then(SidecarSession::ended).is_some_and(|ended| {
            ended.end.cause == Cause::Close && ended.end.by != Initiator::Sidecar && cut_us.is_none()
        });
        let closed = session.closed.filter(|closed| closed.how != Ending::Left);
        if wanted || (closed.is_none() && (session.closed.is_some() || cut_us.is_none())) {
            return None;
        }
        [cut_us, over_us, closed.map(|closed| closed.at_us)].into_iter().flatten().min()
    }
}

/// What the drain of one process of a sidecar did to a group.
#[derive(Default)]
struct Drained {
    /// Sessions that it ended.
    ended: u64,
    /// When their clients were back.
    reopened_us: Vec<u64>,
}

/// By sidecar and process.
type Drains = BTreeMap<(usize, u32), Drained>;

/// Over how long a sidecar that is told to stop spreads its Closes, if it does.
fn drain_window(config: &Config) -> Option<Duration> {
    let window = config.drain.window?.min(config.shutdown_grace.saturating_sub(config.drain.quiet));
    (!window.is_zero()).then_some(window)
}

/// The most of these moments that lie within any span of so long.
fn most_within(at_us: &mut [u64], span_us: u64) -> u64 {
    at_us.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (last, now) in at_us.iter().enumerate() {
        while now - at_us[first] >= span_us.max(1) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most as u64
}

/// One group's figures in the making.
struct Sheet<'a> {
    scenario: &'a Scenario,
    evidence: &'a Evidence,
    record: &'a Joined<'a>,
    group: Option<usize>,
    name: &'a str,
    metrics: &'a mut Metrics,
}

impl Sheet<'_> {
    #[expect(clippy::cast_precision_loss, reason = "figures above 2^53 are beyond any run")]
    fn put(&mut self, metric: &str, value: u64) {
        self.metrics.insert((self.name.to_owned(), metric.to_owned()), value as f64);
    }

    /// To the thousandth: so short a number is the same again when a report has been written and read.
    #[expect(clippy::cast_precision_loss, reason = "parts are counted in thousands at most")]
    fn put_ratio(&mut self, metric: &str, (part, whole): (u64, u64)) {
        let thousandths = (THOUSAND * part + whole / 2) / whole;
        self.metrics.insert((self.name.to_owned(), metric.to_owned()), thousandths as f64 / THOUSAND as f64);
    }

    /// What the clients themselves counted.
    fn asked(&mut self, figures: &Figures) {
        let failed: u64 = figures.request_failures.values().sum();
        let refused: u64 = figures.statuses.range(FIRST_FAILURE..).map(|(_, count)| count).sum();
        let connect_failures: u64 = figures.connect_failures.values().sum();
        // Every failed upgrade is a failed attempt to connect; other requests are not.
        let upgrades = figures.requests_by_kind.get("Upgrade").copied().unwrap_or(0);
        let handshakes = figures.statuses.get(&SWITCHING_PROTOCOLS).copied().unwrap_or(0);
        self.put("requests", figures.requests);
        self.put("failed_requests", failed + refused);
        self.put("connections", figures.connections);
        self.put("failed_connects", connect_failures + upgrades.saturating_sub(handshakes));
        self.put("tls_handshakes", figures.tls_handshakes);
        self.put("handshakes", handshakes);
        self.put("messages_sent", figures.messages_sent);
        self.put("messages_unacknowledged", figures.acks_missing);
        self.put("messages_lost", figures.messages_unarrived);
        self.put("acknowledged_lost", figures.messages_lost);
        self.put("updates_delivered", figures.updates_received);
        self.put("updates_lost", figures.updates_lost + figures.updates_outstanding);
        self.put("updates_duplicated", figures.updates_duplicated);
        self.put("sessions_opened", figures.sessions);
        self.put("reconnects", figures.reconnects);
        self.spread("update_delay", &figures.update_delay);
        let staleness = self.evidence.staleness.of(self.group);
        self.percentiles("staleness", &staleness);
    }

    /// What went over the wire.
    fn on_the_wire(&mut self, traffic: &[Traffic]) {
        let names: Vec<&str> = self.scenario.clients.iter().map(|group| group.name.as_str()).collect();
        let of_group =
            |found: &&Traffic| names.contains(&&*found.client) && (self.group.is_none() || *found.client == *self.name);
        let (up, down) = traffic
            .iter()
            .filter(of_group)
            .fold((0, 0), |(up, down), found| (up + found.up.bytes, down + found.down.bytes));
        self.put("bytes_up", up);
        self.put("bytes_down", down);
    }

    /// What was in it.
    fn carried(&mut self) {
        let (mut payload_up, mut payload_down, mut messages_up, mut messages_down, mut updates) = (0, 0, 0, 0, 0);
        for client in self.evidence.clients.iter().filter(|client| self.group.is_none_or(|group| group == client.group))
        {
            let size = match &self.scenario.clients[client.group].kind {
                ClientKind::Push(push) => push.sends.map_or(0, |sends| middle(sends.size) as u64),
                _ => 0,
            };
            payload_up += client.messages_up * size;
            payload_down += client.bytes_down;
            messages_up += client.messages_up;
            messages_down += client.messages_down;
            updates += client.updates;
        }
        self.put("payload_up", payload_up);
        self.put("payload_down", payload_down);
        self.put("messages_up", messages_up);
        self.put("messages_down", messages_down);
        self.put("updates", updates);
        let connections = self.evidence.connections.iter().filter(|found| self.record.is_in(self.group, found.addr));
        let end = self.evidence.at_us;
        self.put("connection_time", connections.map(|found| found.closed_us.unwrap_or(end) - found.opened_us).sum());
        let cuts = self.record.cuts.iter().filter(|cut| self.record.is_in(self.group, cut.client));
        self.put("hop_cuts", cuts.count() as u64);
    }

    /// How sessions lived and ended.
    fn sessions(&mut self) {
        let of_group = |client: u32| {
            let group = self.evidence.clients[client as usize].group;
            self.group.is_none_or(|wanted| wanted == group)
        };
        let sessions: Vec<&ClientSession> =
            self.evidence.client_sessions.iter().filter(|session| of_group(session.client)).collect();
        let is_push = |session: &&&ClientSession| {
            let group = self.evidence.clients[session.client as usize].group;
            matches!(self.scenario.clients[group].kind, ClientKind::Push(_))
        };
        let bare = |session: &&&ClientSession| {
            session.closed.is_some_and(|closed| !matches!(closed.how, Ending::Left | Ending::Close))
        };
        let without_close = sessions.iter().filter(is_push).filter(bare).count();
        let open = sessions.iter().filter(|session| session.closed.is_none()).count();
        let mut lost = 0;
        let mut recover = histogram();
        let (mut reopened, mut drains) = (Vec::new(), Drains::new());
        let mut before: BTreeMap<u32, &ClientSession> = BTreeMap::new();
        for session in &sessions {
            if let Some(last) = before.insert(session.client, session) {
                reopened.push(session.opened_us);
                if let Some(by) = self.record.drained_by(last) {
                    drains.entry(by).or_default().reopened_us.push(session.opened_us);
                }
                if let Some(lost_us) = self.record.lost_us(last) {
                    recover.saturating_record(session.opened_us.saturating_sub(lost_us));
                }
            }
            lost += u64::from(self.record.lost_us(session).is_some());
            if let Some(by) = self.record.drained_by(session) {
                drains.entry(by).or_default().ended += 1;
            }
        }
        self.put("sessions_lost", lost);
        self.put("sessions_open", open as u64);
        self.put("close_1006", without_close as u64);
        self.reconnects(reopened, drains);
        self.percentiles("time_to_recover", &recover);
        self.upstreams();
        let mut causes: BTreeMap<&str, u64> = CAUSES.iter().map(|cause| (*cause, 0)).collect();
        for session in
            self.evidence.sidecar_sessions.iter().filter(|session| self.record.is_in(self.group, session.client))
        {
            if let Some(ended) = session.ended() {
                *causes.entry(ended.end.cause.as_str()).or_default() += 1;
            }
        }
        for (cause, count) in causes {
            self.put(&format!("ended_by_cause.{cause}"), count);
        }
    }

    /// At which rate clients came back.
    fn reconnects(&mut self, mut reopened: Vec<u64>, drains: Drains) {
        let mut by_second: BTreeMap<u64, u64> = BTreeMap::new();
        for at_us in &reopened {
            *by_second.entry(at_us / SECOND_US).or_default() += 1;
        }
        self.put("reconnect_peak_per_s", by_second.values().max().copied().unwrap_or(0));
        self.put_ratio("reconnect_peak_5s", (most_within(&mut reopened, PEAK_SECONDS * SECOND_US), PEAK_SECONDS));
        let sidecars = &self.scenario.sidecars;
        let peak = |((sidecar, _), mut drain): ((usize, u32), Drained)| {
            let window = drain_window(&sidecars[sidecar].config).filter(|_| drain.ended >= MIN_DRAINED)?;
            let most = most_within(&mut drain.reopened_us, micros(window) / PARTS_OF_WINDOW);
            Some((PARTS_OF_WINDOW * most, drain.ended))
        };
        // The greater of two fractions is the one with the greater product.
        let peak = drains.into_iter().filter_map(peak).max_by(|(a, b), (c, d)| (a * d).cmp(&(c * b)));
        if let Some(peak) = peak {
            self.put_ratio("drain_peak", peak);
        }
    }

    /// How sidecars used several apps.
    fn upstreams(&mut self) {
        let mut opened: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        let sessions = self.evidence.sidecar_sessions.iter();
        for session in sessions.filter(|session| self.record.is_in(self.group, session.client)) {
            let Some(app) = session.upstream.as_deref() else { continue };
            *opened.entry((app, session.opened_us / SECOND_US)).or_default() += 1;
        }
        self.put("app_peak_per_s", opened.values().max().copied().unwrap_or(0));
        self.put("upstream_moves", self.evidence.choices.moves);
        self.put("upstream_ejections", self.evidence.choices.ejections);
    }

    fn spread(&mut self, name: &str, spread: &Spread) {
        if spread.count > 0 {
            self.put(&format!("{name}_p50"), spread.p50_us);
            self.put(&format!("{name}_p99"), spread.p99_us);
            self.put(&format!("{name}_max"), spread.max_us);
        }
    }

    fn percentiles(&mut self, name: &str, samples: &Histogram<u64>) {
        if !samples.is_empty() {
            self.put(&format!("{name}_p50"), samples.value_at_quantile(0.5));
            self.put(&format!("{name}_p99"), samples.value_at_quantile(0.99));
            self.put(&format!("{name}_max"), samples.max());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_lie_anywhere_and_does_not_reach_its_own_end() {
        assert_eq!(most_within(&mut [], 5), 0);
        assert_eq!(most_within(&mut [9, 0, 5], 5), 2);
        assert_eq!(most_within(&mut [9, 0, 5], 6), 2);
        assert_eq!(most_within(&mut [0, 5, 9], 10), 3);
        assert_eq!(most_within(&mut [7, 7, 7, 8], 0), 3);
    }

    #[test]
    fn a_window_gives_way_to_the_grace() {
        let window = |keys: &str| {
            let text = format!(
                "name = 'x'\n[[apps]]\nname = 'feed'\n[[clients]]\nname = 'web'\nkind = 'push'\n[[sidecars]]\nname = 'edge'\n\
                 config = {{ {keys} }}\n"
            );
            let (scenario, _) = crate::scenario::parse("x.toml", &text).unwrap();
            drain_window(&scenario.sidecars[0].config)
        };
        let secs = |secs| Some(Duration::from_secs(secs));
        assert_eq!(window("drain_window = '12s'"), secs(12));
        assert_eq!(window("drain_window = '30s', drain_quiet = '2s', shutdown_grace = '10s'"), secs(8));
        assert_eq!([window("drain_window = 'off'"), window("drain_window = '0s'")], [None, None]);
    }
}
