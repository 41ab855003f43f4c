//! Short polling: ask, and ask again.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, IF_NONE_MATCH};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use outrigger::net::Net;
use tokio::select;
use tokio::time::{Instant, sleep_until};

use super::ClientSettings;
use super::http::{Answer, HttpConnection, get};
use super::read_rate::ReadRate;
use crate::actors::event::{ClientEvent, RequestFailure, RequestKind};
use crate::actors::feed::Told;
use crate::actors::{Actor, Stop};

/// The shortest time between two polls.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// How a poller polls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polling {
    /// From the start of one poll to the start of the next; a poll that takes longer delays the next one.
    pub interval: Duration,
    /// The part of the interval by which it varies, uniformly in both directions: 0.1 is ±10%. Between 0 and 1.
    pub jitter: f64,
    /// Whether the first poll waits a random part of the interval, as pages that were opened at different times do.
    pub random_phase: bool,
    /// Asks with `If-None-Match` once the same URL was answered with an `ETag`.
    pub etag: bool,
    /// Keeps the connection for the next poll; if not, every poll dials.
    pub keep_alive: bool,
}

impl Polling {
    /// Every `interval` exactly, at a random phase, with `ETag` and keep-alive.
    pub fn every(interval: Duration) -> Self {
        Self { interval, jitter: 0.0, random_phase: true, etag: true, keep_alive: true }
    }
}

/// Asks for updates at an interval.
pub struct Poller<N> {
    pub actor: Actor<N>,
    pub settings: ClientSettings,
    pub polling: Polling,
}

impl<N: Net> Poller<N> {
    /// Polls until told to stop. A poll that fails is over; the next one comes in its time.
    pub async fn run(mut self, stop: Stop) {
        self.actor.client_event(&ClientEvent::Started { feed: self.settings.feed, since: self.settings.since });
        let mut state = State { connection: None, since: self.settings.since, etag: None };
        let mut next = Instant::now();
        if self.polling.random_phase {
            next += self.actor.rng.between(Duration::ZERO, self.polling.interval);
        }
        loop {
            select! {
                biased;
                () = stop.stopped() => return,
                () = state.idle_until(next) => {}
            }
            next = next.max(Instant::now()) + self.interval();
            select! {
                biased;
                () = stop.stopped() => return,
                () = self.poll(&mut state) => {}
            }
        }
    }

    fn interval(&mut self) -> Duration {
        let Polling { interval, jitter, .. } = self.polling;
        let half_width = interval.mul_f64(if (0.0..=1.0).contains(&jitter) { jitter } else { 0.0 });
        self.actor.rng.between(interval.saturating_sub(half_width), interval + half_width).max(MIN_INTERVAL)
    }

    /// One poll. On a kept connection that the other end had closed meanwhile, it is tried once more on a new one.
    async fn poll(&self, state: &mut State) {
        for _ in 0..2 {
            let mut connection = match state.connection.take() {
                Some(connection) if connection.is_usable() => connection,
                _ => match HttpConnection::open(&self.actor, &self.settings, &ReadRate::unlimited()).await {
                    Some(connection) => connection,
                    None => return,
                },
            };
            let (request, within) = (self.request(state), self.settings.timeouts.answer);
            match connection.ask(&self.actor, request, RequestKind::Poll, within, has_nothing_new).await {
                Err(RequestFailure::Cut) if connection.is_reused() => {}
                Err(_) => return,
                Ok(answer) => {
                    self.take(state, &answer);
                    state.connection = self.polling.keep_alive.then_some(connection);
                    return;
                }
            }
        }
    }

    fn request(&self, state: &State) -> Request<Empty<Bytes>> {
        let mut extra = Vec::new();
        if let Some(etag) = &state.etag {
            extra.push((IF_NONE_MATCH, etag.clone()));
        }
        if !self.polling.keep_alive {
            extra.push((CONNECTION, HeaderValue::from_static("close")));
        }
        get(&self.settings, &updates_after(&self.settings, self.actor.id, state.since), &extra)
    }

    fn take(&self, state: &mut State, answer: &Answer) {
        if answer.status == StatusCode::OK {
            let latest = take_updates(&self.actor, &answer.body, state.since);
            // An ETag belongs to a URL, and with the updates the URL of the next poll changes.
            let same_url = latest == state.since;
            state.etag = answer.etag.clone().filter(|_| self.polling.etag && same_url);
            state.since = latest;
        }
    }
}

/// What is kept from one poll to the next.
struct State {
    connection: Option<HttpConnection>,
    since: u64,
    etag: Option<HeaderValue>,
}

impl State {
    /// Waits, and lets the connection notice meanwhile that the other end closes it.
    async fn idle_until(&mut self, until: Instant) {
        let wait = sleep_until(until);
        match &mut self.connection {
            Some(connection) => connection.drive(wait).await,
            None => wait.await,
        }
    }
}

/// Where a poll asks for the updates after `since`.
pub(super) fn updates_after(settings: &ClientSettings, client: u32, since: u64) -> String {
    let who = if settings.polls_name_client { format!("client={client}&") } else { String::new() };
    format!("/updates?{who}since={since}")
}

/// Whether an answer to a poll brought no update.
pub(super) fn has_nothing_new(answer: &Answer) -> bool {
    answer.status != StatusCode::OK || Told::parse_answer(&answer.body).is_none_or(|updates| updates.is_empty())
}

/// Tells the observer of the updates in an answer, and returns the newest sequence number known now.
pub(super) fn take_updates<N: Net>(actor: &Actor<N>, body: &[u8], since: u64) -> u64 {
    let Some(updates) = Told::parse_answer(body) else {
        actor.client_event(&ClientEvent::RequestFailed { why: RequestFailure::Unusable });
        return since;
    };
    for update in &updates {
        take_update(actor, *update);
    }
    updates.iter().map(|update| update.seq).fold(since, u64::max)
}

/// Tells the observer of one update.
pub(super) fn take_update<N: Net>(actor: &Actor<N>, update: Told) {
    let delay = update.delay(actor.clock.now_us());
    actor.client_event(&ClientEvent::UpdateReceived { seq: update.seq, created_us: update.created_us(), delay });
}
