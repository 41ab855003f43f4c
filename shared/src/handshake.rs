//! Pure checks of the opening handshake (RFC 6455 §4): what a request asks for, and whether an answer may be
//! believed.

mod request;
mod response;

pub use request::{Ask, Refusal, classify};
pub use response::{AnswerFault, Negotiated, check_answer};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName};
use sha1::{Digest, Sha1};

/// Appended to the client's key before hashing (RFC 6455 §1.3).
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The only version there is (RFC 6455 §4.1).
pub const VERSION: &str = "13";

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
pub fn accept_key(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(ACCEPT_GUID);
    STANDARD.encode(hash.finalize())
}

/// A `Sec-WebSocket-Key` of these bytes, which nobody should have used before (RFC 6455 §4.1).
pub fn key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether a comma-separated list header has this token on any of its lines, in any case (RFC 9110 §5.6.1).
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|t| t.eq_ignore_ascii_case(token))
}

/// The trimmed, non-empty members of a comma-separated list header, over all its lines. A line that is not
/// visible ASCII has none.
pub fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_the_key_of_rfc_6455() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn writes_the_key_of_rfc_6455() {
        assert_eq!(key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn finds_tokens_on_any_line_and_in_any_case() {
        let mut headers = HeaderMap::new();
        headers.append("connection", "keep-alive , ,x".parse().unwrap());
        headers.append("connection", "uPgRaDe".parse().unwrap());
        assert!(has_token(&headers, &http::header::CONNECTION, "upgrade"));
        assert!(has_token(&headers, &http::header::CONNECTION, "X"));
        assert!(!has_token(&headers, &http::header::CONNECTION, "up"));
    }
}
