//! Every way in which a session ends.

use std::time::Duration;

use outrigger_shared::close::{Cause, CloseCode, End, Initiator, Side};
use outrigger_shared::event::Event;
use outrigger_shared::limits::Policy;
use outrigger_shared::relay::{FLUSH_LIMIT, LINGER, QUIET_MOMENT};

use crate::driver::{Session, just_below, seconds};
use crate::wire::{CONTINUATION, TEXT, close, frame, payload, ping, text};

use Side::{App, Client};

/// Code 0: there was no Close.
fn end(by: Initiator, cause: Cause, client_code: u16, app_code: u16) -> End {
    let code = |code| Some(CloseCode(code)).filter(|code| code.0 != 0);
    End { by, cause, client_code: code(client_code), app_code: code(app_code) }
}

fn drain(session: &mut Session) {
    session.close(Cause::Drain, CloseCode::SERVICE_RESTART, None);
}

#[test]
fn a_close_and_its_answer_pass_verbatim() {
    for from in Side::BOTH {
        let other = from.peer();
        let mut session = Session::new(Policy::default());
        session.feed(from, &close(from, 4001, "bye"));
        assert_eq!(session.close_to(other), Some((4001, "bye".into())));
        session.feed(other, &text(other, b"what was still on its way"));
        session.feed(other, &close(other, 4001, "bye"));
        assert_eq!(session.frames(from).len(), 2);
        assert_eq!(session.close_to(from), Some((4001, "bye".into())));
        assert!(session.shuts_down(Client), "a server closes first");
        assert!(!session.shuts_down(App), "the app is a server, too");
        assert_eq!(session.end(), None);
        session.eof(App);
        let by = if from == Client { Initiator::Client } else { Initiator::App };
        assert_eq!(session.end(), Some(end(by, Cause::Close, 4001, 4001)));
        assert_eq!(session.stats(Client).closes_injected + session.stats(App).closes_injected, 0);
        let expected = [
            Event::CloseReceived { from, code: CloseCode(4001) },
            Event::CloseSent { to: other, code: CloseCode(4001) },
            Event::CloseReceived { from: other, code: CloseCode(4001) },
            Event::CloseSent { to: from, code: CloseCode(4001) },
            Event::Ended(session.end().unwrap()),
        ];
        assert_eq!(session.events, expected);
    }
}

#[test]
fn a_close_without_a_code_passes() {
    let mut session = Session::new(Policy::default());
    session.feed(Client, &frame(Client, 0x88, b""));
    session.feed(App, &frame(App, 0x88, b""));
    session.eof(App);
    assert_eq!(session.end(), Some(end(Initiator::Client, Cause::Close, 1005, 1005)));
}

#[test]
fn an_app_that_does_not_close_its_connection_is_given_the_linger() {
    let mut session = Session::new(Policy::default());
    session.feed(Client, &close(Client, 1000, ""));
    session.feed(App, &close(App, 1000, ""));
    session.pass(just_below(LINGER));
    assert_eq!(session.end(), None);
    session.pass(Duration::from_micros(1));
    assert_eq!(session.cause(), Some(Cause::Close));
}

#[test]
fn bytes_behind_a_close_are_dropped() {
    let mut session = Session::new(Policy::default());
    let stream = [close(Client, 1000, ""), text(Client, b"too late"), vec![0xff; 100]].concat();
    session.feed(Client, &stream);
    assert_eq!(session.frames(App).len(), 1);
    assert_eq!(session.discarded[Client as usize], stream.len() as u64 - 8);
    assert!(session.relay.may_read(Client, usize::MAX, session.now), "read on, to see it close");
}

#[test]
fn closes_that_cross_are_one_each() {
    let mut session = Session::new(Policy::default());
    session.feed(Client, &close(Client, 1000, ""));
    session.feed(App, &close(App, 1001, ""));
    assert_eq!((session.close_code_to(App), session.close_code_to(Client)), (Some(1000), Some(1001)));
    session.eof(App);
    assert_eq!(session.end(), Some(end(Initiator::Client, Cause::Close, 1001, 1000)));
}

#[test]
fn a_close_that_is_not_answered_is_answered_by_us() {
    for from in Side::BOTH {
        let mut session = Session::new(Policy::default());
        session.feed(from, &close(from, 1000, "done"));
        session.pass(seconds(5));
        assert_eq!(session.close_to(from), Some((1000, String::new())));
        session.pass(seconds(6));
        assert_eq!(session.cause(), Some(Cause::Close));
    }
}

