//! What an operator can set for a session.

use std::time::Duration;

use crate::close::CloseCode;

/// Everything a [`Relay`](crate::relay::Relay) is told about limits and time. One per listener, shared by its sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Ends a session when neither side sent a byte for this long.
    pub idle_timeout: Option<Duration>,
    /// Ends a session when bytes wait for a side and it takes none for this long.
    pub send_timeout: Option<Duration>,
    pub keepalive_client: Option<Keepalive>,
    pub keepalive_app: Option<Keepalive>,
    /// How long a side may take to answer a Close.
    pub close_timeout: Duration,
    /// Payload bytes of a message, summed over its fragments as they are declared. Exactly at the limit passes.
    pub max_message_size: Option<u64>,
    /// Payload bytes of one frame. Exactly at the limit passes.
    pub max_frame_size: Option<u64>,
    /// Frames of one message.
    pub max_fragments: Option<u32>,
    /// Per direction.
    pub message_rate: Option<Rate>,
    /// Per direction.
    pub byte_rate: Option<ByteRate>,
    pub over_rate: OverRate,
    /// Ends a session of this age, at a quiet moment.
    pub max_lifetime: Option<Duration>,
    /// Ends a session up to this many per cent before `max_lifetime`, so that those begun together don't end together.
    pub lifetime_jitter_percent: u8,
    /// Bytes that may wait for a side before its peer is read no further.
    pub write_buffer: usize,
    pub codes: CloseCodes,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle_timeout: Some(Duration::from_mins(1)),
            send_timeout: Some(Duration::from_mins(1)),
            keepalive_client: Some(Keepalive::default()),
            keepalive_app: Some(Keepalive::default()),
            close_timeout: Duration::from_secs(5),
            max_message_size: Some(64 << 20),
            max_frame_size: None,
            max_fragments: Some(131_072),
            message_rate: None,
            byte_rate: None,
            over_rate: OverRate::Slow,
            max_lifetime: None,
            lifetime_jitter_percent: 10,
            write_buffer: 64 << 10,
            codes: CloseCodes::default(),
        }
    }
}

/// A ping to a side that has been silent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// Silence after which a side is pinged.
    pub interval: Duration,
    /// Silence after the ping that ends the session.
    pub pong_timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(25), pong_timeout: Duration::from_secs(20) }
    }
}

/// Messages per second, and how many may come at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    pub per_second: u32,
    pub burst: u32,
}

/// Bytes per second (frame headers included), and how many may come at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRate {
    pub per_second: u64,
    pub burst: u64,
}

/// What happens to a side over its rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OverRate {
    /// It is read no further until the rate allows, so that TCP slows it down.
    #[default]
    Slow,
    /// The session ends.
    Close,
}

/// A limit that a side went over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    MessageSize,
    FrameSize,
    Fragments,
    Rate,
}

impl Limit {
    /// A label for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MessageSize => "message_size",
            Self::FrameSize => "frame_size",
            Self::Fragments => "fragments",
            Self::Rate => "rate",
        }
    }
}

/// The codes of the Closes that a relay makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseCodes {
    /// To both sides.
    pub idle: CloseCode,
    /// To both sides.
    pub lifetime: CloseCode,
    /// To a sender over a size or fragment limit.
    pub too_big: CloseCode,
    /// To a sender over its rate.
    pub rate: CloseCode,
    /// To a side that took no data for the send timeout.
    pub stalled: CloseCode,
    /// To a side that did not answer a keepalive ping.
    pub keepalive_lost: CloseCode,
    /// To the client of an app that left without a Close.
    pub app_gone: CloseCode,
    /// To the client of an app that left without having sent a byte after its 101.
    pub app_silent: CloseCode,
    /// To the app of a client that left without a Close.
    pub client_gone: CloseCode,
    /// To the client when the app is at fault in any other way.
    pub app_fault: CloseCode,
    /// To the app when the client is at fault in any other way.
    pub client_fault: CloseCode,
}

impl Default for CloseCodes {
    fn default() -> Self {
        Self {
            idle: CloseCode::GOING_AWAY,
            lifetime: CloseCode::GOING_AWAY,
            too_big: CloseCode::TOO_BIG,
            rate: CloseCode::POLICY,
            stalled: CloseCode::POLICY,
            keepalive_lost: CloseCode::INTERNAL,
            app_gone: CloseCode::INTERNAL,
            app_silent: CloseCode::BAD_GATEWAY,
            client_gone: CloseCode::GOING_AWAY,
            app_fault: CloseCode::INTERNAL,
            client_fault: CloseCode::GOING_AWAY,
        }
    }
}
