//! Frame headers in, control frames out (RFC 6455 §5).

use std::fmt;
use std::ops::Deref;

use crate::close::{CloseCode, Side};

/// A frame of up to this many bytes, header included, is forwarded only whole; a longer one is streamed as it comes.
/// So headers and control frames are always contiguous, and a peer that dies inside a small frame leaves the stream
/// towards the other one at a clean boundary.
pub const HOLD_LIMIT: usize = 4096;

/// Two bytes, a 64-bit length, a masking key.
pub const MAX_HEADER: usize = 14;

/// RFC 6455 §5.5.
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// A Close's reason: the payload of a control frame less the code.
pub const MAX_CLOSE_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

pub(crate) const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
pub(crate) const MASK: u8 = 0x80;
pub(crate) const LENGTH: u8 = 0x7f;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// RFC 6455 §5.2, without the reserved ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// A frame that RFC 6455 forbids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// §5.1: a client masks its frames.
    Unmasked,
    /// §5.1: a server does not.
    Masked,
    /// §5.2: RSV2, RSV3, or RSV1 where permessage-deflate (RFC 7692 §6) does not give it a meaning.
    ReservedBits,
    /// §5.2: 3–7 and 11–15.
    ReservedOpcode,
    /// §5.5: a control frame over 125 bytes.
    ControlTooLong,
    /// §5.5: a control frame without FIN.
    ControlFragmented,
    /// §5.4: a continuation of nothing.
    StrayContinuation,
    /// §5.4: a new message inside an unfinished one.
    InterleavedMessage,
    /// §5.2: a length that fits fewer bytes than were used for it.
    LengthNotMinimal,
    /// §5.2: a 64-bit length with its top bit set.
    LengthOutOfRange,
    /// §5.5.1: a Close with half a code.
    CloseTooShort,
    /// §7.4: a code that may not be on the wire.
    CloseCode,
    /// §5.5.1: a reason that is not UTF-8.
    CloseReason,
}

impl Violation {
    /// A label for logs and metrics, out of a bounded set.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unmasked => "unmasked",
            Self::Masked => "masked",
            Self::ReservedBits => "reserved_bits",
            Self::ReservedOpcode => "reserved_opcode",
            Self::ControlTooLong => "control_too_long",
            Self::ControlFragmented => "control_fragmented",
            Self::StrayContinuation => "stray_continuation",
            Self::InterleavedMessage => "interleaved_message",
            Self::LengthNotMinimal => "length_not_minimal",
            Self::LengthOutOfRange => "length_out_of_range",
            Self::CloseTooShort => "close_too_short",
            Self::CloseCode => "close_code",
            Self::CloseReason => "close_reason",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unmasked => "frame without a mask",
            Self::Masked => "frame with a mask",
            Self::ReservedBits => "reserved bit set",
            Self::ReservedOpcode => "reserved opcode",
            Self::ControlTooLong => "control frame over 125 bytes",
            Self::ControlFragmented => "fragmented control frame",
            Self::StrayContinuation => "continuation of no message",
            Self::InterleavedMessage => "new message inside an unfinished one",
            Self::LengthNotMinimal => "length not in its shortest form",
            Self::LengthOutOfRange => "length over 63 bits",
            Self::CloseTooShort => "Close with half a code",
            Self::CloseCode => "close code that may not be sent",
            Self::CloseReason => "close reason not in UTF-8",
        })
    }
}

/// One frame header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub fin: bool,
    pub opcode: Opcode,
    /// Bytes of the header, masking key included: 2–14.
    pub header_len: u8,
    /// The masking key; zeros, which mask nothing, in frames of the app.
    pub key: [u8; 4],
    /// Bytes of payload, as declared: below 2^63.
    pub payload_len: u64,
}

