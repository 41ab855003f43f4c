//! The clients of a scenario, each with its own stream of randomness.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use outrigger::config::Scheme;
use outrigger::net::Net;
use rustls::pki_types::ServerName;
use tokio::select;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::hosts::micros;
use super::ledger::ClientFacts;
use super::machines::Ground;
use super::seam::{ClientNet, Targets};
use super::story::Who;
use super::tamper::Tamper;
use crate::actors::{
    Actor, Audience, Backoff, ClientSettings, ClientTls, Jitter, LongPoller, LongPolling, Messages, Pinging, Poller,
    Polling, Push, PushClient, ReadRate, Rng, Sse, SseClient, Stop, Target, Timeouts,
};
use crate::backend::HostNet;
use crate::crypto;
use crate::rng::Stream;
use crate::scenario::{self, ClientGroup, ClientKind, GroupId, Scenario, SizeRange};

/// Of 10,000 clients.
const ALL_LISTEN: u16 = 10_000;
const PADDING: HeaderName = HeaderName::from_static("x-padding");
/// Name, colon, space and line end around a header's value.
const AROUND_VALUE: u32 = 13;

/// All clients of a run.
pub(super) struct Clients {
    pub(super) stop: Stop,
    /// How fast each reads, by group and place in it.
    pub(super) rates: Vec<Vec<ReadRate>>,
    running: Arc<AtomicUsize>,
    gone: Arc<Notify>,
}

impl Clients {
    /// Done when every client has left.
    pub(super) async fn left(&self) {
        while self.running.load(Ordering::Acquire) > 0 {
            self.gone.notified().await;
        }
    }
}

/// Who they are, in the order of their numbers.
pub(super) fn facts(scenario: &Scenario) -> Vec<ClientFacts> {
    let of_group = |(index, group): (usize, &ClientGroup)| {
        let (keeps_sessions, resumes) = match &group.kind {
            ClientKind::Push(push) => (true, push.resume),
            ClientKind::Sse(sse) => (true, sse.resume),
            ClientKind::Poller(_) | ClientKind::LongPoller(_) => (false, true),
        };
        let (name, stable_after) = (group.name.clone(), group.reconnect.stable_after);
        (0..group.count).map(move |n| ClientFacts {
            group: index,
            name: format!("{name}/{n}"),
            keeps_sessions,
            resumes,
            stable_after,
        })
    };
    scenario.clients.iter().enumerate().flat_map(of_group).collect()
}

/// The same, for a picture.
pub(super) fn who(scenario: &Scenario) -> Vec<Who> {
    facts(scenario).into_iter().map(|facts| Who { name: facts.name, group: facts.group }).collect()
}

/// Whom updates are for. Each client draws from a stream of its own, which is named after it.
pub(super) fn audience(scenario: &Scenario, facts: &[ClientFacts], seed: u64) -> Audience {
    if hears_all(scenario) {
        return Audience::everybody();
    }
    let key = |facts: &ClientFacts| Stream::new(seed, &format!("listeners {}", facts.name)).next_u64();
    Audience::drawn(scenario.workload.listeners_per_10k, facts.iter().map(key).collect())
}

fn hears_all(scenario: &Scenario) -> bool {
    scenario.workload.listeners_per_10k >= ALL_LISTEN
}

/// Lets them all live.
pub(super) fn start(ground: &Ground, scenario: &Scenario) -> Clients {
    let mut clients = Clients { stop: Stop::new(), rates: Vec::new(), running: Arc::default(), gone: Arc::default() };
    let mut id = 0;
    for (index, group) in scenario.clients.iter().enumerate() {
        let net = ground.world.host(&group.name).labelled(&group.name);
        let targets = targets(ground, scenario, group);
        let tls = group.tls.then(|| tls(&net));
        let mut rates = Vec::new();
        for n in 0..group.count {
            let mut stream = Stream::new(ground.seed, &format!("client {}/{n}", group.name));
            let spread = u64::try_from(group.start_spread.as_micros()).unwrap_or(u64::MAX - 1);
            let starts_in = Duration::from_micros(stream.between(0, spread));
            let rate = group.reads.map_or_else(ReadRate::unlimited, ReadRate::bytes_per_second);
            let own = |what: &str| Stream::new(ground.seed, &format!("{what} {}/{n}", group.name));
            let net = ClientNet {
                net: net.clone(),
                client: id,
                targets: targets.clone(),
                picks: Arc::new(Mutex::new(own("picks"))),
                balancer: ground.balancer.clone(),
                ledger: ground.ledger.clone(),
            };
            let backoff = backoff(&group.reconnect, &mut own("back-off"));
            let actor = Actor {
                net,
                id,
                rng: Rng::new(stream.next_u64()),
                clock: ground.clock,
                observer: ground.ledger.clone(),
            };
            let settings = settings(scenario, GroupId(index), tls.clone());
            clients.spawn(ground, actor, settings, (group.kind.clone(), backoff), rate.clone(), starts_in);
            rates.push(rate);
            id += 1;
        }
        clients.rates.push(rates);
    }
    clients
}

