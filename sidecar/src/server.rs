//! The whole sidecar: everything is loaded and bound first, then it runs; there is nothing half-started.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::admin::{self, Admin, TokenError, TokenFile};
use crate::config::{self, Config, Scheme};
use crate::control::{Control, Start};
use crate::http::Proxy;
use crate::inherit::Inherited;
use crate::lifecycle::{Lifecycle, Stage};
use crate::listen::{self, Bound, Places};
use crate::net::{Listener as _, Net};
use crate::settings::{Settings, SettingsError};
use crate::telemetry::trace::Tracer;
use crate::telemetry::{Metrics, Observer, Observers};
use crate::tls::{Crypto, LoadError, ServerSide};

/// How long the admin API's last answers may take once the process has stopped.
const ADMIN_FAREWELL: Duration = Duration::from_secs(1);

/// Why the sidecar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot listen on {scheme}://{addr}: {why}{mend}")]
    Bind { scheme: &'static str, addr: SocketAddr, why: io::Error, mend: &'static str },
    #[error("cannot listen on {addr} for the admin API: {why}; {mend}")]
    BindAdmin { addr: SocketAddr, why: io::Error, mend: &'static str },
    #[error("admin_token_file: {0}")]
    Token(#[from] TokenError),
}

impl StartError {
    /// Whether the configuration is at fault, rather than the world as it is now.
    pub fn is_config(&self) -> bool {
        match self {
            Self::Settings(error) => error.is_config(),
            Self::Token(_) => true,
            Self::Bind { .. } | Self::BindAdmin { .. } => false,
        }
    }
}

impl From<LoadError> for StartError {
    fn from(error: LoadError) -> Self {
        Self::Settings(error.into())
    }
}

/// What a sidecar is given besides its network and its configuration.
#[derive(Clone)]
pub struct Surroundings {
    pub crypto: Crypto,
    /// What [`ServerSide::load`] made of the configuration's files; a configuration without any needs none.
    pub tls: Option<ServerSide>,
    /// How many connections there may be where the configuration leaves it open.
    pub max_connections: usize,
    pub observer: Arc<dyn Observer>,
    /// `None` records no trace.
    pub tracer: Option<Arc<Tracer>>,
    /// Count even where nobody can ask for it by the configuration: [`Control::metrics`] has it.
    pub metrics: bool,
}

/// A sidecar whose listeners are bound.
pub struct Server<N: Net> {
    proxy: Arc<Proxy<N>>,
    control: Arc<Control<N>>,
    bound: Vec<Bound<N::Listener>>,
    addresses: Vec<(Scheme, SocketAddr)>,
    places: Places,
    admin: Option<BoundAdmin<N>>,
}

/// The admin API's listener.
struct BoundAdmin<N: Net> {
    listener: N::Listener,
    addr: SocketAddr,
    admin: Arc<Admin<N>>,
}

impl<N: Net> Server<N> {
    /// Resolves the app's name and binds every listener. Nothing is served before [`Server::run`]; when anything
    /// fails, what was bound is free again.
    pub async fn start(net: N, config: &Config, surroundings: Surroundings) -> Result<Self, StartError> {
        Self::start_on(net, config, surroundings, &mut Inherited::none()).await
    }

    /// As [`Server::start`], but a listener whose socket is among `inherited` takes it from there. What nobody wants is
    /// left.
    pub async fn start_on(
        net: N,
        config: &Config,
        surroundings: Surroundings,
        inherited: &mut Inherited<N::Listener>,
    ) -> Result<Self, StartError> {
        let Surroundings { crypto, tls, max_connections, observer, tracer, metrics } = surroundings;
        // Counting costs little, but nothing at all where nobody can ask for it.
        let counts = metrics || config.admin.is_some() || config.otlp.metrics.is_some();
        let metrics = counts.then(|| Arc::new(Metrics::new(net.wall_clock())));
        let observer: Arc<dyn Observer> = match &metrics {
            Some(metrics) => Arc::new(Observers(vec![Arc::clone(metrics) as Arc<dyn Observer>, observer])),
            None => observer,
        };
        let settings = Settings::new(&net, config, &crypto, tls, None, &observer).await?;
        // Those that name their port come first, so that one that takes any port takes none of theirs.
        let mut taken = |wanted: &config::Listener, exact: bool| {
            (exact == (wanted.addr.port() != 0)).then(|| inherited.take(wanted.scheme.as_str(), wanted.addr)).flatten()
        };
        let exact: Vec<_> = config.listeners.iter().map(|wanted| taken(wanted, true)).collect();
        let any: Vec<_> = config.listeners.iter().map(|wanted| taken(wanted, false)).collect();
        let mut bound = Vec::new();
        let mut addresses = Vec::new();
        for ((wanted, exact), any) in config.listeners.iter().zip(exact).zip(any) {
            let fail = |why: io::Error| {
                let mend = mend_bind(&why);
                StartError::Bind { scheme: wanted.scheme.as_str(), addr: wanted.addr, why, mend }
            };
            let (listener, shared) = match exact.or(any) {
                Some(socket) => (socket.listener, socket.shared),
                None => (net.bind(wanted.addr).await.map_err(fail)?, false),
            };
            let addr = listener.local_addr().map_err(fail)?;
            addresses.push((wanted.scheme, addr));
            bound.push(Bound { configured: config::Listener { addr, ..*wanted }, listener, shared });
        }
        let admin = match &config.admin {
            Some(wanted) => Some((bind_admin(&net, wanted, inherited).await?, admin_token(wanted)?)),
            None => None,
        };
        let proxy = Arc::new(Proxy::new(net, settings, observer, tracer));
        let places = Places::new(config.max_connections.unwrap_or(max_connections));
        let start = Start { config: config.clone(), crypto, max_connections };
        let control = Control::new(Arc::clone(&proxy), places.clone(), metrics, start);
        let admin = admin.map(|((listener, addr), token)| BoundAdmin {
            listener,
            addr,
            admin: Admin::new(Arc::clone(&control), token),
        });
        Ok(Self { proxy, control, bound, addresses, places, admin })
    }

    /// The listeners with their schemes, in the order of the configuration: what a handover hands over.
    pub fn listeners(&self) -> impl Iterator<Item = (Scheme, &N::Listener)> {
        self.bound.iter().map(|bound| (bound.configured.scheme, &bound.listener))
    }

    /// The listener of the admin API, if it has one: a handover hands it over too.
    pub fn admin_listener(&self) -> Option<&N::Listener> {
        self.admin.as_ref().map(|bound| &bound.listener)
    }

    /// The addresses really bound, in the order of the configuration.
    pub fn addresses(&self) -> &[(Scheme, SocketAddr)] {
        &self.addresses
    }

    /// The count of what lives here; it outlasts [`Server::run`].
    pub fn lifecycle(&self) -> &Arc<Lifecycle> {
        self.proxy.lifecycle()
    }

    /// What can be asked of the sidecar while it runs.
    pub fn control(&self) -> &Arc<Control<N>> {
        &self.control
    }

    /// Serves until `shutdown` is done or the listeners are handed over; then drains, lets
    /// what is there finish for the grace period, and closes the rest. `hurry` done ends the grace period early.
    pub async fn run(self, shutdown: impl Future<Output = ()>, hurry: impl Future<Output = ()>) {
        for (scheme, addr) in &self.addresses {
            tracing::info!(scheme = scheme.as_str(), %addr, "listening");
        }
        let lifecycle = Arc::clone(self.lifecycle());
        if self.proxy.settings().rebalance.is_some() {
            self.control.rebalance();
        }
        for bound in self.bound {
            let listening = lifecycle.listen();
            self.proxy.net().spawn(listen::accept(bound, Arc::clone(&self.proxy), self.places.clone(), listening));
        }
        // Its count is no part of the process's: it is there to be asked about the end of all others.
        let admin_life = Lifecycle::new();
        if let Some(BoundAdmin { listener, addr, admin }) = self.admin {
            tracing::info!(scheme = "admin", %addr, "listening");
            let (listening, answering) = (lifecycle.listen(), Arc::new(admin_life.enter()));
            self.proxy.net().spawn(admin::accept(admin, listener, listening, answering));
        }
        lifecycle.get_ready();
        tracing::info!(listeners = self.addresses.len(), "ready");
        let shutdown = async {
            tokio::select! {
                biased;
                () = shutdown => {}
                () = lifecycle.stop_asked() => {}
            }
        };
        tokio::pin!(shutdown);
        let handed_over = tokio::select! {
            biased;
            () = &mut shutdown => false,
            () = lifecycle.reached(Stage::Stopping) => true,
        };
        if handed_over {
            let grace = self.proxy.settings().shutdown_grace;
            let hurry = async {
                tokio::select! {
                    biased;
                    () = hurry => {}
                    () = async { shutdown.await; sleep(grace).await } => {}
                }
            };
            self.control.leave(hurry).await;
        } else {
            self.control.stop(hurry).await;
        }
        lifecycle.advance(Stage::Stopped);
        // Whoever has asked for the end hears that it has come; who reads no answer is not waited for.
        let _ = timeout(ADMIN_FAREWELL, admin_life.emptied()).await;
    }
}

/// The admin API's listener and where it is.
async fn bind_admin<N: Net>(
    net: &N,
    wanted: &config::Admin,
    inherited: &mut Inherited<N::Listener>,
) -> Result<(N::Listener, SocketAddr), StartError> {
    let fail = |why: io::Error| {
        let mend = match why.kind() {
            io::ErrorKind::AddrInUse => {
                "another sidecar may have it: give --admin 127.0.0.1:0 for any free port, another port, or --admin off"
            }
            _ => "give another address with --admin, or --admin off",
        };
        StartError::BindAdmin { addr: wanted.addr, why, mend }
    };
    // A socket that nobody has said what it is for is rather for clients.
    let listener = match inherited.take_known("admin", wanted.addr) {
        Some(socket) => socket.listener,
        None => net.bind(wanted.addr).await.map_err(fail)?,
    };
    let addr = listener.local_addr().map_err(fail)?;
    Ok((listener, addr))
}

fn admin_token(wanted: &config::Admin) -> Result<Option<TokenFile>, StartError> {
    Ok(wanted.token_file.as_deref().map(TokenFile::new).transpose()?)
}

fn mend_bind(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::AddrInUse => "; another process has it: stop that one, or give another port with --listen",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: give a higher one with --listen",
        io::ErrorKind::AddrNotAvailable => "; this host has no such address: try 0.0.0.0 or [::]",
        _ => "",
    }
}
