//! One request, from its first line to its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, DATE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::review::{self, Account, Reviewed};
use super::serve::Hook;
use crate::http::ResponseBody;
use crate::lifecycle::Stage;
use crate::net::Net;

/// Bytes of a review. An API server takes objects of up to 3 MiB, and stores none over 1.5 MiB unless told otherwise.
const MAX_REVIEW_BYTES: usize = 4 << 20;
/// KiB of bodies that are held at once, so that many large ones at a time cost no more memory than there is. Others wait.
pub(super) const MAX_HELD_KIB: usize = 32 << 10;
/// How long a body may take, its wait for others included.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a body too large that are still read and dropped: who is cut off while writing may never read the answer.
const MAX_DROPPED_BYTES: usize = 4 * MAX_REVIEW_BYTES;

type Answer = Response<ResponseBody>;

/// Why there is no review to answer.
struct Refusal {
    status: StatusCode,
    why: String,
    allow: Option<&'static str>,
}

impl Refusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), allow: None }
    }

    fn answer(self) -> Answer {
        let mut answer = text(self.status, "text/plain; charset=utf-8", self.why + "\n");
        if let Some(methods) = self.allow {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        }
        answer
    }
}

/// Answers one request. Never fails: what goes wrong becomes an answer.
pub(super) async fn answer<N: Net>(hook: &Arc<Hook<N>>, request: Request<Incoming>, peer: SocketAddr) -> Answer {
    let refused = |refusal: Refusal| {
        tracing::warn!(%peer, status = refusal.status.as_u16(), why = %refusal.why, "refused a request");
        refusal.answer()
    };
    let mut answer = handle(hook, request).await.unwrap_or_else(refused);
    let date = httpdate::fmt_http_date(hook.net.wall_clock());
    let headers = answer.headers_mut();
    headers.insert(DATE, HeaderValue::from_str(&date).expect("an HTTP date is visible ASCII"));
    if hook.lifecycle.stage() > Stage::Running {
        // The next request is for somebody else.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

async fn handle<N: Net>(hook: &Hook<N>, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let (parts, body) = request.into_parts();
    let wanted = match parts.uri.path() {
        "/inject" => "POST",
        "/healthz" | "/readyz" => "GET, HEAD",
        _ => {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing here but /inject, /healthz and /readyz"));
        }
    };
    if !wanted.split(", ").any(|method| parts.method == method) {
        let why = format!("{} takes {wanted} alone", parts.uri.path());
        return Err(Refusal { allow: Some(wanted), ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, why) });
    }
    if parts.method != Method::POST {
        let ready = parts.uri.path() == "/healthz" || hook.lifecycle.stage() == Stage::Running;
        let (status, word) =
            if ready { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "stopping\n") };
        return Ok(text(status, "text/plain; charset=utf-8", word));
    }
    if !is_json(&parts.headers) {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a review is application/json"));
    }
    let (body, held) = read(hook, body).await?;
    let malformed = |error: review::Malformed| Refusal::new(StatusCode::BAD_REQUEST, error.to_string());
    let Reviewed { answer, account } = review::answer(&body, &hook.policy).map_err(malformed)?;
    drop((body, held));
    tell(&account);
    Ok(text(StatusCode::OK, "application/json", answer.to_string()))
}

/// One line for each review.
fn tell(account: &Account) {
    let Account { uid, operation, kind, namespace, name, dry_run, outcome, why } = account;
    tracing::info!(uid, operation, kind, namespace, name, dry_run, outcome = outcome.as_str(), why, "reviewed");
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

/// The whole body, and its part of what may be held.
async fn read<N: Net>(hook: &Hook<N>, body: Incoming) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
    let deadline = Instant::now() + BODY_TIMEOUT;
    let late = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("no review within {} s", BODY_TIMEOUT.as_secs()));
    let announced = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    if announced.is_some_and(|bytes| bytes > MAX_REVIEW_BYTES) {
        let _ = timeout_at(deadline, Limited::new(body, MAX_DROPPED_BYTES).collect()).await;
        return Err(too_large());
    }
    let held_kib = announced.unwrap_or(MAX_REVIEW_BYTES).div_ceil(1024);
    let held_kib = u32::try_from(held_kib).expect("no review is longer than 4 GiB");
    let held = timeout_at(deadline, Arc::clone(&hook.held_kib).acquire_many_owned(held_kib)).await.map_err(late)?;
    let held = held.expect("the semaphore is never closed");
    match timeout_at(deadline, Limited::new(body, MAX_REVIEW_BYTES).collect()).await.map_err(late)? {
        Ok(collected) => Ok((collected.to_bytes(), held)),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Refusal::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))),
    }
}

fn too_large() -> Refusal {
    let why = format!("a review has {} MiB at most", MAX_REVIEW_BYTES >> 20);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(ResponseBody::text(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
