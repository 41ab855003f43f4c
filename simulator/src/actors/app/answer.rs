//! The app's endpoints.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use outrigger::net::Net;
use outrigger_shared::close::Side;
use outrigger_shared::handshake::{accept_key, has_token};
use tokio::select;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::body::{AnswerBody, Next};
use super::control::Watch;
use crate::actors::event::{AppEvent, Ending};
use crate::actors::feed::Update;
use crate::actors::{Feed, Wire};

/// Updates in one answer; a client that is further behind asks again.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

type Answer = Response<AnswerBody>;

/// One connection's side of the app.
pub(super) struct Exchange<N> {
    shared: Arc<Shared<N>>,
    watch: Watch,
    upgrade: Mutex<Option<Upgrade>>,
}

/// A WebSocket about to begin: the connection, once hyper lets go of it, and what to send on it.
pub(super) struct Upgrade {
    pub(super) connection: OnUpgrade,
    pub(super) client: u32,
    pub(super) since: u64,
    /// That of the handshake.
    pub(super) key: String,
    pub(super) watch: Watch,
}

impl<N: Net> Exchange<N> {
    pub(super) fn new(shared: Arc<Shared<N>>, watch: Watch) -> Self {
        Self { shared, watch, upgrade: Mutex::new(None) }
    }

    /// The upgrade that [`Exchange::answer`] granted, for when hyper is done with the connection.
    pub(super) fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers one request, after the time that the app works on it.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let processing = self.shared.processing();
        if !processing.is_zero() {
            sleep(processing).await;
        }
        let mut answer = self.route(request).await.unwrap_or_else(status);
        for (name, value) in &self.shared.options.headers {
            answer.headers_mut().insert(name, value.clone());
        }
        let status = answer.status().as_u16();
        self.shared.actor.app_event(&AppEvent::RequestServed { status });
        answer
    }

    async fn route(&self, mut request: Request<Incoming>) -> Result<Answer, StatusCode> {
        if request.method() != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let target = request.uri().to_string();
        let query = Query::parse(request.uri().query().unwrap_or_default()).ok_or(StatusCode::BAD_REQUEST)?;
        match request.uri().path() {
            "/updates" => {
                let since = self.known(query.since);
                let Some(wait) = query.wait else {
                    return Ok(self.poll(&target, query.client, since, request.headers().get(IF_NONE_MATCH)));
                };
                Ok(self.long_poll(&target, query.client, since, wait).await)
            }
            "/events" => {
                let resumed = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
                Ok(self.events(&target, query.client, self.known(resumed.unwrap_or(query.since))))
            }
            "/ws" => self.websocket(&mut request, &query),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    /// What comes after this is for who has everything up to `since`: what is older than the history is no more. Nobody
    /// knows more than there is: who asks from [`FROM_NOW`](crate::actors::FROM_NOW) on gets what comes next.
    fn known(&self, since: u64) -> u64 {
        let latest = self.shared.feed.latest();
        since.clamp(latest.saturating_sub(self.shared.options.history), latest)
    }

    fn poll(&self, target: &str, client: u32, since: u64, known: Option<&HeaderValue>) -> Answer {
        let latest = self.shared.feed.newest_for(client);
        // Of one URL, the answer changes when there is a further update for this client and only then.
        let etag = HeaderValue::try_from(format!("\"{latest}\"")).expect("digits in quotes");
        if known == Some(&etag) {
            let mut answer = status(StatusCode::NOT_MODIFIED);
            answer.headers_mut().insert(ETAG, etag);
            return answer;
        }
        let mut answer = self.updates(target, latest, &self.shared.feed.after(client, since, MAX_ANSWER_BYTES));
        answer.headers_mut().insert(ETAG, etag);
        answer
    }

    async fn long_poll(&self, target: &str, client: u32, since: u64, wait: Duration) -> Answer {
        let feed = &self.shared.feed;
        let waiting = timeout(wait.min(self.shared.options.max_wait), feed.beyond(client, since));
        // An app that leaves does not keep anybody waiting.
        let news = select! {
            biased;
            () = self.watch.leaving() => false,
            waited = waiting => waited.is_ok(),
        };
        if news {
            self.updates(target, feed.newest_for(client), &feed.after(client, since, MAX_ANSWER_BYTES))
        } else {
            status(StatusCode::NO_CONTENT)
        }
    }

    fn updates(&self, target: &str, latest: u64, updates: &[Update]) -> Answer {
        let length: usize = updates.iter().map(|update| update.json.len() + 1).sum();
        let mut body = Vec::with_capacity(length + 64);
        body.extend_from_slice(format!(r#"{{"latest":{latest},"updates":["#).as_bytes());
        for (n, update) in updates.iter().enumerate() {
            if n > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&update.json);
        }
        body.extend_from_slice(b"]}");
        let body = Bytes::from(body);
        self.shared.actor.observer.body_given(target, &body);
        let mut answer = Response::new(AnswerBody::whole(body, self.shared.options.write));
        answer.headers_mut().insert(CONTENT_TYPE, JSON);
        answer.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
        answer
    }

    fn events(&self, target: &str, client: u32, since: u64) -> Answer {
        let actor = self.shared.actor.clone();
        actor.app_event(&AppEvent::SessionOpened { client, since });
        // Told when the stream is dropped, at its end or because the client is gone.
        let closed = OnDrop(Some(move || {
            actor.app_event(&AppEvent::SessionClosed { client, how: Ending::Eof, code: None });
        }));
        let stream = EventStream {
            feed: self.shared.feed.clone(),
            client,
            heartbeat: self.shared.options.sse_heartbeat,
            watch: self.shared.control.watch(),
            sent: since,
            wire: self.shared.actor.observer.stream(Side::App, target),
        };
        let body = AnswerBody::stream((stream, closed), |(stream, closed)| {
            let next: Next<_> = Box::pin(async move {
                let wire = stream.wire.clone();
                let Some((bytes, stream)) = stream.next().await else {
                    if let Some(wire) = wire {
                        wire.ended();
                    }
                    return None;
                };
                if let Some(wire) = wire {
                    wire.sent(&bytes);
                }
                Some((bytes, (stream, closed)))
            });
            next
        });
        let mut answer = Response::new(body);
        answer.headers_mut().insert(CONTENT_TYPE, EVENT_STREAM);
        answer.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
        answer
    }

    fn websocket(&self, request: &mut Request<Incoming>, query: &Query) -> Result<Answer, StatusCode> {
        let headers = request.headers();
        if !has_token(headers, &CONNECTION, "upgrade") || !has_token(headers, &UPGRADE, "websocket") {
            return Err(StatusCode::UPGRADE_REQUIRED);
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(StatusCode::BAD_REQUEST)?;
        let accept = HeaderValue::try_from(accept_key(key.as_bytes())).expect("base64 is plain ASCII");
        let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
        let watch = self.shared.control.watch();
        let connection = hyper::upgrade::on(request);
        let upgrade = Upgrade { connection, client: query.client, since: self.known(query.since), key, watch };
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
        let mut answer = status(StatusCode::SWITCHING_PROTOCOLS);
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
        Ok(answer)
    }
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::empty());
    *answer.status_mut() = status;
    answer
}

/// The parameters of a request; what is not named is 0 or nothing, and what is not known is passed over.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    client: u32,
    since: u64,
    wait: Option<Duration>,
}

impl Query {
    fn parse(text: &str) -> Option<Self> {
        let mut query = Self::default();
        for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "client" => query.client = value.parse().ok()?,
                "since" => query.since = value.parse().ok()?,
                "wait" => query.wait = Some(Duration::from_secs(value.strip_suffix('s')?.parse().ok()?)),
                _ => {}
            }
        }
        Some(query)
    }
}

