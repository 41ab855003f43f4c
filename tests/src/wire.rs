//! One connection, spoken byte by byte: what is sent is exactly what the test says, what arrives is exactly
//! what the peer wrote. Both the clients and the recording app hold a [`Wire`].

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConnection, StreamOwned};

use crate::http::{Head, Response, find};
use crate::{PATIENCE, show};

/// The longest head that is read before the peer is called broken.
const HEAD_LIMIT_BYTES: usize = 1 << 20;

/// How a connection's inbound direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN; over TLS: `close_notify` and then FIN.
    Clean,
    /// TLS only: FIN with no `close_notify` before it, which a truncation attack would look like.
    Truncated,
    /// RST, or a TLS alert.
    Reset,
    /// The peer neither wrote nor closed within the read timeout.
    Silent,
}

/// A byte stream over one TCP connection.
pub trait Transport: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
    /// Tells the peer that nothing more will be written.
    fn close_write(&mut self);
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
    fn close_write(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Transport for StreamOwned<ClientConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
    fn close_write(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
        let _ = self.sock.shutdown(Shutdown::Write);
    }
}

impl Transport for StreamOwned<ServerConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
    fn close_write(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
        let _ = self.sock.shutdown(Shutdown::Write);
    }
}

/// Called with every run of bytes as it arrives, and once with how the stream ended.
pub type Tape = Box<dyn FnMut(Result<&[u8], End>) + Send>;

/// A connection with the bytes that have arrived and were not yet taken.
pub struct Wire {
    io: Box<dyn Transport>,
    buffer: Vec<u8>,
    end: Option<End>,
    tape: Option<Tape>,
}

impl Wire {
    /// A plain TCP connection.
    pub fn plain(addr: SocketAddr) -> Wire {
        Wire::over(Box::new(connect(addr)), None)
    }

    /// A TLS connection with the handshake done. `Err` is what rustls says of a handshake that failed.
    pub fn tls(addr: SocketAddr, config: Arc<ClientConfig>, name: &str) -> Result<Wire, String> {
        Wire::tls_details(addr, config, name).map(|(wire, _)| wire)
    }

    /// The same, and what was agreed on.
    pub fn tls_details(addr: SocketAddr, config: Arc<ClientConfig>, name: &str) -> Result<(Wire, Agreed), String> {
        let name = ServerName::try_from(name.to_owned()).expect("a DNS name or an address");
        let mut conn = ClientConnection::new(config, name).map_err(|e| e.to_string())?;
        let mut tcp = connect(addr);
        while conn.is_handshaking() {
            conn.complete_io(&mut tcp).map_err(|e| e.to_string())?;
        }
        let agreed = Agreed {
            version: conn.protocol_version().expect("the handshake is done"),
            alpn: conn.alpn_protocol().map(<[u8]>::to_vec),
            leaf: conn.peer_certificates().and_then(|chain| chain.first()).map(|c| c.to_vec()).unwrap_or_default(),
        };
        Ok((Wire::over(Box::new(StreamOwned::new(conn, tcp)), None), agreed))
    }

    /// A connection made elsewhere. Reads wait at most [`PATIENCE`].
    pub fn over(io: Box<dyn Transport>, tape: Option<Tape>) -> Wire {
        io.tcp().set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
        io.tcp().set_nodelay(true).expect("a TCP socket");
        Wire { io, buffer: Vec::new(), end: None, tape }
    }

