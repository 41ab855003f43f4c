//! What passes, and what RFC 6455 forbids.

use std::num::NonZeroU32;

use outrigger_shared::close::{Cause, End, Initiator, Side};
use outrigger_shared::event::Event;
use outrigger_shared::frame::Violation;
use outrigger_shared::limits::Policy;
use outrigger_shared::relay::{Negotiated, Relay, SIZE_BOUNDS, Stats};

use crate::driver::{Session, seconds};
use crate::wire::{
    self, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame, header, payload, ping, pong, text,
};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

#[test]
fn an_idle_session_is_small() {
    let size = size_of::<Relay>();
    println!("Relay: {size} bytes");
    assert!(size <= 864, "{size} bytes");
}

#[test]
fn frames_of_every_kind_pass_verbatim() {
    for from in Side::BOTH {
        let mut session = Session::new(Policy::default());
        let stream = [
            text(from, b"hello"),
            frame(from, BINARY, b"first"),
            ping(from, b"are you there"),
            frame(from, CONTINUATION, &[7; 200]),
            pong(from, b"unasked"),
            frame(from, FIN | CONTINUATION, &payload(70_000)),
            frame(from, FIN | BINARY, b""),
            text(from, &[b'x'; 5000]),
        ]
        .concat();
        session.feed(from, &stream);
        assert_eq!(session.out[from.peer() as usize], stream);
        assert_eq!(session.events, []);
        let stats = session.stats(from);
        assert_eq!((stats.text, stats.binary, stats.fragments), (2, 2, 3));
        assert_eq!((stats.frames, stats.pings, stats.pongs), (8, 1, 1));
        assert_eq!((stats.bytes, stats.bytes_discarded), (stream.len() as u64, 0));
        assert_eq!((stats.text_bytes, stats.binary_bytes), (5 + 5000, 5 + 200 + 70_000));
        // Two of up to 128 bytes, one each of up to 8 KiB and 512 KiB.
        assert_eq!(stats.sizes, [2, 0, 1, 0, 1, 0, 0]);
    }
}

#[test]
fn messages_are_counted_by_size_and_a_class_holds_its_bound() {
    let mut session = Session::new(Policy::default());
    let mut before = Stats::default();
    for (class, bound) in SIZE_BOUNDS.into_iter().enumerate() {
        for (class, bytes) in [(class, bound), (class + 1, bound + 1)] {
            session.feed(Side::App, &text(Side::App, &payload(usize::try_from(bytes).unwrap())));
            let passed = session.stats(Side::App).since(&before);
            assert_eq!((passed.sizes[class], passed.sizes.iter().sum::<u32>()), (1, 1), "{bytes} bytes");
            assert_eq!((passed.text_bytes, passed.text), (bytes, 1));
            before = session.stats(Side::App);
        }
    }
}

#[test]
fn a_sample_of_messages_is_told_and_nothing_else_changes() {
    const ONE_IN: u32 = 10;
    let stream: Vec<u8> = (0..2000_usize)
        .flat_map(|nth| match nth % 4 {
            0 => frame(Side::Client, FIN | BINARY, &payload(200)),
            1 => [
                frame(Side::Client, TEXT, b"in "),
                ping(Side::Client, b"x"),
                frame(Side::Client, FIN | CONTINUATION, b"two"),
            ]
            .concat(),
            _ => text(Side::Client, b"short"),
        })
        .collect();
    let told = |step: usize| {
        let mut session = Session::new(Policy::default());
        session.relay.sample_messages(NonZeroU32::new(ONE_IN).unwrap(), 3);
        for piece in stream.chunks(step) {
            session.feed(Side::Client, piece);
        }
        assert_eq!(session.out[Side::App as usize], stream);
        session.events
    };
    let events = told(stream.len());
    let (mut binary, mut fragmented) = (0, 0);
    for event in &events {
        let Event::Message { from: Side::Client, message } = event else { panic!("{event:?}") };
        let (bytes, frames) = match (message.binary, message.frames) {
            (true, _) => (200, 1),
            (false, 2) => (6, 2),
            (false, _) => (5, 1),
        };
        assert_eq!((message.bytes, message.frames), (bytes, frames));
        binary += u32::from(message.binary);
        fragmented += u32::from(frames == 2);
    }
    // 200 are due; of each kind a quarter.
    assert!((150..=250).contains(&events.len()), "{}", events.len());
    assert!((25..=75).contains(&binary) && (25..=75).contains(&fragmented), "{binary}, {fragmented}");
    assert_eq!(told(17), events);
    let mut all = Session::new(Policy::default());
    all.relay.sample_messages(NonZeroU32::MIN, 3);
    all.feed(Side::Client, &stream);
    assert_eq!(all.events.len(), 2000);
}

