//! The sessions that live: to be seen, and to be closed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::StatusCode;
use outrigger_shared::close::{Cause, CloseCode, Side};
use outrigger_shared::frame::MAX_CLOSE_REASON;
use serde::Serialize;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::Admin;
use super::call::Call;
use super::query::Faulty;
use super::reply::{Answer, Refusal, json};
use crate::net::Net;
use crate::registry::{Closing, Handle};

/// Sessions on a page that does not say how many it wants.
const DEFAULT_LIMIT: usize = 100;
/// Sessions on a page at most.
const MAX_LIMIT: usize = 1000;
/// Sessions looked at in a row; then traffic has its turn.
const CHUNK: usize = 500;
/// What a session is closed with that nobody gave a code for: it is over, and nobody is at fault.
const DEFAULT_CODE: CloseCode = CloseCode::GOING_AWAY;

#[derive(Serialize)]
struct Page {
    /// All that live, on this page or not.
    total: usize,
    sessions: Vec<Session>,
    /// What `after` has to be for the next page; `null` on the last.
    next: Option<u64>,
}

#[derive(Serialize)]
struct Session {
    id: u64,
    state: &'static str,
    client: SocketAddr,
    scheme: &'static str,
    host: String,
    /// Without the query, which may hold secrets.
    path: String,
    subprotocol: Option<String>,
    age_s: f64,
    client_messages: u64,
    client_bytes: u64,
    app_messages: u64,
    app_bytes: u64,
    client_ping_rtt_s: Option<f64>,
    app_ping_rtt_s: Option<f64>,
}

#[derive(Serialize)]
struct Closed {
    id: u64,
    state: &'static str,
    code: u16,
}

impl From<&Arc<Handle>> for Session {
    fn from(handle: &Arc<Handle>) -> Self {
        let who = handle.who();
        let (client, app) = (handle.traffic(Side::Client), handle.traffic(Side::App));
        Self {
            id: who.id,
            state: state(handle),
            client: who.client,
            scheme: who.scheme,
            host: who.host.to_string(),
            path: who.path.to_string(),
            subprotocol: who.protocol.as_deref().map(str::to_owned),
            age_s: handle.age().as_secs_f64(),
            client_messages: client.messages,
            client_bytes: client.bytes,
            app_messages: app.messages,
            app_bytes: app.bytes,
            client_ping_rtt_s: client.ping_rtt.map(|rtt| rtt.as_secs_f64()),
            app_ping_rtt_s: app.ping_rtt.map(|rtt| rtt.as_secs_f64()),
        }
    }
}

fn state(handle: &Handle) -> &'static str {
    if handle.is_closing() { "closing" } else { "open" }
}

/// Which sessions are asked for.
struct Filter {
    state: Option<&'static str>,
    client: Option<IpAddr>,
    host: Option<String>,
}

impl Filter {
    fn takes(&self, handle: &Handle) -> bool {
        let who = handle.who();
        self.state.is_none_or(|wanted| wanted == state(handle))
            && self.client.is_none_or(|ip| ip == who.client.ip().to_canonical())
            && self.host.as_ref().is_none_or(|host| host.eq_ignore_ascii_case(&who.host))
    }
}

pub(super) async fn list<N: Net>(admin: &Admin<N>, call: &Call<'_>) -> Result<Answer, Refusal> {
    let query = &call.query;
    let limit = query.read("limit", &format!("a number from 1 to {MAX_LIMIT}"), |text| {
        text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
    })?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let after = query.read("after", "the number of a session", |text| text.parse().ok())?;
    let filter = Filter {
        state: query
            .read("state", "open or closing", |text| ["open", "closing"].into_iter().find(|word| *word == text))?,
        client: query.read("client", "an IP address", |text| text.parse().ok().map(|ip: IpAddr| ip.to_canonical()))?,
        host: query.get("host").map(str::to_owned),
    };
    let registry = admin.control.proxy().registry();
    let (mut sessions, mut seen, mut next) = (Vec::new(), after.unwrap_or(0), None);
    'pages: loop {
        let chunk = registry.page(seen, CHUNK);
        for handle in &chunk {
            if !filter.takes(handle) {
                seen = handle.who().id;
                continue;
            }
            if sessions.len() == limit {
                next = Some(seen);
                break 'pages;
            }
            seen = handle.who().id;
            sessions.push(Session::from(handle));
        }
        if chunk.len() < CHUNK {
            break;
        }
        yield_now().await;
    }
    Ok(json(StatusCode::OK, &Page { total: registry.len(), sessions, next }))
}

pub(super) fn one<N: Net>(admin: &Admin<N>, call: &Call<'_>) -> Result<Answer, Refusal> {
    Ok(json(StatusCode::OK, &Session::from(&find(admin, call)?)))
}

pub(super) fn close<N: Net>(admin: &Admin<N>, call: &Call<'_>) -> Result<Answer, Refusal> {
    let code = call.query.read("code", "a close code: 1000-1003, 1007-1014 or 3000-4999", |text| {
        text.parse().ok().filter(|code| CloseCode::may_be_sent(*code)).map(CloseCode)
    })?;
    let form = format!("at most {MAX_CLOSE_REASON} bytes, without control characters");
    let reason = call.query.read("reason", &form, |text| {
        let fits = text.len() <= MAX_CLOSE_REASON && !text.chars().any(char::is_control);
        fits.then(|| Box::<str>::from(text))
    })?;
    let handle = find(admin, call)?;
    let code = code.unwrap_or(DEFAULT_CODE);
    let quiet_until = Some(Instant::now() + admin.control.proxy().settings().drain.quiet);
    handle.close_with(Closing { cause: Cause::Operator, code, quiet_until }, reason);
    Ok(json(StatusCode::ACCEPTED, &Closed { id: handle.who().id, state: "closing", code: code.0 }))
}

fn find<N: Net>(admin: &Admin<N>, call: &Call<'_>) -> Result<Arc<Handle>, Refusal> {
    let id = call
        .id
        .parse()
        .map_err(|_| Faulty(format!("{:?} is not the number of a session; GET /sessions lists them", call.id)))?;
    admin
        .control
        .proxy()
        .registry()
        .get(id)
        .ok_or_else(|| Refusal::not_found("There is no such session, or no longer; GET /sessions lists them"))
}
