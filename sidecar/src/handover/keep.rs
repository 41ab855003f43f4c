//! The side of the process that serves now: it owns the path, and gives its sockets to whoever comes to replace it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::{GO, HandoverError, LATE, READY, READY_WITHIN, Sockets, hear, offer, say, stranger};
use crate::control::Control;
use crate::lifecycle::Stage;
use crate::listen::ACCEPT_PAUSE;
use crate::net::Net;

/// Only this user may connect.
const MODE: u32 = 0o600;

/// A socket that listens beside the path, until it takes its place.
#[derive(Debug)]
pub struct Claim {
    listener: Option<UnixListener>,
    beside: PathBuf,
    path: PathBuf,
}

/// The socket at the path.
#[derive(Debug)]
pub struct Keeper {
    listener: UnixListener,
    path: PathBuf,
}

/// Why the sockets were not handed over.
#[derive(Debug, thiserror::Error)]
enum Declined {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("user {0} has no business here")]
    Stranger(u32),
    #[error("it was not ready within {} s", .0.as_secs())]
    Late(Duration),
    #[error("it said {0:?}")]
    Word(String),
}

impl Claim {
    /// Makes the socket where nobody looks for it: whoever owns the path keeps it for now.
    pub fn new(path: &Path) -> Result<Self, HandoverError> {
        if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
            return Err(HandoverError::NotASocket { path: path.to_owned() });
        }
        let beside = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
        // A process of the same number may have died with it.
        let _ = fs::remove_file(&beside);
        let made = UnixListener::bind(&beside).and_then(|listener| {
            fs::set_permissions(&beside, Permissions::from_mode(MODE))?;
            Ok(listener)
        });
        let listener = made.map_err(|why| HandoverError::Claim { path: path.to_owned(), why })?;
        Ok(Self { listener: Some(listener), beside, path: path.to_owned() })
    }

    /// Takes the path from whoever had it.
    pub fn publish(mut self) -> Result<Keeper, HandoverError> {
        let renamed = fs::rename(&self.beside, &self.path);
        renamed.map_err(|why| HandoverError::Claim { path: self.path.clone(), why })?;
        let listener = self.listener.take().expect("it is published once");
        Ok(Keeper { listener, path: self.path.clone() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.listener.is_some() {
            // Not published; a file that stays behind harms nobody.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

impl Keeper {
    /// Gives `sockets` to the first process that gets ready with them, and stops accepting then. Ends with that, or when
    /// this process stops accepting for another reason. The path is left: it may be another's by then.
    pub async fn keep<N: Net>(self, sockets: Sockets, control: Arc<Control<N>>) {
        let lifecycle = control.lifecycle();
        let handing = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => match hand_over(stream, &sockets, READY_WITHIN).await {
                        Ok(stream) => return stream,
                        Err(why) => tracing::warn!(%why, "a handover came to nothing; this process goes on"),
                    },
                    Err(error) => {
                        tracing::warn!(%error, path = %self.path.display(), "cannot accept a handover; trying again");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        let mut stream = tokio::select! {
            biased;
            () = lifecycle.reached(Stage::Stopping) => return,
            stream = handing => stream,
        };
        control.hand_over().await;
        // A listener that the new process does not want is closed with the last descriptor of its socket.
        drop(sockets);
        // Nobody is left to hear of a failure: the new one serves by now, or it has died and the port with it.
        if let Err(error) = say(&mut stream, GO).await {
            tracing::error!(%error, "the new process has gone after it said that it was ready");
        }
    }
}

/// Offers the sockets, and waits until the new process is ready to serve with them.
async fn hand_over(mut stream: UnixStream, sockets: &Sockets, within: Duration) -> Result<UnixStream, Declined> {
    if let Some(uid) = stranger(&stream)? {
        return Err(Declined::Stranger(uid));
    }
    let answer = async {
        offer::send(&mut stream, sockets).await?;
        hear(&mut stream).await
    };
    match timeout(within, answer).await {
        Ok(word) if word.as_ref().is_ok_and(|word| word == READY) => Ok(stream),
        Ok(word) => Err(Declined::Word(word?)),
        Err(_) => {
            // What it says from now on is not heard any more, so it must know.
            let _ = say(&mut stream, LATE).await;
            Err(Declined::Late(within))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::handover::{Offer, offer};

    fn sockets() -> Sockets {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        vec![("http://127.0.0.1:0".into(), listener.into())]
    }

    #[tokio::test]
    async fn who_gets_ready_too_late_hears_of_it() {
        let (old, mut new) = UnixStream::pair().unwrap();
        let outcome = hand_over(old, &sockets(), Duration::from_millis(10)).await;
        assert!(matches!(outcome, Err(Declined::Late(_))), "{outcome:?}");
        offer::receive(&mut new).await.unwrap();
        // The old process has closed its end by now.
        let offer = Offer { stream: new, path: "/run/h.sock".into(), sockets: Vec::new() };
        let error = offer.ready().await.unwrap_err();
        assert!(matches!(error, HandoverError::Late { .. }), "{error}");
    }

    #[tokio::test]
    async fn who_is_ready_goes_on_where_the_old_process_dies_before_it_stops() {
        let (old, mut new) = UnixStream::pair().unwrap();
        let sockets = sockets();
        let taking = async {
            offer::receive(&mut new).await.unwrap();
            Offer { stream: new, path: "/run/h.sock".into(), sockets: Vec::new() }.ready().await
        };
        let handing = async { drop(hand_over(old, &sockets, READY_WITHIN).await.unwrap()) };
        let (taken, ()) = tokio::join!(taking, handing);
        taken.unwrap();
    }
}
