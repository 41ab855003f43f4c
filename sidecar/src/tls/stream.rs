//! TLS as a byte stream that holds nothing while it is idle.
//!
//! rustls' buffered connections keep 4 KiB and more each. Here records are read into a buffer of the thread and
//! decrypted from it, and encrypted into another one; a connection owns its keys, an incomplete record if one is
//! under way, and what its socket would not take.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::records::{Connection, Outbox, Step};
use crate::net::Stream;

/// Ciphertext taken from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// The longest record: header, payload and what encryption may add (RFC 8446 §5.2, RFC 5246 §6.2.3).
const MAX_RECORD_BYTES: usize = 5 + 16_384 + 2_048;
/// Plaintext encrypted at once; more waits for the next write.
const WRITE_BYTES: usize = 64 * 1024;
/// Handshake bytes that may wait for the rest of their message; rustls takes no message over 64 KiB.
const MAX_HANDSHAKE_BYTES: usize = 128 * 1024;

struct Scratch {
    input: Vec<u8>,
    output: Outbox,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        RefCell::new(Scratch { input: vec![0; MAX_RECORD_BYTES + READ_BYTES], output: Outbox::default() });
}

/// Lends the thread's buffers. The outbox is emptied first: what a connection left in there when it failed must never
/// go out on another one.
fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.output.clear();
        work(scratch)
    })
}

/// Why a TLS handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("the connection broke during the TLS handshake: {0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    #[error("the peer left during the TLS handshake")]
    Left,
    #[error("over {MAX_HANDSHAKE_BYTES} bytes of TLS handshake")]
    TooLong,
}

/// A TLS connection over `S`, its handshake done.
///
/// A peer that closes the connection without `close_notify` is reported as `UnexpectedEof` where the stream is
/// `strict`, and as an ordinary end otherwise: HTTP and WebSocket have ends of their own (RFC 8446 §6.1).
pub struct TlsStream<S> {
    io: S,
    conn: Connection,
    /// The front of a record whose rest has not come.
    carry: Vec<u8>,
    /// Plaintext that the last reader had no room for.
    plain: Vec<u8>,
    /// Records that the socket has not taken, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    strict: bool,
    read_closed: bool,
    write_closed: bool,
}

/// Answers a client's handshake. The caller limits the time it may take.
pub async fn accept<S: Stream>(io: S, config: Arc<ServerConfig>) -> Result<TlsStream<S>, HandshakeError> {
    let conn = UnbufferedServerConnection::new(config)?;
    handshake(io, Connection::Server(Box::new(conn))).await
}

