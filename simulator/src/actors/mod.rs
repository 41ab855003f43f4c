//! The people of the simulated world: apps that make updates available, and clients that want them.
//!
//! All of them are generic over [`Net`], so they run on the real network as they run on the simulated one. Their time
//! is `tokio::time`, their randomness a stream of their own, and what they see they tell an [`Observer`].
//!
//! | client | asks | app answers |
//! |---|---|---|
//! | [`Poller`] | `GET /updates?since=N`, and `client=ID` where updates are for some | 200 with all updates after N, or 304 |
//! | [`LongPoller`] | `GET /updates?since=N&wait=30s` | 200 at the next update, 204 if none comes |
//! | [`SseClient`] | `GET /events?since=N` | an endless `text/event-stream` |
//! | [`PushClient`] | `GET /ws?client=ID&since=N` | 101, then one text message for each update |

mod app;
mod audience;
mod client;
mod event;
mod feed;
mod figures;
mod queue;
mod rng;
mod signal;
mod wire;
mod workload;
mod ws;

use std::sync::Arc;

use outrigger::net::Net;
use tokio::time::Instant;

pub use app::{App, AppControl, AppOptions, WritePattern};
pub use audience::Audience;
pub use client::{
    Backoff, ClientSettings, ClientTls, Jitter, LongPoller, LongPolling, Messages, Pinging, Poller, Polling, Push,
    PushClient, ReadRate, Sse, SseClient, Target, Timeouts,
};
pub use event::{AppEvent, ClientEvent, ConnectFailure, Ending, FeedEvent, Observer, RequestFailure, RequestKind};
pub use feed::{FROM_NOW, Feed, MAX_KEPT_BYTES, MAX_KEPT_UPDATES, MAX_UPDATE_BYTES, Update};
pub use figures::{Account, AppFigures, Collector, Figures, OTHERS, Spread};
pub use rng::Rng;
pub use signal::Stop;
pub use wire::Wire;
pub use workload::{Pattern, Sizes, Workload};

/// Virtual time since the world began.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Source);

#[derive(Debug, Clone, Copy)]
enum Source {
    Since(Instant),
    Of(fn() -> u64),
}

impl Clock {
    /// Counts from `epoch`, which is not in the future.
    pub fn since(epoch: Instant) -> Self {
        Self(Source::Since(epoch))
    }

    /// The world's own clock, in microseconds: for worlds whose hosts have a runtime each, where an instant of one
    /// host means nothing on another.
    pub fn of(now_us: fn() -> u64) -> Self {
        Self(Source::Of(now_us))
    }

    /// Microseconds since the epoch.
    pub fn now_us(self) -> u64 {
        match self.0 {
            // 2^64 microseconds are half a million years.
            Source::Since(epoch) => u64::try_from(epoch.elapsed().as_micros()).unwrap_or(u64::MAX),
            Source::Of(now_us) => now_us(),
        }
    }
}

/// What every actor is given: a host to live on, a number to be known by, a stream of randomness, and an ear.
#[derive(Clone)]
pub struct Actor<N> {
    pub net: N,
    pub id: u32,
    pub rng: Rng,
    pub clock: Clock,
    pub observer: Arc<dyn Observer>,
}

impl<N: Net> Actor<N> {
    fn client_event(&self, event: &ClientEvent) {
        self.observer.client(self.clock.now_us(), self.id, event);
    }

    fn app_event(&self, event: &AppEvent) {
        self.observer.app(self.clock.now_us(), self.id, event);
    }
}
