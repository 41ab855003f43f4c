//! Clients that hold sessions: dial, listen, and dial again when the session is over.

use std::time::Duration;

use outrigger::net::Net;
use tokio::select;
use tokio::time::Instant;

use super::ClientSettings;
use super::backoff::{Backoff, Retries};
use crate::actors::event::{ClientEvent, Ending};
use crate::actors::{Actor, Stop};

/// How a session ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) how: Ending,
    pub(super) code: Option<u16>,
    pub(super) reason: String,
}

impl End {
    pub(super) fn without_close(how: Ending) -> Self {
        Self { how, code: None, reason: String::new() }
    }
}

/// One way of holding sessions.
pub(super) trait Sessions: Send {
    type Net: Net;
    /// A session that is open and has not been listened to.
    type Open: Send;

    fn actor(&mut self) -> &mut Actor<Self::Net>;

    /// Dials; `None` if no session came about, which the observer has been told. `again` is whether there was one
    /// before. Dropped, it dials no more.
    fn open(&mut self, again: bool) -> impl Future<Output = Option<Self::Open>> + Send;

    /// Listens to the end; told to stop, it leaves in good order.
    fn listen(&mut self, open: Self::Open, stop: &Stop) -> impl Future<Output = End> + Send;
}

/// Holds one session after the other until told to stop.
pub(super) async fn live(mut sessions: impl Sessions, settings: &ClientSettings, backoff: Backoff, stop: Stop) {
    sessions.actor().client_event(&ClientEvent::Started { feed: settings.feed, since: settings.since });
    let mut retries = Retries::new(backoff);
    let mut again = false;
    while !stop.is_stopped() {
        let began = Instant::now();
        let opened = select! {
            biased;
            () = stop.stopped() => return,
            opened = sessions.open(again) => opened,
        };
        let (mut lived, mut left) = (Duration::ZERO, false);
        if let Some(open) = opened {
            again = true;
            sessions.actor().client_event(&ClientEvent::HandshakeDone { took: began.elapsed() });
            let opened = Instant::now();
            let End { how, code, reason } = sessions.listen(open, &stop).await;
            (lived, left) = (opened.elapsed(), how == Ending::Left);
            sessions.actor().client_event(&ClientEvent::Closed { how, code, reason, lived });
        }
        if left {
            // Whoever left on purpose has no failure to wait for.
            retries = Retries::new(backoff);
        } else if !stop.is_stopped() {
            retries.pause(sessions.actor(), lived, &stop).await;
        }
    }
}
