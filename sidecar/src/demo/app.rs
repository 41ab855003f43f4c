//! The demo's endpoints. Each answer is made at once, without waiting.
//!
//! | endpoint | answers | counted |
//! |---|---|---|
//! | `/` | the page | no |
//! | `/api/updates?client=ID&since=N` | `{"latest":N,"updates":[…]}` | polling |
//! | `/ws?client=ID&since=N` | a WebSocket with one update per text message | push |
//! | `/api/stats?client=ID` | what both ways have cost this page | no |
//! | `/api/time` | `{"now_us":…}`, microseconds since the Unix epoch | no |
//! | `/api/info` | `{"links":{"http":…,"https":…},"latest":N}` | no |

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use outrigger_shared::handshake::accept_key;
use serde_json::json;

use super::Links;
use super::clients::{ClientId, Clients, Tally};
use super::feed::{Feed, unix_micros};
use super::meter::{Meter, Owner};

const PAGE: &str = include_str!("page.html");
/// The page brings all it needs; the browser is told to fetch nothing else and to talk to nobody else.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
     connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// base64 of 16 bytes (RFC 6455 §4.1).
const KEY_CHARACTERS: usize = 24;

type Answer = Response<Full<Bytes>>;

/// What all connections share.
pub(super) struct App {
    pub(super) feed: Feed,
    pub(super) clients: Clients,
    links: Links,
    wall_clock: fn() -> SystemTime,
}

impl App {
    pub(super) fn new(links: Links, wall_clock: fn() -> SystemTime) -> Self {
        Self { feed: Feed::new(), clients: Clients::default(), links, wall_clock }
    }
}

/// One connection's side of the app.
pub(super) struct Exchange {
    pub(super) app: Arc<App>,
    meter: Arc<Meter>,
    upgrade: Mutex<Option<Upgrade>>,
}

/// A WebSocket about to begin: the connection, once hyper lets go of it, and what to send on it.
pub(super) struct Upgrade {
    pub(super) connection: OnUpgrade,
    pub(super) tally: Arc<Tally>,
    /// The sequence number after which the page wants updates.
    pub(super) since: u64,
}

impl Exchange {
    pub(super) fn new(app: Arc<App>, meter: Arc<Meter>) -> Self {
        Self { app, meter, upgrade: Mutex::new(None) }
    }

    /// The upgrade that [`Exchange::answer`] granted, for when hyper is done with the connection.
    pub(super) fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers one request, and books its bytes.
    pub(super) fn answer(&self, request: Request<Incoming>) -> Answer {
        let (owner, answer) = self.route(request).unwrap_or_else(|refusal| (Owner::Nobody, refusal.answer()));
        self.meter.claim(owner);
        answer
    }

    fn route(&self, request: Request<Incoming>) -> Result<(Owner, Answer), Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only GET").with(ALLOW, "GET"));
        }
        match request.uri().path() {
            "/" => Ok((Owner::Nobody, page())),
            "/api/updates" => self.updates(&request),
            "/ws" => self.websocket(request),
            "/api/stats" => Ok((Owner::Nobody, self.stats(&request)?)),
            "/api/time" => Ok((Owner::Nobody, self.time())),
            "/api/info" => Ok((Owner::Nobody, self.info())),
            _ => Err(Refusal::new(StatusCode::NOT_FOUND, "no such page")),
        }
    }

    fn updates(&self, request: &Request<Incoming>) -> Result<(Owner, Answer), Refusal> {
        let query = Query::parse(request.uri().query())?;
        let updates = self.app.feed.since(query.since);
        let tally = self.app.clients.polling(&query.client);
        tally.update(|counts| {
            counts.requests += 1;
            counts.messages += 1;
            counts.updates += updates.len() as u64;
            counts.empty += u64::from(updates.is_empty());
        });
        // Less than asked for tells a page that the app has been started anew since.
        let latest = updates.last().map_or_else(|| *self.app.feed.latest().borrow(), |update| update.sequence);
        let mut body = format!(r#"{{"latest":{latest},"updates":["#);
        for (n, update) in updates.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let _ = write!(body, "{comma}{}", update.json);
        }
        body.push_str("]}");
        Ok((Owner::Exchange(tally), json(body)))
    }

    fn websocket(&self, mut request: Request<Incoming>) -> Result<(Owner, Answer), Refusal> {
        let query = Query::parse(request.uri().query())?;
        let accept = accept_upgrade(request.headers())?;
        let tally = self.app.clients.push(&query.client);
        tally.update(|counts| counts.requests += 1);
        let owner = Owner::Connection(Arc::clone(&tally));
        let upgrade = Upgrade { connection: hyper::upgrade::on(&mut request), tally, since: query.since };
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
        Ok((owner, answer))
    }

    fn stats(&self, request: &Request<Incoming>) -> Result<Answer, Refusal> {
        let query = Query::parse(request.uri().query())?;
        let stats = self.app.clients.stats(&query.client);
        Ok(json(json!(stats).to_string()))
    }

    fn time(&self) -> Answer {
        json(json!({ "now_us": unix_micros((self.app.wall_clock)()) }).to_string())
    }

    fn info(&self) -> Answer {
        let latest = *self.app.feed.latest().borrow();
        json(json!({ "links": self.app.links, "latest": latest }).to_string())
    }
}

/// The parameters that the endpoints take. Each may stand once, others not at all: a typo should not pass for a default.
struct Query {
    client: ClientId,
    /// 0, that is all that is kept, if it is not given.
    since: u64,
}

impl Query {
    fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let bad = |why| Refusal::new(StatusCode::BAD_REQUEST, why);
        let (mut client, mut since) = (None, None);
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("client", value)) if client.is_none() => {
                    let id = ClientId::parse(value);
                    client = Some(id.ok_or_else(|| bad("client must be 1 to 32 letters, digits, - or _"))?);
                }
                Some(("since", value)) if since.is_none() => {
                    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                    let number = if digits { value.parse().ok() } else { None };
                    since = Some(number.ok_or_else(|| bad("since must be a sequence number"))?);
                }
                _ => return Err(bad("the query may hold client=ID once and since=N once")),
            }
        }
        let client = client.ok_or_else(|| bad("client=ID is missing"))?;
        Ok(Self { client, since: since.unwrap_or(0) })
    }
}

/// The `Sec-WebSocket-Accept` value for a good opening handshake (RFC 6455 §4.2.1). The sidecar in front has checked
/// it already; the app checks again because it cannot know who is in front.
fn accept_upgrade(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    if !has_token(headers, &CONNECTION, "upgrade") || !has_token(headers, &UPGRADE, "websocket") {
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket").with(UPGRADE, "websocket"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "only version 13").with(SEC_WEBSOCKET_VERSION, "13"));
    }
    headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == KEY_CHARACTERS)
        .and_then(|key| HeaderValue::try_from(accept_key(key.as_bytes())).ok())
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64"))
}

/// Whether a header that is a list of tokens, on one or several lines, names `token` in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// A request that the app will not serve, and what to tell its sender.
struct Refusal {
    status: StatusCode,
    why: &'static str,
    /// What the status obliges the answer to name.
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    fn new(status: StatusCode, why: &'static str) -> Self {
        Self { status, why, header: None }
    }

    fn with(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    fn answer(self) -> Answer {
        let mut answer = body(self.status, "text/plain; charset=utf-8", self.why.into());
        if let Some((name, value)) = self.header {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

fn page() -> Answer {
    let mut answer = body(StatusCode::OK, "text/html; charset=utf-8", PAGE.into());
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

fn json(text: String) -> Answer {
    body(StatusCode::OK, "application/json", text.into())
}

fn body(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