impl Clients {
    fn spawn(
        &self,
        ground: &Ground,
        actor: Actor<ClientNet>,
        mut settings: ClientSettings,
        (kind, backoff): (ClientKind, Backoff),
        read_rate: ReadRate,
        starts_in: Duration,
    ) {
        self.running.fetch_add(1, Ordering::AcqRel);
        let (running, gone, stop) = (Arc::clone(&self.running), Arc::clone(&self.gone), self.stop.clone());
        let (feed, tamper) = (ground.feed.clone(), ground.ledger.tamper());
        actor.net.clone().spawn(async move {
            select! {
                biased;
                () = stop.stopped() => {}
                () = sleep(starts_in) => {
                    settings.since = feed.latest();
                    live(actor, settings, kind, backoff, read_rate, stop.clone(), tamper).await;
                }
            }
            running.fetch_sub(1, Ordering::AcqRel);
            gone.notify_one();
        });
    }
}

async fn live(
    actor: Actor<ClientNet>,
    settings: ClientSettings,
    kind: ClientKind,
    backoff: Backoff,
    read_rate: ReadRate,
    stop: Stop,
    tamper: Option<Arc<dyn Tamper>>,
) {
    match kind {
        ClientKind::Push(push) => {
            let mut push = Push {
                backoff,
                ping: push.ping.map(|every| Pinging { silence: every, timeout: every }),
                messages: push.sends.map(|sends| Messages { interval: sends.every, bytes: middle(sends.size) }),
                forgets: !push.resume,
                stays: push.stays.map(|stays| (stays.from, stays.to)),
                read_rate,
            };
            if let Some(tamper) = tamper {
                tamper.push(&mut push);
            }
            PushClient { actor, settings, push }.run(stop).await;
        }
        ClientKind::Poller(poller) => {
            let polling = Polling {
                interval: poller.interval,
                jitter: 0.0,
                random_phase: true,
                etag: poller.etag,
                keep_alive: poller.keep_alive,
            };
            Poller { actor, settings, polling }.run(stop).await;
        }
        ClientKind::LongPoller(poller) => {
            // The app answers earlier by its own `hold`; the client waits for its timeout and no longer.
            let polling = LongPolling { wait: poller.timeout, keep_alive: poller.keep_alive, backoff };
            LongPoller { actor, settings, polling }.run(stop).await;
        }
        ClientKind::Sse(sse) => {
            let sse = Sse { backoff, silence: None, forgets: !sse.resume, read_rate };
            SseClient { actor, settings, sse }.run(stop).await;
        }
    }
}

/// Where each of the group's targets listens for clients of its kind.
fn targets(ground: &Ground, scenario: &Scenario, group: &ClientGroup) -> Arc<Targets> {
    let wanted = if group.tls { Scheme::Https } else { Scheme::Http };
    let address = |id: &scenario::SidecarId| {
        let sidecar = &scenario.sidecars[id.0];
        let listener = sidecar.config.listeners.iter().find(|listener| listener.scheme == wanted);
        let port = listener.expect("a scenario's targets have listeners that fit").addr.port();
        ground.world.host(&sidecar.name).addr(port)
    };
    let addrs = group.targets.iter().map(address).collect();
    let sidecars = group.targets.iter().map(|id| id.0).collect();
    Arc::new(Targets { sidecars, addrs, pick: group.pick, endpoint_lag: group.endpoint_lag })
}

fn settings(scenario: &Scenario, id: GroupId, tls: Option<ClientTls>) -> ClientSettings {
    let group = &scenario.clients[id.0];
    let target = Target { host: crypto::SERVER_NAME.to_owned(), port: if tls.is_some() { 443 } else { 80 }, tls };
    let mut settings = ClientSettings::new(target, 0);
    let answer = match &group.kind {
        ClientKind::Poller(poller) => poller.timeout,
        ClientKind::LongPoller(_) => Duration::ZERO,
        ClientKind::Push(_) | ClientKind::Sse(_) => settings.timeouts.answer,
    };
    settings.timeouts =
        Timeouts { connect: group.connect_timeout, tls_handshake: group.connect_timeout, answer, ..settings.timeouts };
    settings.headers = padding(group.headers);
    settings.polls_name_client = !hears_all(scenario);
    settings
}

/// A header that takes about so many bytes.
pub(super) fn padding(bytes: u32) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if bytes > 0 {
        let length = usize::try_from(bytes.saturating_sub(AROUND_VALUE)).unwrap_or(0);
        headers.insert(PADDING, HeaderValue::try_from("x".repeat(length)).expect("x is a character of headers"));
    }
    headers
}

fn tls(net: &HostNet) -> ClientTls {
    let config = Arc::new(crypto::client_config(&crypto::crypto(net, net.index())));
    ClientTls { config, name: ServerName::try_from(crypto::SERVER_NAME).expect("it is a name") }
}

/// A client's own back-off; its first wait is drawn for good.
fn backoff(backoff: &scenario::Backoff, stream: &mut Stream) -> Backoff {
    let jitter = match backoff.jitter {
        scenario::Jitter::None => Jitter::None,
        scenario::Jitter::Equal => Jitter::Equal,
        scenario::Jitter::Full => Jitter::Full,
        scenario::Jitter::Half => Jitter::Half,
    };
    let base = Duration::from_micros(stream.between(micros(backoff.base.from), micros(backoff.base.to)));
    let scenario::Backoff { factor, max, stable_after, .. } = *backoff;
    Backoff { base, factor, max, jitter, stable_after }
}

/// Clients send messages of one size: the middle of the range.
pub(super) fn middle(size: SizeRange) -> usize {
    usize::try_from(u64::midpoint(size.from, size.to)).unwrap_or(usize::MAX)
}
