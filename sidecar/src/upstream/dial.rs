//! One connection to an upstream.

use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use outrigger_shared::proxy_protocol::{self, Ends, Version};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::config::Target;
use crate::net::{Endpoint, Net};
use crate::telemetry::{Notice, Observer};
use crate::tls::{self, HandshakeError};
use crate::transport::Transport;

/// How long an address has to answer before the next one is tried beside it (RFC 8305 §8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

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
    #[error("too many wait for a connection to the app (upstream_dial_queue)")]
    Busy {
        /// When it is worth to come back.
        retry_after: Duration,
    },
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
            Self::Busy { .. } => "busy",
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
            Self::TlsTimeout(_) | Self::Busy { .. } => false,
        }
    }

    /// Whether the upstream is to blame, rather than this host, which may be out of descriptors.
    pub(super) fn is_theirs(&self) -> bool {
        !matches!(self, Self::Connect(_) | Self::Busy { .. }) || self.may_pass()
    }
}

/// Dials one upstream.
pub(super) struct Dialer<N> {
    pub(super) net: N,
    /// What metrics call it: the upstream's name where there are several, else its address.
    pub(super) name: String,
    /// The target, for people.
    pub(super) address: String,
    pub(super) target: Target,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Said before everything else.
    pub(super) proxy_protocol: Option<Version>,
    pub(super) connect_timeout: Duration,
    pub(super) tls_timeout: Duration,
    pub(super) observer: Arc<dyn Observer>,
}

impl<N: Net> Dialer<N> {
    /// A connection, and how long its socket took to connect. `client` is for whom, if for anybody.
    pub(super) async fn dial(&self, client: Option<Ends>) -> Result<(Transport<N::Stream>, Duration), DialError> {
        let began = Instant::now();
        let dialled = self.dial_unobserved(client).await;
        let result = dialled.as_ref().map(drop).map_err(DialError::as_str);
        self.observer.notice(&Notice::Dialled { upstream: &self.name, result, took: began.elapsed() });
        dialled
    }

    /// The same, for nobody's request.
    pub(super) async fn dial_unobserved(
        &self,
        client: Option<Ends>,
    ) -> Result<(Transport<N::Stream>, Duration), DialError> {
        let (mut stream, took) = self.connect().await?;
        if let Some(version) = self.proxy_protocol {
            let header = proxy_protocol::write(version, client);
            let written = timeout(self.connect_timeout, stream.write_all(&header)).await;
            written.map_err(|_| DialError::Timeout(self.connect_timeout))?.map_err(DialError::Connect)?;
        }
        let Some((config, name)) = &self.tls else { return Ok((Transport::Plain(stream), took)) };
        let handshake = tls::connect(stream, Arc::clone(config), name.clone());
        match timeout(self.tls_timeout, handshake).await {
            Ok(done) => Ok((Transport::Tls(Box::new(done?)), took)),
            Err(_) => Err(DialError::TlsTimeout(self.tls_timeout)),
        }
    }

    /// Where it can be dialled now. Names are looked up at each dial, so that an app that has moved is found.
    pub(super) async fn addresses(&self) -> io::Result<Vec<Endpoint>> {
        match &self.target {
            Target::Unix(path) => Ok(vec![Endpoint::Unix(path.clone())]),
            Target::Tcp { host, port } => {
                let found = self.net.resolve(host, *port).await?;
                Ok(interleaved(found).into_iter().map(Endpoint::Tcp).collect())
            }
        }
    }

