//! The WebSocket opening handshake (RFC 6455 §4), as pure checks and values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// The GUID that every server appends to the client's key (RFC 6455 §1.3), so that a server which does not speak
/// WebSocket cannot answer correctly by accident.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` value for a `Sec-WebSocket-Key` value: base64(SHA-1(key + GUID)), always 28 characters
/// (RFC 6455 §4.2.2). `key` is the header's value as it was sent, without surrounding white space; it is not decoded,
/// so a key of the wrong length has an answer too and must be refused by whoever checks the request.
pub fn accept_key(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_is_that_of_rfc_6455_section_1_3() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