#[test]
fn one_read_of_many_frames_is_one_step() {
    let mut session = Session::new(Policy::default());
    let stream = text(Side::Client, &[1; 64]).repeat(900);
    let received = session.relay.receive(Side::Client, &stream, session.now, &mut |_| {});
    assert_eq!(received, outrigger_shared::relay::Received::Forward(stream.len()));
    assert_eq!(session.stats(Side::Client).frames, 900);
    // A sample does not cut it: what is told of a message costs no write of its own.
    let mut sampled = Session::new(Policy::default());
    sampled.relay.sample_messages(NonZeroU32::new(500).unwrap(), 3);
    let mut told = 0;
    let received = sampled.relay.receive(Side::Client, &stream, sampled.now, &mut |_| told += 1);
    assert_eq!((received, told), (outrigger_shared::relay::Received::Forward(stream.len()), 1));
}

#[test]
fn a_small_frame_waits_until_it_is_whole_and_a_long_one_does_not() {
    for (payload, held) in [(4096 - 8, true), (4096 - 7, false)] {
        let mut session = Session::new(Policy::default());
        let whole = text(Side::Client, &vec![9; payload]);
        session.feed(Side::Client, &whole[..100]);
        assert_eq!(session.out[Side::App as usize].is_empty(), held, "payload {payload}");
        session.feed(Side::Client, &whole[100..]);
        assert_eq!(session.out[Side::App as usize], whole);
    }
}

#[test]
fn a_frame_of_the_largest_length_costs_nothing() {
    let policy = Policy { max_message_size: None, ..Policy::default() };
    let mut session = Session::new(policy);
    let mut stream = header(FIN | BINARY, false, i64::MAX as u64);
    stream.extend([5; 1000]);
    session.feed(Side::App, &stream);
    session.feed(Side::App, &[0x82; 1000]);
    assert_eq!(session.forwarded[Side::App as usize], stream.len() as u64 + 1000);
    assert_eq!(session.events, []);
}

#[test]
fn compressed_messages_pass_where_they_were_negotiated() {
    let stream = [
        frame(Side::Client, RSV1 | TEXT, b"compressed"),
        frame(Side::Client, FIN | CONTINUATION, b"rest"),
        frame(Side::Client, FIN | RSV1 | BINARY, b"compressed"),
    ]
    .concat();
    let mut session = Session::negotiated(Policy::default(), Negotiated { permessage_deflate: true }, 1);
    session.feed(Side::Client, &stream);
    assert_eq!(session.out[Side::App as usize], stream);
    assert_eq!(session.events, []);
}

#[test]
fn what_is_complete_before_a_violation_passes() {
    let mut session = Session::new(Policy::default());
    let before = text(Side::Client, b"before");
    session.feed(
        Side::Client,
        &[before.clone(), frame(Side::Client, FIN | 3, b"bad"), text(Side::Client, b"after")].concat(),
    );
    assert!(session.out[Side::App as usize].starts_with(&before));
    assert_eq!(session.frames(Side::App).len(), 2);
}

/// Each is sent by a side, behind `setup`.
struct Forbidden {
    what: Violation,
    deflate: bool,
    setup: fn(Side) -> Vec<u8>,
    bytes: fn(Side) -> Vec<u8>,
}

const fn forbidden(what: Violation, bytes: fn(Side) -> Vec<u8>) -> Forbidden {
    Forbidden { what, deflate: false, setup: |_| Vec::new(), bytes }
}

fn unfinished(from: Side) -> Vec<u8> {
    frame(from, TEXT, b"unfinished")
}

