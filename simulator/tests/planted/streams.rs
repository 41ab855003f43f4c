//! Sidecars that do something wrong with what goes through.

use outrigger_shared::close::Side;
use outrigger_sim::world::tamper::{Meddler, Tamper};

use crate::catch::caught_by;
use crate::frames::{CLOSE, Frame, Frames, PONG, TEXT};
use crate::worlds;

/// Something wrong at one of the two sides.
struct At<F>(Side, F);

impl<F: Fn() -> Box<dyn Meddler> + Send + Sync> Tamper for At<F> {
    fn stream(&self, side: Side) -> Option<Box<dyn Meddler>> {
        (side == self.0).then(&self.1)
    }
}

/// Changes the fifth text that goes to a side.
fn fifth_text(
    side: Side,
    change: impl Fn(Frame) -> Vec<u8> + Clone + Send + Sync + 'static,
) -> At<impl Fn() -> Box<dyn Meddler>> {
    At(side, move || {
        let (change, mut texts) = (change.clone(), 0);
        Frames::written(move |frame| {
            texts += u32::from(frame.opcode() == TEXT);
            if frame.opcode() == TEXT && texts == 5 { change(frame) } else { frame.0 }
        })
    })
}

/// Changes Closes that go to a side.
fn closes(
    side: Side,
    change: impl Fn(Frame) -> Vec<u8> + Clone + Send + Sync + 'static,
) -> At<impl Fn() -> Box<dyn Meddler>> {
    At(side, move || {
        let change = change.clone();
        Frames::written(move |frame| if frame.opcode() == CLOSE { change(frame) } else { frame.0 })
    })
}

fn twice(Frame(frame): Frame) -> Vec<u8> {
    frame.repeat(2)
}

fn flipped(mut frame: Frame) -> Vec<u8> {
    let payload = frame.payload();
    // In the padding, which nobody reads.
    let at = payload.len() - 10;
    payload[at] ^= 1;
    frame.0
}

#[test]
fn a_byte_is_flipped_on_its_way_to_the_client() {
    caught_by("bytes", "byte flipped", &worlds::busy(), || fifth_text(Side::Client, flipped));
}

#[test]
fn a_message_comes_twice() {
    caught_by("bytes", "message duplicated", &worlds::busy(), || fifth_text(Side::App, twice));
}

#[test]
fn a_message_is_lost() {
    caught_by("bytes", "message lost", &worlds::busy(), || fifth_text(Side::App, |_| Vec::new()));
}

/// The sixth message goes before the fifth.
#[test]
fn messages_change_places() {
    let swap = || {
        let (mut texts, mut kept) = (0, Vec::new());
        Frames::written(move |frame| {
            texts += u32::from(frame.opcode() == TEXT);
            match texts {
                5 if kept.is_empty() && frame.opcode() == TEXT => {
                    kept = frame.0;
                    Vec::new()
                }
                6 => [frame.0, std::mem::take(&mut kept)].concat(),
                _ => frame.0,
            }
        })
    };
    caught_by("bytes", "messages reordered", &worlds::busy(), move || At(Side::App, swap));
}

#[test]
fn a_close_to_the_client_is_not_sent() {
    caught_by("closes", "Close to the client not sent", &worlds::idle(), || closes(Side::Client, |_| Vec::new()));
}

#[test]
fn a_close_to_the_app_is_not_sent() {
    caught_by("closes", "Close to the app not sent", &worlds::idle(), || closes(Side::App, |_| Vec::new()));
}

#[test]
fn a_close_is_sent_twice() {
    caught_by("closes", "double Close", &worlds::idle(), || closes(Side::Client, twice));
}

#[test]
fn a_close_has_another_code_than_is_said() {
    let normal = |mut frame: Frame| {
        frame.payload()[..2].copy_from_slice(&1000_u16.to_be_bytes());
        frame.0
    };
    caught_by("closes", "Close with another code", &worlds::idle(), move || closes(Side::Client, normal));
}

/// The sidecar does not know the answers to its pings: they come to it a bit different, and go on as they were.
#[test]
fn a_pong_is_not_swallowed() {
    struct Pongs;
    fn disguised(mut frame: Frame) -> Vec<u8> {
        if frame.opcode() == PONG && frame.payload().len() == 8 {
            frame.payload()[0] ^= 1;
        }
        frame.0
    }
    impl Tamper for Pongs {
        fn stream(&self, side: Side) -> Option<Box<dyn Meddler>> {
            Some(if side == Side::Client { Frames::read(disguised) } else { Frames::written(disguised) })
        }
    }
    caught_by("closes", "pong not swallowed", &worlds::quiet(), || Pongs);
}

#[test]
fn the_end_of_what_a_client_sends_is_not_noticed() {
    struct Deaf;
    impl Meddler for Deaf {
        fn hears_end(&self) -> bool {
            false
        }
    }
    caught_by("causes", "half-close lost", &worlds::behind_fins(), || {
        At(Side::Client, || -> Box<dyn Meddler> { Box::new(Deaf) })
    });
}

#[test]
fn everything_is_taken_for_a_client_that_does_not_read() {
    struct Greedy;
    impl Meddler for Greedy {
        fn takes_all(&self) -> bool {
            true
        }
    }
    caught_by("memory", "buffer unbounded", &worlds::slow_reader(), || {
        At(Side::Client, || -> Box<dyn Meddler> { Box::new(Greedy) })
    });
}
