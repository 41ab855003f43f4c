//! Cuts a stream into WebSocket frames, by RFC 6455 §5.2 alone: what judges the sidecar shares no code with it.

/// The longest header: two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;
const MASK: u8 = 0x80;
const SHORT_LENGTH: u8 = 0x7f;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;
const OPCODE: u8 = 0x0f;
const CONTROL: u8 = 0x08;
/// FNV-1a, of 64 bits.
const DIGEST_START: u64 = 0xcbf2_9ce4_8422_2325;
const DIGEST_PRIME: u64 = 0x0100_0000_01b3;

/// What a frame is, by its opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::world) enum Kind {
    /// The start of a message, or more of it; anything that is no control frame.
    Data,
    Close,
    Ping,
    Pong,
}

/// A frame that went by whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::world) struct Frame {
    pub(in crate::world) kind: Kind,
    /// Header included.
    pub(in crate::world) bytes: u64,
    /// Over every byte of it, as it was on the wire.
    pub(in crate::world) digest: u64,
    /// Of a control frame, without its mask; empty for others.
    pub(in crate::world) payload: Vec<u8>,
}

impl Frame {
    /// The code of a Close that has one.
    pub(in crate::world) fn code(&self) -> Option<u16> {
        self.payload.first_chunk().map(|code| u16::from_be_bytes(*code))
    }

    /// Whether every byte is the same.
    pub(in crate::world) fn is(&self, other: &Self) -> bool {
        (self.kind, self.bytes, self.digest) == (other.kind, other.bytes, other.digest)
    }
}

/// A place in a stream.
#[derive(Debug, Clone)]
pub(in crate::world) struct Splitter {
    head: [u8; MAX_HEADER],
    head_len: usize,
    /// Payload bytes of the frame underway that are still to come, once its header is whole.
    left: Option<u64>,
    bytes: u64,
    digest: u64,
    mask: Option<[u8; 4]>,
    payload: Vec<u8>,
}

impl Splitter {
    pub(in crate::world) fn new() -> Self {
        Self {
            head: [0; MAX_HEADER],
            head_len: 0,
            left: None,
            bytes: 0,
            digest: DIGEST_START,
            mask: None,
            payload: Vec::new(),
        }
    }

    /// Whether the stream stands inside a frame.
    pub(in crate::world) fn is_inside(&self) -> bool {
        self.head_len > 0
    }

    /// Takes more of the stream, split anywhere, and tells each frame that ends in it.
    pub(in crate::world) fn feed(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            match self.left {
                None => {
                    self.head[self.head_len] = bytes[0];
                    self.head_len += 1;
                    self.pass(&bytes[..1]);
                    bytes = &bytes[1..];
                    self.read_head();
                }
                Some(left) => {
                    let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    self.pass(&bytes[..taken]);
                    if self.is_control() {
                        self.payload.extend_from_slice(&bytes[..taken]);
                    }
                    self.left = Some(left - taken as u64);
                    bytes = &bytes[taken..];
                }
            }
            if self.left == Some(0) {
                tell(self.end());
            }
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let digest = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(DIGEST_PRIME);
        self.digest = bytes.iter().fold(self.digest, digest);
    }

    fn is_control(&self) -> bool {
        self.head[0] & CONTROL != 0
    }

    /// Understands the header as soon as it is whole.
    fn read_head(&mut self) {
        if self.head_len < 2 {
            return;
        }
        let short = self.head[1] & SHORT_LENGTH;
        let length_bytes = match short {
            LENGTH_16 => 2,
            LENGTH_64 => 8,
            _ => 0,
        };
        let masked = self.head[1] & MASK != 0;
        let whole = 2 + length_bytes + if masked { 4 } else { 0 };
        if self.head_len < whole {
            return;
        }
        let long = self.head[2..2 + length_bytes].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        self.left = Some(if length_bytes == 0 { u64::from(short) } else { long });
        self.mask = if masked { self.head[2 + length_bytes..].first_chunk().copied() } else { None };
    }

    fn end(&mut self) -> Frame {
        let mut payload = std::mem::take(&mut self.payload);
        if let Some(mask) = self.mask {
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        let kind = match self.head[0] & OPCODE {
            0x8 => Kind::Close,
            0x9 => Kind::Ping,
            0xa => Kind::Pong,
            _ => Kind::Data,
        };
        let frame = Frame { kind, bytes: self.bytes, digest: self.digest, payload };
        *self = Self::new();
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<Frame> {
        let (mut splitter, mut frames) = (Splitter::new(), Vec::new());
        for piece in pieces {
            splitter.feed(piece, |frame| frames.push(frame));
        }
        assert!(!splitter.is_inside());
        frames
    }

    /// A text of 200 bytes, a masked ping, an empty pong, a Close with a code.
    fn stream() -> Vec<u8> {
        let mut stream = vec![0x81, 126, 0, 200];
        stream.extend([b'x'; 200]);
        stream.extend([0x89, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]);
        stream.extend([0x8a, 0, 0x88, 2, 0x03, 0xe9]);
        stream
    }

    #[test]
    fn frames_are_the_same_wherever_the_stream_is_split() {
        let stream = stream();
        let whole = split(&[&stream]);
        let kinds: Vec<_> = whole.iter().map(|frame| (frame.kind, frame.bytes)).collect();
        assert_eq!(kinds, [(Kind::Data, 204), (Kind::Ping, 8), (Kind::Pong, 2), (Kind::Close, 4)]);
        assert_eq!(whole[1].payload, b"hi");
        assert_eq!(whole[3].code(), Some(1001));
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(split(&[head, tail]), whole, "split at {at}");
        }
    }

    #[test]
    fn one_bit_makes_another_frame() {
        let stream = stream();
        let whole = split(&[&stream]);
        let mut other = stream.clone();
        other[100] ^= 1;
        let other = split(&[&other]);
        assert!(!other[0].is(&whole[0]) && other[1].is(&whole[1]));
    }
}
