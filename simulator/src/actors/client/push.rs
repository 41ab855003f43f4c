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
use tokio::time::Instant;

use super::ClientSettings;
use super::backoff::Backoff;
use super::http::{HttpConnection, get};
use super::read_rate::ReadRate;
use super::reconnect::{self, End, Sessions};
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
    /// How long it stays, from the first to the second, before it closes with 1000 and comes back at once.
    pub stays: Option<(Duration, Duration)>,
    pub read_rate: ReadRate,
}

/// Pings of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinging {
    /// A ping follows when nothing came for so long: no message, no ping, no pong.
    pub silence: Duration,
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
    pub async fn run(self, stop: Stop) {
        let Self { actor, settings, push } = self;
        let backoff = push.backoff;
        let account = Account::new(settings.since);
        reconnect::live(WebSockets { actor, settings: &settings, push, account }, &settings, backoff, stop).await;
    }
}

struct WebSockets<'a, N> {
    actor: Actor<N>,
    settings: &'a ClientSettings,
    push: Push,
    account: Account,
}

impl<N: Net> Sessions for WebSockets<'_, N> {
    type Net = N;
    type Open = (Upgraded, Option<Arc<dyn Wire>>);

    fn actor(&mut self) -> &mut Actor<N> {
        &mut self.actor
    }

    async fn open(&mut self, again: bool) -> Option<Self::Open> {
        let since = if again && self.push.forgets { FROM_NOW } else { self.account.since() };
        self.dial(since).await
    }

    async fn listen(&mut self, (upgraded, wire): Self::Open, stop: &Stop) -> End {
        let halves = ws::client(upgraded, wire, self.actor.rng.fork(), self.settings.timeouts.write);
        let stays = self.push.stays.map(|(min, max)| self.actor.rng.between(min, max));
        let leaving = (stays, self.settings.timeouts.close);
        let end = session::run(&self.actor, &self.push, leaving, halves, &mut self.account, stop).await;
        self.account.give_up_on_acks(&self.actor);
        end
    }
}

impl<N: Net> WebSockets<'_, N> {
    /// Dials and upgrades.
    async fn dial(&mut self, since: u64) -> Option<(Upgraded, Option<Arc<dyn Wire>>)> {
        let mut connection = HttpConnection::open(&self.actor, self.settings, &self.push.read_rate).await?;
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
        let request = get(self.settings, &path, &extra);
        let within = self.settings.timeouts.answer;
        let mut response = connection.head(&self.actor, request, RequestKind::Upgrade, within).await?;
        let (status, took) = (response.status().as_u16(), began.elapsed());
        self.actor.client_event(&ClientEvent::AnswerReceived { status, empty: false, bytes: 0, took });
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(RequestFailure::by_status(response.status()));
        }
        let upgrade = hyper::upgrade::on(&mut response);
        check_answer(&response.into_parts().0, key.as_bytes()).map_err(|_| RequestFailure::Unusable)?;
        connection.drive(upgrade).await.map_err(|_| RequestFailure::Cut)
    }
}
