//! `traceparent` (W3C Trace Context, Level 1, §3.2): is it valid, and how a new one is written.

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

/// A `traceparent` that starts a trace, not sampled: whoever samples decides it further on. `entropy` are 24 bytes
/// of which the first 16 become the trace id.
pub fn start(mut entropy: [u8; 24]) -> String {
    // Ids of zeros are invalid. Entropy makes them once in 2^64; a simulation's may make them at will.
    entropy[15] |= 1;
    entropy[23] |= 1;
    let mut out = String::with_capacity(TRACEPARENT_BYTES);
    out.push_str("00-");
    for (i, byte) in entropy.iter().enumerate() {
        if i == 16 {
            out.push('-');
        }
        write!(out, "{byte:02x}").expect("a String takes what it is given");
    }
    out.push_str("-00");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_example_of_the_recommendation_and_what_it_starts() {
        assert!(is_valid(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert!(is_valid(b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes"));
        assert!(is_valid(start([0; 24]).as_bytes()));
        assert!(is_valid(start([0xff; 24]).as_bytes()));
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
