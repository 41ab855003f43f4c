//! An app, perhaps a real sidecar in front of it, clients, and a record of all that happens.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outrigger::config::{self, Sources};
use outrigger::net::Net;
use outrigger::server::{Server, Surroundings};
use outrigger::telemetry;
use outrigger::tls::{Crypto, ServerSide};
use outrigger_sim::actors::{
    Account, Actor, App, AppControl, AppEvent, AppOptions, Audience, ClientEvent, ClientSettings, ClientTls, Clock,
    Collector, Feed, FeedEvent, Observer, Rng, Stop, Target,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// No test needs more, of virtual time or of real time.
const PATIENCE: Duration = Duration::from_hours(1);

/// Keeps every event with its time, and counts them too.
#[derive(Default)]
pub(crate) struct Record {
    collector: Collector,
    clients: Mutex<Vec<(u64, u32, ClientEvent)>>,
    apps: Mutex<Vec<(u64, AppEvent)>>,
    changed: Notify,
}

impl Observer for Record {
    fn client(&self, at_us: u64, client: u32, event: &ClientEvent) {
        self.collector.client(at_us, client, event);
        self.clients.lock().unwrap().push((at_us, client, event.clone()));
        self.changed.notify_waiters();
    }

    fn app(&self, at_us: u64, app: u32, event: &AppEvent) {
        self.collector.app(at_us, app, event);
        self.apps.lock().unwrap().push((at_us, event.clone()));
        self.changed.notify_waiters();
    }

    fn feed(&self, at_us: u64, feed: u32, event: &FeedEvent) {
        self.collector.feed(at_us, feed, event);
    }
}

impl Record {
    pub(crate) fn account(&self) -> Account {
        self.collector.account()
    }

    pub(crate) fn clients(&self) -> Vec<(u64, u32, ClientEvent)> {
        self.clients.lock().unwrap().clone()
    }

    pub(crate) fn apps(&self) -> Vec<AppEvent> {
        self.apps.lock().unwrap().iter().map(|(_, event)| event.clone()).collect()
    }

    /// What `pick` makes of the clients' events, with their times in milliseconds.
    pub(crate) fn pick<T>(&self, pick: impl Fn(&ClientEvent) -> Option<T>) -> Vec<(u64, T)> {
        self.clients().iter().filter_map(|(at_us, _, event)| Some((at_us / 1000, pick(event)?))).collect()
    }

    /// Waits until the account is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Account) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if wanted(&self.account()) {
                    return;
                }
                changed.await;
            }
        };
        let came = timeout(PATIENCE, waiting).await;
        assert!(came.is_ok(), "it never came: {:#?}\n{:#?}", self.account(), self.clients());
    }

    pub(crate) async fn until_received(&self, updates: u64) {
        self.until(|account| account.total.updates_received >= updates).await;
    }
}

/// What a test works with.
pub(crate) struct World<N: Net> {
    pub(crate) net: N,
    pub(crate) clock: Clock,
    pub(crate) record: Arc<Record>,
    pub(crate) feed: Feed,
    pub(crate) control: AppControl,
    pub(crate) app: SocketAddr,
    pub(crate) stop_app: Stop,
    /// Where clients dial.
    pub(crate) target: Target,
}

impl<N: Net> World<N> {
    /// An app alone.
    pub(crate) async fn new(net: N, options: AppOptions) -> Self {
        let clock = Clock::since(Instant::now());
        let record = Arc::new(Record::default());
        let observer: Arc<dyn Observer> = record.clone();
        let feed = Feed::new(0, clock, Arc::clone(&observer), Audience::everybody());
        let actor = Actor { net: net.clone(), id: 0, rng: Rng::new(1), clock, observer };
        let app = App::bind(actor, ANY, feed.clone(), options).await.unwrap();
        let (addr, control, stop_app) = (app.local_addr().unwrap(), app.control(), Stop::new());
        net.spawn(app.run(stop_app.clone()));
        let target = Target { host: "localhost".into(), port: addr.port(), tls: None };
        Self { net, clock, record, feed, control, app: addr, stop_app, target }
    }

    /// An app behind a real sidecar of default configuration.
    pub(crate) async fn with_sidecar(net: N, tls: bool) -> Self {
        let mut world = Self::new(net, AppOptions::default()).await;
        let scheme = if tls { "https" } else { "http" };
        let flag = |key: &str, value: String| (key.to_owned(), value);
        let mut flags = vec![
            flag("listen", format!("{scheme}://{ANY}")),
            flag("upstream", world.app.to_string()),
            // There are several sidecars at once on this machine, and the admin API has one port.
            flag("admin", "off".into()),
        ];
        if tls {
            flags.extend([flag("tls_cert", "made here".into()), flag("tls_key", "made here".into())]);
        }
        let sources = Sources { flags, ..Sources::default() };
        let (config, _) = config::resolve(&sources, None).expect("a correct configuration");
        let crypto = Crypto::new(world.net.clone());
        let (server_side, client_tls) = certificates(&crypto);
        let server_side = tls.then_some(server_side);
        let server = {
            let surroundings = Surroundings {
                crypto,
                tls: server_side,
                max_connections: 100,
                observer: Arc::new(telemetry::Log),
                tracer: None,
                metrics: false,
            };
            Server::start(world.net.clone(), &config, surroundings).await.expect("a free port")
        };
        world.target.port = server.addresses()[0].1.port();
        world.target.tls = tls.then_some(client_tls);
        world.net.spawn(server.run(pending(), pending()));
        world
    }

    pub(crate) fn actor(&self, id: u32) -> Actor<N> {
        let observer: Arc<dyn Observer> = self.record.clone();
        Actor { net: self.net.clone(), id, rng: Rng::new(u64::from(id) + 100), clock: self.clock, observer }
    }

    pub(crate) fn settings(&self) -> ClientSettings {
        ClientSettings::new(self.target.clone(), 0)
    }
}

/// A certificate for `localhost`, and a client that trusts its authority alone.
fn certificates(crypto: &Crypto) -> (ServerSide, ClientTls) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server_side = ServerSide::with_certificate(vec![cert.der().clone()], key, crypto).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let config = ClientConfig::builder_with_details(crypto.provider.clone(), crypto.time.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server_side, ClientTls { config: Arc::new(config), name: ServerName::try_from("localhost").unwrap() })
}
