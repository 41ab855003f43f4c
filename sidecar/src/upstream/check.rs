//! Whether upstreams are well, asked without a client that waits for the answer.

use std::sync::{Arc, Weak};

use outrigger_shared::choose::Attempt;
use tokio::time::sleep_until;

use super::board::Board;
use super::peer::Peer;
use crate::net::Net;

/// Checks what is due, for as long as somebody else holds the upstreams.
pub(super) async fn run<N: Net>(net: N, board: Arc<Board>, peers: Weak<Vec<Peer<N>>>, configured: u64) {
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
            net.spawn(check(Arc::clone(&board), Arc::clone(&peers), attempt));
        }
    }
}

async fn check<N: Net>(board: Arc<Board>, peers: Arc<Vec<Peer<N>>>, attempt: Attempt) {
    let peer = peers.iter().find(|peer| peer.id == attempt.peer).expect("what is due is configured");
    match peer.dialer.connect().await {
        Ok((stream, took)) => {
            drop(stream);
            board.checked(attempt, Some(took));
        }
        Err(error) => {
            tracing::debug!(upstream = %peer.name, %error, "a check failed");
            board.checked(attempt, None);
        }
    }
}
