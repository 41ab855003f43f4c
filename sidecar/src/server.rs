//! The whole sidecar: everything is loaded and bound first, then it runs; there is nothing half-started.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::sleep;

use crate::config::{self, Config, Scheme};
use crate::control::{Control, Start};
use crate::http::Proxy;
use crate::inherit::Inherited;
use crate::lifecycle::{Lifecycle, Stage};
use crate::listen::{self, Bound, Places};
use crate::net::{Listener as _, Net};
use crate::settings::{Settings, SettingsError};
use crate::telemetry::Observer;
use crate::telemetry::trace::Tracer;
use crate::tls::{Crypto, LoadError, ServerSide};

/// Why the sidecar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot listen on {scheme}://{addr}: {why}{mend}")]
    Bind { scheme: &'static str, addr: SocketAddr, why: io::Error, mend: &'static str },
}

impl StartError {
    /// Whether the configuration is at fault, rather than the world as it is now.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Settings(error) if error.is_config())
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
}

/// A sidecar whose listeners are bound.
pub struct Server<N: Net> {
    proxy: Arc<Proxy<N>>,
    control: Arc<Control<N>>,
    bound: Vec<Bound<N::Listener>>,
    addresses: Vec<(Scheme, SocketAddr)>,
    places: Places,
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
        let Surroundings { crypto, tls, max_connections, observer, tracer } = surroundings;
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
            addresses.push((wanted.scheme, listener.local_addr().map_err(fail)?));
            bound.push(Bound { scheme: wanted.scheme, listener, shared });
        }
        let proxy = Arc::new(Proxy::new(net, settings, observer, tracer));
        let places = Places::new(config.max_connections.unwrap_or(max_connections));
        let start = Start { config: config.clone(), crypto, max_connections };
        let control = Control::new(Arc::clone(&proxy), places.clone(), start);
        Ok(Self { proxy, control, bound, addresses, places })
    }

    /// The listeners with their schemes, in the order of the configuration: what a handover hands over.
    pub fn listeners(&self) -> impl Iterator<Item = (Scheme, &N::Listener)> {
        self.bound.iter().map(|bound| (bound.scheme, &bound.listener))
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
        for bound in self.bound {
            let listening = lifecycle.listen();
            self.proxy.net().spawn(listen::accept(bound, Arc::clone(&self.proxy), self.places.clone(), listening));
        }
        tracing::info!(listeners = self.addresses.len(), "ready");
        tokio::pin!(shutdown);
        let handed_over = tokio::select! {
            biased;
            () = &mut shutdown => false,
            () = lifecycle.reached(Stage::Stopping) => true,
        };
        if !handed_over {
            self.control.stop(hurry).await;
            return;
        }
        let grace = self.proxy.settings().shutdown_grace;
        let hurry = async {
            tokio::select! {
                biased;
                () = hurry => {}
                () = async { shutdown.await; sleep(grace).await } => {}
            }
        };
        self.control.leave(hurry).await;
    }
}

fn mend_bind(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::AddrInUse => "; another process has it: stop that one, or give another port with --listen",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: give a higher one with --listen",
        io::ErrorKind::AddrNotAvailable => "; this host has no such address: try 0.0.0.0 or [::]",
        _ => "",
    }
}
