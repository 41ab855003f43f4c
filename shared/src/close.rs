//! The end of a session: which code, who began it, and why.

use std::fmt;

use crate::frame::Violation;

/// One of the two peers of a session, as the sidecar sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Side {
    /// Whoever connected to the listener.
    Client,
    /// The server that the sidecar stands in front of.
    App,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Client, Self::App];

    /// The other side.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::App,
            Self::App => Self::Client,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::App => "app",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A close code (RFC 6455 §7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

impl CloseCode {
    pub const NORMAL: Self = Self(1000);
    pub const GOING_AWAY: Self = Self(1001);
    pub const PROTOCOL: Self = Self(1002);
    /// Never on the wire: how a Close without a code is reported.
    pub const NO_STATUS: Self = Self(1005);
    pub const POLICY: Self = Self(1008);
    pub const TOO_BIG: Self = Self(1009);
    pub const INTERNAL: Self = Self(1011);
    pub const SERVICE_RESTART: Self = Self(1012);
    pub const TRY_AGAIN: Self = Self(1013);
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Whether a Close frame may carry this code: 1000–1003, 1007–1014, and 3000–4999 for libraries and applications.
    /// 1004–1006 and 1015 are reserved, 1016–2999 are not assigned (RFC 6455 §7.4).
    pub const fn may_be_sent(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who began the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Initiator {
    Client,
    App,
    Sidecar,
}

impl Initiator {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::App => "app",
            Self::Sidecar => "sidecar",
        }
    }
}

impl From<Side> for Initiator {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::App => Self::App,
        }
    }
}

impl fmt::Display for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a session ended. The side is the one at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A peer sent a Close of its own.
    Close,
    /// No byte from either side for the idle timeout.
    Idle,
    /// A keepalive ping brought no byte back.
    KeepaliveLost(Side),
    /// The session reached its maximal age.
    Lifetime,
    /// The sidecar is draining.
    Drain,
    MessageTooBig(Side),
    TooManyFragments(Side),
    FrameTooBig(Side),
    /// Over the message or byte rate, where the policy says to close.
    RateExceeded(Side),
    /// A frame that RFC 6455 forbids.
    Protocol(Side, Violation),
    /// End of stream without a Close.
    Gone(Side),
    /// Its socket failed.
    Reset(Side),
    /// It took no byte for the send timeout, with bytes waiting for it.
    Stalled(Side),
    /// Raw relays: both sides finished in order.
    Eof,
    /// The sidecar stops, without a drain.
    Shutdown,
    /// Somebody who may do so asked for the end of this very session.
    Operator,
    /// New sessions go to another upstream, nearer than the one that this is at.
    Rebalance,
}

impl Cause {
    /// A label for logs and metrics, out of a bounded set: snake case, without the side.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Idle => "idle",
            Self::KeepaliveLost(_) => "keepalive_lost",
            Self::Lifetime => "lifetime",
            Self::Drain => "drain",
            Self::MessageTooBig(_) => "message_too_big",
            Self::TooManyFragments(_) => "too_many_fragments",
            Self::FrameTooBig(_) => "frame_too_big",
            Self::RateExceeded(_) => "rate_exceeded",
            Self::Protocol(..) => "protocol",
            Self::Gone(_) => "gone",
            Self::Reset(_) => "reset",
            Self::Stalled(_) => "stalled",
            Self::Eof => "eof",
            Self::Shutdown => "shutdown",
            Self::Operator => "operator",
            Self::Rebalance => "rebalance",
        }
    }

    /// The side at fault, where there is one.
    pub const fn side(self) -> Option<Side> {
        match self {
            Self::KeepaliveLost(side)
            | Self::MessageTooBig(side)
            | Self::TooManyFragments(side)
            | Self::FrameTooBig(side)
            | Self::RateExceeded(side)
            | Self::Protocol(side, _)
            | Self::Gone(side)
            | Self::Reset(side)
            | Self::Stalled(side) => Some(side),
            Self::Close
            | Self::Idle
            | Self::Lifetime
            | Self::Drain
            | Self::Eof
            | Self::Shutdown
            | Self::Operator
            | Self::Rebalance => None,
        }
    }
}

/// A few words for people: ASCII, and short enough for the reason of a Close frame.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close => f.write_str("closed by a peer"),
            Self::Idle => f.write_str("idle"),
            Self::KeepaliveLost(side) => write!(f, "{side} did not answer a keepalive ping"),
            Self::Lifetime => f.write_str("end of the session's lifetime"),
            Self::Drain => f.write_str("draining"),
            Self::MessageTooBig(side) => write!(f, "message from the {side} too big"),
            Self::TooManyFragments(side) => write!(f, "message from the {side} in too many fragments"),
            Self::FrameTooBig(side) => write!(f, "frame from the {side} too big"),
            Self::RateExceeded(side) => write!(f, "{side} over its rate"),
            Self::Protocol(side, what) => write!(f, "{side}: {what}"),
            Self::Gone(side) => write!(f, "{side} left without a Close"),
            Self::Reset(side) => write!(f, "connection to the {side} failed"),
            Self::Stalled(side) => write!(f, "{side} takes no data"),
            Self::Eof => f.write_str("both sides finished"),
            Self::Shutdown => f.write_str("shutting down"),
            Self::Operator => f.write_str("closed by an operator"),
            Self::Rebalance => f.write_str("moving to a nearer upstream"),
        }
    }
}

/// The end of one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    pub by: Initiator,
    pub cause: Cause,
    /// The code in the Close that the client got; else in the one that it sent. `None`: neither, it sees a bare 1006.
    pub client_code: Option<CloseCode>,
    /// The same for the app.
    pub app_code: Option<CloseCode>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_on_the_wire() {
        let may: Vec<u16> = (0..=u16::MAX).filter(|code| CloseCode::may_be_sent(*code)).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(may, expected);
    }
}