const FORBIDDEN: &[Forbidden] = &[
    forbidden(Violation::ReservedBits, |from| frame(from, FIN | 0x20 | TEXT, b"")),
    forbidden(Violation::ReservedBits, |from| frame(from, FIN | 0x10 | BINARY, b"")),
    forbidden(Violation::ReservedBits, |from| frame(from, FIN | RSV1 | TEXT, b"")),
    Forbidden { deflate: true, ..forbidden(Violation::ReservedBits, |from| frame(from, FIN | 0x20 | TEXT, b"")) },
    Forbidden { deflate: true, ..forbidden(Violation::ReservedBits, |from| frame(from, FIN | 0x50 | TEXT, b"")) },
    Forbidden { deflate: true, ..forbidden(Violation::ReservedBits, |from| frame(from, FIN | RSV1 | PING, b"")) },
    Forbidden { deflate: true, ..forbidden(Violation::ReservedBits, |from| frame(from, FIN | RSV1 | CLOSE, b"")) },
    Forbidden {
        deflate: true,
        setup: unfinished,
        ..forbidden(Violation::ReservedBits, |from| frame(from, FIN | RSV1 | CONTINUATION, b""))
    },
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 3, b"")),
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 4, b"")),
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 5, b"")),
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 6, b"")),
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 7, b"")),
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 0xb, b"")),
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 0xc, b"")),
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 0xd, b"")),
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 0xe, b"")),
    forbidden(Violation::ReservedOpcode, |from| frame(from, FIN | 0xf, b"")),
    forbidden(Violation::ControlTooLong, |from| frame(from, FIN | PING, &[0; 126])),
    forbidden(Violation::ControlTooLong, |from| frame(from, FIN | PONG, &payload(70_000))),
    forbidden(Violation::ControlTooLong, |from| frame(from, FIN | CLOSE, &[3; 126])),
    forbidden(Violation::ControlFragmented, |from| frame(from, PING, b"")),
    forbidden(Violation::ControlFragmented, |from| frame(from, PONG, b"")),
    forbidden(Violation::ControlFragmented, |from| frame(from, CLOSE, b"")),
    forbidden(Violation::StrayContinuation, |from| frame(from, CONTINUATION, b"stray")),
    forbidden(Violation::StrayContinuation, |from| frame(from, FIN | CONTINUATION, b"stray")),
    Forbidden { setup: unfinished, ..forbidden(Violation::InterleavedMessage, |from| text(from, b"new")) },
    Forbidden { setup: unfinished, ..forbidden(Violation::InterleavedMessage, |from| frame(from, BINARY, b"new")) },
    forbidden(Violation::LengthNotMinimal, |from| long_form(from, 126, &125u16.to_be_bytes())),
    forbidden(Violation::LengthNotMinimal, |from| long_form(from, 127, &65_535u64.to_be_bytes())),
    forbidden(Violation::LengthNotMinimal, |from| long_form(from, 127, &0u64.to_be_bytes())),
    forbidden(Violation::LengthOutOfRange, |from| long_form(from, 127, &(1u64 << 63).to_be_bytes())),
    forbidden(Violation::LengthOutOfRange, |from| long_form(from, 127, &u64::MAX.to_be_bytes())),
    forbidden(Violation::CloseTooShort, |from| frame(from, FIN | CLOSE, &[3])),
    forbidden(Violation::CloseCode, |from| close(from, 0, "")),
    forbidden(Violation::CloseCode, |from| close(from, 999, "")),
    forbidden(Violation::CloseCode, |from| close(from, 1004, "")),
    forbidden(Violation::CloseCode, |from| close(from, 1005, "")),
    forbidden(Violation::CloseCode, |from| close(from, 1006, "")),
    forbidden(Violation::CloseCode, |from| close(from, 1015, "")),
    forbidden(Violation::CloseCode, |from| close(from, 1016, "")),
    forbidden(Violation::CloseCode, |from| close(from, 2999, "")),
    forbidden(Violation::CloseCode, |from| close(from, 5000, "")),
    forbidden(Violation::CloseCode, |from| close(from, 65_535, "")),
    forbidden(Violation::CloseReason, |from| frame(from, FIN | CLOSE, b"\x03\xe8\xff")),
    forbidden(Violation::CloseReason, |from| frame(from, FIN | CLOSE, b"\x03\xe8cut \xe2\x82")),
];

