//! Questions to the admin API of a sidecar that runs, for commands beside it: images have no shell and no curl.

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
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::net::{Endpoint, Net};

/// Bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A sidecar that runs, by its admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Where the admin API listens.
    pub admin: SocketAddr,
    pub token_file: Option<PathBuf>,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("cannot read {path}: {why}; it is what admin_token_file names")]
    Token { path: PathBuf, why: std::io::Error },
    #[error(
        "no sidecar answers at {admin}: {why}; give its address with --admin, and see that its admin API is not off"
    )]
    Unreachable { admin: SocketAddr, why: String },
    #[error("the sidecar at {admin} refuses to {what} ({status}): {why}")]
    Refused { admin: SocketAddr, what: &'static str, status: StatusCode, why: String },
}

/// What came back: a status and a body, or nothing.
pub(super) type Answered = Result<(StatusCode, Bytes), String>;

impl Running {
    /// One that listens on every address is reached at loopback.
    pub(super) fn new(mut admin: SocketAddr, token_file: Option<PathBuf>) -> Self {
        if admin.ip().is_unspecified() {
            let loopback = if admin.is_ipv4() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { Ipv6Addr::LOCALHOST.into() };
            admin.set_ip(loopback);
        }
        Self { admin, token_file }
    }

    /// Has it `what`, which is the path too, with the token if there is one.
    pub(super) async fn order<N: Net, T: DeserializeOwned>(
        &self,
        net: &N,
        what: &'static str,
        query: &str,
        within: Duration,
    ) -> Result<T, AskError> {
        let token = self.token_file.as_ref().map(|path| {
            let read = std::fs::read_to_string(path);
            read.map_err(|why| AskError::Token { path: path.clone(), why })
        });
        let (admin, token) = (self.admin, token.transpose()?);
        let answered = self.ask(net, Method::POST, &format!("/{what}{query}"), token.as_deref(), within).await;
        let (status, body) = answered.map_err(|why| AskError::Unreachable { admin, why })?;
        match serde_json::from_slice(&body) {
            Ok(done) if status.is_success() => Ok(done),
            _ => Err(AskError::Refused { admin, what, status, why: refusal(&body) }),
        }
    }

    pub(super) async fn look<N: Net>(&self, net: &N, path: &str, within: Duration) -> Answered {
        self.ask(net, Method::GET, path, None, within).await
    }

    async fn ask<N: Net>(
        &self,
        net: &N,
        method: Method,
        path: &str,
        token: Option<&str>,
        within: Duration,
    ) -> Answered {
        let answer = async {
            let stream = net.connect(&Endpoint::Tcp(self.admin)).await.map_err(|why| why.to_string())?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
            net.spawn(async move {
                // What goes wrong here is what the request says.
                let _ = connection.await;
            });
            let mut request = Request::builder().method(method).uri(path).header(HOST, self.admin.to_string());
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
        let late = || Err(format!("no answer within {} s", within.as_secs()));
        timeout(within, answer).await.unwrap_or_else(|_| late())
    }
}

/// Why the admin API refuses, in its own words.
fn refusal(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let refusal = serde_json::from_slice::<Refusal>(body);
    refusal.map_or_else(|_| "it is no admin API".to_owned(), |refusal| refusal.error)
}