#[test]
fn an_app_that_leaves_tells_the_client_1011_behind_all_that_it_sent() {
    let mut session = Session::new(Policy::default());
    let sent = text(App, b"last words");
    session.feed(App, &sent);
    session.feed(App, &text(App, b"never finished")[..5]);
    session.eof(App);
    assert!(session.out[Client as usize].starts_with(&sent));
    assert_eq!(session.close_to(Client), Some((1011, "app left without a Close".into())));
    assert!(!session.shuts_down(Client), "the client's answer is waited for");
    assert_eq!(session.end(), None);
    session.feed(Client, &text(Client, b"to nobody"));
    session.feed(Client, &close(Client, 1011, ""));
    assert_eq!(session.end(), Some(end(Initiator::App, Cause::Gone(App), 1011, 0)));
    assert!(session.out[App as usize].is_empty());
}

#[test]
fn an_app_that_never_said_a_word_is_a_bad_gateway() {
    let mut session = Session::new(Policy::default());
    session.feed(Client, &text(Client, b"hello?"));
    session.eof(App);
    assert_eq!(session.close_code_to(Client), Some(1014));
    session.eof(Client);
    assert_eq!(session.end(), Some(end(Initiator::App, Cause::Gone(App), 1014, 0)));
}

#[test]
fn a_client_that_leaves_tells_the_app_1001() {
    let mut session = Session::new(Policy::default());
    session.feed(Client, &text(Client, b"half")[..3]);
    session.eof(Client);
    assert_eq!(session.close_to(App), Some((1001, "client left without a Close".into())));
    session.feed(App, &text(App, b"to nobody"));
    assert!(session.out[Client as usize].is_empty());
    session.feed(App, &close(App, 1001, ""));
    session.eof(App);
    assert_eq!(session.end(), Some(end(Initiator::Client, Cause::Gone(Client), 0, 1001)));
}

#[test]
fn a_failed_socket_is_a_reset() {
    let mut session = Session::new(Policy::default());
    session.feed(App, &text(App, b"hello"));
    session.fail(App);
    assert_eq!(session.close_to(Client), Some((1011, "connection to the app failed".into())));
    session.feed(Client, &close(Client, 1011, ""));
    assert_eq!(session.end(), Some(end(Initiator::App, Cause::Reset(App), 1011, 0)));

    let mut session = Session::new(Policy::default());
    session.fail(Client);
    assert_eq!(session.close_code_to(App), Some(1001));
    assert!(!session.relay.may_read(Client, 0, session.now));
    session.fail(App);
    assert_eq!(session.end(), Some(end(Initiator::Client, Cause::Reset(Client), 0, 1001)));
}

#[test]
fn a_side_that_takes_no_more_is_heard_out() {
    // The app sent all it had to say and a Close, and closed; the client's next message finds nobody.
    let mut session = Session::new(Policy::default());
    session.feed(Client, &text(Client, &[1; 10_000])[..5000]);
    session.fail_write(App);
    session.feed(Client, &text(Client, &[1; 10_000])[5000..]);
    assert_eq!(session.out[App as usize].len(), 5000);
    assert!(session.relay.may_read(App, 0, session.now) && session.relay.may_read(Client, 0, session.now));
    session.feed(App, &[text(App, b"last words"), close(App, 4000, "enough")].concat());
    assert_eq!(session.close_to(Client), Some((4000, "enough".into())));
    session.feed(Client, &close(Client, 4000, ""));
    session.fail(App);
    assert_eq!(session.end(), Some(end(Initiator::App, Cause::Close, 4000, 4000)));

    // Without a Close it is a reset, behind what it said.
    let mut session = Session::new(Policy::default());
    session.fail_write(App);
    session.feed(App, &text(App, b"last words"));
    assert_eq!(session.close_to(Client), None);
    session.fail(App);
    assert_eq!(session.frames(Client).len(), 2);
    assert_eq!(session.close_code_to(Client), Some(1011));
    session.feed(Client, &close(Client, 1011, ""));
    assert_eq!(session.end(), Some(end(Initiator::App, Cause::Reset(App), 1011, 0)));

    // And it does not take for ever.
    let mut session = Session::new(Policy::default());
    session.fail_write(Client);
    session.pass(seconds(5));
    assert_eq!(session.close_code_to(App), Some(1001));
    session.feed(App, &close(App, 1001, ""));
    session.eof(App);
    session.pass(seconds(6));
    assert_eq!(session.cause(), Some(Cause::Reset(Client)));
}

#[test]
fn a_source_that_dies_inside_a_long_frame_leaves_no_place_for_a_close() {
    let mut session = Session::new(Policy::default());
    let part = &text(App, &[1; 10_000])[..9000];
    session.feed(App, part);
    session.eof(App);
    assert_eq!(session.out[Client as usize], part);
    assert!(session.shuts_down(Client), "the client sees the end of the stream");
    session.eof(Client);
    assert_eq!(session.end(), Some(end(Initiator::App, Cause::Gone(App), 0, 0)));
}

