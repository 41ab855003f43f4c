//! WebSocket as bytes (RFC 6455): the opening handshake's text and single frames, right or deliberately wrong.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::http::{Head, lines};
use crate::wire::{End, Wire};

/// The nonce of RFC 6455's own example; its answer is `s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The mask of every frame that the tests' clients send.
pub const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
pub fn accept_for(key: &str) -> String {
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    STANDARD.encode(digest)
}

/// A correct upgrade request for `target`, with `extra` header lines before the empty one.
pub fn upgrade(target: &str, extra: &[&str]) -> String {
    let base =
        ["Host: app.test", "Upgrade: websocket", "Connection: Upgrade", &key_line(KEY), "Sec-WebSocket-Version: 13"];
    format!("GET {target} HTTP/1.1\r\n{}{}\r\n", lines(&base), lines(extra))
}

/// The header line that carries a nonce.
pub fn key_line(key: &str) -> String {
    format!("Sec-WebSocket-Key: {key}")
}

/// The right 101 to a request, with `extra` header lines.
pub fn switching(request: &Head, extra: &[&str]) -> String {
    let accept = accept_for(request.get("sec-websocket-key").unwrap_or_default());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{}\r\n",
        lines(extra)
    )
}

/// Whose frames: a client's are masked, an app's are not (RFC 6455 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    App,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::Client, Side::App];

    /// As the log writes it.
    pub fn name(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::App => "app",
        }
    }
}

/// One frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    /// RSV1, RSV2, RSV3 as the bits 4, 2, 1.
    pub rsv: u8,
    pub opcode: u8,
    pub mask: Option<[u8; 4]>,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message in one frame, masked as a client's must be.
    pub fn client(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
        Frame { mask: Some(MASK), ..Frame::app(opcode, payload) }
    }

    /// A whole message in one frame, unmasked as a server's must be.
    pub fn app(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
        Frame { fin: true, rsv: 0, opcode, mask: None, payload: payload.as_ref().to_vec() }
    }

    /// A whole message in one frame, masked or not as that side's must be.
    pub fn of(side: Side, opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
        match side {
            Side::Client => Frame::client(opcode, payload),
            Side::App => Frame::app(opcode, payload),
        }
    }

    /// That side's Close with this code and no reason.
    pub fn close(side: Side, code: u16) -> Frame {
        Frame::of(side, CLOSE, Frame::close_payload(code, ""))
    }

    /// The same frame without FIN: more fragments follow.
    pub fn unfinished(self) -> Frame {
        Frame { fin: false, ..self }
    }

    /// The payload of a Close frame.
    pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
        [&code.to_be_bytes(), reason.as_bytes()].concat()
    }

    /// A Close frame's code; `None` where it has none or is none.
    pub fn close_code(&self) -> Option<u16> {
        let payload: [u8; 2] = self.payload.get(..2)?.try_into().ok()?;
        (self.opcode == CLOSE).then_some(u16::from_be_bytes(payload))
    }

    /// The frame on the wire (RFC 6455 section 5.2), with the shortest length form.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        let mask_bit = u8::from(self.mask.is_some()) << 7;
        match self.payload.len() {
            n @ 0..=125 => out.push(mask_bit + u8::try_from(n).expect("at most 125")),
            n @ 126..=0xffff => {
                out.push(mask_bit + 126);
                out.extend(u16::try_from(n).expect("at most 65,535").to_be_bytes());
            }
            n => {
                out.push(mask_bit + 127);
                out.extend((n as u64).to_be_bytes());
            }
        }
        out.extend(self.mask.iter().flatten());
        out.extend(masked(&self.payload, self.mask));
        out
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Frame { fin, rsv, opcode, mask, payload } = self;
        let masked = if mask.is_some() { "masked" } else { "unmasked" };
        write!(f, "{masked} frame of opcode {opcode}, fin {fin}, rsv {rsv}, payload {}", crate::show(payload))
    }
}

/// The whole frames at the start of `bytes`; what is cut off behind them is left out.
pub fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = split_frame(bytes) {
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// The first frame and what follows it; `None` unless it is whole.
fn split_frame(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        0x7e => rest.split_first_chunk().map(|(n, rest)| (u64::from(u16::from_be_bytes(*n)), rest))?,
        0x7f => rest.split_first_chunk().map(|(n, rest)| (u64::from_be_bytes(*n), rest))?,
        short => (u64::from(short), rest),
    };
    let (mask, rest) = match second & 0x80 {
        0 => (None, rest),
        _ => rest.split_first_chunk().map(|(mask, rest)| (Some(*mask), rest))?,
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let payload = masked(payload, mask);
    Some((Frame { fin: first & 0x80 != 0, rsv: first >> 4 & 7, opcode: first & 0xf, mask, payload }, rest))
}

impl Wire {
    /// Takes one frame; `Err` if the stream ended first.
    pub fn try_frame(&mut self) -> Result<Frame, End> {
        loop {
            if let Some((frame, rest)) = split_frame(self.buffered()) {
                let length = self.buffered().len() - rest.len();
                self.try_take(length)?;
                return Ok(frame);
            }
            self.fill()?;
        }
    }

    /// Takes one frame.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        match self.try_frame() {
            Ok(frame) => frame,
            Err(end) => panic!("a frame expected, but {end:?} after {}", crate::show(self.buffered())),
        }
    }

    /// Takes one frame, which must be a Close with this code.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.close_code(), Some(code), "a Close {code} expected, not {frame:?}");
        frame
    }

    /// A new connection in the clear to a sidecar in front of an echoing app, and a session over it that is up.
    #[track_caller]
    pub fn session(addr: SocketAddr) -> Wire {
        let mut client = Wire::plain(addr);
        client.open("/", &[]);
        client.echo("here");
        client
    }

    /// Closes the session with 1000, and takes the answer.
    #[track_caller]
    pub fn leave(&mut self) {
        self.send(Frame::close(Side::Client, 1000).bytes());
        self.expect_close(1000);
    }

    /// Takes the Close of a drain, answers it, and sees the end.
    #[track_caller]
    pub fn part(&mut self) {
        self.expect_close(1012);
        self.send(Frame::client(CLOSE, Frame::close_payload(1012, "")).bytes());
        self.expect_end();
    }

    /// Sends a text message and waits for an echoing app's answer to it: the session is up, both ways.
    #[track_caller]
    pub fn echo(&mut self, text: &str) {
        self.send(Frame::client(TEXT, text).bytes());
        let frame = self.frame();
        assert_eq!(frame, Frame::app(TEXT, text), "an echo of {text:?} expected");
    }

    /// Sends a correct upgrade request and takes the 101.
    #[track_caller]
    pub fn open(&mut self, target: &str, extra: &[&str]) -> Head {
        self.ask(&upgrade(target, extra)).expect(101).head
    }
}

fn masked(payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mask = mask.unwrap_or_default();
    payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_rfc_s_own_example() {
        assert_eq!(accept_for(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_masked_hello_is_the_rfc_s_own_example() {
        let bytes = Frame::client(TEXT, "Hello").bytes();
        assert_eq!(bytes, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }
}
