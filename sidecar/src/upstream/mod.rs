//! The app: which of its upstreams is dialled, and connections that are kept for the next request.

mod board;
mod check;
mod dial;
mod hold;
mod peer;
mod pool;
mod routes;
mod shown;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::HOST;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use outrigger_shared::choose::{self, PeerId, Policy};
use outrigger_shared::proxy_protocol::Ends;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use board::Board;
pub use board::{Seat, Snapshot};
use check::Checks;
pub use dial::DialError;
use dial::Dialer;
use hold::Hold;
pub use hold::HoldError;
use peer::Peer;
pub(crate) use peer::{Spec, authority};
pub use pool::Lease;
use pool::Pool;
pub use routes::Routes;
pub(crate) use routes::Way;
use shown::Dialled;
pub(crate) use shown::{Held, Shown};

use crate::config::{self, Config};
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
            Self::Held(_) | Self::Dial(DialError::Busy { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Body(BodyFault::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyFault::ClientSilent) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Dial(_) | Self::Broken(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// When it is worth to come back, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Dial(DialError::Busy { retry_after }) => Some(*retry_after),
            _ => None,
        }
    }

    /// Whose fault it was, as a label.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Dial(DialError::Timeout(_) | DialError::TlsTimeout(_)) | Self::NotTaken | Self::NoAnswer => {
                Fault::Timeout
            }
            Self::Dial(DialError::Busy { .. }) => Fault::Busy,
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
            Self::Dial(DialError::Busy { .. }) => "Too many wait for the app at the moment.",
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

/// The app behind the sidecar: one upstream, or several that can stand in for each other.
pub struct Upstream<N> {
    net: N,
    /// In the order of the configuration; never empty.
    peers: Arc<Vec<Peer<N>>>,
    board: Arc<Board>,
    limits: config::Dial,
    /// `None` where upgrades do not wait for an app that is away.
    hold: Option<Arc<Hold>>,
    naming: Naming,
    observer: Arc<dyn Observer>,
}

/// What upstreams are called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming {
    /// By their names rather than by their addresses.
    pub(crate) named: bool,
    /// Whether requests for one get its own name as their `Host`.
    pub(crate) own_host: bool,
}

impl<N: Net> Upstream<N> {
    /// From `before`, which took the same requests, goes on what the configuration leaves as it was: what is known of upstreams,
    /// connections that are kept, upgrades that wait.
    pub(crate) fn new(
        net: N,
        specs: Vec<Spec>,
        before: Option<&Self>,
        config: &Config,
        naming: Naming,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        let (limits, choice) = (config.dial.clone(), &config.choice);
        let several = specs.len() > 1;
        let new_board = || Board::new(policy(choice, several), Arc::clone(observer));
        let board = before.map_or_else(new_board, |before| Arc::clone(&before.board));
        let observer = Arc::clone(observer);
        let line = before.filter(|before| before.leads_to(&specs)).and_then(|before| before.hold.clone());
        let chosen: Vec<_> = specs.iter().map(|spec| chooser_spec(&spec.config)).collect();
        // Chance is only taken where there is a choice.
        let seed = several.then(|| net.seed());
        let (configured, ids) = board.configure(policy(choice, several), &chosen, seed);
        let peer = |(id, (spec, chosen)): (PeerId, (Spec, choose::Spec))| {
            // A connection that says who the client is can be nobody else's.
            let capacity = if spec.config.proxy_protocol.is_some() { 0 } else { limits.idle_connections };
            let kept = before.and_then(|before| before.pool_to(&spec, &limits));
            let pool = kept.filter(|pool| pool.has(capacity, limits.idle_timeout)).unwrap_or_else(|| {
                let pool = Pool::new(capacity, limits.idle_timeout);
                net.spawn(Arc::clone(&pool).expire());
                pool
            });
            let Spec { config: config::Upstream { target, proxy_protocol, .. }, tls } = spec;
            let authority = authority(&target);
            let dialer = Dialer {
                net: net.clone(),
                name: if naming.named { chosen.name.to_string() } else { target.to_string() },
                address: target.to_string(),
                target,
                tls,
                proxy_protocol,
                connect_timeout: limits.connect_timeout,
                tls_timeout: config.http.tls_handshake_timeout,
                observer: Arc::clone(&observer),
            };
            Peer { id, name: chosen.name, authority, dialer, pool, last_dial: Mutex::default() }
        };
        let peers: Vec<_> = ids.into_iter().zip(specs.into_iter().zip(chosen)).map(peer).collect();
        let peers = Arc::new(peers);
        if let Some(how) = choice.check.as_ref().filter(|_| several) {
            let checks = Checks { kind: how.kind.clone(), patience: limits.upgrade_timeout };
            net.spawn(checks.run(net.clone(), Arc::clone(&board), Arc::downgrade(&peers), configured));
        }
        let hold = config.hold.map(|limits| {
            let goes_on = line.filter(|line| line.has(limits));
            goes_on.unwrap_or_else(|| Arc::new(Hold::new(limits, net.seed())))
        });
        Self { net, peers, board, limits, hold, naming, observer }
    }

