//! Counters of one side.

use std::time::Duration;

/// Upper bounds, inclusive, of the classes of message sizes in bytes; the last class has none.
pub const SIZE_BOUNDS: [u64; 6] = [128, 1 << 10, 8 << 10, 64 << 10, 512 << 10, 4 << 20];

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
    /// Payload of text messages as it was on the wire, each counted whole at its last frame.
    pub text_bytes: u64,
    /// The same for binary messages.
    pub binary_bytes: u64,
    /// Whole messages by size, in the classes of [`SIZE_BOUNDS`]. Each wraps around on its own.
    pub sizes: [u32; SIZE_BOUNDS.len() + 1],
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

impl Stats {
    /// What was added to the counters since they were `before`. The round trip stays as it is.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut sizes = self.sizes;
        for (size, before) in sizes.iter_mut().zip(before.sizes) {
            *size = size.wrapping_sub(before);
        }
        Self {
            bytes: self.bytes - before.bytes,
            bytes_discarded: self.bytes_discarded - before.bytes_discarded,
            frames: self.frames - before.frames,
            text: self.text - before.text,
            binary: self.binary - before.binary,
            text_bytes: self.text_bytes - before.text_bytes,
            binary_bytes: self.binary_bytes - before.binary_bytes,
            sizes,
            fragments: self.fragments - before.fragments,
            pings: self.pings - before.pings,
            pongs: self.pongs - before.pongs,
            closes: self.closes - before.closes,
            pongs_swallowed: self.pongs_swallowed - before.pongs_swallowed,
            pings_injected: self.pings_injected - before.pings_injected,
            closes_injected: self.closes_injected - before.closes_injected,
            bytes_injected: self.bytes_injected - before.bytes_injected,
            ping_rtt: self.ping_rtt,
        }
    }

    /// Counts a message that is whole, of so many bytes of payload.
    pub(super) fn whole_message(&mut self, binary: bool, bytes: u64) {
        *(if binary { &mut self.binary_bytes } else { &mut self.text_bytes }) += bytes;
        let class = &mut self.sizes[SIZE_BOUNDS.partition_point(|bound| *bound < bytes)];
        *class = class.wrapping_add(1);
    }
}
