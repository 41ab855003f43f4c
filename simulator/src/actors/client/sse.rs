//! Server-sent events (WHATWG HTML §9.2): one answer that never ends, with a line for each update.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use outrigger::net::Net;
use outrigger_shared::close::Side;
use tokio::select;
use tokio::time::{Instant, timeout};

use super::ClientSettings;
use super::backoff::Backoff;
use super::http::{HttpConnection, get};
use super::poller::take_update;
use super::read_rate::ReadRate;
use super::reconnect::{self, End, Sessions};
use crate::actors::event::{ClientEvent, Ending, RequestFailure, RequestKind};
use crate::actors::feed::{MAX_UPDATE_BYTES, Told};
use crate::actors::{Actor, FROM_NOW, Stop, Wire};

/// The longest line: one update and its field's name.
const MAX_LINE_BYTES: usize = MAX_UPDATE_BYTES + 1024;
/// What browsers wait before they ask again, if the app names no other time.
const BROWSER_RETRY: Duration = Duration::from_secs(3);
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How a client listens to an event stream.
#[derive(Debug, Clone)]
pub struct Sse {
    pub backoff: Backoff,
    /// Ends the stream when nothing comes for so long, not even a comment. Browsers wait for ever.
    pub silence: Option<Duration>,
    /// After the first stream it does not ask for what it missed.
    pub forgets: bool,
    pub read_rate: ReadRate,
}

impl Default for Sse {
    /// As browsers do it: 3 s between attempts, for ever, and no limit on silence.
    fn default() -> Self {
        Self {
            backoff: Backoff::constant(BROWSER_RETRY),
            silence: None,
            forgets: false,
            read_rate: ReadRate::unlimited(),
        }
    }
}

/// Listens to an event stream, and to the next one when it ends.
pub struct SseClient<N> {
    pub actor: Actor<N>,
    pub settings: ClientSettings,
    pub sse: Sse,
}

impl<N: Net> SseClient<N> {
    /// Listens until told to stop.
    pub async fn run(self, stop: Stop) {
        let Self { actor, settings, sse } = self;
        let (backoff, since) = (sse.backoff, settings.since);
        reconnect::live(Streams { actor, settings: &settings, sse, since }, &settings, backoff, stop).await;
    }
}

struct Streams<'a, N> {
    actor: Actor<N>,
    settings: &'a ClientSettings,
    sse: Sse,
    /// The newest update that the client has.
    since: u64,
}

/// An event stream that is open.
struct Listening {
    connection: HttpConnection,
    body: Incoming,
    wire: Option<Arc<dyn Wire>>,
}

impl<N: Net> Sessions for Streams<'_, N> {
    type Net = N;
    type Open = Listening;

    fn actor(&mut self) -> &mut Actor<N> {
        &mut self.actor
    }

    async fn open(&mut self, again: bool) -> Option<Listening> {
        self.ask(again && self.sse.forgets).await
    }

    async fn listen(&mut self, mut listening: Listening, stop: &Stop) -> End {
        let how = select! {
            biased;
            () = stop.stopped() => Ending::Left,
            how = self.read(&mut listening) => how,
        };
        End::without_close(how)
    }
}

impl<N: Net> Streams<'_, N> {
    async fn ask(&self, from_now: bool) -> Option<Listening> {
        let mut connection = HttpConnection::open(&self.actor, self.settings, &self.sse.read_rate).await?;
        let mut extra = vec![(ACCEPT, EVENT_STREAM), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        // The URL of an EventSource stays; where it was is told beside it.
        if self.since > self.settings.since && !from_now {
            extra.push((LAST_EVENT_ID, HeaderValue::from(self.since)));
        }
        let first = if from_now { FROM_NOW } else { self.settings.since };
        let target = format!("/events?client={}&since={first}", self.actor.id);
        let request = get(self.settings, &target, &extra);
        let began = Instant::now();
        let within = self.settings.timeouts.answer;
        let failed = match connection.head(&self.actor, request, RequestKind::Events, within).await {
            Ok(response) => {
                let (status, took) = (response.status().as_u16(), began.elapsed());
                self.actor.client_event(&ClientEvent::AnswerReceived { status, empty: false, bytes: 0, took });
                let is_stream = response.headers().get(http::header::CONTENT_TYPE) == Some(&EVENT_STREAM);
                if response.status() == StatusCode::OK && is_stream {
                    let wire = self.actor.observer.stream(Side::Client, &target);
                    return Some(Listening { connection, body: response.into_body(), wire });
                }
                RequestFailure::by_status(response.status())
            }
            Err(why) => why,
        };
        self.actor.client_event(&ClientEvent::RequestFailed { why: failed });
        None
    }

    async fn read(&mut self, Listening { connection, body, wire }: &mut Listening) -> Ending {
        let mut lines = Lines::default();
        loop {
            let next = connection.drive(body.frame());
            let next = match self.sse.silence {
                Some(silence) => match timeout(silence, next).await {
                    Ok(next) => next,
                    Err(_) => return Ending::Timeout,
                },
                None => next.await,
            };
            let Some(frame) = next else {
                if let Some(wire) = wire {
                    wire.ended();
                }
                return Ending::Eof;
            };
            let Ok(frame) = frame else { return Ending::Error };
            let Ok(bytes) = frame.into_data() else { continue };
            if let Some(wire) = wire {
                wire.got(&bytes);
            }
            let updates = lines.take(&bytes);
            for update in updates {
                take_update(&self.actor, update);
                self.since = update.seq.max(self.since);
            }
            if lines.is_overlong() {
                return Ending::Error;
            }
        }
    }
}

/// Cuts a stream into lines, which may be split anywhere.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The updates whose `data` lines end in `bytes`. Every event of the app has one such line.
    fn take(&mut self, bytes: &Bytes) -> Vec<Told> {
        let mut updates = Vec::new();
        let mut rest = &bytes[..];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.0.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            updates.extend(self.0.strip_prefix(b"data: ").and_then(Told::parse));
            self.0.clear();
        }
        self.0.extend_from_slice(rest);
        updates
    }

    fn is_overlong(&self) -> bool {
        self.0.len() > MAX_LINE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_updates_wherever_the_stream_is_split() {
        let stream =
            b": hello\n\nid: 1\ndata: {\"seq\":1,\"at\":5,\"pad\":\"x\"}\n\nid: 2\ndata: {\"seq\":2,\"at\":6}\n\n";
        for first in 0..=stream.len() {
            let (head, tail) = stream.split_at(first);
            let mut lines = Lines::default();
            let mut seen = lines.take(&Bytes::copy_from_slice(head));
            seen.extend(lines.take(&Bytes::copy_from_slice(tail)));
            assert_eq!(seen.iter().map(|update| update.seq).collect::<Vec<_>>(), [1, 2], "split at {first}");
        }
    }
}