    /// Whether upgrades that wait for these wait for the same app, and would reach it in the same way.
    fn leads_to(&self, specs: &[Spec]) -> bool {
        self.peers.len() == specs.len() && self.peers.iter().zip(specs).all(|(peer, spec)| peer.stays(spec))
    }

    /// The connections to this upstream, if they would be no others with these limits.
    fn pool_to(&self, spec: &Spec, limits: &config::Dial) -> Option<Arc<Pool>> {
        // They are guarded by the time limit that they began with.
        let same = self.limits.send_timeout == limits.send_timeout;
        self.peers.iter().find(|peer| same && peer.stays(spec)).map(|peer| Arc::clone(&peer.pool))
    }

    /// The app as it is configured, for people: the only upstream without scheme and path, or `any` of several.
    pub fn name(&self) -> &str {
        match self.peers.as_slice() {
            [only] => &only.dialer.name,
            _ => "any",
        }
    }

    /// Whether it is one of these that is there.
    pub(crate) fn has(&self, target: &config::Target) -> bool {
        self.peers.iter().any(|peer| peer.dialer.target == *target)
    }

    /// The names of upstreams whose sessions could be where new ones go, for so long by now.
    pub(crate) fn strays(&self, settled: Duration) -> Vec<Arc<str>> {
        if self.peers.len() == 1 {
            return Vec::new();
        }
        let strays = self.board.strays(settled);
        self.peers.iter().filter(|peer| strays.contains(&peer.id)).map(|peer| Arc::clone(&peer.name)).collect()
    }

    /// How many upgrades wait for the app now.
    pub fn held(&self) -> usize {
        self.hold.as_ref().map_or(0, |hold| hold.held())
    }

