//! A WebSocket endpoint in two halves that work at the same time.
//!
//! `fastwebsockets` loses bytes when a read is dropped halfway, so one future does all the reading and one all the
//! writing, each on a WebSocket of its own over its half of the connection; both live as long as the session.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket, WebSocketError};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt as _, Empty, Join, ReadHalf, Sink, WriteHalf, empty, join, sink, split};
use tokio::time::timeout;

use super::Rng;
use super::event::Ending;
use super::feed::MAX_UPDATE_BYTES;
use super::wire::{Heard, Wire};

/// A message is one update, or a few bytes; the library refuses what is not less than this.
const MAX_MESSAGE_BYTES: usize = MAX_UPDATE_BYTES + 1024;
/// Close reasons have to fit into a control frame beside their code (RFC 6455 §5.5).
const MAX_REASON_BYTES: usize = 123;

const PROTOCOL_ERROR: u16 = 1002;
const INVALID_PAYLOAD: u16 = 1007;
const TOO_BIG: u16 = 1009;

type Io = Heard<TokioIo<Upgraded>>;

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outgoing {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close { code: Option<u16>, reason: String },
}

/// What is received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    Message(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close { code: Option<u16>, reason: String },
}

/// Why nothing more can be read. With `answer`, the other end is to be told with this close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) how: Ending,
    pub(super) answer: Option<u16>,
}

pub(super) struct Reader(WebSocket<Join<ReadHalf<Io>, Sink>>);

pub(super) struct Writer {
    socket: WebSocket<Join<Empty, WriteHalf<Io>>>,
    /// Draws the masks; a client's alone (RFC 6455 §5.3).
    masks: Option<Rng>,
    timeout: Duration,
}

/// An app's two halves. Each write may take `timeout`.
pub(super) fn server(upgraded: Upgraded, wire: Option<Arc<dyn Wire>>, timeout: Duration) -> (Reader, Writer) {
    halves(Heard::new(TokioIo::new(upgraded), wire), Role::Server, None, timeout)
}

/// A client's two halves. Each write may take `timeout`.
pub(super) fn client(
    upgraded: Upgraded,
    wire: Option<Arc<dyn Wire>>,
    masks: Rng,
    timeout: Duration,
) -> (Reader, Writer) {
    halves(Heard::new(TokioIo::new(upgraded), wire), Role::Client, Some(masks), timeout)
}

fn halves(io: Io, role: Role, masks: Option<Rng>, timeout: Duration) -> (Reader, Writer) {
    let (read, write) = split(io);
    let mut reader = WebSocket::after_handshake(join(read, sink()), role);
    // The reader has nothing to write to: pings are handed on, and what it answers to a Close goes to the sink.
    reader.set_auto_pong(false);
    if role == Role::Client {
        // A client's reader masks nothing but that answer, and would draw the mask from the system's randomness.
        reader.set_auto_apply_mask(false);
    }
    reader.set_max_message_size(MAX_MESSAGE_BYTES);
    let mut socket = WebSocket::after_handshake(join(empty(), write), role);
    // One write for each frame: over TLS a vectored write would make two records of it.
    socket.set_writev(false);
    (Reader(reader), Writer { socket, masks, timeout })
}

impl Reader {
    /// The next message, whole, or the next control frame. Drop the future only to drop the reader.
    pub(super) async fn next(&mut self) -> Result<Incoming, Broken> {
        let mut message: Option<Vec<u8>> = None;
        loop {
            let frame = self.0.read_frame().await.map_err(|error| broken(&error))?;
            let payload = frame.payload.to_vec();
            match frame.opcode {
                OpCode::Ping => return Ok(Incoming::Ping(payload)),
                OpCode::Pong => return Ok(Incoming::Pong(payload)),
                OpCode::Close => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                    return Ok(Incoming::Close { code, reason });
                }
                OpCode::Text | OpCode::Binary if message.is_some() => return Err(violation(PROTOCOL_ERROR)),
                OpCode::Continuation if message.is_none() => return Err(violation(PROTOCOL_ERROR)),
                OpCode::Text | OpCode::Binary | OpCode::Continuation => {
                    let whole = message.get_or_insert_default();
                    whole.extend_from_slice(&payload);
                    if whole.len() >= MAX_MESSAGE_BYTES {
                        return Err(violation(TOO_BIG));
                    }
                }
            }
            if frame.fin {
                return Ok(Incoming::Message(message.take().unwrap_or_default()));
            }
        }
    }
}

impl Writer {
    /// Writes one frame and flushes it. Drop the future only to drop the writer.
    pub(super) async fn send(&mut self, what: Outgoing) -> Result<(), Ending> {
        let (opcode, payload) = match what {
            Outgoing::Text(text) => (OpCode::Text, text),
            Outgoing::Ping(payload) => (OpCode::Ping, payload),
            Outgoing::Pong(payload) => (OpCode::Pong, payload),
            Outgoing::Close { code, reason } => (OpCode::Close, close_payload(code, &reason)),
        };
        // The library would draw the mask from the system's randomness.
        let mask = self.masks.as_mut().map(|rng| {
            let mut mask = [0; 4];
            rng.fill(&mut mask);
            mask
        });
        let frame = Frame::new(true, opcode, mask, Payload::Owned(payload));
        let writing = async {
            self.socket.write_frame(frame).await?;
            self.socket.flush().await
        };
        match timeout(self.timeout, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::Error),
            Err(_) => Err(Ending::Timeout),
        }
    }

    /// Ends the stream in this direction, over TLS with its own goodbye.
    pub(super) async fn shutdown(self, within: Duration) {
        // The session is over whatever comes of it.
        let _ = timeout(within, self.socket.into_inner().shutdown()).await;
    }
}

fn close_payload(code: Option<u16>, reason: &str) -> Vec<u8> {
    let Some(code) = code else { return Vec::new() };
    let end = (0..=reason.len().min(MAX_REASON_BYTES)).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
    [&code.to_be_bytes()[..], &reason.as_bytes()[..end]].concat()
}

fn broken(error: &WebSocketError) -> Broken {
    match error {
        WebSocketError::UnexpectedEOF => Broken { how: Ending::Eof, answer: None },
        WebSocketError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Broken { how: Ending::Eof, answer: None }
        }
        WebSocketError::IoError(_) | WebSocketError::ConnectionClosed => Broken { how: Ending::Error, answer: None },
        WebSocketError::FrameTooLarge => violation(TOO_BIG),
        WebSocketError::InvalidUTF8 => violation(INVALID_PAYLOAD),
        _ => violation(PROTOCOL_ERROR),
    }
}

fn violation(code: u16) -> Broken {
    Broken { how: Ending::Error, answer: Some(code) }
}
