//! What a reload can change, as one value: a connection, a request or a session keeps the one that it began with.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use outrigger_shared::close::CloseCode;
use outrigger_shared::limits::Policy;
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use crate::config::{self, Access, Config, HttpLimits, Inspect, ResponseHeaders, Target};
use crate::drain;
use crate::net::Net;
use crate::session;
use crate::telemetry::Observer;
use crate::tls::{self, Crypto, LoadError, ServerSide};
use crate::upstream::Upstream;

/// Why a configuration that is right in itself cannot be put into force.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Tls(#[from] LoadError),
    #[error(
        "{name:?} is no name that a certificate can be checked against; set upstream_tls_name to the one in the app's certificate"
    )]
    UpstreamName { name: String },
    #[error("upstream {host}: the name does not resolve ({why}); check the spelling, or give an address")]
    Resolve { host: String, why: io::Error },
}

impl SettingsError {
    /// Whether the configuration is at fault, rather than the world as it is now.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::UpstreamName { .. })
    }
}

/// A configuration in force.
pub struct Settings<N> {
    pub(crate) upstream: Upstream<N>,
    /// The app's own name, for clients that name nobody.
    pub(crate) authority: HeaderValue,
    /// Present where a listener has TLS.
    pub(crate) tls: Option<ServerSide>,
    pub(crate) http: HttpLimits,
    pub(crate) access: Access,
    pub(crate) headers: Arc<ResponseHeaders>,
    pub(crate) inspect: Inspect,
    pub(crate) policy: Arc<Policy>,
    pub(crate) read_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) shutdown_code: CloseCode,
    pub(crate) drain: drain::Plan,
}

impl<N: Net> Settings<N> {
    /// Looks the app's name up once, to see whether it is right; but not that of `known`, which has been looked up
    /// before, and may be out of reach just now.
    pub(crate) async fn new(
        net: &N,
        config: &Config,
        crypto: &Crypto,
        tls: Option<ServerSide>,
        known: Option<&Target>,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, SettingsError> {
        let upstream_tls = upstream_tls(config, crypto)?;
        let upstream = Upstream::new(
            net.clone(),
            config.upstream.target.clone(),
            upstream_tls,
            config.http.tls_handshake_timeout,
            config.dial.clone(),
            config.hold,
            Arc::clone(observer),
        );
        if let Target::Tcp { host, .. } = &config.upstream.target
            && known != Some(&config.upstream.target)
        {
            let check = timeout(config.dial.connect_timeout, upstream.check_name()).await;
            let found = check.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            found.map_err(|why| SettingsError::Resolve { host: host.clone(), why })?;
        }
        let codes = &config.session.close_codes;
        Ok(Self {
            upstream,
            authority: authority(&config.upstream.target),
            tls,
            http: config.http.clone(),
            access: config.access.clone(),
            headers: Arc::new(config.headers.clone()),
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
        })
    }
}

/// TLS towards the app and the name its certificate must have.
fn upstream_tls(
    config: &Config,
    crypto: &Crypto,
) -> Result<Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>, SettingsError> {
    let config::Upstream { tls: true, target: Target::Tcp { host, .. } } = &config.upstream else { return Ok(None) };
    let name = config.upstream_tls.name.as_ref().unwrap_or(host);
    let name = ServerName::try_from(name.clone()).map_err(|_| SettingsError::UpstreamName { name: name.clone() })?;
    Ok(Some((Arc::new(tls::client_config(&config.upstream_tls.trust, crypto)?), name)))
}

/// `host:port` of the app; a Unix socket has none, so `localhost`, as curl and others say then.
fn authority(target: &Target) -> HeaderValue {
    let text = match target {
        Target::Tcp { .. } => target.to_string(),
        Target::Unix(_) => "localhost".to_owned(),
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("localhost"))
}
