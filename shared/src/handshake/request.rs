//! What a request asks for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Version};

use super::{VERSION, has_token, tokens};

/// Bytes of a `Sec-WebSocket-Key` once decoded (RFC 6455 §4.1).
const KEY_BYTES: usize = 16;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// An ordinary request. Whatever `Upgrade` it carries is not for us and must be stripped.
    Plain,
    /// A valid opening handshake; the value of its `Sec-WebSocket-Key`, as sent.
    WebSocket { key: Vec<u8> },
    /// An opening handshake that is not valid.
    Refused(Refusal),
}

/// Why an opening handshake is refused (RFC 6455 §4.2.1, RFC 9110 §7.8). All are 400 but for the version's 426.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a WebSocket handshake is a GET request")]
    Method,
    #[error("a WebSocket handshake needs HTTP/1.1")]
    HttpVersion,
    #[error("a WebSocket handshake needs exactly one Host header")]
    Host,
    #[error("a WebSocket handshake has no body")]
    Body,
    #[error("this server speaks Sec-WebSocket-Version 13")]
    WebSocketVersion,
    #[error("a WebSocket handshake needs one Sec-WebSocket-Key of 16 bytes in base64")]
    Key,
}

impl Refusal {
    /// 426 for another protocol version (RFC 6455 §4.2.2), else 400.
    pub fn status(self) -> http::StatusCode {
        match self {
            Self::WebSocketVersion => http::StatusCode::UPGRADE_REQUIRED,
            _ => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// Tells an opening handshake from an ordinary request.
///
/// It is one when `Upgrade` lists `websocket` and `Connection` lists `upgrade`: then it must be right in every
/// respect, for a request that the proxy and the app read differently is how requests are smuggled.
pub fn classify(request: &Parts) -> Ask {
    let headers = &request.headers;
    if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade") {
        return Ask::Plain;
    }
    match check(request) {
        Ok(key) => Ask::WebSocket { key },
        Err(refusal) => Ask::Refused(refusal),
    }
}

fn check(request: &Parts) -> Result<Vec<u8>, Refusal> {
    let headers = &request.headers;
    if request.method != Method::GET {
        return Err(Refusal::Method);
    }
    if request.version != Version::HTTP_11 {
        return Err(Refusal::HttpVersion);
    }
    if headers.get_all(HOST).iter().count() != 1 {
        return Err(Refusal::Host);
    }
    if has_body(headers) {
        return Err(Refusal::Body);
    }
    let mut versions = tokens(headers, &SEC_WEBSOCKET_VERSION);
    if versions.next() != Some(VERSION) || versions.next().is_some() {
        return Err(Refusal::WebSocketVersion);
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return Err(Refusal::Key) };
    match STANDARD.decode(key.as_bytes()) {
        Ok(decoded) if decoded.len() == KEY_BYTES => Ok(key.as_bytes().to_vec()),
        _ => Err(Refusal::Key),
    }
}

/// Whether the headers announce a body of at least a byte, or one of unknown length (RFC 9112 §6.3).
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get_all(CONTENT_LENGTH).iter().any(|n| n.as_bytes() != b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn handshake(change: impl FnOnce(&mut http::Request<()>)) -> Ask {
        let mut request = http::Request::get("/chat")
            .header("Host", "a")
            .header("Connection", "Upgrade")
            .header("Upgrade", "WebSocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", KEY)
            .body(())
            .unwrap();
        change(&mut request);
        classify(&request.into_parts().0)
    }

    fn set(name: &'static str, value: &'static str) -> impl FnOnce(&mut http::Request<()>) {
        move |r| drop(r.headers_mut().insert(name, value.parse().unwrap()))
    }

    fn add(name: &'static str, value: &'static str) -> impl FnOnce(&mut http::Request<()>) {
        move |r| {
            r.headers_mut().append(name, value.parse().unwrap());
        }
    }

    #[test]
    fn takes_a_right_one() {
        assert_eq!(handshake(|_| {}), Ask::WebSocket { key: KEY.into() });
        assert_eq!(handshake(set("upgrade", "h2c, websocket")), Ask::WebSocket { key: KEY.into() });
        assert_eq!(handshake(set("content-length", "0")), Ask::WebSocket { key: KEY.into() });
    }

    #[test]
    fn refuses_each_wrong_one_with_its_reason() {
        let refused = [
            (handshake(|r| *r.method_mut() = Method::POST), Refusal::Method),
            (handshake(|r| *r.version_mut() = Version::HTTP_10), Refusal::HttpVersion),
            (handshake(add("host", "b")), Refusal::Host),
            (handshake(|r| drop(r.headers_mut().remove("host"))), Refusal::Host),
            (handshake(set("content-length", "1")), Refusal::Body),
            (handshake(set("transfer-encoding", "chunked")), Refusal::Body),
            (handshake(set("sec-websocket-version", "8")), Refusal::WebSocketVersion),
            (handshake(set("sec-websocket-version", "13, 8")), Refusal::WebSocketVersion),
            (handshake(|r| drop(r.headers_mut().remove("sec-websocket-version"))), Refusal::WebSocketVersion),
            (handshake(set("sec-websocket-key", "c2hvcnQ=")), Refusal::Key),
            (handshake(set("sec-websocket-key", "not base64 at all, no")), Refusal::Key),
            (handshake(add("sec-websocket-key", KEY)), Refusal::Key),
        ];
        for (ask, refusal) in refused {
            assert_eq!(ask, Ask::Refused(refusal));
        }
        assert_eq!(Refusal::WebSocketVersion.status(), 426);
        assert_eq!(Refusal::Key.status(), 400);
    }

    #[test]
    fn leaves_other_upgrades_to_be_stripped() {
        assert_eq!(handshake(set("upgrade", "h2c")), Ask::Plain);
        assert_eq!(handshake(set("connection", "keep-alive")), Ask::Plain);
        assert_eq!(handshake(set("upgrade", "websockets")), Ask::Plain);
    }
}