impl Header {
    /// Reads the header at the start of `input`. `None`: not all of it is there yet. What the first two bytes give away
    /// is found as soon as they are there.
    ///
    /// Checks all that one header shows by itself: mask by direction, reserved bits (`deflate`: permessage-deflate was
    /// negotiated, so RSV1 may mark the first frame of a message), opcode, control frames, length encoding.
    #[inline]
    pub fn parse(input: &[u8], from: Side, deflate: bool) -> Result<Option<Self>, Violation> {
        let [first, second, rest @ ..] = input else { return Ok(None) };
        let opcode = Self::check_start(*first, *second, from, deflate)?;
        let (length_len, payload_len) = match second & LENGTH {
            LENGTH_16 => match rest.first_chunk() {
                Some(bytes) => (2, u64::from(u16::from_be_bytes(*bytes))),
                None => return Ok(None),
            },
            LENGTH_64 => match rest.first_chunk() {
                Some(bytes) => (8, u64::from_be_bytes(*bytes)),
                None => return Ok(None),
            },
            short => (0, u64::from(short)),
        };
        match length_len {
            2 if payload_len < u64::from(LENGTH_16) => return Err(Violation::LengthNotMinimal),
            8 if u16::try_from(payload_len).is_ok() => return Err(Violation::LengthNotMinimal),
            8 if i64::try_from(payload_len).is_err() => return Err(Violation::LengthOutOfRange),
            _ => {}
        }
        let (key_len, key) = match from {
            Side::App => (0, [0; 4]),
            Side::Client => match rest[length_len..].first_chunk() {
                Some(key) => (4, *key),
                None => return Ok(None),
            },
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 2 + 8 + 4")]
        let header_len = (2 + length_len + key_len) as u8;
        Ok(Some(Self { fin: first & FIN != 0, opcode, header_len, key, payload_len }))
    }

    /// Bytes of the whole frame.
    #[inline]
    pub fn frame_len(&self) -> u64 {
        // No overflow: the payload is below 2^63.
        u64::from(self.header_len) + self.payload_len
    }

    /// The same, for a frame that is known to be in memory.
    #[inline]
    pub fn whole_len(&self) -> usize {
        usize::try_from(self.frame_len()).unwrap_or(usize::MAX)
    }

    #[inline]
    fn check_start(first: u8, second: u8, from: Side, deflate: bool) -> Result<Opcode, Violation> {
        let Some(opcode) = Opcode::from_bits(first & OPCODE) else { return Err(Violation::ReservedOpcode) };
        if first & (RSV1 | RSV2_RSV3) != 0 {
            let rsv1_has_meaning = deflate && matches!(opcode, Opcode::Text | Opcode::Binary);
            if first & RSV2_RSV3 != 0 || !rsv1_has_meaning {
                return Err(Violation::ReservedBits);
            }
        }
        match (from, second & MASK != 0) {
            (Side::Client, false) => return Err(Violation::Unmasked),
            (Side::App, true) => return Err(Violation::Masked),
            _ => {}
        }
        if opcode.is_control() {
            if first & FIN == 0 {
                return Err(Violation::ControlFragmented);
            }
            if usize::from(second & LENGTH) > MAX_CONTROL_PAYLOAD {
                return Err(Violation::ControlTooLong);
            }
        }
        Ok(opcode)
    }
}

/// XORs `payload`, which begins at the start of a frame's payload, with its masking key (RFC 6455 §5.3).
pub fn apply_mask(payload: &mut [u8], key: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

/// Reads the payload of a Close as it stands on the wire: its code ([`CloseCode::NO_STATUS`] when it has none), or what
/// is wrong with it (RFC 6455 §5.5.1, §7.4). `payload` is at most 125 bytes.
pub fn read_close(payload: &[u8], key: [u8; 4]) -> Result<CloseCode, Violation> {
    let mut buffer = [0; MAX_CONTROL_PAYLOAD];
    let clear = &mut buffer[..payload.len()];
    clear.copy_from_slice(payload);
    apply_mask(clear, key);
    match clear {
        [] => Ok(CloseCode::NO_STATUS),
        [_] => Err(Violation::CloseTooShort),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !CloseCode::may_be_sent(code) {
                return Err(Violation::CloseCode);
            }
            std::str::from_utf8(reason).map(|_| CloseCode(code)).map_err(|_| Violation::CloseReason)
        }
    }
}

/// A control frame of our own, ready for the wire.
#[derive(Clone, Copy)]
pub struct Injected {
    len: u8,
    bytes: [u8; 2 + 4 + MAX_CONTROL_PAYLOAD],
}

impl Injected {
    /// A ping; masked with `key` when it goes to the app.
    pub fn ping(payload: [u8; 8], key: Option<[u8; 4]>) -> Self {
        Self::control(Opcode::Ping, key, &[&payload])
    }

    /// A Close; masked with `key` when it goes to the app. [`CloseCode::NO_STATUS`] gives one without a payload. A
    /// `reason` over 123 bytes is cut (it is expected to be ASCII).
    pub fn close(code: CloseCode, reason: &str, key: Option<[u8; 4]>) -> Self {
        if code == CloseCode::NO_STATUS {
            return Self::control(Opcode::Close, key, &[]);
        }
        let reason = &reason.as_bytes()[..reason.len().min(MAX_CLOSE_REASON)];
        Self::control(Opcode::Close, key, &[&code.0.to_be_bytes(), reason])
    }

    #[expect(clippy::cast_possible_truncation, reason = "a control payload is at most 125 bytes")]
    fn control(opcode: Opcode, key: Option<[u8; 4]>, parts: &[&[u8]]) -> Self {
        let mut bytes = [0; 2 + 4 + MAX_CONTROL_PAYLOAD];
        let start = if key.is_some() { 6 } else { 2 };
        let mut end = start;
        for part in parts {
            bytes[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        bytes[0] = FIN | opcode as u8;
        bytes[1] = (end - start) as u8;
        if let Some(key) = key {
            bytes[1] |= MASK;
            bytes[2..6].copy_from_slice(&key);
            apply_mask(&mut bytes[start..end], key);
        }
        Self { len: end as u8, bytes }
    }
}

impl Deref for Injected {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Injected").field(&&**self).finish()
    }
}