    /// Writes these bytes. A peer that has gone is no failure here: what it said before shows at the next read.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.try_send(bytes);
    }

    /// Writes these bytes, and says whether the socket took them all.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.io.write_all(bytes.as_ref()).and_then(|()| self.io.flush()).is_ok()
    }

    /// Ends the outbound direction (FIN; over TLS after `close_notify`), keeps the inbound one.
    pub fn finish(&mut self) {
        self.io.close_write();
    }

    /// Ends both directions at once and at the TCP level.
    pub fn cut(&mut self) {
        let _ = self.io.tcp().shutdown(Shutdown::Both);
    }

    /// This side's own address.
    pub fn local_addr(&self) -> SocketAddr {
        self.io.tcp().local_addr().expect("a connected socket")
    }

    /// A second handle of the socket underneath, to write on from another thread (plain connections only).
    pub fn second_handle(&self) -> TcpStream {
        self.io.tcp().try_clone().expect("a file descriptor is free")
    }

    /// What has arrived and was not yet taken.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// One read. `Err` is how the stream ended; `Silent` is not final, the next call waits again.
    pub fn fill(&mut self) -> Result<usize, End> {
        if let Some(end) = self.end {
            return Err(end);
        }
        let mut chunk = [0; 16 * 1024];
        let end = match self.io.read(&mut chunk) {
            Ok(0) => End::Clean,
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                if let Some(tape) = &mut self.tape {
                    tape(Ok(&chunk[..n]));
                }
                return Ok(n);
            }
            Err(e) => match e.kind() {
                ErrorKind::Interrupted => return Ok(0),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(End::Silent),
                ErrorKind::UnexpectedEof => End::Truncated,
                _ => End::Reset,
            },
        };
        self.end = Some(end);
        if let Some(tape) = &mut self.tape {
            tape(Err(end));
        }
        Err(end)
    }

    /// Takes `n` bytes; `Err` if the stream ended first.
    pub fn try_take(&mut self, n: usize) -> Result<Vec<u8>, End> {
        while self.buffer.len() < n {
            self.fill()?;
        }
        Ok(self.buffer.drain(..n).collect())
    }

    /// Takes `n` bytes.
    pub fn take(&mut self, n: usize) -> Vec<u8> {
        self.try_take(n).unwrap_or_else(|end| panic!("{n} bytes expected, but {end:?} after {}", show(&self.buffer)))
    }

    /// Takes a request or response head; `Err` if the stream ended first.
    pub fn try_head(&mut self) -> Result<Head, End> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let raw: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return Ok(Head::parse(raw));
            }
            assert!(self.buffer.len() < HEAD_LIMIT_BYTES, "a head without an end: {}", show(&self.buffer));
            self.fill()?;
        }
    }

    /// Takes a head.
    pub fn head(&mut self) -> Head {
        self.try_head().unwrap_or_else(|end| panic!("a head expected, but {end:?} after {}", show(&self.buffer)))
    }

    /// Takes a whole response. `method` is that of the request: the answer to HEAD has no body.
    pub fn response(&mut self, method: &str) -> Response {
        let head = self.head();
        let status = head.status();
        let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
        let (body, trailers) = if bodiless {
            (Vec::new(), Vec::new())
        } else if head.is_chunked() {
            self.try_chunked().unwrap_or_else(|end| panic!("{end:?} inside the chunked body of {head:?}"))
        } else if let Some(length) = head.content_length() {
            (self.take(length), Vec::new())
        } else {
            let (rest, end) = self.rest();
            assert_ne!(end, End::Silent, "a body that ends with the connection never ended: {head:?}");
            (rest, Vec::new())
        };
        Response { status, head, body, trailers }
    }

    /// Sends a request and takes its response.
    pub fn ask(&mut self, request: &str) -> Response {
        let method = request.split(' ').next().expect("a request line").to_owned();
        self.send(request);
        self.response(&method)
    }

    /// Takes a request's body as its head frames it. No framing, no body.
    pub fn try_request_body(&mut self, head: &Head) -> Result<Vec<u8>, End> {
        if head.is_chunked() {
            return self.try_chunked().map(|(body, _)| body);
        }
        self.try_take(head.content_length().unwrap_or(0))
    }

    /// Takes one chunk's data; the last chunk is empty and its trailers stay in the buffer.
    pub fn try_chunk(&mut self) -> Result<Vec<u8>, End> {
        let line = self.try_line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("a chunk size expected, not {line:?}"));
        let data = self.try_take(size)?;
        if size > 0 {
            self.try_take(2)?;
        }
        Ok(data)
    }

    /// Takes a line without its CRLF.
    pub fn try_line(&mut self) -> Result<String, End> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.fill()?;
        }
    }

    /// Takes all that comes until the stream ends, and says how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let end = loop {
            if let Err(end) = self.fill() {
                break end;
            }
        };
        (std::mem::take(&mut self.buffer), end)
    }

    /// Checks that the peer closes (FIN, `close_notify` or RST) and sends nothing more before.
    pub fn expect_end(&mut self) -> End {
        let (rest, end) = self.rest();
        assert!(rest.is_empty(), "nothing more expected, then {end:?}; got {}", show(&rest));
        assert_ne!(end, End::Silent, "the peer did not close within {PATIENCE:?}");
        end
    }

    /// Whether nothing at all arrives for `window`. For promises that something does *not* happen, after a
    /// condition that shows that it had its chance.
    pub fn is_quiet(&mut self, window: Duration) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        self.io.tcp().set_read_timeout(Some(window)).expect("a window that is not zero");
        let start = Instant::now();
        let quiet = loop {
            match self.fill() {
                Err(End::Silent) => break true,
                Ok(0) if start.elapsed() < window => {}
                _ => break false,
            }
        };
        self.io.tcp().set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
        quiet
    }

    fn try_chunked(&mut self) -> Result<(Vec<u8>, Vec<String>), End> {
        let mut body = Vec::new();
        loop {
            let data = self.try_chunk()?;
            if data.is_empty() {
                break;
            }
            body.extend_from_slice(&data);
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.try_line()?;
            if line.is_empty() {
                return Ok((body, trailers));
            }
            trailers.push(line);
        }
    }
}

/// What a TLS handshake agreed on.
#[derive(Debug)]
pub struct Agreed {
    pub version: rustls::ProtocolVersion,
    pub alpn: Option<Vec<u8>>,
    /// The peer's own certificate, DER.
    pub leaf: Vec<u8>,
}

fn connect(addr: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect_timeout(&addr, PATIENCE).unwrap_or_else(|e| panic!("cannot connect to {addr}: {e}"));
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
    tcp
}
