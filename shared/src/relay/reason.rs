//! The reason in a Close of our own: a few words that name the cause, with the limit that was set.

use std::fmt::{self, Write};
use std::ops::Deref;
use std::time::Duration;

use crate::close::{Cause, Side};
use crate::frame::MAX_CLOSE_REASON;
use crate::relay::Relay;

/// Text on the stack; what does not fit is cut.
pub(super) struct Reason {
    len: usize,
    text: [u8; MAX_CLOSE_REASON],
}

impl Relay {
    pub(super) fn reason(&self, to: Side, cause: Cause) -> Reason {
        let mut reason = Reason { len: 0, text: [0; MAX_CLOSE_REASON] };
        // The answer to a peer's own Close explains nothing.
        if self.half(to).close_in.is_none() {
            let written = self.write_reason(&mut reason, cause);
            debug_assert!(written.is_ok(), "a Reason takes everything");
        }
        reason
    }

    fn write_reason(&self, out: &mut Reason, cause: Cause) -> fmt::Result {
        let policy = &self.policy;
        match cause {
            Cause::Idle => write!(out, "idle for {}", Span(policy.idle_timeout)),
            Cause::KeepaliveLost(side) => {
                let pong_timeout = self.half(side).keepalive(policy).map(|keepalive| keepalive.pong_timeout);
                write!(out, "no answer to a ping from the {side} in {}", Span(pong_timeout))
            }
            Cause::MessageTooBig(side) => over(out, "message", side, policy.max_message_size, "bytes"),
            Cause::FrameTooBig(side) => over(out, "frame", side, policy.max_frame_size, "bytes"),
            Cause::TooManyFragments(side) => {
                over(out, "message", side, policy.max_fragments.map(u64::from), "fragments")
            }
            Cause::Lifetime => write!(out, "session older than {}", Span(policy.max_lifetime)),
            Cause::Operator => match &self.wording {
                Some(wording) => out.write_str(wording),
                None => write!(out, "{cause}"),
            },
            Cause::Stalled(side) => write!(out, "{side} took no data for {}", Span(policy.send_timeout)),
            other => write!(out, "{other}"),
        }
    }
}

fn over(out: &mut Reason, what: &str, side: Side, limit: Option<u64>, unit: &str) -> fmt::Result {
    write!(out, "{what} from the {side} over {} {unit}", limit.unwrap_or(u64::MAX))
}

/// A duration for people: whole seconds, or milliseconds.
struct Span(Option<Duration>);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.0.unwrap_or_default();
        if span.subsec_millis() == 0 { write!(f, "{} s", span.as_secs()) } else { write!(f, "{} ms", span.as_millis()) }
    }
}

impl Write for Reason {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Not inside a character: a Close whose reason is not UTF-8 is a violation (RFC 6455 §5.5.1).
        let fits = text.floor_char_boundary(MAX_CLOSE_REASON - self.len);
        self.text[self.len..][..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).expect("only whole characters were written")
    }
}
