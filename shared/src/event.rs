//! The one account of what happened in a session: logs, metrics, traces and the simulator's history all read it.

use std::time::Duration;

use crate::close::{CloseCode, End, Side};
use crate::frame::Violation;
use crate::limits::Limit;

/// A message as its frames' headers describe it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    pub binary: bool,
    /// Payload, as it is on the wire.
    pub bytes: u64,
    pub frames: u32,
}

/// Something worth an account. Never one per data frame: those are counted in [`Stats`](crate::relay::Stats), and a
/// sample of them is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The two sockets were joined. Emitted by the driver.
    SessionOpened,
    /// The driver stopped (`on`) or resumed reading from a side because the other one is slow. Emitted by the driver.
    Backpressure { from: Side, on: bool },
    /// A keepalive ping was handed out.
    PingSent { to: Side },
    /// The answer to a keepalive ping came back; the other side does not see it.
    PongReceived { from: Side, rtt: Duration },
    /// A side sent its Close. [`CloseCode::NO_STATUS`] when it carried no code.
    CloseReceived { from: Side, code: CloseCode },
    /// A side gets its Close, be it the other side's or one of ours. At most once per side.
    CloseSent { to: Side, code: CloseCode },
    /// A side went over a limit; a Close follows.
    LimitHit { from: Side, limit: Limit },
    /// A side went over its rate (`on`), or may send again.
    RateLimited { from: Side, on: bool },
    /// A side sent a frame that RFC 6455 forbids; a Close follows.
    Violation { from: Side, what: Violation },
    /// One of the messages that are told as a sample: its last frame begins to go through. Only where
    /// [`Relay::sample_messages`](crate::relay::Relay::sample_messages) asked for it.
    Message { from: Side, message: Message },
    /// The session is over. Exactly once, and last.
    Ended(End),
}
