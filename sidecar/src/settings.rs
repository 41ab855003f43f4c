//! What a reload can change, as one value: a connection, a request or a session keeps the one that it began with.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use outrigger_shared::close::CloseCode;
use outrigger_shared::limits::Policy;
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use crate::config::{self, Access, Config, HttpLimits, Inspect, Place, ResponseHeaders, Target};
use crate::drain;
use crate::net::Net;
use crate::session;
use crate::telemetry::{Capture, Observer};
use crate::tls::{self, Crypto, LoadError, ServerSide};
use crate::upstream::{self, Naming, Routes, Spec, Upstream, Way};

/// Why a configuration that is right in itself cannot be put into force.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Tls(#[from] LoadError),
    #[error(
        "{name:?} is no name that a certificate can be checked against; set upstream_tls_name to the one in the app's certificate"
    )]
    UpstreamName { name: String },
    #[error("{place}: upstream {host}: the name does not resolve ({why}); check the spelling, or give an address")]
    Resolve { place: Place, host: String, why: io::Error },
}

impl SettingsError {
    /// Whether the configuration is at fault, rather than the world as it is now.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::UpstreamName { .. })
    }

    /// Whether the same configuration may be taken later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Tls(error) => matches!(error, LoadError::OutOfDate { why: tls::OutOfDate::NotYet(_), .. }),
            Self::UpstreamName { .. } => false,
            Self::Resolve { .. } => true,
        }
    }
}

/// A configuration in force.
pub struct Settings<N> {
    pub(crate) upstreams: Routes<N>,
    /// The app's own name, for clients that name nobody.
    pub(crate) authority: HeaderValue,
    /// Present where a listener has TLS.
    pub(crate) tls: Option<ServerSide>,
    pub(crate) http: HttpLimits,
    pub(crate) access: Access,
    pub(crate) headers: Arc<ResponseHeaders>,
    /// What of a request may be shown.
    pub(crate) capture: Capture,
    pub(crate) inspect: Inspect,
    pub(crate) policy: Arc<Policy>,
    pub(crate) read_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) shutdown_code: CloseCode,
    pub(crate) drain: drain::Plan,
    /// Over how long sessions are brought to nearer upstreams; `None` leaves them where they are.
    pub(crate) rebalance: Option<Duration>,
}

impl<N: Net> Settings<N> {
    /// Looks names of upstreams up once, to see whether they are right; but not those that `before` has, which have been
    /// looked up before, and may be out of reach just now. What is known of upstreams that stay is kept.
    pub(crate) async fn new(
        net: &N,
        config: &Config,
        crypto: &Crypto,
        tls: Option<ServerSide>,
        before: Option<&Self>,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, SettingsError> {
        let upstreams = upstreams(net, config, crypto, observer, before).await?;
        let codes = &config.session.close_codes;
        let first = config.upstreams.first().or(config.egress.first()).expect("a configuration has an upstream");
        Ok(Self {
            upstreams,
            authority: upstream::authority(&first.target),
            tls,
            http: config.http.clone(),
            access: config.access.clone(),
            headers: Arc::new(config.headers.clone()),
            capture: Capture::new(&config.access_log),
            inspect: config.session.inspect,
            policy: Arc::new(session::policy(&config.session, &config.dial)),
            read_timeout: config.dial.read_timeout,
            send_timeout: config.dial.send_timeout,
            close_timeout: config.session.close_timeout,
            shutdown_grace: config.shutdown_grace,
            shutdown_code: CloseCode(codes.shutdown),
            drain: drain::Plan {
                window: config.drain.window,
                jitter_percent: config.drain.jitter_percent,
                quiet: config.drain.quiet,
                code: CloseCode(codes.drain),
            },
            rebalance: config.choice.rebalance,
        })
    }
}

/// The upstreams of a configuration, with what is known of them from `before`. At least one of their names resolves.
async fn upstreams<N: Net>(
    net: &N,
    config: &Config,
    crypto: &Crypto,
    observer: &Arc<dyn Observer>,
    before: Option<&Settings<N>>,
) -> Result<Routes<N>, SettingsError> {
    let mut sets: Vec<(Way, Vec<Spec>)> = Vec::new();
    let inward = config.upstreams.iter().map(|upstream| (false, upstream));
    for (egress, upstream) in inward.chain(config.egress.iter().map(|upstream| (true, upstream))) {
        let spec = Spec { tls: upstream_tls(upstream, config, crypto)?, config: upstream.clone() };
        let way = Way { egress, route: upstream.route.clone() };
        match sets.iter_mut().find(|(known, _)| *known == way) {
            Some((_, specs)) => specs.push(spec),
            None => sets.push((way, vec![spec])),
        }
    }
    look_up(net, config, before).await?;
    let named = config.upstreams.len() + config.egress.len() > 1;
    let sets = sets.into_iter().map(|(way, specs)| {
        let before = before.and_then(|before| before.upstreams.of(&way));
        let naming = Naming { named, own_host: way.has_own_host() };
        let upstream = Upstream::new(net.clone(), specs, before, config, naming, observer);
        (way, upstream)
    });
    Ok(Routes::new(sets.collect()))
}

/// Looks the names of upstreams up, but not those that `before` has.
async fn look_up<N: Net>(net: &N, config: &Config, before: Option<&Settings<N>>) -> Result<(), SettingsError> {
    let mut unresolved = Vec::new();
    for config::Upstream { target, written, .. } in config.upstreams.iter().chain(&config.egress) {
        let Target::Tcp { host, port } = target else { continue };
        if before.is_some_and(|before| before.upstreams.has(target)) {
            continue;
        }
        let found = timeout(config.dial.connect_timeout, net.resolve(host, *port)).await;
        if let Err(why) = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            unresolved.push(SettingsError::Resolve { place: written.0.clone(), host: host.clone(), why });
        }
    }
    if unresolved.len() == config.upstreams.len() + config.egress.len() {
        return Err(unresolved.swap_remove(0));
    }
    for error in unresolved {
        tracing::warn!("{error}; until it does, the others are used");
    }
    Ok(())
}

/// TLS towards an upstream and the name its certificate must have.
fn upstream_tls(
    upstream: &config::Upstream,
    config: &Config,
    crypto: &Crypto,
) -> Result<Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>, SettingsError> {
    let config::Upstream { tls: true, target: Target::Tcp { host, .. }, .. } = upstream else { return Ok(None) };
    let name = config.upstream_tls.name.as_ref().unwrap_or(host);
    let name = ServerName::try_from(name.clone()).map_err(|_| SettingsError::UpstreamName { name: name.clone() })?;
    Ok(Some((Arc::new(tls::client_config(&config.upstream_tls, crypto)?), name)))
}
