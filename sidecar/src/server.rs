//! The whole sidecar: everything is loaded and bound first, then it runs; there is nothing half-started.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::timeout;

use crate::config::{self, Config, Scheme, Target, Trust};
use crate::http::Proxy;
use crate::lifecycle::{Lifecycle, Stage};
use crate::listen::{self, Bound, Places};
use crate::net::{Listener as _, Net};
use crate::telemetry::Observer;
use crate::tls::{self, Crypto, LoadError, ServerSide};
use crate::upstream::Upstream;

/// How long sessions have, once they were asked to close, on top of the time that both of their sides may take one after
/// the other: the linger behind the Closes, and a turn to notice.
const CLOSING_MARGIN: Duration = Duration::from_secs(2);

/// Why the sidecar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Tls(#[from] LoadError),
    #[error(
        "{name:?} is no name that a certificate can be checked against; set upstream_tls_name to the one in the app's certificate"
    )]
    UpstreamName { name: String },
    #[error("upstream {host}: the name does not resolve ({why}); check the spelling, or give an address")]
    Resolve { host: String, why: io::Error },
    #[error("cannot listen on {scheme}://{addr}: {why}{mend}")]
    Bind { scheme: &'static str, addr: SocketAddr, why: io::Error, mend: &'static str },
}

impl StartError {
    /// Whether the configuration is at fault, rather than the world as it is now.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::UpstreamName { .. })
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
    bound: Vec<Bound<N::Listener>>,
    addresses: Vec<(Scheme, SocketAddr)>,
    places: Places,
    shutdown_grace: Duration,
    close_timeout: Duration,
}

impl<N: Net> Server<N> {
    /// Resolves the app's name and binds every listener. Nothing is served before [`Server::run`]; when anything
    /// fails, what was bound is free again.
    ///
    pub async fn start(net: N, config: &Config, surroundings: Surroundings) -> Result<Self, StartError> {
        let Surroundings { crypto, tls, max_connections, observer } = surroundings;
        let upstream_tls = upstream_tls(config, &crypto)?;
        let upstream = Upstream::new(
            net.clone(),
            config.upstream.target.clone(),
            upstream_tls,
            config.http.tls_handshake_timeout,
            config.dial.clone(),
        );
        if let Target::Tcp { host, .. } = &config.upstream.target {
            let check = timeout(config.dial.connect_timeout, upstream.check_name()).await;
            let found = check.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            found.map_err(|why| StartError::Resolve { host: host.clone(), why })?;
        }

        let mut bound = Vec::new();
        let mut addresses = Vec::new();
        for wanted in &config.listeners {
            let fail = |why: io::Error| {
                let mend = mend_bind(&why);
                StartError::Bind { scheme: wanted.scheme.as_str(), addr: wanted.addr, why, mend }
            };
            let listener = net.bind(wanted.addr).await.map_err(fail)?;
            addresses.push((wanted.scheme, listener.local_addr().map_err(fail)?));
            let tls = match (wanted.scheme, &tls) {
                (Scheme::Http, _) => None,
                (Scheme::Https, Some(tls)) => Some(Arc::clone(&tls.https)),
                (Scheme::Tls, Some(tls)) => Some(Arc::clone(&tls.raw)),
                (_, None) => unreachable!("a configuration with TLS listeners has certificates"),
            };
            bound.push(Bound { scheme: wanted.scheme, listener, tls });
        }

        let proxy = Proxy::new(net, config, upstream, observer);
        Ok(Self {
            proxy: Arc::new(proxy),
            bound,
            addresses,
            places: Places::new(config.max_connections.unwrap_or(max_connections)),
            shutdown_grace: config.shutdown_grace,
            close_timeout: config.session.close_timeout,
        })
    }

    /// The addresses really bound, in the order of the configuration.
    pub fn addresses(&self) -> &[(Scheme, SocketAddr)] {
        &self.addresses
    }

    /// The count of what lives here; it outlasts [`Server::run`].
    pub fn lifecycle(&self) -> &Arc<Lifecycle> {
        self.proxy.lifecycle()
    }

    /// Serves until `shutdown` is done; then accepts nothing new, lets what is there finish for the grace period,
    /// and closes the rest. `hurry` done ends the grace period early.
    pub async fn run(self, shutdown: impl Future<Output = ()>, hurry: impl Future<Output = ()>) {
        for (scheme, addr) in &self.addresses {
            tracing::info!(scheme = scheme.as_str(), %addr, "listening");
        }
        for bound in self.bound {
            self.proxy.net().spawn(listen::accept(bound, Arc::clone(&self.proxy), self.places.clone()));
        }
        tracing::info!(listeners = self.addresses.len(), "ready");

        shutdown.await;
        let lifecycle = self.proxy.lifecycle();
        lifecycle.advance(Stage::Stopping);
        tracing::info!(live = lifecycle.live(), grace_s = self.shutdown_grace.as_secs(), "stopping");
        tokio::select! {
            biased;
            () = lifecycle.emptied() => {}
            () = hurry => {}
            () = tokio::time::sleep(self.shutdown_grace) => {}
        }
        lifecycle.advance(Stage::Closing);
        if timeout(2 * self.close_timeout + CLOSING_MARGIN, lifecycle.emptied()).await.is_err() {
            tracing::warn!(live = lifecycle.live(), "what is left is cut");
        }
        tracing::info!("stopped");
    }
}

/// TLS towards the app and the name its certificate must have.
fn upstream_tls(
    config: &Config,
    crypto: &Crypto,
) -> Result<Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>, StartError> {
    let config::Upstream { tls: true, target: Target::Tcp { host, .. } } = &config.upstream else { return Ok(None) };
    let name = config.upstream_tls.name.as_ref().unwrap_or(host);
    let name = ServerName::try_from(name.clone()).map_err(|_| StartError::UpstreamName { name: name.clone() })?;
    let trust: &Trust = &config.upstream_tls.trust;
    Ok(Some((Arc::new(tls::client_config(trust, crypto)?), name)))
}

fn mend_bind(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::AddrInUse => "; another process has it: stop that one, or give another port with --listen",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: give a higher one with --listen",
        io::ErrorKind::AddrNotAvailable => "; this host has no such address: try 0.0.0.0 or [::]",
        _ => "",
    }
}
