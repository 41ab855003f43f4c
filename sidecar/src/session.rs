//! One session's story: from the sockets of an upgrade to the line in the log that says how it ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outrigger_shared::close::{Cause, CloseCode, Side};
use outrigger_shared::event::Event;
use outrigger_shared::handshake::Negotiated;
use outrigger_shared::limits::{self, Policy};
use outrigger_shared::relay::{self, Relay, Stats};
use outrigger_shared::time::Micros;
use tokio::time::Instant;

use crate::config::{self, Dial, SessionConfig};
use crate::drive::Drive;
use crate::lifecycle::Live;
use crate::listen::Permit;
use crate::net::Net;
use crate::registry::{Handle, Registry};
use crate::telemetry::trace::SessionTrace;
use crate::telemetry::{Asked, Observer};
use crate::transport::Transport;
use crate::upstream::Seat;

/// Who a session is, for the account of it. Idle sessions hold this, so it is kept short.
#[derive(Debug)]
pub struct Who {
    /// Counts from 1 in each process.
    pub id: u64,
    pub client: SocketAddr,
    /// `ws`, `wss` or `tls`.
    pub scheme: &'static str,
    /// Host and path without the query, which may hold secrets; empty on raw listeners.
    pub host: Box<str>,
    pub path: Box<str>,
    /// The subprotocol agreed on, or that it is not to be shown.
    pub protocol: Option<Box<str>>,
    /// The name of the upstream, where there are several.
    pub upstream: Option<Arc<str>>,
    /// What else of its request may be shown, where that is wanted.
    pub asked: Option<Arc<Asked>>,
}

/// Where a session's events go, and what lives as long as the session does.
pub(crate) struct Account {
    handle: Arc<Handle>,
    registry: Arc<Registry>,
    observer: Arc<dyn Observer>,
    counts_traffic: bool,
    /// Where the handshake was recorded.
    trace: Option<Box<SessionTrace>>,
    /// How it ended, once it has.
    cause: Option<Cause>,
    seat: Seat,
    _permit: Arc<Permit>,
    _live: Live,
}

impl Account {
    pub(crate) fn new(
        who: Who,
        observer: Arc<dyn Observer>,
        registry: Arc<Registry>,
        seat: Seat,
        permit: Arc<Permit>,
        live: Live,
        trace: Option<Box<SessionTrace>>,
    ) -> Self {
        observer.event(&who, &Event::SessionOpened);
        let counts_traffic = observer.counts_traffic();
        let handle = registry.enter(who, Instant::now());
        Self { handle, registry, observer, counts_traffic, trace, cause: None, seat, _permit: permit, _live: live }
    }

    /// What others may ask of the session.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn event(&mut self, event: Event) {
        if let Some(trace) = &mut self.trace {
            trace.event(&event);
        }
        self.observer.event(self.handle.who(), &event);
    }

    /// What was read went to the other side's socket, or waits for it.
    pub(crate) fn forwarded(&mut self, waits: bool) {
        if let Some(trace) = &mut self.trace {
            trace.forwarded(self.handle.who(), waits);
        }
    }

    /// When [`Account::cut_segment`] has to be called, if nothing else happens before.
    pub(crate) fn segment_ends(&self) -> Option<Instant> {
        self.trace.as_ref().and_then(|trace| trace.wakes())
    }

    /// Ends the session's segment if it is long enough.
    pub(crate) fn cut_segment(&mut self, relay: &Relay) {
        if let Some(trace) = &mut self.trace
            && trace.segment_ends() <= Instant::now()
        {
            trace.cut(self.handle.who(), relay);
        }
    }

    /// Whether somebody wants to know what passes.
    pub(crate) fn counts_traffic(&self) -> bool {
        self.counts_traffic
    }

    /// What passed from a side since it was last told.
    pub(crate) fn passed(&self, from: Side, passed: &Stats) {
        self.observer.passed(from, passed);
    }

    /// The session is over and its counters are final.
    pub(crate) fn close(&mut self, relay: &Relay) {
        self.cause = relay.end().map(|end| end.cause);
        if let Some(trace) = &mut self.trace {
            trace.cut(self.handle.who(), relay);
        }
        let lost = |cause| {
            use Cause::{Gone, KeepaliveLost, Reset, Stalled};
            matches!(cause, KeepaliveLost(Side::App) | Gone(Side::App) | Reset(Side::App) | Stalled(Side::App))
        };
        if self.cause.is_some_and(lost) {
            self.seat.suspect();
        }
        self.observer.ended(self.handle.who(), self.handle.age(), relay);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.cause.is_none() {
            self.observer.cut(self.handle.who());
        }
        self.registry.leave(self.handle.who().id, self.cause);
    }
}

