//! What holds for any bytes, cut anywhere, in any order of events.

use std::time::Duration;

use outrigger_shared::close::{Cause, CloseCode, Side};
use outrigger_shared::event::Event;
use outrigger_shared::limits::{ByteRate, OverRate, Policy, Rate};
use outrigger_shared::relay::{FLUSH_LIMIT, Negotiated};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::checks::{Story, check_account, check_ends_once, check_stream};
use crate::driver::{Session, seconds};
use crate::wire::{self, BINARY, CONTINUATION, PING, TEXT, close, frame, ping, pong};

/// Every session of these tests ends within this much silence: the longest stream (2 MB) at the slowest rate, the idle
/// limit, the answers to two Closes, the flush.
const LONGEST_END: Duration = Duration::from_secs(2_000_000 / 20_000 + 60 + 4 * 5 + FLUSH_LIMIT.as_secs() + 10);

/// `PROPTEST_CASES` asks for more than the default.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        8 => 0..300usize,
        2 => 4070..4110usize,
        2 => 5000..20_000usize,
        1 => 65_530..65_540usize,
    ];
    (len, any::<u8>()).prop_map(|(len, fill)| vec![fill; len])
}

/// Something that a well-behaved peer sends: one frame, or a message in fragments with control frames in between.
fn message(from: Side) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let control = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..=125).prop_map(move |payload| ping(from, &payload)),
        prop::collection::vec(any::<u8>(), 0..=125).prop_map(move |payload| pong(from, &payload)),
    ];
    let opcode = prop_oneof![Just(TEXT), Just(BINARY)];
    let fragments = (opcode.clone(), prop::collection::vec((payload(), prop::option::of(control.clone())), 1..5));
    prop_oneof![
        3 => (opcode, payload()).prop_map(move |(opcode, payload)| vec![frame(from, 0x80 | opcode, &payload)]),
        1 => control.prop_map(|frame| vec![frame]),
        2 => fragments.prop_map(move |(opcode, parts)| {
            let last = parts.len() - 1;
            let mut frames = Vec::new();
            for (i, (payload, control)) in parts.into_iter().enumerate() {
                let fin = if i == last { 0x80 } else { 0 };
                frames.push(frame(from, fin | if i == 0 { opcode } else { CONTINUATION }, &payload));
                frames.extend(control.filter(|_| i < last));
            }
            frames
        }),
    ]
}

/// A stream as a list of frames, perhaps with a Close at its end or in front of a little more.
fn frames(from: Side) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let end = prop_oneof![3 => Just(None), 1 => (3000..5000u16).prop_map(Some)];
    (prop::collection::vec(message(from), 0..8), end, any::<bool>()).prop_map(move |(messages, end, more)| {
        let mut frames = messages.concat();
        if let Some(code) = end {
            frames.push(close(from, code, "bye"));
            if more {
                frames.push(wire::text(from, b"behind the Close"));
            }
        }
        frames
    })
}

/// A stream in which some bits were flipped near the start of its frames, where it hurts.
fn stream(from: Side) -> impl Strategy<Value = Vec<u8>> {
    let flips = prop::collection::vec((any::<Index>(), 0..14usize, 0..8u32), 1..3);
    (frames(from), prop::option::weighted(0.3, flips)).prop_map(|(mut frames, flips)| {
        for (which, byte, bit) in flips.into_iter().flatten() {
            if !frames.is_empty() {
                let frame = which.get_mut(&mut frames);
                let byte = byte.min(frame.len() - 1);
                frame[byte] ^= 1 << bit;
            }
        }
        frames.concat()
    })
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::App)]
}

fn policy() -> impl Strategy<Value = Policy> {
    let over_rate = prop_oneof![Just(OverRate::Slow), Just(OverRate::Close)];
    let rates = (
        prop::option::weighted(0.3, (1..50u32, 1..20u32).prop_map(|(per_second, burst)| Rate { per_second, burst })),
        prop::option::weighted(
            0.3,
            (20_000..200_000u64, 100..100_000u64).prop_map(|(per_second, burst)| ByteRate { per_second, burst }),
        ),
        over_rate,
    );
    let limits = (
        prop::option::weighted(0.3, 1000..80_000u64),
        prop::option::weighted(0.3, 100..70_000u64),
        prop::option::weighted(0.3, 1..5u32),
    );
    let keepalive = (any::<bool>(), any::<bool>());
    let lifetime = prop::option::weighted(0.2, (10..100u64).prop_map(seconds));
    (rates, limits, keepalive, lifetime).prop_map(|(rates, limits, keepalive, max_lifetime)| {
        let default = Policy::default();
        Policy {
            message_rate: rates.0,
            byte_rate: rates.1,
            over_rate: rates.2,
            max_message_size: limits.0,
            max_frame_size: limits.1,
            max_fragments: limits.2,
            keepalive_client: default.keepalive_client.filter(|_| keepalive.0),
            keepalive_app: default.keepalive_app.filter(|_| keepalive.1),
            max_lifetime,
            ..default
        }
    })
}

