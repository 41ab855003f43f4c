//! Frames for tests, written and read by code that shares nothing with the crate's.

use outrigger_shared::close::Side;

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) masked: bool,
    pub(crate) payload: Vec<u8>,
}

/// The frames of a stream, and what is left of an unfinished one.
pub(crate) fn decode(mut stream: &[u8]) -> (Vec<Frame>, &[u8]) {
    let mut frames = Vec::new();
    while let Some((frame, len)) = decode_one(stream) {
        frames.push(frame);
        stream = &stream[len..];
    }
    (frames, stream)
}

/// The first frame, and its length on the wire; `None` if it is not all there.
pub(crate) fn decode_one(stream: &[u8]) -> Option<(Frame, usize)> {
    let len = usize::try_from(declared_len(stream)?).ok()?;
    let whole = stream.get(..len)?;
    let (first, second) = (whole[0], whole[1]);
    let masked = second >= 128;
    let (key, payload) = whole[2 + length_bytes(second)..].split_at(if masked { 4 } else { 0 });
    let payload = payload.iter().enumerate().map(|(i, byte)| byte ^ key.get(i % 4).unwrap_or(&0)).collect();
    let frame = Frame { fin: first >= 128, rsv: first / 16 % 8, opcode: first % 16, masked, payload };
    Some((frame, len))
}

/// The length of the first frame on the wire, by its header; `None` if that is not all there.
pub(crate) fn declared_len(stream: &[u8]) -> Option<u64> {
    let second = *stream.get(1)?;
    let extended = stream.get(2..2 + length_bytes(second))?;
    let payload = if extended.is_empty() { u64::from(second % 128) } else { number(extended) };
    let header = 2 + extended.len() + if second >= 128 { 4 } else { 0 };
    (stream.len() >= header).then(|| payload.saturating_add(header as u64))
}

fn length_bytes(second: u8) -> usize {
    match second % 128 {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A frame as a peer on that side sends it, with the masking key that its direction asks for.
pub(crate) fn frame(from: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, from == Side::Client, payload.len() as u64);
    let key = [0x37, 0xfa, 0x21, 0x3d];
    if from == Side::Client {
        bytes.extend(key);
    }
    bytes.extend(
        payload.iter().enumerate().map(|(i, byte)| if from == Side::Client { byte ^ key[i % 4] } else { *byte }),
    );
    bytes
}

/// The first two bytes and the length, in its shortest form; a masking key is still to come.
#[expect(clippy::cast_possible_truncation, reason = "the ranges say so")]
pub(crate) fn header(first: u8, masked: bool, len: u64) -> Vec<u8> {
    let mask = if masked { 128 } else { 0 };
    match len {
        0..=125 => vec![first, mask | len as u8],
        126..=0xffff => [&[first, mask | 0x7e][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[first, mask | 0x7f][..], &len.to_be_bytes()].concat(),
    }
}

/// A whole message in one frame.
pub(crate) fn text(from: Side, payload: &[u8]) -> Vec<u8> {
    frame(from, 0x80 | TEXT, payload)
}

pub(crate) fn ping(from: Side, payload: &[u8]) -> Vec<u8> {
    frame(from, 0x80 | PING, payload)
}

pub(crate) fn pong(from: Side, payload: &[u8]) -> Vec<u8> {
    frame(from, 0x80 | PONG, payload)
}

pub(crate) fn close(from: Side, code: u16, reason: &str) -> Vec<u8> {
    frame(from, 0x80 | CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

pub(crate) fn payload(len: usize) -> Vec<u8> {
    vec![0x5a; len]
}
