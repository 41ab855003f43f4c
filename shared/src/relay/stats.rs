//! Counters of one side.

use std::time::Duration;

/// What went through from one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Bytes that came from this side and were forwarded or discarded.
    pub bytes: u64,
    /// Of those, the ones that were not forwarded: swallowed pongs, and what came after the end.
    pub bytes_discarded: u64,
    /// Frames of all kinds, swallowed pongs included.
    pub frames: u64,
    /// Text messages, counted at their first frame.
    pub text: u64,
    /// Binary messages, counted at their first frame.
    pub binary: u64,
    /// Data frames that are not a whole message.
    pub fragments: u64,
    pub pings: u64,
    /// Pongs, the swallowed ones not included.
    pub pongs: u64,
    pub closes: u64,
    /// Answers to our own pings.
    pub pongs_swallowed: u64,
    /// Pings of ours *to* this side.
    pub pings_injected: u64,
    /// Closes of ours *to* this side: 0 or 1.
    pub closes_injected: u64,
    /// Bytes of ours *to* this side.
    pub bytes_injected: u64,
    /// Round trip of the last answered ping.
    pub ping_rtt: Option<Duration>,
}
