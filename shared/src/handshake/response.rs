//! Whether the app's answer to an opening handshake may be believed.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, UPGRADE};
use http::response::Parts;

use super::{accept_key, has_token, tokens};

/// What the two ends agreed on, as far as a relay needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negotiated {
    /// No extension: every RSV bit must be 0 (RFC 6455 §5.2).
    Plain,
    /// permessage-deflate: RSV1 marks a compressed message (RFC 7692 §6).
    PermessageDeflate,
    /// An extension whose use of frames is not known here.
    Unknown,
}

/// Why a 101 is not believed (RFC 6455 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    #[error("the app's 101 has no `Upgrade: websocket`")]
    Upgrade,
    #[error("the app's 101 has no `Connection: upgrade`")]
    Connection,
    #[error("the app's 101 does not answer the key that was sent")]
    Accept,
}

/// Checks a 101 that answers `key`, and tells which extension is in force.
pub fn check_answer(answer: &Parts, key: &[u8]) -> Result<Negotiated, AnswerFault> {
    let headers = &answer.headers;
    let mut upgrades = tokens(headers, &UPGRADE);
    if !upgrades.next().is_some_and(|t| t.eq_ignore_ascii_case("websocket")) || upgrades.next().is_some() {
        return Err(AnswerFault::Upgrade);
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Err(AnswerFault::Connection);
    }
    let mut accepts = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
    let right = accept_key(key);
    if accepts.next().is_none_or(|got| got.as_bytes() != right.as_bytes()) || accepts.next().is_some() {
        return Err(AnswerFault::Accept);
    }
    Ok(negotiated(answer))
}

fn negotiated(answer: &Parts) -> Negotiated {
    let mut found = Negotiated::Plain;
    for extension in tokens(&answer.headers, &SEC_WEBSOCKET_EXTENSIONS) {
        // A comma inside a quoted parameter would split a member in two; no parameter of permessage-deflate has
        // one, and anything else is unknown either way.
        let name = extension.split(';').next().unwrap_or_default().trim();
        if found == Negotiated::Plain && name.eq_ignore_ascii_case("permessage-deflate") {
            found = Negotiated::PermessageDeflate;
        } else {
            return Negotiated::Unknown;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

    fn answer(headers: &[(&str, &str)]) -> Result<Negotiated, AnswerFault> {
        let mut response = http::Response::builder().status(101);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        check_answer(&response.body(()).unwrap().into_parts().0, KEY)
    }

    const UP: (&str, &str) = ("Upgrade", "websocket");
    const CONN: (&str, &str) = ("Connection", "Upgrade");
    const ACCEPT: (&str, &str) = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

    #[test]
    fn believes_only_what_was_asked_for() {
        assert_eq!(answer(&[UP, CONN, ACCEPT]), Ok(Negotiated::Plain));
        assert_eq!(answer(&[CONN, ACCEPT]), Err(AnswerFault::Upgrade));
        assert_eq!(answer(&[("Upgrade", "h2c"), CONN, ACCEPT]), Err(AnswerFault::Upgrade));
        assert_eq!(answer(&[("Upgrade", "websocket, h2c"), CONN, ACCEPT]), Err(AnswerFault::Upgrade));
        assert_eq!(answer(&[UP, ACCEPT]), Err(AnswerFault::Connection));
        assert_eq!(answer(&[UP, CONN]), Err(AnswerFault::Accept));
        assert_eq!(answer(&[UP, CONN, ACCEPT, ACCEPT]), Err(AnswerFault::Accept));
        assert_eq!(answer(&[UP, CONN, ("Sec-WebSocket-Accept", "AAAA")]), Err(AnswerFault::Accept));
    }

    #[test]
    fn knows_the_extension_in_force() {
        let with = |value| answer(&[UP, CONN, ACCEPT, ("Sec-WebSocket-Extensions", value)]);
        assert_eq!(with("permessage-deflate"), Ok(Negotiated::PermessageDeflate));
        assert_eq!(with("Permessage-Deflate; client_max_window_bits=15"), Ok(Negotiated::PermessageDeflate));
        assert_eq!(with("x-webkit-deflate-frame"), Ok(Negotiated::Unknown));
        assert_eq!(with("permessage-deflate, mux"), Ok(Negotiated::Unknown));
    }
}