/// One session in which `from` answers a ping, sends the stream in the pieces that `cuts` make, and closes.
fn told_in_pieces(policy: &Policy, deflate: bool, from: Side, stream: &[u8], cuts: &[Index]) -> Session {
    let negotiated = Negotiated { permessage_deflate: deflate };
    let mut session = Session::negotiated(policy.clone(), negotiated, 99);
    let other = from.peer();
    session.feed(other, &frame(other, 0x80 | BINARY, &[0; 10_000])[..5000]);
    session.pass(seconds(26));
    // The ping to `from` waits behind the other side's long frame, unless it is complete.
    session.feed(other, &frame(other, 0x80 | BINARY, &[0; 10_000])[5000..]);
    let answer = if session.stats(from).pings_injected > 0 { session.last_ping(from) } else { Vec::new() };
    let stream = [stream, &pong(from, &answer), &wire::text(from, b"the end")].concat();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
    cuts.sort_unstable();
    let mut at = 0;
    for cut in cuts {
        session.feed(from, &stream[at..cut]);
        at = cut;
    }
    session.feed(from, &stream[at..]);
    session.eof(from);
    session.pass(LONGEST_END);
    session
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn where_the_bytes_are_cut_makes_no_difference(
        (from, stream) in side().prop_flat_map(|from| (Just(from), stream(from))),
        policy in policy(),
        deflate: bool,
        cuts in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let whole = told_in_pieces(&policy, deflate, from, &stream, &[]);
        let pieces = told_in_pieces(&policy, deflate, from, &stream, &cuts);
        prop_assert_eq!(&whole.out, &pieces.out);
        for side in Side::BOTH {
            // A Close of ours to the other side may have to wait for the rest of a long frame, so the order of events
            // across sides tells when that came.
            prop_assert_eq!(events_of(&whole, side), events_of(&pieces, side));
            prop_assert_eq!(whole.stats(side), pieces.stats(side));
        }
        prop_assert!(whole.end().is_some());
        prop_assert_eq!(whole.end(), pieces.end());
    }

    #[test]
    fn byte_by_byte_is_no_different_either(
        (from, stream) in side().prop_flat_map(|from| (Just(from), stream(from))),
        policy in policy(),
    ) {
        let stream = &stream[..stream.len().min(6000)];
        let mut session = Session::negotiated(policy.clone(), Negotiated::default(), 99);
        let mut joined = Session::negotiated(policy, Negotiated::default(), 99);
        for byte in stream {
            session.feed(from, std::slice::from_ref(byte));
        }
        joined.feed(from, stream);
        prop_assert_eq!(&session.out, &joined.out);
        for side in Side::BOTH {
            prop_assert_eq!(events_of(&session, side), events_of(&joined, side));
        }
        prop_assert_eq!(session.carried(from), joined.carried(from));
    }

    #[test]
    fn whatever_happens_the_account_is_right_and_the_session_ends(
        policy in policy(),
        streams in (stream(Side::Client), stream(Side::App)),
        steps in prop::collection::vec(step(), 0..60),
        seed: u64,
    ) {
        let mut session = Session::negotiated(policy, Negotiated::default(), seed);
        let story = play(&mut session, &[streams.0, streams.1], &steps);
        check_account(&session);
        check_ends_once(&session);
        for to in Side::BOTH {
            check_stream(&session, to, &story);
        }
    }

    #[test]
    fn raw_bytes_are_never_touched(
        policy in policy(),
        streams in (stream(Side::Client), stream(Side::App)),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut session = Session::raw(policy);
        let streams = [streams.0, streams.1];
        play(&mut session, &streams, &steps);
        check_account(&session);
        check_ends_once(&session);
        for to in Side::BOTH {
            prop_assert!(streams[to.peer() as usize].starts_with(&session.out[to as usize]));
        }
    }
}

