//! `outrigger drain`: begins a drain by the admin API of a sidecar that runs, and waits until no session is left. For
//! `preStop` in images without a shell.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use crate::net::{Endpoint, Net};

/// How long the sidecar may take to answer one question.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How often it is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// Answers that may fail to come in a row, as they do where a machine is very busy.
const MAX_FAILURES: u32 = 4;
/// How long is waited beyond the last Close: for answers to it, and for slow readers.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long is waited where sessions are left alone: the longest window there is.
const PATIENCE_WITHOUT_WINDOW: Duration = Duration::from_hours(1);

/// What `outrigger drain` was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// Where the admin API listens.
    pub admin: SocketAddr,
    pub token_file: Option<PathBuf>,
    /// Instead of the sidecar's own, as it is written.
    pub window: Option<String>,
    /// `None` waits for what the drain needs, and two minutes.
    pub timeout: Option<Duration>,
    /// Whether to wait until no session is left.
    pub wait: bool,
}

/// Why it came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    #[error("cannot read {path}: {why}; it is what admin_token_file names")]
    Token { path: PathBuf, why: std::io::Error },
    #[error(
        "no sidecar answers at {admin}: {why}; give its address with --admin, and see that its admin API is not off"
    )]
    Unreachable { admin: SocketAddr, why: String },
    #[error("the sidecar at {admin} refuses to drain ({status}): {why}")]
    Refused { admin: SocketAddr, status: StatusCode, why: String },
    #[error("the sidecar at {admin} answers no more, with {left} sessions left: {why}")]
    Gone { admin: SocketAddr, left: usize, why: String },
    #[error("gave up after {} s, with {left} sessions left; the drain goes on", .waited.as_secs())]
    GaveUp { waited: Duration, left: usize },
}

/// As much of the answer as matters here.
#[derive(Debug, Clone, Deserialize)]
pub struct Progress {
    pub sessions: usize,
    pub sessions_left: usize,
    pub seconds_left: Option<f64>,
}

/// The refusal of the admin API.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// What came back: a status and a body, or nothing.
type Answered = Result<(StatusCode, Bytes), String>;

/// Begins the drain, or joins one that is underway, and waits for its end. `tell` hears how far it is.
pub async fn run<N: Net>(net: &N, drain: &Drain, mut tell: impl FnMut(&Progress)) -> Result<(), DrainError> {
    let admin = drain.admin;
    let token = drain.token_file.as_ref().map(|path| {
        let read = std::fs::read_to_string(path);
        read.map_err(|why| DrainError::Token { path: path.clone(), why })
    });
    let token = token.transpose()?;
    let path = drain.window.as_ref().map_or_else(|| "/drain".to_owned(), |window| format!("/drain?window={window}"));
    let began = Instant::now();
    let (status, body) = ask(net, admin, Method::POST, &path, token.as_deref())
        .await
        .map_err(|why| DrainError::Unreachable { admin, why })?;
    let mut progress = match serde_json::from_slice::<Progress>(&body) {
        Ok(progress) if status.is_success() => progress,
        _ => {
            let refusal = serde_json::from_slice::<Refusal>(&body);
            let why = refusal.map_or_else(|_| "it is no admin API".to_owned(), |refusal| refusal.error);
            return Err(DrainError::Refused { admin, status, why });
        }
    };
    tell(&progress);
    let needed = progress.seconds_left.and_then(|left| Duration::try_from_secs_f64(left).ok());
    let needed = needed.map_or(PATIENCE_WITHOUT_WINDOW, |needed| needed + PATIENCE);
    let patience = drain.timeout.unwrap_or(needed);
    let mut failures = 0;
    while drain.wait && progress.sessions_left > 0 {
        let waited = began.elapsed();
        if waited >= patience {
            return Err(DrainError::GaveUp { waited, left: progress.sessions_left });
        }
        sleep(ASK_EVERY.min(patience.saturating_sub(waited))).await;
        match ask(net, admin, Method::GET, "/drain", None).await {
            Ok((StatusCode::OK, body)) if serde_json::from_slice::<Progress>(&body).is_ok() => {
                progress = serde_json::from_slice(&body).expect("it has just been read");
                failures = 0;
                tell(&progress);
            }
            outcome => {
                failures += 1;
                if failures > MAX_FAILURES {
                    let why = outcome.map_or_else(|why| why, |(status, _)| status.to_string());
                    return Err(DrainError::Gone { admin, left: progress.sessions_left, why });
                }
            }
        }
    }
    Ok(())
}

async fn ask<N: Net>(net: &N, admin: SocketAddr, method: Method, path: &str, token: Option<&str>) -> Answered {
    let answer = async {
        let stream = net.connect(&Endpoint::Tcp(admin)).await.map_err(|why| why.to_string())?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
        net.spawn(async move {
            // What goes wrong here is what the request says.
            let _ = connection.await;
        });
        let mut request = Request::builder().method(method).uri(path).header(HOST, admin.to_string());
        request = request.header(CONNECTION, "close");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.trim()));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|why| why.to_string())?;
        let response = sender.send_request(request).await.map_err(|why| why.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(|why| why.to_string())?.to_bytes()))
    };
    within(answer).await
}

async fn within(answer: impl Future<Output = Answered>) -> Answered {
    let late = || Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs()));
    timeout(ANSWER_WITHIN, answer).await.unwrap_or_else(|_| late())
}

/// Where to reach a listener of this host: one that takes every address takes loopback too.
pub(super) fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        let loopback = if addr.is_ipv4() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { Ipv6Addr::LOCALHOST.into() };
        addr.set_ip(loopback);
    }
    addr
}
