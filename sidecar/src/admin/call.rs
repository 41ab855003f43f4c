//! One request, from its first line to its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::query::Query;
use super::reply::{Answer, Refusal, dated};
use super::route::{Endpoint, Found, find};
use super::{Admin, access, config, drain, health, log, metrics, reload, sessions, upstreams};
use crate::net::Net;

/// Bytes of a request's body. Nothing needs one so far; what a tool sends all the same is read and dropped.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// How long it may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that may be answered.
pub(super) struct Call<'a> {
    /// What stands for `{id}` in its path.
    pub(super) id: &'a str,
    pub(super) query: Query,
    pub(super) headers: &'a HeaderMap,
}

/// Answers one request. Never fails: what goes wrong becomes an answer.
pub(super) async fn answer<N: Net>(admin: &Arc<Admin<N>>, request: Request<Incoming>, peer: SocketAddr) -> Answer {
    let response = handle(admin, request, peer).await.unwrap_or_else(Refusal::answer);
    dated(response, admin.control.proxy().net())
}

async fn handle<N: Net>(
    admin: &Arc<Admin<N>>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Answer, Refusal> {
    let (parts, body) = request.into_parts();
    let (route, id) = match find(&parts.method, parts.uri.path()) {
        Found::Route(route, id) => (route, id),
        Found::Others(allowed) => return Err(Refusal::wrong_method(&parts.method, &allowed)),
        Found::Nothing => return Err(Refusal::not_found("There is nothing here; GET / lists what there is")),
    };
    if route.changes() {
        access::may_change(peer, &parts.headers, admin.token.as_ref()).inspect_err(|why| {
            tracing::warn!(%peer, method = %parts.method, path = route.path, %why, "the admin API refuses a change");
        })?;
    }
    read(body).await?;
    let query = Query::parse(parts.uri.query().unwrap_or_default(), route.parameters)?;
    let call = Call { id, query, headers: &parts.headers };
    if route.changes() {
        tracing::info!(%peer, method = %parts.method, path = parts.uri.path(), "asked for by the admin API");
    }
    match route.endpoint {
        Endpoint::Index => Ok(health::index()),
        Endpoint::Live => Ok(health::live()),
        Endpoint::Ready => Ok(health::ready(admin)),
        Endpoint::Health => Ok(health::healthz(admin)),
        Endpoint::Metrics => metrics::page(admin, &call),
        Endpoint::Sessions => sessions::list(admin, &call).await,
        Endpoint::Session => sessions::one(admin, &call),
        Endpoint::CloseSession => sessions::close(admin, &call),
        Endpoint::Config => config::show(admin, &call),
        Endpoint::Upstreams => Ok(upstreams::show(admin)),
        Endpoint::DrainProgress => Ok(drain::progress(admin)),
        Endpoint::Drain => drain::begin(admin, &call),
        Endpoint::Reload => reload::reload(admin).await,
        Endpoint::Log => log::show(admin),
        Endpoint::SetLog => log::set(admin, &call),
        Endpoint::Quit => health::quit(admin),
    }
}

/// The body, whole and within its limits.
async fn read(body: Incoming) -> Result<(), Refusal> {
    let whole = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    match whole {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("The body is longer than {MAX_BODY_BYTES} bytes; parameters go behind the ? of the path");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why))
        }
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "The body did not come whole; send it again")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "The body took too long; send it again")),
    }
}
