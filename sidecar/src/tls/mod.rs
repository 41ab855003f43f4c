//! TLS with clients and with the app: configuration from files, and streams that hold nothing while idle.

mod load;
mod records;
mod stream;
#[cfg(test)]
mod tests;
mod validity;
mod verify;

pub use load::{Crypto, LoadError, ServerSide, client_config};
pub use stream::{HandshakeError, TlsStream, accept, connect};
pub use validity::{OutOfDate, Validity, validity};

/// What is spoken inside TLS (RFC 7301), the best first, until WebSocket over HTTP/2 (RFC 8441) is there.
pub const ALPN: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];
