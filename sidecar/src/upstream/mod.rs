//! The app: how it is dialled, and connections to it that are kept for the next request.

mod dial;
mod hold;
mod pool;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, sleep_until, timeout};

pub use dial::{DialError, Dialer};
use hold::Hold;
pub use hold::HoldError;
pub use pool::Lease;
use pool::Pool;

use crate::config;
use crate::http::{BodyFault, Guard, RequestBody};
use crate::net::Net;
use crate::telemetry::{Fault, Notice, Observer};
use crate::transport::Transport;

/// Bytes that hyper may buffer of an answer; frames that the app sends right behind its 101 wait in there.
const ANSWER_BUFFER_BYTES: usize = 64 * 1024;

/// Why the app's answer did not come.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Held(#[from] HoldError),
    #[error("the app took nothing of the request for too long")]
    NotTaken,
    #[error("the app did not answer in time")]
    NoAnswer,
    #[error("the request body did not come whole: {0}")]
    Body(BodyFault),
    #[error("the app gave no valid answer: {0}")]
    Broken(hyper::Error),
}

impl SendError {
    /// What the client is told: whose fault it was, and whether time was the problem.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Dial(DialError::Timeout(_) | DialError::TlsTimeout(_)) | Self::NotTaken | Self::NoAnswer => {
                StatusCode::GATEWAY_TIMEOUT
            }
            // Not 502: nothing is wrong that another attempt would not mend, and Retry-After goes with 503.
            Self::Held(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Body(BodyFault::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyFault::ClientSilent) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Dial(_) | Self::Broken(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whose fault it was, as a label.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Dial(DialError::Timeout(_) | DialError::TlsTimeout(_)) | Self::NotTaken | Self::NoAnswer => {
                Fault::Timeout
            }
            Self::Dial(_) => Fault::Unreachable,
            Self::Held(HoldError::Draining) => Fault::Draining,
            Self::Held(_) => Fault::Away,
            Self::Body(BodyFault::TooLarge) => Fault::TooLarge,
            Self::Body(_) => Fault::RequestBody,
            Self::Broken(_) => Fault::BadAnswer,
        }
    }

    /// The sentence that the client is told; the app's address is not in it.
    pub fn for_client(&self) -> &'static str {
        match self {
            Self::Dial(DialError::Timeout(_) | DialError::TlsTimeout(_)) => {
                "The app did not accept a connection in time."
            }
            Self::Dial(_) => "The app cannot be reached.",
            Self::Held(HoldError::Draining) => "This server is shutting down.",
            Self::Held(_) => "The app cannot be reached at the moment.",
            Self::NotTaken => "The app took nothing of the request in time.",
            Self::NoAnswer => "The app did not answer in time.",
            Self::Body(BodyFault::TooLarge) => "The request body is larger than is allowed.",
            Self::Body(BodyFault::ClientSilent) => "The request body came more slowly than is allowed.",
            Self::Body(_) => "The request body did not come whole.",
            Self::Broken(_) => "The app gave no valid answer.",
        }
    }
}

/// The app behind the sidecar.
pub struct Upstream<N> {
    net: N,
    dialer: Dialer<N>,
    limits: config::Dial,
    pool: Arc<Pool>,
    /// `None` where upgrades do not wait for an app that is away.
    hold: Option<Hold>,
    observer: Arc<dyn Observer>,
}

impl<N: Net> Upstream<N> {
    /// `tls` is given where the app is reached over TLS.
    pub fn new(
        net: N,
        target: config::Target,
        tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
        tls_timeout: Duration,
        limits: config::Dial,
        hold: Option<config::Hold>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let pool = Pool::new(limits.idle_connections, limits.idle_timeout);
        net.spawn(Arc::clone(&pool).expire());
        let name = target.to_string();
        let connect_timeout = limits.connect_timeout;
        let dialer = Dialer {
            net: net.clone(),
            name,
            target,
            tls,
            connect_timeout,
            tls_timeout,
            observer: Arc::clone(&observer),
        };
        let hold = hold.map(|limits| Hold::new(limits, net.seed()));
        Self { net, dialer, limits, pool, hold, observer }
    }

    /// The app as it is configured, for people: without scheme and path.
    pub fn name(&self) -> &str {
        &self.dialer.name
    }

    /// Whether the app's name resolves.
    pub async fn check_name(&self) -> io::Result<()> {
        self.dialer.addresses().await.map(drop)
    }