/// Starts a handshake with a server. The caller limits the time it may take.
pub async fn connect<S: Stream>(
    io: S,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<TlsStream<S>, HandshakeError> {
    let conn = UnbufferedClientConnection::new(config, name)?;
    handshake(io, Connection::Client(Box::new(conn))).await
}

async fn handshake<S: Stream>(mut io: S, mut conn: Connection) -> Result<TlsStream<S>, HandshakeError> {
    let mut input = Vec::new();
    let mut out = Outbox::default();
    let mut plain = Vec::new();
    loop {
        let (used, step) = conn.step(&mut input, &mut out, &mut |bytes| plain.extend_from_slice(bytes));
        input.drain(..used);
        let blocked = match step {
            Ok(Step::Again) => false,
            Ok(Step::Traffic) if !conn.state().is_handshaking() => break,
            Ok(Step::Traffic | Step::NeedsInput) => true,
            Ok(Step::PeerClosed | Step::Closed) => return Err(HandshakeError::Left),
            Err(e) => {
                // rustls has queued the alert that tells the peer why. The peer may be gone already, and the
                // handshake has failed either way, so its fate is not looked at.
                conn.last_words(&mut out);
                let _ = io.write_all(out.bytes()).await;
                let _ = io.shutdown().await;
                return Err(e.into());
            }
        };
        if blocked {
            io.write_all(out.bytes()).await?;
            io.flush().await?;
            out.clear();
            if input.len() >= MAX_HANDSHAKE_BYTES {
                return Err(HandshakeError::TooLong);
            }
            if io.read_buf(&mut input).await? == 0 {
                return Err(HandshakeError::Left);
            }
        }
    }
    io.write_all(out.bytes()).await?;
    io.flush().await?;
    if input.len() > MAX_RECORD_BYTES {
        // Pieces of a message behind the handshake that rustls waits to see whole. Nobody needs one that long.
        return Err(HandshakeError::TooLong);
    }
    Ok(TlsStream {
        io,
        conn,
        carry: input,
        plain,
        out: Vec::new(),
        sent: 0,
        strict: false,
        read_closed: false,
        write_closed: false,
    })
}

impl<S: Stream> TlsStream<S> {
    /// Makes an end without `close_notify` an error, for protocols that cannot tell a cut from an end.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// The protocol version agreed on, e.g. `TLSv1_3`.
    pub fn version(&self) -> Option<rustls::ProtocolVersion> {
        self.conn.state().protocol_version()
    }

    /// The version as a label: `1.2` or `1.3`.
    pub fn version_label(&self) -> &'static str {
        match self.version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            _ => "other",
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.out[self.sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
        }
        // A new Vec, not `clear`: an idle connection keeps no room for what it once had to hold.
        self.out = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes what is in the scratch outbox; what the socket does not take now is kept in `out`.
    fn send_or_keep(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox) -> io::Result<()> {
        let bytes = outbox.bytes();
        let mut at = 0;
        while self.out.is_empty() && at < bytes.len() {
            match Pin::new(&mut self.io).poll_write(cx, &bytes[at..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => at += n,
                Poll::Ready(Err(e)) => return Err(e),
                Poll::Pending => break,
            }
        }
        self.out.extend_from_slice(&bytes[at..]);
        Ok(())
    }

    /// Reads once from the socket and decrypts what came. `Ok(false)` when nothing came of it yet.
    fn poll_open(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        with_scratch(|scratch| {
            let have = self.carry.len();
            let input = &mut scratch.input;
            input[..have].copy_from_slice(&self.carry);
            // Plaintext is never longer than its ciphertext: reading no more than the reader has room for keeps
            // a copy for later the exception.
            let most = buf.remaining().saturating_sub(have).clamp(MAX_RECORD_BYTES, READ_BYTES);
            let mut fresh = ReadBuf::new(&mut input[have..have + most]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut fresh))?;
            let end = have + fresh.filled().len();
            if end == have {
                self.read_closed = true;
                return if self.strict {
                    let why = "the peer cut the TLS connection without close_notify";
                    Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)))
                } else {
                    Poll::Ready(Ok(false))
                };
            }
            let result = self.open(&mut scratch.input[..end], buf, &mut scratch.output);
            // Tickets taken, key updates answered, or the alert that says what was wrong.
            self.send_or_keep(cx, &mut scratch.output)?;
            Poll::Ready(result.map(|()| true))
        })
    }

    fn open(&mut self, input: &mut [u8], buf: &mut ReadBuf<'_>, out: &mut Outbox) -> io::Result<()> {
        let mut at = 0;
        let plain = &mut self.plain;
        loop {
            let (used, step) = self.conn.step(&mut input[at..], out, &mut |bytes| {
                let fits = bytes.len().min(buf.remaining());
                buf.put_slice(&bytes[..fits]);
                plain.extend_from_slice(&bytes[fits..]);
            });
            at += used;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::PeerClosed) => self.read_closed = true,
                Ok(Step::Traffic | Step::NeedsInput | Step::Closed) => break,
                Err(e) => {
                    self.read_closed = true;
                    self.conn.last_words(out);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, e));
                }
            }
        }
        let rest = &input[at..];
        if rest.len() > MAX_RECORD_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a TLS record over its greatest length"));
        }
        // A new Vec of just this length: most reads end at a record's end and keep nothing.
        self.carry = rest.to_vec();
        Ok(())
    }
}

impl<S: Stream> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            if !this.plain.is_empty() {
                let n = this.plain.len().min(buf.remaining());
                buf.put_slice(&this.plain[..n]);
                this.plain.drain(..n);
                if this.plain.is_empty() {
                    this.plain = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.read_closed || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_open(cx, buf))?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: Stream> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let n = data.len().min(WRITE_BYTES);
        with_scratch(|scratch| {
            this.conn.seal(&mut this.carry, &data[..n], &mut scratch.output).map_err(io::Error::other)?;
            this.send_or_keep(cx, &mut scratch.output)
        })?;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.write_closed {
            this.write_closed = true;
            with_scratch(|scratch| {
                this.conn.close(&mut this.carry, &mut scratch.output).map_err(io::Error::other)?;
                this.send_or_keep(cx, &mut scratch.output)
            })?;
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
