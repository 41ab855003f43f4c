//! RFC 6455 §5.2, read a second time: one frame after the other, from a stream that is all there. No streaming, no
//! limits, no policy, nothing shared with the crate but the names of its violations.

use outrigger_shared::close::Side;
use outrigger_shared::frame::Violation;

use crate::wire::{self, BINARY, CLOSE, CONTINUATION, Frame, TEXT};

/// A stream's frames up to its end, its Close, or its first fault.
#[derive(Default, Debug)]
pub(crate) struct Reading {
    /// Whole frames with their lengths on the wire, the Close included.
    pub(crate) frames: Vec<(Frame, usize)>,
    pub(crate) verdict: Verdict,
    /// Where the frame begins that the verdict is about: the one behind the last of `frames`.
    pub(crate) at: usize,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Verdict {
    /// The stream ends between two frames.
    #[default]
    Complete,
    /// It ends inside a frame. With its header: the length of the whole frame, and whether it is a data frame.
    Cut(Option<(u64, bool)>),
    /// It ends, for all that matters, with a Close.
    Closed,
    /// What is wrong with the next frame: each of these.
    Violation(Vec<Violation>),
}

/// Reads what `from` sent.
pub(crate) fn read(stream: &[u8], from: Side, deflate: bool) -> Reading {
    let mut reading = Reading::default();
    let mut inside_message = false;
    loop {
        let rest = &stream[reading.at..];
        if rest.is_empty() {
            return reading;
        }
        let faults = faults_of_header(rest, from, deflate, inside_message);
        if !faults.is_empty() {
            reading.verdict = Verdict::Violation(faults);
            return reading;
        }
        let Some((frame, len)) = wire::decode_one(rest) else {
            reading.verdict = Verdict::Cut(wire::declared_len(rest).map(|len| (len, rest[0] % 16 < 8)));
            return reading;
        };
        if frame.opcode == CLOSE {
            let faults = faults_of_close(&frame.payload);
            if !faults.is_empty() {
                reading.verdict = Verdict::Violation(faults);
                return reading;
            }
        }
        inside_message = if frame.opcode < 8 { !frame.fin } else { inside_message };
        let closed = frame.opcode == CLOSE;
        reading.frames.push((frame, len));
        reading.at += len;
        if closed {
            reading.verdict = Verdict::Closed;
            return reading;
        }
    }
}

/// As much as is there of the header gives away.
fn faults_of_header(rest: &[u8], from: Side, deflate: bool, inside_message: bool) -> Vec<Violation> {
    let [first, second, ..] = *rest else { return Vec::new() };
    let (fin, rsv, opcode, masked) = (first >= 128, first / 16 % 8, first % 16, second >= 128);
    let control = opcode >= 8;
    let mut faults = Vec::new();
    let mut fault = |wrong: bool, what| faults.extend(wrong.then_some(what));
    fault(matches!(opcode, 3..=7 | 11..=15), Violation::ReservedOpcode);
    fault(rsv != 0 && !(rsv == 4 && deflate && matches!(opcode, TEXT | BINARY)), Violation::ReservedBits);
    fault(from == Side::Client && !masked, Violation::Unmasked);
    fault(from == Side::App && masked, Violation::Masked);
    fault(control && !fin, Violation::ControlFragmented);
    fault(control && second % 128 > 125, Violation::ControlTooLong);

    let long = match second % 128 {
        126 => rest.get(2..4).map(|bytes| (wire::number(bytes), 126)),
        127 => rest.get(2..10).map(|bytes| (wire::number(bytes), 65_536)),
        _ => None,
    };
    if let Some((len, least)) = long {
        fault(len < least, Violation::LengthNotMinimal);
        fault(len >= 1 << 63, Violation::LengthOutOfRange);
    }
    // Whether a frame fits the message is asked of whole headers.
    if wire::declared_len(rest).is_some() {
        fault(opcode == CONTINUATION && !inside_message, Violation::StrayContinuation);
        fault(matches!(opcode, TEXT | BINARY) && inside_message, Violation::InterleavedMessage);
    }
    faults
}

fn faults_of_close(payload: &[u8]) -> Vec<Violation> {
    let mut faults = Vec::new();
    match payload {
        [] => {}
        [_] => faults.push(Violation::CloseTooShort),
        [high, low, reason @ ..] => {
            let code = u32::from(*high) * 256 + u32::from(*low);
            let registered = (1000..=1014).contains(&code) && ![1004, 1005, 1006].contains(&code);
            if !registered && !(3000..5000).contains(&code) {
                faults.push(Violation::CloseCode);
            }
            if String::from_utf8(reason.to_vec()).is_err() {
                faults.push(Violation::CloseReason);
            }
        }
    }
    faults
}