#[test]
fn a_side_that_left_gets_the_frame_underway_and_no_other() {
    let mut session = Session::new(Policy::default());
    let long = text(App, &[1; 10_000]);
    session.feed(App, &long[..9000]);
    session.eof(Client);
    session.feed(App, &[&long[9000..], &text(App, b"not this")].concat());
    assert_eq!(session.out[Client as usize], long);
    assert_eq!(session.close_code_to(App), Some(1001));
}

#[test]
fn a_close_waits_for_the_end_of_a_long_frame() {
    let mut session = Session::new(Policy::default());
    let long = text(Client, &[1; 10_000]);
    session.feed(Client, &long[..9000]);
    // The app breaks the protocol: the client hears of it at once, the app when the client's frame is complete.
    session.feed(App, &frame(App, 0x83, b""));
    assert_eq!(session.close_code_to(Client), Some(1011));
    assert_eq!(session.out[App as usize].len(), 9000);
    session.feed(Client, &[&long[9000..], &text(Client, b"not this")].concat());
    assert_eq!(session.frames(App).len(), 2);
    assert_eq!(session.close_code_to(App), Some(1002));

    // A frame that does not get complete in time is cut.
    let mut session = Session::new(Policy::default());
    session.feed(Client, &long[..9000]);
    session.feed(App, &frame(App, 0x83, b""));
    session.pass(seconds(5));
    assert!(session.shuts_down(App));
    session.feed(Client, &long[9000..]);
    assert_eq!(session.out[App as usize].len(), 9000);
    session.pass(seconds(6));
    assert_eq!(session.cause().map(Cause::as_str), Some("protocol"));
}

#[test]
fn an_orderly_end_lets_the_client_finish() {
    let mut session = Session::new(Policy::default());
    drain(&mut session);
    assert_eq!(session.close_to(Client), Some((1012, "draining".into())));
    assert!(session.out[App as usize].is_empty(), "the app waits for the client's answer");
    session.feed(App, &text(App, b"the client had its Close"));
    session.feed(Client, &text(Client, b"what was still on its way"));
    session.feed(Client, &close(Client, 1012, ""));
    assert_eq!(session.frames(App).len(), 2);
    assert_eq!(session.close_code_to(App), Some(1012));
    assert_eq!(session.frames(Client).len(), 1);
    session.feed(App, &close(App, 1012, ""));
    session.eof(App);
    assert_eq!(session.end(), Some(end(Initiator::Sidecar, Cause::Drain, 1012, 1012)));
}

#[test]
fn an_orderly_end_without_an_answer_closes_the_app_after_the_close_timeout() {
    let mut session = Session::new(Policy::default());
    drain(&mut session);
    session.pass(seconds(5));
    assert_eq!(session.close_to(App), Some((1012, "draining".into())));
    session.feed(App, &close(App, 1012, ""));
    session.eof(App);
    session.pass(LINGER);
    assert_eq!(session.end(), Some(end(Initiator::Sidecar, Cause::Drain, 1012, 1012)));

    // An app that sent its Close meanwhile gets its own code back.
    let mut session = Session::new(Policy::default());
    drain(&mut session);
    session.feed(App, &close(App, 1000, ""));
    session.pass(seconds(5));
    assert_eq!(session.close_to(App), Some((1000, String::new())));
}

#[test]
fn each_side_has_the_close_timeout_for_its_answer() {
    let mut session = Session::new(Policy::default());
    drain(&mut session);
    session.pass(seconds(4));
    session.feed(Client, &close(Client, 1012, ""));
    session.pass(just_below(seconds(5)));
    assert!(!session.shuts_down(App), "the app got its Close later");
    session.pass(Duration::from_micros(1));
    assert!(session.shuts_down(App));
    session.pass(LINGER);
    assert_eq!(session.cause(), Some(Cause::Drain));
}

#[test]
fn a_client_that_leaves_instead_of_answering_ends_the_app_at_once() {
    let mut session = Session::new(Policy::default());
    drain(&mut session);
    session.eof(Client);
    assert_eq!(session.close_code_to(App), Some(1012));
    session.eof(App);
    assert_eq!(session.end(), Some(end(Initiator::Sidecar, Cause::Drain, 1012, 1012)));
}

#[test]
fn an_app_close_that_crosses_a_drain_is_not_a_second_close() {
    let mut session = Session::new(Policy::default());
    drain(&mut session);
    session.feed(App, &close(App, 1000, ""));
    session.feed(Client, &close(Client, 1012, ""));
    assert_eq!((session.close_code_to(Client), session.close_code_to(App)), (Some(1012), Some(1012)));
    session.eof(App);
    assert_eq!(session.end(), Some(end(Initiator::Sidecar, Cause::Drain, 1012, 1012)));
}

