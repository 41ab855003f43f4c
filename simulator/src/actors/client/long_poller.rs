//! Long polling: ask, and be answered when there is something to say.

use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use outrigger::net::Net;
use tokio::select;

use super::ClientSettings;
use super::backoff::{Backoff, Retries};
use super::http::{HttpConnection, get};
use super::poller::{has_nothing_new, take_updates, updates_after};
use super::read_rate::ReadRate;
use crate::actors::event::{ClientEvent, RequestFailure, RequestKind};
use crate::actors::{Actor, Stop};

/// How a long poller polls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LongPolling {
    /// How long the app may hold a request back; whole seconds are sent.
    pub wait: Duration,
    /// Keeps the connection for the next poll; if not, every poll dials.
    pub keep_alive: bool,
    /// After a poll that failed.
    pub backoff: Backoff,
}

impl Default for LongPolling {
    /// 30 s, on a connection that is kept, and the default back-off.
    fn default() -> Self {
        Self { wait: Duration::from_secs(30), keep_alive: true, backoff: Backoff::default() }
    }
}

/// Asks for updates and waits for the answer.
pub struct LongPoller<N> {
    pub actor: Actor<N>,
    pub settings: ClientSettings,
    pub polling: LongPolling,
}

impl<N: Net> LongPoller<N> {
    /// Polls until told to stop, the next time right after each good answer, and after a wait if there was none.
    pub async fn run(mut self, stop: Stop) {
        self.actor.client_event(&ClientEvent::Started { feed: self.settings.feed, since: self.settings.since });
        let mut state = State { connection: None, since: self.settings.since, failed: false };
        let mut retries = Retries::new(self.polling.backoff);
        while !stop.is_stopped() {
            select! {
                biased;
                () = stop.stopped() => return,
                () = self.poll(&mut state) => {}
            }
            if state.failed {
                retries.pause(&mut self.actor, Duration::ZERO, &stop).await;
            } else {
                retries = Retries::new(self.polling.backoff);
            }
        }
    }

    async fn poll(&self, state: &mut State) {
        state.failed = true;
        let kept = state.connection.take().filter(HttpConnection::is_usable);
        let mut connection = match kept {
            Some(connection) => connection,
            None => match HttpConnection::open(&self.actor, &self.settings, &ReadRate::unlimited()).await {
                Some(connection) => connection,
                None => return,
            },
        };
        let wait = self.polling.wait.as_secs();
        let path = updates_after(&self.settings, self.actor.id, state.since);
        let close = [(CONNECTION, HeaderValue::from_static("close"))];
        let extra = if self.polling.keep_alive { &[] } else { &close[..] };
        let request = get(&self.settings, &format!("{path}&wait={wait}s"), extra);
        let within = self.settings.timeouts.answer + self.polling.wait;
        let answer = connection.ask(&self.actor, request, RequestKind::LongPoll, within, has_nothing_new).await;
        match answer {
            Ok(answer) if answer.status == StatusCode::OK => {
                let latest = take_updates(&self.actor, &answer.body, state.since);
                // An app that answers at once and says nothing must not be asked again at once.
                if latest == state.since {
                    return;
                }
                state.since = latest;
            }
            Ok(answer) if answer.status == StatusCode::NO_CONTENT => {}
            // The app closed the idle connection just when the request was on its way: no failure of the app's.
            Err(RequestFailure::Cut) if connection.is_reused() => {
                state.failed = false;
                return;
            }
            Ok(_) | Err(_) => return,
        }
        state.failed = false;
        state.connection = self.polling.keep_alive.then_some(connection);
    }
}

/// What is kept from one poll to the next.
struct State {
    connection: Option<HttpConnection>,
    since: u64,
    failed: bool,
}
