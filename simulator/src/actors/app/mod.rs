//! The app: one feed, told in four ways.

mod answer;
mod body;
mod control;
mod session;
mod stall;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use outrigger::lifecycle::{Lifecycle, Live};
use outrigger::net::{Listener as _, Net};
use tokio::select;
use tokio::time::timeout;

use super::{Actor, Feed, Rng, Stop};
use answer::Exchange;
pub use control::AppControl;
use stall::Stallable;

/// Longer than the 75 s after which proxies give up idle connections, so that it is not the app that closes one
/// while a request is on its way.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// How long what is there gets to end once the app is told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const GOING_AWAY: u16 = 1001;

/// How an app behaves.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// What the app needs before it answers, uniformly from the first to the second.
    pub processing: (Duration, Duration),
    pub write: WritePattern,
    /// Put on every answer, on top of what it needs.
    pub headers: HeaderMap,
    /// Updates kept for whoever asks for what it missed, counted back from the newest; those before are lost to it. A
    /// session that is open gets everything from then on, whether it reads fast or slowly.
    pub history: u64,
    /// The longest wait that a long poll is granted.
    pub max_wait: Duration,
    /// How often a silent event stream gets a comment, so that nobody takes it for dead.
    pub sse_heartbeat: Option<Duration>,
    /// After how much silence of its own the app pings a WebSocket.
    pub ping: Option<Duration>,
    /// How long a client may take no bytes before its session is given up.
    pub write_timeout: Duration,
    /// How long to wait for the client's Close after ours.
    pub close_timeout: Duration,
}

impl Default for AppOptions {
    /// No delay, written together, all of history, long polls up to 60 s, a comment every 15 s, no pings, 30 s for a
    /// write, 2 s for a Close.
    fn default() -> Self {
        Self {
            processing: (Duration::ZERO, Duration::ZERO),
            write: WritePattern::Together,
            headers: HeaderMap::new(),
            history: u64::MAX,
            max_wait: Duration::from_mins(1),
            sse_heartbeat: Some(Duration::from_secs(15)),
            ping: None,
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(2),
        }
    }
}

/// How an answer reaches the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WritePattern {
    /// Header and body in one write.
    Together,
    /// The header first, the body a millisecond later in a write of its own: with Nagle's algorithm at work somewhere, a round trip more.
    Apart,
}

/// An app whose listener is bound.
pub struct App<N: Net> {
    shared: Arc<Shared<N>>,
    listener: N::Listener,
    lifecycle: Arc<Lifecycle>,
}

/// What all connections share.
struct Shared<N> {
    actor: Actor<N>,
    feed: Feed,
    options: AppOptions,
    control: AppControl,
    rng: Mutex<Rng>,
}

impl<N: Net> App<N> {
    /// Binds. The app owns nothing of `feed`: another app may tell of it too, also after this one.
    pub async fn bind(actor: Actor<N>, addr: SocketAddr, feed: Feed, options: AppOptions) -> io::Result<Self> {
        let listener = actor.net.bind(addr).await?;
        let rng = Mutex::new(actor.rng.clone());
        let shared = Arc::new(Shared { actor, feed, options, control: AppControl::default(), rng });
        Ok(Self { shared, listener, lifecycle: Lifecycle::new() })
    }

    /// The address really bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A handle on what the running app does.
    pub fn control(&self) -> AppControl {
        self.shared.control.clone()
    }

    /// Serves until told to stop: then it accepts nothing more, closes its sessions with 1001, and waits for what is
    /// still there, 5 s at most. Dropped, it cuts all connections.
    pub async fn run(self, stop: Stop) {
        let Self { shared, listener, lifecycle } = self;
        // Connections are tasks of their own: whichever way this future ends, none outlives it.
        let cut = CutOnDrop(shared.control.clone());
        let accepting = async {
            loop {
                shared.control.stall_is_over().await;
                // The listener reports no error of a single connection: this one is the end of it.
                let Ok((stream, _)) = listener.accept().await else { return };
                let stream = Stallable::new(stream, shared.control.clone());
                shared.actor.net.spawn(connection(stream, Arc::clone(&shared), lifecycle.enter()));
            }
        };
        select! {
            biased;
            () = stop.stopped() => {}
            () = accepting => return,
        }
        drop(listener);
        shared.control.leave(GOING_AWAY);
        let _ = timeout(STOP_TIMEOUT, lifecycle.emptied()).await;
        drop(cut);
    }
}

struct CutOnDrop(AppControl);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// One connection's story: requests, and then perhaps a session.
async fn connection<N: Net>(stream: Stallable<N::Stream>, shared: Arc<Shared<N>>, _live: Live) {
    let watch = shared.control.watch();
    let exchange = Arc::new(Exchange::new(Arc::clone(&shared), watch.clone()));
    let service = service_fn({
        let exchange = Arc::clone(&exchange);
        move |request| {
            let exchange = Arc::clone(&exchange);
            async move { Ok::<_, Infallible>(exchange.answer(request).await) }
        }
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            // hyper would ask the system's clock.
            .auto_date_header(false)
            .writev(false)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    // An error here is a peer that left or sent no HTTP; there is nobody to tell.
    select! {
        biased;
        () = watch.cut() => return,
        () = watch.leaving() => {
            http.as_mut().graceful_shutdown();
            select! {
                biased;
                () = watch.cut() => return,
                _ = http.as_mut() => {}
            }
        }
        _ = http.as_mut() => {}
    }
    if let Some(upgrade) = exchange.take_upgrade() {
        session::run(&shared, upgrade).await;
    }
}

impl<N> Shared<N> {
    /// How long this request is worked on.
    fn processing(&self) -> Duration {
        let (min, max) = self.options.processing;
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).between(min, max)
    }
}