    /// What is known of the upstreams now.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        self.board.snapshot()
    }

    /// The same, with what each has of its own; those that are only there for their sessions have nothing.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let of = |snapshot: &Snapshot| {
            let peer = self.peers.iter().find(|peer| !snapshot.retired && peer.name == snapshot.name);
            Shown::new(snapshot, peer.map_or(0, |peer| peer.pool.len()), peer.and_then(Peer::last_dial))
        };
        self.snapshot().iter().map(of).collect()
    }

    /// The line of upgrades that wait; `None` where none would.
    pub(crate) fn hold(&self) -> Option<Held> {
        self.hold.as_ref().map(|hold| hold.snapshot())
    }

    /// The name of the upstream that a seat is at, where there are several.
    pub(crate) fn name_of(&self, seat: &Seat) -> Option<Arc<str>> {
        self.naming.named.then(|| Arc::clone(&self.peer_of(seat).name))
    }

    /// Where the upstream is that a seat is at, for people: without scheme and path.
    pub(crate) fn address_of(&self, seat: &Seat) -> &str {
        &self.peer_of(seat).dialer.address
    }

    /// Opens a raw connection, to the first upstream that takes it.
    pub async fn dial(&self, client: Option<Ends>) -> Result<(Transport<N::Stream>, Seat), DialError> {
        self.first(client, |_| None::<Never>).await.map(|found| match found {
            Found::Dialled(transport, seat) => (transport, seat),
            Found::Kept(never, _) => match never {},
        })
    }

    /// Sends an ordinary request, over a connection that was kept if there is one.
    ///
    /// A kept connection may have been closed by the app a moment ago. A request that was not begun on it goes to
    /// another one; so does a safe one without a body (RFC 9110 §9.2.1) that got not a byte of an answer, as RFC 9112
    /// §9.3.1 allows. Nothing else that the app may have seen is sent twice.
    ///
    /// The lease goes back to the pool when the answer's body is over.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        client: Option<Ends>,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        let upload = request.body().upload();
        loop {
            let (mut sender, seat, kept) = match self.first(client, |peer| peer.pool.take()).await? {
                Found::Kept(sender, seat) => (sender, seat, true),
                Found::Dialled(transport, seat) => (self.connect(transport).await?, seat, false),
            };
            self.address(&mut request, &seat);
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
                            seat.suspect();
                            return Err(if now.done { SendError::NoAnswer } else { SendError::NotTaken });
                        }
                    }
                }
            };
            match outcome {
                Ok(response) => return Ok((response, Lease::new(&self.peer_of(&seat).pool, sender, seat))),
                Err(mut failed) => {
                    let unsent = failed.take_message().filter(|_| kept);
                    let error = failed.into_error();
                    // A connection that closed before the first byte of an answer; anything later is an answer.
                    let unanswered = error.is_closed() || error.is_incomplete_message() || error.is_canceled();
                    let Some(once_more) = unsent.or(again.filter(|_| unanswered || is_io(&error))) else {
                        let Some(fault) = upload.state().fault else {
                            seat.suspect();
                            return Err(SendError::Broken(error));
                        };
                        return Err(SendError::Body(fault));
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
        mut request: Request<RequestBody>,
        client: Option<Ends>,
        draining: impl Future<Output = ()>,
    ) -> Result<(Response<Incoming>, Seat), SendError> {
        let (transport, seat) = match &self.hold {
            Some(hold) => {
                let outcome = hold.connection(|| self.dial(client), draining).await;
                if let Err(SendError::Held(why)) = &outcome {
                    self.observer.notice(&Notice::NotHeld { upstream: self.name(), why: why.as_str() });
                }
                outcome?
            }
            None => self.dial(client).await?,
        };
        self.address(&mut request, &seat);
        let exchange = async {
            let mut sender = self.connect(transport).await?;
            sender.send_request(request).await.map_err(SendError::Broken)
        };
        let outcome = timeout(self.limits.upgrade_timeout, exchange).await.unwrap_or(Err(SendError::NoAnswer));
        outcome.inspect_err(|_| seat.suspect()).map(|response| (response, seat))
    }

    /// Tries the upstreams in their order: something of one that is there already, or a dial. Only what has failed
    /// before a byte of a request was sent is tried again, and no longer than a handshake may take.
    async fn first<T>(
        &self,
        client: Option<Ends>,
        kept: impl Fn(&Peer<N>) -> Option<T>,
    ) -> Result<Found<T, N>, DialError> {
        let over = Instant::now() + self.limits.upgrade_timeout;
        let mut passing = None;
        let mut last = None;
        for peer in self.order() {
            let id = peer.id;
            let was_well = self.board.is_well(id);
            if let Some(kept) = kept(peer) {
                self.observer.notice(&Notice::Reused { upstream: &peer.dialer.name });
                return Ok(Found::Kept(kept, self.board.seat(id)));
            }
            let dialling = self.board.dial(id);
            match dialling.wait(over.saturating_duration_since(Instant::now())) {
                Ok(wait) => sleep_if_any(wait).await,
                // The others are not for a herd that is too large for this one.
                Err(retry_after) => return Err(DialError::Busy { retry_after }),
            }
            if self.peers.len() > 1 && !self.board.is_well(id) && was_well {
                // It was ejected in the meantime.
                continue;
            }
            let began = Instant::now();
            let dialled = if self.peers.len() == 1 {
                peer.dialer.dial(client).await
            } else {
                let late = || DialError::Timeout(self.limits.upgrade_timeout);
                timeout_at(over, peer.dialer.dial(client)).await.unwrap_or_else(|_| Err(late()))
            };
            peer.note(Dialled::new(began, &dialled));
            match dialled {
                Ok((transport, took)) => return Ok(Found::Dialled(transport, dialling.connected(took))),
                Err(error) => {
                    if error.is_theirs() {
                        dialling.failed();
                    }
                    if self.peers.len() > 1 {
                        tracing::debug!(upstream = %peer.name, %error, "a dial failed");
                    }
                    let kind = if error.may_pass() { &mut passing } else { &mut last };
                    *kind = Some(error);
                }
            }
            if Instant::now() >= over {
                break;
            }
        }
        // One that may be there in a moment is worth waiting for.
        Err(passing.or(last).unwrap_or(DialError::Timeout(self.limits.upgrade_timeout)))
    }

    /// The upstreams in the order in which they are tried.
    fn order(&self) -> Vec<&Peer<N>> {
        let order = self.board.order();
        let known: Vec<_> = order.iter().filter_map(|id| self.peers.iter().find(|peer| peer.id == *id)).collect();
        // A newer configuration may have replaced all of them while a request was underway.
        if known.is_empty() { self.peers.iter().collect() } else { known }
    }

    fn peer_of(&self, seat: &Seat) -> &Peer<N> {
        self.peers.iter().find(|peer| peer.id == seat.peer()).expect("the seat was taken at one of these")
    }

    /// Says whom the request asks, where the client could not know.
    fn address(&self, request: &mut Request<RequestBody>, seat: &Seat) {
        if self.naming.own_host {
            request.headers_mut().insert(HOST, self.peer_of(seat).authority.clone());
        }
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

/// A timer is not free, and mostly there is nothing to wait for.
async fn sleep_if_any(wait: Duration) {
    if !wait.is_zero() {
        sleep(wait).await;
    }
}

/// What a request can go over.
enum Found<T, N: Net> {
    Kept(T, Seat),
    Dialled(Transport<N::Stream>, Seat),
}

/// Nothing is kept for a connection that is to be raw.
enum Never {}

fn chooser_spec(upstream: &config::Upstream) -> choose::Spec {
    choose::Spec {
        name: upstream.name.as_str().into(),
        address: upstream.to_string().into(),
        region: upstream.region.as_str().into(),
        priority: upstream.priority,
        weight: upstream.weight,
    }
}

/// The only upstream is never ejected: there is nobody to go to.
fn policy(choice: &config::Choice, several: bool) -> Policy {
    Policy {
        fails: if several { choice.fails } else { u32::MAX },
        backoff: choice.backoff,
        backoff_max: choice.backoff_max,
        check_every: choice.check.as_ref().filter(|_| several).map(|check| check.every),
        checks_are_deeper: choice.check.as_ref().is_some_and(|check| check.kind != config::CheckKind::Tcp),
        pace: choice.pace,
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
