//! Whether upstreams are well, asked without a client that waits for the answer.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use outrigger_shared::choose::Attempt;
use outrigger_shared::close::{CloseCode, Side};
use outrigger_shared::frame::{Header, Injected, Opcode};
use outrigger_shared::handshake::{self, check_answer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep_until, timeout};

use super::DialError;
use super::board::Board;
use super::peer::Peer;
use crate::config::CheckKind;
use crate::net::Net;
use crate::transport::Transport;

/// Bytes that an app may send before its pong.
const MAX_BEFORE_PONG_BYTES: usize = 64 * 1024;
/// What a check calls itself.
const AGENT: &str = "outrigger-check";

/// Why an upstream is not well.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error(transparent)]
    Handshake(#[from] handshake::AnswerFault),
    #[error("no valid answer: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the session broke: {0}")]
    Session(#[from] std::io::Error),
    #[error("no pong among {MAX_BEFORE_PONG_BYTES} bytes")]
    NoPong,
}

/// How upstreams are checked.
pub(super) struct Checks {
    pub(super) kind: CheckKind,
    /// How long an answer may take.
    pub(super) patience: Duration,
}

impl Checks {
    /// Checks what is due, for as long as somebody else holds the upstreams and their configuration is in force.
    pub(super) async fn run<N: Net>(self, net: N, board: Arc<Board>, peers: Weak<Vec<Peer<N>>>, configured: u64) {
        let checks = Arc::new(self);
        loop {
            let rung = board.rung.notified();
            match board.next_check() {
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = rung => {}
                        () = sleep_until(at) => {}
                    }
                }
                None => rung.await,
            }
            let Some(peers) = peers.upgrade() else { return };
            let Some(due) = board.due(configured) else { return };
            for attempt in due {
                let (checks, board, peers) = (Arc::clone(&checks), Arc::clone(&board), Arc::clone(&peers));
                let net_of_check = net.clone();
                net.spawn(async move { checks.check(&net_of_check, &board, &peers, attempt).await });
            }
        }
    }

    async fn check<N: Net>(&self, net: &N, board: &Board, peers: &[Peer<N>], attempt: Attempt) {
        let peer = peers.iter().find(|peer| peer.id == attempt.peer).expect("what is due is configured");
        let looked = self.look(net, peer).await;
        if let Err(fault) = &looked {
            tracing::debug!(upstream = %peer.name, %fault, "a check failed");
        }
        board.checked(attempt, looked.ok());
    }

    /// How long it took to connect, if all is well.
    async fn look<N: Net>(&self, net: &N, peer: &Peer<N>) -> Result<Duration, Fault> {
        if self.kind == CheckKind::Tcp {
            return Ok(peer.dialer.connect().await?.1);
        }
        let (transport, took) = peer.dialer.dial_unobserved(None).await?;
        let late = || Err(Fault::Late(self.patience));
        timeout(self.patience, self.ask(net, peer, transport)).await.unwrap_or_else(|_| late())?;
        Ok(took)
    }

    async fn ask<N: Net>(&self, net: &N, peer: &Peer<N>, transport: Transport<N::Stream>) -> Result<(), Fault> {
        let request = |path: &PathAndQuery| {
            let request = Request::builder().uri(Uri::from(path.clone()));
            request.header(HOST, &peer.authority).header(USER_AGENT, AGENT)
        };
        let (path, upgrade) = match &self.kind {
            CheckKind::Tcp => return Ok(()),
            CheckKind::Http(path) => (path, None),
            CheckKind::WebSocket(path) => (path, Some(nonce(net))),
        };
        let mut request = request(path);
        if let Some(key) = &upgrade {
            request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "websocket");
            request = request.header(SEC_WEBSOCKET_VERSION, handshake::VERSION).header(SEC_WEBSOCKET_KEY, key);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("all of it is valid in a request");
        let (mut sender, connection) = http1::handshake(TokioIo::new(transport)).await?;
        net.spawn(async move {
            // What is wrong with it is told to whoever asked.
            let _ = connection.with_upgrades().await;
        });
        let response = sender.send_request(request).await?;
        match upgrade {
            None if response.status().is_success() || response.status().is_redirection() => Ok(()),
            None => Err(Fault::Status(response.status())),
            Some(key) => has_pong(response, &key, net.seed()).await,
        }
    }
}

fn nonce<N: Net>(net: &N) -> String {
    let mut bytes = [0; 16];
    net.entropy(&mut bytes);
    handshake::key(bytes)
}

/// Whether a session that was just opened answers a ping; whatever comes before is passed over.
async fn has_pong(mut response: Response<Incoming>, key: &str, seed: u64) -> Result<(), Fault> {
    let upgraded = hyper::upgrade::on(&mut response);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Fault::Status(response.status()));
    }
    check_answer(&response.into_parts().0, key.as_bytes())?;
    ping(&mut TokioIo::new(upgraded.await?), seed).await
}

async fn ping<S: AsyncRead + AsyncWrite + Unpin>(session: &mut S, seed: u64) -> Result<(), Fault> {
    let payload = seed.to_be_bytes();
    let mask = Some([payload[7], payload[3], payload[5], payload[1]]);
    session.write_all(&Injected::ping(payload, mask)).await?;
    session.flush().await?;
    let mut read = Vec::new();
    let mut at = 0;
    loop {
        while let Ok(Some(header)) = Header::parse(&read[at..], Side::App, true) {
            let frame = usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
            if frame > read.len() - at {
                break;
            }
            let is_ours = header.opcode == Opcode::Pong && read[at..at + frame].ends_with(&payload);
            at += frame;
            if is_ours {
                session.write_all(&Injected::close(CloseCode::NORMAL, "", mask)).await?;
                session.flush().await?;
                return Ok(());
            }
        }
        if read.len() > MAX_BEFORE_PONG_BYTES {
            return Err(Fault::NoPong);
        }
        if session.read_buf(&mut read).await? == 0 {
            return Err(Fault::Session(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}