fn events_of(session: &Session, wanted: Side) -> Vec<Event> {
    let about = |event: &Event| match *event {
        Event::PingSent { to } | Event::CloseSent { to, .. } => Some(to),
        Event::PongReceived { from, .. }
        | Event::CloseReceived { from, .. }
        | Event::LimitHit { from, .. }
        | Event::RateLimited { from, .. }
        | Event::Violation { from, .. } => Some(from),
        _ => None,
    };
    session.events.iter().copied().filter(|event| about(event).is_none_or(|side| side == wanted)).collect()
}

/// One thing that happens to a session.
#[derive(Clone, Debug)]
enum Step {
    /// The next so many bytes of that side's stream arrive, in reads of some size.
    Read(Side, usize),
    Pass(Duration),
    /// A wake-up that nobody asked for.
    Wake,
    AnswerPing(Side),
    AnswerClose(Side),
    Blocked(Side),
    Progress(Side, usize),
    Eof(Side),
    Fail(Side),
    FailWrite(Side),
    Close(Option<Duration>),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![1..20usize, 1..5000usize, 10_000..70_000usize];
    prop_oneof![
        20 => (side(), bytes).prop_map(|(side, bytes)| Step::Read(side, bytes)),
        8 => prop_oneof![0..1000u64, 0..30_000u64].prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
        2 => Just(Step::Wake),
        6 => side().prop_map(Step::AnswerPing),
        2 => side().prop_map(Step::AnswerClose),
        2 => side().prop_map(Step::Blocked),
        3 => (side(), prop_oneof![Just(0), 1..1000usize]).prop_map(|(side, left)| Step::Progress(side, left)),
        1 => side().prop_map(Step::Eof),
        1 => side().prop_map(Step::Fail),
        1 => side().prop_map(Step::FailWrite),
        1 => prop::option::of((0..20u64).prop_map(seconds)).prop_map(Step::Close),
    ]
}

fn play(session: &mut Session, streams: &[Vec<u8>; 2], steps: &[Step]) -> Story {
    let mut story = Story::default();
    let mut at = [0; 2];
    for step in steps {
        match *step {
            Step::Read(side, bytes) if !story.left[side as usize] => {
                let from = at[side as usize];
                let stream = &streams[side as usize][from..];
                let bytes = &stream[..bytes.min(stream.len())];
                at[side as usize] += bytes.len();
                story.send(session, side, bytes);
            }
            Step::AnswerPing(side) if may_answer(&story, session, side, at, streams) => {
                if session.stats(side).pings_injected > 0 {
                    let (frames, _) = wire::decode(&session.out[side as usize]);
                    let ping = frames.into_iter().rev().find(|frame| frame.opcode == PING);
                    story.send(session, side, &pong(side, &ping.map(|ping| ping.payload).unwrap_or_default()));
                }
            }
            Step::AnswerClose(side) if may_answer(&story, session, side, at, streams) => {
                if session.events.iter().any(|event| matches!(event, Event::CloseSent { to, .. } if *to == side)) {
                    story.send(session, side, &close(side, 1000, ""));
                }
            }
            Step::Pass(time) => session.pass(time),
            Step::Wake => {
                let idle = session.relay.deadline().is_none_or(|deadline| deadline > session.now);
                let before = session.events.len();
                session.timeout();
                assert!(!idle || session.events.len() == before, "something happened before its time");
            }
            Step::Blocked(side) => session.relay.write_blocked(side, session.now),
            Step::Progress(side, left) => session.relay.write_progress(side, session.now, left),
            Step::Eof(side) => {
                story.left[side as usize] = true;
                session.eof(side);
            }
            Step::Fail(side) => {
                story.left[side as usize] = true;
                session.fail(side);
            }
            Step::FailWrite(side) => {
                story.deaf[side as usize] = true;
                session.fail_write(side);
            }
            Step::Close(wait) => {
                let until = wait.map(|wait| session.now + wait);
                session.close(Cause::Drain, CloseCode::SERVICE_RESTART, until);
            }
            Step::Read(..) | Step::AnswerPing(_) | Step::AnswerClose(_) => {}
        }
    }
    session.pass(LONGEST_END);
    story
}

/// A peer that is still there answers between two frames of its own.
fn may_answer(story: &Story, session: &Session, side: Side, at: [usize; 2], streams: &[Vec<u8>; 2]) -> bool {
    let sent = &streams[side as usize][..at[side as usize]];
    let plain = session.stats(side).frames > 0 || session.stats(side).bytes == 0;
    plain && !story.left[side as usize] && wire::decode(sent).1.is_empty()
}
