//! The whole sidecar: everything is loaded and bound first, then it runs; there is nothing half-started.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{Config, Scheme};
use crate::control::Control;
use crate::http::Proxy;
use crate::lifecycle::Lifecycle;
use crate::listen::{self, Bound, Places};
use crate::net::{Listener as _, Net};
use crate::settings::{Settings, SettingsError};
use crate::telemetry::Observer;
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
        let Surroundings { crypto, tls, max_connections, observer } = surroundings;
        let settings = Settings::new(&net, config, &crypto, tls).await?;
        let mut bound = Vec::new();
        let mut addresses = Vec::new();
        for wanted in &config.listeners {
            let fail = |why: io::Error| {
                let mend = mend_bind(&why);
                StartError::Bind { scheme: wanted.scheme.as_str(), addr: wanted.addr, why, mend }
            };
            let listener = net.bind(wanted.addr).await.map_err(fail)?;
            addresses.push((wanted.scheme, listener.local_addr().map_err(fail)?));
            bound.push(Bound { scheme: wanted.scheme, listener });
        }
        let proxy = Arc::new(Proxy::new(net, settings, observer));
        let control = Control::new(Arc::clone(&proxy));
        let places = Places::new(config.max_connections.unwrap_or(max_connections));
        Ok(Self { proxy, control, bound, addresses, places })
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

    /// Serves until `shutdown` is done or [`Control::quit`] is called; then drains, lets what is there finish for the
    /// grace period, and closes the rest. `hurry` done ends the grace period early.
    pub async fn run(self, shutdown: impl Future<Output = ()>, hurry: impl Future<Output = ()>) {
        for (scheme, addr) in &self.addresses {
            tracing::info!(scheme = scheme.as_str(), %addr, "listening");
        }
        for bound in self.bound {
            self.proxy.net().spawn(listen::accept(bound, Arc::clone(&self.proxy), self.places.clone()));
        }
        tracing::info!(listeners = self.addresses.len(), "ready");
        tokio::select! {
            biased;
            () = shutdown => {}
            () = self.control.asked_to_quit() => {}
        }
        self.control.stop(hurry).await;
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