/// A binary frame whose length is written as given, with a masking key where there has to be one.
fn long_form(from: Side, length: u8, bytes: &[u8]) -> Vec<u8> {
    let mask = if from == Side::Client { 0x80 } else { 0 };
    [&[FIN | BINARY, mask | length][..], bytes, &[1, 2, 3, 4]].concat()
}

fn assert_refused(from: Side, session: &mut Session, what: Violation, passed: usize) {
    let other = from.peer();
    let context = format!("{what:?} from the {from}");
    assert!(session.events.contains(&Event::Violation { from, what }), "{context}: {:?}", session.events);
    assert_eq!(session.forwarded[from as usize], passed as u64, "{context}");
    let (code, reason) = session.close_to(from).expect("a Close to the offender");
    assert_eq!(code, 1002, "{context}");
    assert!(reason.starts_with(&from.to_string()) && reason.len() > 12, "{context}: {reason}");
    let bystander = if other == Side::App { 1001 } else { 1011 };
    assert_eq!(session.close_to(other), Some((bystander, reason)), "{context}");

    // The other side answers and closes, the offender only closes.
    session.feed(other, &close(other, bystander, ""));
    session.eof(Side::App);
    session.eof(Side::Client);
    let code = |side: Side| if side == from { 1002 } else { bystander };
    let end = session.end().expect("an end");
    assert_eq!((end.by, end.cause), (Initiator::Sidecar, Cause::Protocol(from, what)), "{context}");
    assert_eq!(end.client_code.map(|code| code.0), Some(code(Side::Client)), "{context}");
    assert_eq!(end.app_code.map(|code| code.0), Some(code(Side::App)), "{context}");
}

#[test]
fn every_violation_is_refused_from_either_side() {
    for case in FORBIDDEN {
        for from in Side::BOTH {
            let negotiated = Negotiated { permessage_deflate: case.deflate };
            let mut session = Session::negotiated(Policy::default(), negotiated, 3);
            let setup = (case.setup)(from);
            session.feed(from, &setup);
            session.feed(from, &(case.bytes)(from));
            assert_refused(from, &mut session, case.what, setup.len());
        }
    }
}

#[test]
fn a_frame_needs_the_mask_of_its_direction() {
    for (from, what) in [(Side::Client, Violation::Unmasked), (Side::App, Violation::Masked)] {
        let mut session = Session::new(Policy::default());
        session.feed(from, &text(from.peer(), b"hello"));
        assert_refused(from, &mut session, what, 0);
    }
}

#[test]
fn the_first_two_bytes_are_enough_to_refuse() {
    let mut session = Session::new(Policy::default());
    session.feed(Side::Client, &[FIN | 3]);
    assert_eq!(session.events, []);
    session.feed(Side::Client, &[0x80]);
    assert_eq!(session.close_code_to(Side::Client), Some(1002));
}

#[test]
fn close_codes_and_reasons_that_may_be_sent_pass() {
    let codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    for code in codes {
        let mut session = Session::new(Policy::default());
        session.feed(Side::Client, &close(Side::Client, code, "gr\u{fc}\u{df}e \u{2764}"));
        assert_eq!(session.close_to(Side::App), Some((code, "gr\u{fc}\u{df}e \u{2764}".into())));
    }
}

#[test]
fn a_violation_after_the_end_has_begun_still_gets_its_close() {
    let mut session = Session::new(Policy::default());
    session.close(Cause::Drain, outrigger_shared::close::CloseCode::SERVICE_RESTART, None);
    session.feed(Side::Client, &frame(Side::Client, FIN | 5, b""));
    assert_eq!(session.close_code_to(Side::Client), Some(1012));
    assert_eq!(session.close_code_to(Side::App), Some(1001));
    session.pass(seconds(30));
    assert_eq!(session.cause(), Some(Cause::Drain), "the first cause is the session's");
    let ends = session.events.iter().filter(|event| matches!(event, Event::Ended(End { .. }))).count();
    assert_eq!(ends, 1);
    assert!(wire::decode(&session.out[1]).1.is_empty());
}