    /// A socket of the first address that answers (RFC 8305 §5), and how long it took. All together have
    /// `connect_timeout`.
    pub(super) async fn connect(&self) -> Result<(N::Stream, Duration), DialError> {
        let late = || DialError::Timeout(self.connect_timeout);
        let attempts = async {
            let addresses = self.addresses().await.map_err(DialError::Resolve)?;
            first(addresses, |address| self.connect_to(address)).await.map_err(DialError::Connect)
        };
        timeout(self.connect_timeout, attempts).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connect_to(&self, address: Endpoint) -> io::Result<(N::Stream, Duration)> {
        let began = Instant::now();
        let stream = self.net.connect(&address).await?;
        Ok((stream, began.elapsed()))
    }
}

/// Addresses of the two families in turn, beginning with that of the first (RFC 8305 §4); in a family, the resolver's
/// order.
fn interleaved(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(leads) = found.first().map(SocketAddr::is_ipv6) else { return found };
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv6() == leads);
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

/// What the first attempt yields that succeeds. The next one begins when the last has failed, or has taken
/// [`ATTEMPT_DELAY`]; those that began go on. With all failed, what the last said.
async fn first<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<Endpoint>,
    connect: impl Fn(Endpoint) -> F,
) -> io::Result<T> {
    let mut waiting = addresses.into_iter();
    let mut underway: Vec<Pin<Box<F>>> = Vec::new();
    let mut last = io::Error::from(ErrorKind::NotFound);
    loop {
        underway.extend(waiting.next().map(|address| Box::pin(connect(address))));
        if underway.is_empty() {
            return Err(last);
        }
        let next = async { if waiting.len() == 0 { pending().await } else { sleep(ATTEMPT_DELAY).await } };
        let mut next = pin!(next);
        let failed = poll_fn(|cx| {
            for (place, attempt) in underway.iter_mut().enumerate() {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Some((place, error)))),
                    Poll::Pending => {}
                }
            }
            next.as_mut().poll(cx).map(|()| Err(None))
        });
        match failed.await {
            Ok(stream) => return Ok(stream),
            Err(None) => {}
            Err(Some((place, error))) => {
                drop(underway.remove(place));
                last = error;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_beginning_with_the_resolvers_first() {
        let found = ["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"].map(addr).to_vec();
        let wanted = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"].map(addr).to_vec();
        assert_eq!(interleaved(found), wanted);
        assert_eq!(interleaved(vec![addr("1.1.1.1:1"), addr("[::1]:1")]), [addr("1.1.1.1:1"), addr("[::1]:1")]);
        assert_eq!(interleaved(Vec::new()), []);
    }

    /// Connects to addresses by their port: after so many milliseconds, or never; odd ones fail.
    async fn race(ports: &[u16]) -> (io::Result<u16>, Duration, Vec<(u16, Duration)>) {
        let began = Instant::now();
        let dials = Mutex::new(Vec::new());
        let addresses = ports.iter().map(|port| Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], *port)))).collect();
        let outcome = first(addresses, |address| {
            let Endpoint::Tcp(address) = address else { unreachable!("only addresses are given") };
            let port = address.port();
            dials.lock().unwrap().push((port, began.elapsed()));
            async move {
                sleep(Duration::from_millis(port.into())).await;
                if port % 2 == 1 { Err(ErrorKind::ConnectionRefused.into()) } else { Ok(port) }
            }
        });
        let outcome = outcome.await;
        (outcome, began.elapsed(), dials.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_packets_is_overtaken_and_not_given_up() {
        let (winner, took, dials) = race(&[60_000, 20]).await;
        assert_eq!((winner.unwrap(), took), (20, ATTEMPT_DELAY + Duration::from_millis(20)));
        assert_eq!(dials.len(), 2);
        // The first one is slow, but the second is slower.
        let (winner, took, _) = race(&[400, 2000]).await;
        assert_eq!((winner.unwrap(), took), (400, Duration::from_millis(400)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_lets_the_next_one_begin_at_once() {
        let (winner, took, _) = race(&[11, 21, 30]).await;
        assert_eq!((winner.unwrap(), took), (30, Duration::from_millis(62)));
        let (winner, took, dials) = race(&[11, 21]).await;
        assert_eq!((winner.unwrap_err().kind(), took), (ErrorKind::ConnectionRefused, Duration::from_millis(32)));
        assert_eq!(dials.len(), 2);
        let (winner, ..) = race(&[]).await;
        assert_eq!(winner.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_wins_while_it_answers_in_time() {
        let (winner, _, dials) = race(&[200, 10]).await;
        assert_eq!((winner.unwrap(), dials.len()), (200, 1));
    }
}
