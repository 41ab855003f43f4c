//! The listening sockets go from an old process to a new one over a Unix socket, so that the port is never closed.
//!
//! ```text
//! new                         old
//!  ├── connects ──────────────▶│  same user, or root
//!  │◀────────────── its sockets┤
//!  │  loads, binds the rest    │  goes on as if nothing had been
//!  ├── ready ─────────────────▶│
//!  │                           │  accepts nothing more
//!  │◀──────────────────────  go┤
//!  │  owns the path, serves    │  drains, and ends
//! ```
//!
//! Until the old one has read `ready`, whatever goes wrong leaves it as it was. It says `late` where it has not waited
//! so long: then the new one must not serve.

mod keep;
mod offer;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::inherit::listens_at;

pub use keep::{Claim, Keeper};
pub use offer::{MAX_SOCKETS, OfferError};

/// How long the old process has to offer its sockets. It may be busy with another new one, but not for ever.
const OFFER_WITHIN: Duration = Duration::from_secs(5);
/// How long the new process has to get ready: it loads certificates and looks a name up.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long the old process has to close its listeners.
const GO_WITHIN: Duration = Duration::from_secs(10);
/// The longest word that one says to the other.
const MAX_WORD_BYTES: usize = 16;

const READY: &str = "ready";
const GO: &str = "go";
const LATE: &str = "late";

/// Why a new process cannot take over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    #[error("handover: cannot connect to {path}: {why}; it has to belong to the user that this process runs as")]
    Connect { path: PathBuf, why: io::Error },
    #[error("handover: the process at {path} runs as user {uid}; run both as the same user")]
    Stranger { path: PathBuf, uid: u32 },
    #[error("handover: the process at {path} offers no sockets: {why}")]
    Offer { path: PathBuf, why: OfferError },
    #[error("handover: what the process at {path} offers as {label:?} is no listening TCP socket: {why}")]
    Socket { path: PathBuf, label: String, why: io::Error },
    #[error("handover: the process at {path} did not wait for this one any longer, and goes on; try again")]
    Late { path: PathBuf },
    #[error("handover: {path} is there and is no socket; give the path of one that may be made")]
    NotASocket { path: PathBuf },
    #[error("handover: cannot make the socket {path}: {why}; its folder has to be there, and writable")]
    Claim { path: PathBuf, why: io::Error },
    #[error("handover: {count} listeners are more than the {MAX_SOCKETS} that can be handed over; take handover out")]
    TooMany { count: usize },
}

/// The sockets of the process that this one is to replace.
#[derive(Debug)]
pub struct Offer {
    stream: UnixStream,
    path: PathBuf,
    sockets: Vec<Offered>,
}

/// One of them.
#[derive(Debug)]
pub struct Offered {
    /// What it serves: a listener's scheme, or another service's name.
    pub service: String,
    pub addr: SocketAddr,
    pub listener: TcpListener,
}

/// What is written with a socket: its service and its address, as in the configuration.
pub fn label(service: &str, addr: SocketAddr) -> String {
    format!("{service}://{addr}")
}

impl Offer {
    /// Asks the process at `path` for its sockets. `None` where there is no process: nothing at the path, or what a
    /// process has left behind.
    pub async fn ask(path: &Path) -> Result<Option<Self>, HandoverError> {
        let owned = || path.to_owned();
        let mut stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(why) => return Err(HandoverError::Connect { path: owned(), why }),
        };
        // The path may be in a folder that others can write to.
        if let Some(uid) = stranger(&stream).map_err(|why| HandoverError::Connect { path: owned(), why })? {
            return Err(HandoverError::Stranger { path: owned(), uid });
        }
        let offered = timeout(OFFER_WITHIN, offer::receive(&mut stream)).await;
        let offered = offered.unwrap_or(Err(OfferError::Silent(OFFER_WITHIN)));
        let offered = offered.map_err(|why| HandoverError::Offer { path: owned(), why })?;
        let mut sockets = Vec::new();
        for (label, socket) in offered {
            let listener = TcpListener::from(socket);
            let addr = listens_at(&listener).map_err(|why| HandoverError::Socket {
                path: owned(),
                label: label.clone(),
                why,
            })?;
            let service = label.split_once("://").map_or(label.as_str(), |(service, _)| service).to_owned();
            sockets.push(Offered { service, addr, listener });
        }
        Ok(Some(Self { stream, path: owned(), sockets }))
    }

    /// The sockets, once.
    pub fn take_sockets(&mut self) -> Vec<Offered> {
        std::mem::take(&mut self.sockets)
    }

    /// Says that this process is ready to serve, and waits until the old one accepts nothing more.
    pub async fn ready(mut self) -> Result<(), HandoverError> {
        let answer = async {
            // Whoever waits no longer has closed its end, but has said so before.
            let _ = say(&mut self.stream, READY).await;
            hear(&mut self.stream).await
        };
        match timeout(GO_WITHIN, answer).await {
            Ok(Ok(word)) if word == GO => tracing::info!(path = %self.path.display(), "took over from the old process"),
            Ok(Ok(word)) if word == LATE => return Err(HandoverError::Late { path: self.path }),
            // It has gone or hangs, but the sockets are here: better two that serve than none.
            outcome => tracing::warn!(?outcome, "the old process did not say that it has stopped"),
        }
        Ok(())
    }
}

/// The user at the other end, if it is neither this process's own nor root.
fn stranger(stream: &UnixStream) -> io::Result<Option<u32>> {
    let peer = socket_peercred(stream)?.uid;
    Ok((peer != geteuid() && !peer.is_root()).then(|| peer.as_raw()))
}

/// Listening sockets with their labels.
pub type Sockets = Vec<(String, OwnedFd)>;

async fn say(stream: &mut UnixStream, word: &str) -> io::Result<()> {
    stream.write_all(format!("{word}\n").as_bytes()).await
}

async fn hear(stream: &mut UnixStream) -> io::Result<String> {
    let mut word = String::new();
    while word.len() < MAX_WORD_BYTES {
        match stream.read_u8().await? {
            b'\n' => return Ok(word),
            byte => word.push(byte.into()),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{word:?} is no word of a handover")))
}
