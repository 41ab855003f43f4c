//! `traceparent` (W3C Trace Context, Level 1, §3.2): is it valid, what does it say, and how a new one is written.

use std::fmt::Write;

/// Length of a version 00 `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
const TRACEPARENT_BYTES: usize = 55;

/// Whether the value may be passed on; a later version may be longer, behind a further dash.
pub fn is_valid(value: &[u8]) -> bool {
    let Some((head, rest)) = value.split_at_checked(TRACEPARENT_BYTES) else { return false };
    let hex = |range: std::ops::Range<usize>| head[range].iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |range: std::ops::Range<usize>| head[range].iter().all(|b| *b == b'0');
    let dashes = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    let version_ok = hex(0..2) && &head[..2] != b"ff" && (rest.is_empty() || (&head[..2] != b"00" && rest[0] == b'-'));
    dashes && version_ok && hex(3..35) && !zero(3..35) && hex(36..52) && !zero(36..52) && hex(53..55)
}

/// The bit of the flags that says that the trace is recorded.
const SAMPLED: u8 = 1;

/// A place in a trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SpanContext {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl SpanContext {
    /// What a valid `traceparent` says.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if !is_valid(value) {
            return None;
        }
        let (mut trace, mut span, mut flags) = ([0; 16], [0; 8], [0]);
        unhex(&value[3..35], &mut trace);
        unhex(&value[36..52], &mut span);
        unhex(&value[53..55], &mut flags);
        Some(Self { trace, span, sampled: flags[0] & SAMPLED != 0 })
    }

    /// The `traceparent` that says it.
    pub fn to_header(self) -> String {
        let mut out = String::with_capacity(TRACEPARENT_BYTES);
        out.push_str("00-");
        hex(&self.trace, &mut out);
        out.push('-');
        hex(&self.span, &mut out);
        out.push_str(if self.sampled { "-01" } else { "-00" });
        out
    }
}

/// Sixteen digits for eight bytes, and so on.
pub fn hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a String takes what it is given");
    }
}

/// Digits that were looked at before.
fn unhex(digits: &[u8], out: &mut [u8]) {
    let value = |digit: u8| if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0]) << 4 | value(pair[1]);
    }
}

/// A `traceparent` that starts a trace, not sampled: whoever samples decides it further on. `entropy` are 24 bytes
/// of which the first 16 become the trace id.
pub fn start(entropy: [u8; 24]) -> SpanContext {
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    trace.copy_from_slice(&entropy[..16]);
    span.copy_from_slice(&entropy[16..]);
    // Ids of zeros are invalid. Entropy makes them once in 2^64; a simulation's may make them at will.
    trace[15] |= 1;
    span[7] |= 1;
    SpanContext { trace, span, sampled: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_example_of_the_recommendation_and_what_it_starts() {
        assert!(is_valid(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert!(is_valid(b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes"));
        assert!(is_valid(start([0; 24]).to_header().as_bytes()));
        assert!(is_valid(start([0xff; 24]).to_header().as_bytes()));
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        for value in [
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        ] {
            assert_eq!(SpanContext::parse(value.as_bytes()).unwrap().to_header(), value);
        }
        // Only the one flag is known (§3.2.2.5.1), and a later version is answered with ours (§3.2.4).
        let later = b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-more";
        let known = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(SpanContext::parse(later).unwrap().to_header(), known);
        assert_eq!(SpanContext::parse(b"nonsense"), None);
    }

    #[test]
    fn refuses_what_is_not_one() {
        for bad in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }
}