    /// How many upgrades wait for the app now.
    pub fn held(&self) -> usize {
        self.hold.as_ref().map_or(0, Hold::held)
    }

    /// Opens a raw connection.
    pub async fn dial(&self) -> Result<Transport<N::Stream>, DialError> {
        self.dialer.dial().await
    }

    /// Sends an ordinary request, over a connection that was kept if there is one.
    ///
    /// A kept connection may have been closed by the app a moment ago. A request that was not begun on it goes to
    /// another one; so does a safe one without a body (RFC 9110 §9.2.1) that got not a byte of an answer, as RFC 9112
    /// §9.3.1 allows. Nothing else that the app may have seen is sent twice.
    ///
    /// The lease goes back to the pool when the answer's body is over.
    pub async fn send(&self, mut request: Request<RequestBody>) -> Result<(Response<Incoming>, Lease), SendError> {
        let upload = request.body().upload();
        loop {
            let (mut sender, kept) = match self.pool.take() {
                Some(sender) => {
                    self.observer.notice(&Notice::Reused { upstream: self.name() });
                    (sender, true)
                }
                None => (self.connect(self.dial().await?).await?, false),
            };
            let again = if kept { repeatable(&request) } else { None };
            let answer = sender.try_send_request(request);
            tokio::pin!(answer);
            let outcome = loop {
                let before = upload.state();
                // Until the request is out, the app is slow to take it; then, slow to answer.
                let limit = if before.done { self.limits.read_timeout } else { self.limits.send_timeout };
                tokio::select! {
                    biased;
                    outcome = &mut answer => break outcome,
                    () = sleep_until(before.moved.max(Instant::now()) + limit) => {
                        let now = upload.state();
                        // While the client has to send first, its own time limit runs.
                        if now.moved == before.moved && now.done == before.done && !now.awaited {
                            return Err(if now.done { SendError::NoAnswer } else { SendError::NotTaken });
                        }
                    }
                }
            };
            match outcome {
                Ok(response) => return Ok((response, Lease::new(&self.pool, sender))),
                Err(mut failed) => {
                    let unsent = failed.take_message().filter(|_| kept);
                    let error = failed.into_error();
                    // A connection that closed before the first byte of an answer; anything later is an answer.
                    let unanswered = error.is_closed() || error.is_incomplete_message() || error.is_canceled();
                    let Some(once_more) = unsent.or(again.filter(|_| unanswered || is_io(&error))) else {
                        let fault = upload.state().fault;
                        return Err(fault.map_or(SendError::Broken(error), SendError::Body));
                    };
                    request = once_more;
                }
            }
        }
    }

    /// Sends an opening handshake over a connection of its own, which closes if the answer is not a 101. With `hold`, an
    /// app that is away is waited for, though not any longer when `draining` is done.
    pub async fn open(
        &self,
        request: Request<RequestBody>,
        draining: impl Future<Output = ()>,
    ) -> Result<Response<Incoming>, SendError> {
        let transport = match &self.hold {
            Some(hold) => {
                let outcome = hold.connection(|| self.dial(), draining).await;
                if let Err(SendError::Held(why)) = &outcome {
                    self.observer.notice(&Notice::NotHeld { upstream: self.name(), why: why.as_str() });
                }
                outcome?
            }
            None => self.dial().await?,
        };
        let exchange = async {
            let mut sender = self.connect(transport).await?;
            sender.send_request(request).await.map_err(SendError::Broken)
        };
        timeout(self.limits.upgrade_timeout, exchange).await.unwrap_or(Err(SendError::NoAnswer))
    }

    /// Speaks HTTP over a connection that was dialled.
    async fn connect(&self, transport: Transport<N::Stream>) -> Result<SendRequest<RequestBody>, SendError> {
        // Also when the answer is there already and the rest of the request is not taken.
        let io = TokioIo::new(Guard::for_writes(transport, self.limits.send_timeout));
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .max_buf_size(ANSWER_BUFFER_BYTES)
            .handshake(io)
            .await
            .map_err(SendError::Broken)?;
        self.net.spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the app ended badly");
            }
        });
        Ok(sender)
    }
}

/// The same request again, if it does no harm to send it twice.
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_safe() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(RequestBody::none());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    // The case of the header names is in there.
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

/// Whether the socket failed, as it does when the app resets a connection that it has closed.
fn is_io(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<io::Error>)
}
