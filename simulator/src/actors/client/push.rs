//! The push client: a WebSocket that comes back when it was cut.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, StatusCode};
use hyper::upgrade::Upgraded;
use outrigger::net::Net;
use outrigger_shared::close::Side;
use outrigger_shared::handshake::{VERSION, check_answer};
use tokio::select;
use tokio::time::Instant;

use super::ClientSettings;
use super::backoff::{Backoff, Retries};
use super::http::{HttpConnection, get};
use super::read_rate::ReadRate;
use super::session::{self, Account};
use crate::actors::event::{ClientEvent, RequestFailure, RequestKind};
use crate::actors::{Actor, FROM_NOW, Stop, Wire, ws};

/// Of a `Sec-WebSocket-Key` (RFC 6455 §4.1).
const KEY_BYTES: usize = 16;

/// How a push client behaves.
#[derive(Debug, Clone, Default)]
pub struct Push {
    pub backoff: Backoff,
    /// The client's own pings; browsers send none.
    pub ping: Option<Pinging>,
    /// What the client itself has to say.
    pub messages: Option<Messages>,
    /// After the first session it does not ask for what it missed.
    pub forgets: bool,
    pub read_rate: ReadRate,
}

/// Pings of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinging {
    /// From one ping to the next.
    pub interval: Duration,
    /// How long to wait for a pong before the session is given up.
    pub timeout: Duration,
}

/// Messages `msg:<n>` that the app acknowledges with `ack:<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Messages {
    /// From one message to the next; the first comes so long after the session has begun.
    pub interval: Duration,
    /// The length of each, if its number needs no more.
    pub bytes: usize,
}

/// Listens on a WebSocket, and on the next one when it ends.
pub struct PushClient<N> {
    pub actor: Actor<N>,
    pub settings: ClientSettings,
    pub push: Push,
}

impl<N: Net> PushClient<N> {
    /// Listens until told to stop; then it closes with 1000.
    pub async fn run(mut self, stop: Stop) {
        self.actor.client_event(&ClientEvent::Started { feed: self.settings.feed, since: self.settings.since });
        let mut retries = Retries::new(self.push.backoff);
        let mut account = Account::new(self.settings.since);
        let mut again = false;
        while !stop.is_stopped() {
            let began = Instant::now();
            let opened = select! {
                biased;
                () = stop.stopped() => return,
                opened = self.open(if again && self.push.forgets { FROM_NOW } else { account.since() }) => opened,
            };
            let mut lived = Duration::ZERO;
            if let Some((upgraded, wire)) = opened {
                again = true;
                self.actor.client_event(&ClientEvent::HandshakeDone { took: began.elapsed() });
                let opened = Instant::now();
                let halves = ws::client(upgraded, wire, self.actor.rng.fork(), self.settings.timeouts.write);
                let close_timeout = self.settings.timeouts.close;
                let end = session::run(&self.actor, &self.push, close_timeout, halves, &mut account, &stop).await;
                account.give_up_on_acks(&self.actor);
                lived = opened.elapsed();
                let session::End { how, code, reason } = end;
                self.actor.client_event(&ClientEvent::Closed { how, code, reason, lived });
            }
            if !stop.is_stopped() {
                retries.pause(&mut self.actor, lived, &stop).await;
            }
        }
    }

    /// Dials and upgrades.
    async fn open(&mut self, since: u64) -> Option<(Upgraded, Option<Arc<dyn Wire>>)> {
        let mut connection = HttpConnection::open(&self.actor, &self.settings, &self.push.read_rate).await?;
        let mut key = [0; KEY_BYTES];
        self.actor.rng.fill(&mut key);
        let key = STANDARD.encode(key);
        let wire = self.actor.observer.wire(Side::Client, self.actor.id, &key);
        match self.upgrade(&mut connection, since, &key).await {
            Ok(upgraded) => Some((upgraded, wire)),
            Err(why) => {
                self.actor.client_event(&ClientEvent::RequestFailed { why });
                None
            }
        }
    }

    async fn upgrade(
        &self,
        connection: &mut HttpConnection,
        since: u64,
        key: &str,
    ) -> Result<Upgraded, RequestFailure> {
        let extra = [
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION)),
            (SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).expect("base64 is plain ASCII")),
        ];
        let path = format!("/ws?client={}&since={since}", self.actor.id);
        let began = Instant::now();
        let request = get(&self.settings, &path, &extra);
        let within = self.settings.timeouts.answer;
        let mut response = connection.head(&self.actor, request, RequestKind::Upgrade, within).await?;
        let (status, took) = (response.status().as_u16(), began.elapsed());
        self.actor.client_event(&ClientEvent::AnswerReceived { status, empty: false, bytes: 0, took });
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(RequestFailure::Unusable);
        }
        let upgrade = hyper::upgrade::on(&mut response);
        check_answer(&response.into_parts().0, key.as_bytes()).map_err(|_| RequestFailure::Unusable)?;
        connection.drive(upgrade).await.map_err(|_| RequestFailure::Cut)
    }
}