/// What runs between the two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Frames, with this extension in force.
    WebSocket(Negotiated),
    /// Bytes of which nothing is known.
    Raw,
}

/// Everything a session needs besides its sockets.
pub(crate) struct Setup {
    pub(crate) policy: Arc<Policy>,
    pub(crate) kind: Kind,
    pub(crate) account: Account,
}

/// Starts a task that relays until the session is over. Each side comes with the bytes that were read from it
/// already; they go first.
pub(crate) fn spawn<N: Net>(
    net: &N,
    client: (Transport<N::Stream>, Vec<u8>),
    app: (Transport<N::Stream>, Vec<u8>),
    setup: Setup,
) {
    let Setup { policy, kind, account } = setup;
    let epoch = account.handle().opened();
    let start = Micros::default();
    let mut relay = match kind {
        Kind::WebSocket(negotiated @ (Negotiated::Plain | Negotiated::PermessageDeflate)) => {
            let negotiated = relay::Negotiated { permessage_deflate: negotiated == Negotiated::PermessageDeflate };
            Relay::websocket(policy, negotiated, net.seed(), start)
        }
        // What an unknown extension does to frames cannot be checked, and must not be called a violation.
        Kind::WebSocket(Negotiated::Unknown) | Kind::Raw => Relay::raw(policy, start),
    };
    if let Some((one_in, seed)) = account.trace.as_ref().and_then(|trace| trace.sampling()) {
        relay.sample_messages(one_in, seed);
    }
    // A task of its own: the one that shook hands holds room for hyper's state as long as it lives.
    net.spawn(Drive::new(client, app, relay, epoch, account));
}

/// The shared machine's policy out of the configuration.
pub(crate) fn policy(session: &SessionConfig, dial: &Dial) -> Policy {
    let keepalive = |interval: Option<Duration>| {
        interval.map(|interval| limits::Keepalive { interval, pong_timeout: session.keepalive.pong_timeout })
    };
    let codes = &session.close_codes;
    Policy {
        idle_timeout: Some(dial.read_timeout),
        send_timeout: Some(dial.send_timeout),
        keepalive_client: keepalive(session.keepalive.client),
        keepalive_app: keepalive(session.keepalive.app),
        close_timeout: session.close_timeout,
        max_message_size: session.max_message,
        max_frame_size: session.max_frame,
        max_fragments: session.max_fragments,
        message_rate: session.rates.messages.map(|r| limits::Rate { per_second: r.per_second, burst: r.burst }),
        byte_rate: session.rates.bytes.map(|per_second| limits::ByteRate { per_second, burst: per_second }),
        over_rate: match session.rates.over {
            config::OverRate::Slow => limits::OverRate::Slow,
            config::OverRate::Close => limits::OverRate::Close,
        },
        max_lifetime: session.lifetime.map(|l| l.max),
        lifetime_jitter_percent: session.lifetime.map_or(0, |l| l.jitter_percent),
        write_buffer: session.write_buffer,
        codes: limits::CloseCodes {
            idle: CloseCode(codes.idle),
            lifetime: CloseCode(codes.lifetime),
            rate: CloseCode(codes.rate),
            app_gone: CloseCode(codes.app_gone),
            app_silent: CloseCode(codes.app_silent),
            ..limits::CloseCodes::default()
        },
    }
}