/// The pieces of an event stream.
struct EventStream {
    feed: Feed,
    client: u32,
    heartbeat: Option<Duration>,
    watch: Watch,
    sent: u64,
    wire: Option<Arc<dyn Wire>>,
}

impl EventStream {
    /// All that is new, or a comment if nothing is for a while; `None` when the sessions are to close.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let heartbeat = async {
            match self.heartbeat {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        select! {
            biased;
            _ = self.watch.close() => return None,
            () = self.feed.beyond(self.client, self.sent) => {}
            () = heartbeat => return Some((Bytes::from_static(b":\n\n"), self)),
        }
        let mut text = String::new();
        for update in self.feed.after(self.client, self.sent, MAX_ANSWER_BYTES) {
            self.sent = update.seq;
            let json = String::from_utf8_lossy(&update.json);
            let _ = write!(text, "id: {}\ndata: {json}\n\n", update.seq);
        }
        Some((text.into(), self))
    }
}

/// Does something when it is dropped.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            act();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_queries() {
        let wait = Some(Duration::from_secs(30));
        assert_eq!(Query::parse("since=7&wait=30s"), Some(Query { client: 0, since: 7, wait }));
        assert_eq!(Query::parse("client=3&x=y&since=1"), Some(Query { client: 3, since: 1, wait: None }));
        assert_eq!(Query::parse(""), Some(Query::default()));
        assert_eq!(Query::parse("since=-1"), None);
        assert_eq!(Query::parse("wait=30"), None);
    }
}
