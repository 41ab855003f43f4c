//! TLS with clients and with the app: configuration from files, and streams that hold nothing while idle.

mod load;
mod records;
mod stream;
mod verify;

pub use load::{Crypto, LoadError, ServerSide, client_config};
pub use stream::{HandshakeError, TlsStream, accept, connect};

/// The one application protocol spoken inside TLS (RFC 7301), until WebSocket over HTTP/2 (RFC 8441) is there.
pub const ALPN_HTTP11: &[u8] = b"http/1.1";