#[test]
fn only_the_first_end_counts() {
    let mut session = Session::new(Policy::default());
    session.feed(Client, &close(Client, 1000, ""));
    drain(&mut session);
    session.feed(App, &close(App, 1000, ""));
    session.eof(App);
    assert_eq!(session.end(), Some(end(Initiator::Client, Cause::Close, 1000, 1000)));
    drain(&mut session);
    session.eof(Client);
    session.pass(seconds(100));
    assert_eq!(session.events.iter().filter(|event| matches!(event, Event::Ended(_))).count(), 1);
}

#[test]
fn a_drain_waits_for_a_quiet_moment() {
    let mut session = Session::new(Policy::default());
    session.feed(App, &frame(App, TEXT, b"first part"));
    session.close(Cause::Drain, CloseCode::SERVICE_RESTART, Some(session.now + seconds(20)));
    session.pass(seconds(3));
    assert_eq!(session.close_to(Client), None, "inside a message");
    session.feed(App, &frame(App, 0x80 | CONTINUATION, b"last part"));
    session.pass(QUIET_MOMENT / 2);
    session.feed(Client, &text(Client, b"thanks"));
    session.pass(QUIET_MOMENT / 2);
    assert_eq!(session.close_to(Client), None, "not silent for long enough");
    session.pass(QUIET_MOMENT / 2);
    assert_eq!(session.close_code_to(Client), Some(1012));
}

#[test]
fn a_drain_waits_no_longer_than_it_was_told() {
    let mut session = Session::new(Policy::default());
    session.feed(Client, &text(Client, b"held")[..4]);
    session.close(Cause::Drain, CloseCode::SERVICE_RESTART, Some(session.now + seconds(20)));
    session.close(Cause::Drain, CloseCode::SERVICE_RESTART, Some(session.now + seconds(30)));
    session.pass(seconds(20).saturating_sub(QUIET_MOMENT));
    assert_eq!(session.close_to(Client), None);
    session.pass(QUIET_MOMENT);
    assert_eq!(session.close_code_to(Client), Some(1012));
}

#[test]
fn a_shutdown_overtakes_a_drain_that_waits() {
    let mut session = Session::new(Policy::default());
    session.close(Cause::Drain, CloseCode::SERVICE_RESTART, Some(session.now + seconds(20)));
    session.close(Cause::Shutdown, CloseCode::GOING_AWAY, None);
    assert_eq!(session.close_to(Client), Some((1001, "shutting down".into())));
}

#[test]
fn a_slow_reader_gets_all_of_it_as_long_as_it_reads() {
    let mut session = Session::new(Policy::default());
    session.feed(App, &text(App, &payload(60_000)));
    session.relay.write_blocked(Client, session.now);
    session.eof(App);
    for left in (1..10).rev() {
        session.pass(seconds(4));
        session.relay.write_progress(Client, session.now, left);
        assert_eq!(session.end(), None, "{left} left");
    }
    session.relay.write_progress(Client, session.now, 0);
    session.feed(Client, &close(Client, 1011, ""));
    assert_eq!(session.cause(), Some(Cause::Gone(App)));

    // But not for ever.
    let mut session = Session::new(Policy::default());
    session.feed(App, &text(App, &payload(60_000)));
    session.relay.write_blocked(Client, session.now);
    session.eof(App);
    let began = session.now;
    while session.end().is_none() {
        session.pass(seconds(4));
        session.relay.write_progress(Client, session.now, 1000);
        assert!(session.now.since(began) < FLUSH_LIMIT * 2);
    }
}

#[test]
fn what_waits_behind_a_clean_end_is_flushed() {
    let mut session = Session::new(Policy::default());
    session.feed(Client, &close(Client, 1000, ""));
    session.feed(App, &close(App, 1000, ""));
    session.relay.write_blocked(Client, session.now);
    session.eof(App);
    assert_eq!(session.end(), None, "the client's Close is not out yet");
    session.relay.write_progress(Client, session.now, 0);
    session.pass(seconds(0));
    assert_eq!(session.cause(), Some(Cause::Close));
}

#[test]
fn after_the_end_there_is_time_to_flush_and_then_no_more() {
    let mut session = Session::new(Policy::default());
    session.feed(Client, &ping(Client, b""));
    session.fail(Client);
    session.fail(App);
    assert!(session.end().is_some());
    assert!(session.shuts_down(Client) && session.shuts_down(App));
    let until = session.relay.deadline().expect("time to flush");
    assert_eq!(until, session.now + seconds(5));
    session.pass(seconds(5));
    assert_eq!(session.relay.deadline(), None);
    session.feed(App, &text(App, b"nobody listens"));
    assert!(session.out[Client as usize].is_empty());
}
