//! One side's bytes, cut anywhere, against a second reading of the same bytes.

use std::time::Duration;

use outrigger_shared::close::Side;
use outrigger_shared::event::Event;
use outrigger_shared::frame::{HOLD_LIMIT, Header};
use outrigger_shared::limits::Policy;
use outrigger_shared::relay::Negotiated;

use crate::driver::Session;
use crate::oracle::{self, Reading, Verdict};
use crate::wire::{self, BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};

/// One case of the corpus: a byte of choices (bit 0: the app sends, bit 1: permessage-deflate, bits 4–7: how many pieces
/// follow), a byte for the length of each piece, used in turn, then the stream. Without pieces it comes
/// in one read.
pub(crate) fn check(case: &[u8]) {
    let Some((choices, rest)) = case.split_first() else { return };
    let from = if choices & 1 == 0 { Side::Client } else { Side::App };
    let deflate = choices & 2 != 0;
    let (pieces, stream) = rest.split_at(rest.len().min(usize::from(choices >> 4)));

    let reading = oracle::read(stream, from, deflate);
    let mut session = Session::negotiated(unlimited(), Negotiated { permessage_deflate: deflate }, 1);
    feed(&mut session, from, stream, pieces);
    check_headers(stream, from, deflate, &reading);
    check_forwarded(&session, from, stream, &reading);
    check_verdict(&session, from, &reading);
    check_counts(&session, from, &reading);
}

/// Nothing but the frames themselves decides.
fn unlimited() -> Policy {
    Policy {
        idle_timeout: None,
        send_timeout: None,
        keepalive_client: None,
        keepalive_app: None,
        close_timeout: Duration::from_secs(5),
        max_message_size: None,
        max_frame_size: None,
        max_fragments: None,
        ..Policy::default()
    }
}

fn feed(session: &mut Session, from: Side, mut stream: &[u8], pieces: &[u8]) {
    if pieces.is_empty() {
        session.feed(from, stream);
        return;
    }
    for piece in pieces.iter().cycle() {
        if stream.is_empty() {
            return;
        }
        // Small ones by the byte, large ones by the kilobyte.
        let len = match piece {
            0..=127 => usize::from(*piece) + 1,
            _ => (usize::from(*piece) - 127) * 1024,
        };
        let (now, later) = stream.split_at(len.min(stream.len()));
        session.feed(from, now);
        stream = later;
    }
}

/// Every header is read as the oracle reads it, and from no fewer bytes than it has.
fn check_headers(stream: &[u8], from: Side, deflate: bool, reading: &Reading) {
    let mut at = 0;
    for (frame, len) in &reading.frames {
        let header = Header::parse(&stream[at..], from, deflate).expect("a valid frame").expect("a whole header");
        assert_eq!((header.fin, header.opcode as u8), (frame.fin, frame.opcode));
        assert_eq!((header.payload_len, header.frame_len()), (frame.payload.len() as u64, *len as u64));
        for short in 0..usize::from(header.header_len) {
            assert_eq!(Header::parse(&stream[at..at + short], from, deflate), Ok(None), "{short} bytes of a header");
        }
        at += len;
    }
}

/// Verbatim, up to where the stream stops being frames: whole frames, and what came of a long one.
fn check_forwarded(session: &Session, from: Side, stream: &[u8], reading: &Reading) {
    let rest = stream.len() - reading.at;
    let streamed = matches!(reading.verdict, Verdict::Cut(Some((len, true))) if len > HOLD_LIMIT as u64);
    let until = if streamed { stream.len() } else { reading.at };
    assert_eq!(session.forwarded[from as usize], until as u64, "{reading:?}");
    let out = &session.out[from.peer() as usize];
    assert_eq!(&out[..until], &stream[..until], "forwarded bytes were changed");
    let held = matches!(reading.verdict, Verdict::Cut(_)) && !streamed;
    assert_eq!(session.carried(from), if held { rest as u64 } else { 0 });

    let (ours, behind) = wire::decode(&out[until..]);
    assert_eq!(behind, b"");
    let closes = matches!(reading.verdict, Verdict::Violation(_));
    assert_eq!(ours.iter().map(|frame| frame.opcode).collect::<Vec<_>>(), vec![CLOSE; usize::from(closes)]);
    assert_eq!(session.close_code_to(from), closes.then_some(1002));
}

fn check_verdict(session: &Session, from: Side, reading: &Reading) {
    let found = session.events.iter().find_map(|event| match *event {
        Event::Violation { from: side, what } if side == from => Some(what),
        _ => None,
    });
    let closed = session.events.iter().find_map(|event| match *event {
        Event::CloseReceived { from: side, code } if side == from => Some(code.0),
        _ => None,
    });
    match &reading.verdict {
        Verdict::Violation(faults) => {
            assert!(found.is_some_and(|what| faults.contains(&what)), "{found:?} is none of {faults:?}");
            assert_eq!(closed, None);
        }
        Verdict::Closed => {
            let close = &reading.frames.last().expect("the Close").0;
            let code = close.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            assert_eq!((found, closed), (None, Some(code)));
        }
        Verdict::Complete | Verdict::Cut(_) => assert_eq!(session.events, []),
    }
}

fn check_counts(session: &Session, from: Side, reading: &Reading) {
    let count = |wanted: fn(&Frame) -> bool| reading.frames.iter().filter(|(frame, _)| wanted(frame)).count() as u64;
    let stats = session.stats(from);
    let mut frames = count(|_| true);
    let mut data = [
        count(|frame| frame.opcode == TEXT),
        count(|frame| frame.opcode == BINARY),
        count(|frame| frame.opcode == CONTINUATION || (frame.opcode < 8 && !frame.fin)),
    ];
    // A frame that is streamed counts from its start.
    if session.forwarded[from as usize] > reading.at as u64 {
        frames += 1;
        let first = session.out[from.peer() as usize][reading.at];
        data[0] += u64::from(first % 16 == TEXT);
        data[1] += u64::from(first % 16 == BINARY);
        data[2] += u64::from(first % 16 == CONTINUATION || first < 128);
    }
    assert_eq!((stats.frames, [stats.text, stats.binary, stats.fragments]), (frames, data));
    let control =
        [count(|frame| frame.opcode == PING), count(|frame| frame.opcode == PONG), count(|f| f.opcode == CLOSE)];
    assert_eq!([stats.pings, stats.pongs, stats.closes], control);
}
