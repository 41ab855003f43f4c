//! One connection to the app.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};

use crate::config::Target;
use crate::net::{Endpoint, Net};
use crate::telemetry::{Notice, Observer};
use crate::tls::{self, HandshakeError};
use crate::transport::Transport;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("the app's name does not resolve: {0}")]
    Resolve(io::Error),
    #[error("the app cannot be reached: {0}")]
    Connect(io::Error),
    #[error("the app did not accept a connection within {0:?}")]
    Timeout(Duration),
    #[error("TLS with the app failed: {0}")]
    Tls(#[from] HandshakeError),
    #[error("the app did not finish the TLS handshake within {0:?}")]
    TlsTimeout(Duration),
}

impl DialError {
    /// A label for metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolve",
            Self::Connect(error) if error.kind() == ErrorKind::ConnectionRefused => "refused",
            Self::Connect(_) => "failed",
            Self::Timeout(_) => "timeout",
            Self::Tls(_) => "tls",
            Self::TlsTimeout(_) => "tls_timeout",
        }
    }

    /// Whether a moment later the app may well be there, as after a restart. Not so where the fault is not in its being
    /// away: a certificate that does not hold, no more descriptors here, a socket that may not be opened.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Resolve(_) | Self::Timeout(_) => true,
            Self::Connect(error) => matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::NetworkDown
                    | ErrorKind::TimedOut
                    // A Unix socket that its app has not made yet.
                    | ErrorKind::NotFound
            ),
            // It took the connection and died, which cuts whatever its backlog held. The request was not sent yet.
            Self::Tls(error) => matches!(error, HandshakeError::Io(_) | HandshakeError::Left),
            // It is there, and stuck.
            Self::TlsTimeout(_) => false,
        }
    }
}

/// Dials the app.
pub struct Dialer<N> {
    pub(super) net: N,
    /// The target, for people.
    pub(super) name: String,
    pub(super) target: Target,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(super) connect_timeout: Duration,
    pub(super) tls_timeout: Duration,
    pub(super) observer: Arc<dyn Observer>,
}

impl<N: Net> Dialer<N> {
    pub(super) async fn dial(&self) -> Result<Transport<N::Stream>, DialError> {
        let began = Instant::now();
        let dialled = self.dial_unobserved().await;
        let result = dialled.as_ref().map(drop).map_err(DialError::as_str);
        self.observer.notice(&Notice::Dialled { upstream: &self.name, result, took: began.elapsed() });
        dialled
    }

    async fn dial_unobserved(&self) -> Result<Transport<N::Stream>, DialError> {
        let stream = self.connect().await?;
        let Some((config, name)) = &self.tls else { return Ok(Transport::Plain(stream)) };
        let handshake = tls::connect(stream, Arc::clone(config), name.clone());
        match tokio::time::timeout(self.tls_timeout, handshake).await {
            Ok(done) => Ok(Transport::Tls(Box::new(done?))),
            Err(_) => Err(DialError::TlsTimeout(self.tls_timeout)),
        }
    }

    /// Where the app can be dialled now. Names are looked up at each dial, so that a moved app is found.
    pub(super) async fn addresses(&self) -> io::Result<Vec<Endpoint>> {
        match &self.target {
            Target::Unix(path) => Ok(vec![Endpoint::Unix(path.clone())]),
            Target::Tcp { host, port } => {
                let found = self.net.resolve(host, *port).await?;
                Ok(found.into_iter().map(Endpoint::Tcp).collect())
            }
        }
    }

    /// Tries the addresses in turn. All of them together have `connect_timeout`; each gets an equal share of what is
    /// left, so that one that swallows packets does not keep the next from being tried.
    async fn connect(&self) -> Result<N::Stream, DialError> {
        let late = || DialError::Timeout(self.connect_timeout);
        let deadline = Instant::now() + self.connect_timeout;
        let addresses =
            timeout_at(deadline, self.addresses()).await.map_err(|_| late())?.map_err(DialError::Resolve)?;
        let mut last = late();
        for (tried, address) in addresses.iter().enumerate() {
            let now = Instant::now();
            let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = now + deadline.saturating_duration_since(now) / untried;
            match timeout_at(share, self.net.connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = DialError::Connect(error),
                Err(_) => last = late(),
            }
        }
        Err(last)
    }
}
