//! What holds for every session, whatever was done to it.

use outrigger_shared::close::Side;
use outrigger_shared::event::Event;
use outrigger_shared::time::Micros;

use crate::driver::Session;
use crate::wire::{self, BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};

/// What was done to a session from outside.
#[derive(Default)]
pub(crate) struct Story {
    /// What each side sent, answers included.
    pub(crate) sent: [Vec<u8>; 2],
    /// It half-closed or failed.
    pub(crate) left: [bool; 2],
    /// Its socket took no more.
    pub(crate) deaf: [bool; 2],
    /// RSV1 has a meaning.
    pub(crate) deflate: bool,
}

impl Story {
    pub(crate) fn send(&mut self, session: &mut Session, from: Side, bytes: &[u8]) {
        self.sent[from as usize].extend_from_slice(bytes);
        session.feed(from, bytes);
    }
}

/// No byte is lost, doubled or made up.
pub(crate) fn check_account(session: &Session) {
    for side in Side::BOTH {
        let at = side as usize;
        assert_eq!(session.fed[at], session.forwarded[at] + session.discarded[at] + session.carried(side));
        assert_eq!(session.out[at].len() as u64, session.forwarded[side.peer() as usize] + session.injected[at]);
        let stats = session.stats(side);
        assert_eq!(stats.bytes - stats.bytes_discarded, session.forwarded[at]);
        assert_eq!(stats.bytes_injected, session.injected[at]);
        assert!(stats.closes_injected <= 1);
    }
}

/// Silence ended it, and nothing is left to wait for.
pub(crate) fn check_ends_once(session: &Session) {
    let ended = Event::Ended(session.end().expect("silence ends every session"));
    assert_eq!(session.events.last(), Some(&ended));
    assert_eq!(session.events.iter().filter(|event| matches!(event, Event::Ended(_))).count(), 1);
    assert_eq!(session.relay.deadline(), None::<Micros>);
}

/// The stream towards a side, read by the test's own decoder.
pub(crate) fn check_stream(session: &Session, to: Side, story: &Story) {
    let (frames, rest) = wire::decode(&session.out[to as usize]);
    check_frames(&frames, to, story.deflate);
    let closes = frames.iter().filter(|frame| frame.opcode == CLOSE).count();
    assert!(closes <= 1 && (closes == 0 || frames.last().is_some_and(|frame| frame.opcode == CLOSE)));
    let announced =
        session.events.iter().filter(|event| matches!(event, Event::CloseSent { to: side, .. } if *side == to));
    assert_eq!(announced.count(), closes);
    if rest.is_empty() {
        let gone = story.left[to as usize] || story.deaf[to as usize];
        assert!(closes == 1 || gone, "a side that stayed got no Close");
    } else {
        // Only a frame that was too long to be held can be cut.
        assert!(closes == 0, "nothing stands behind a cut frame");
        let declared = wire::declared_len(rest).expect("a header is never cut");
        assert!(declared > 4096, "a frame of {declared} bytes was cut");
    }

    // Less our own frames, it is the other side's stream from its start, less the answers to our pings.
    let from = to.peer();
    let pings_to = |side: Side| -> Vec<Vec<u8>> {
        let (frames, _) = wire::decode(&session.out[side as usize]);
        let pings = frames.into_iter().filter(|frame| frame.opcode == PING && frame.payload.len() == 8);
        pings.map(|frame| frame.payload).collect()
    };
    let answered = pings_to(from);
    let (sent, _) = wire::decode(&story.sent[from as usize]);
    let mut sent = &sent[..];
    let (mut ours, mut swallowed) = (0, 0);
    for frame in frames {
        let is_answer = |sent: &&Frame| sent.opcode == PONG && answered.contains(&sent.payload);
        let skipped = sent.iter().take_while(|sent| is_answer(sent) && **sent != unmasked(&frame, from)).count();
        if sent.get(skipped) == Some(&unmasked(&frame, from)) {
            swallowed += skipped as u64;
            sent = &sent[skipped + 1..];
        } else {
            assert!(matches!(frame.opcode, PING | CLOSE), "a frame that nobody sent: {frame:?}");
            ours += 1;
        }
    }
    assert!(ours <= session.stats(to).pings_injected + session.stats(to).closes_injected);
    assert!(swallowed <= session.stats(from).pongs_swallowed);
}

/// The frame as its sender's direction has it.
fn unmasked(frame: &Frame, from: Side) -> Frame {
    Frame { masked: from == Side::Client, ..frame.clone() }
}

/// What RFC 6455 asks of the frames towards a side.
fn check_frames(frames: &[Frame], to: Side, deflate: bool) {
    let mut inside = false;
    for frame in frames {
        assert_eq!(frame.masked, to == Side::App);
        let compressed = deflate && frame.rsv == 4 && matches!(frame.opcode, TEXT | BINARY);
        assert!(frame.rsv == 0 || compressed, "reserved bits in {frame:?}");
        match frame.opcode {
            CONTINUATION => {
                assert!(inside);
                inside = !frame.fin;
            }
            TEXT | BINARY => {
                assert!(!inside);
                inside = !frame.fin;
            }
            PING | PONG | CLOSE => assert!(frame.fin && frame.payload.len() <= 125),
            other => panic!("opcode {other}"),
        }
    }
}
