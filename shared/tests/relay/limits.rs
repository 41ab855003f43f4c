//! Sizes, fragments and rates: at the limit and over it.

use std::time::Duration;

use outrigger_shared::close::{Cause, Side};
use outrigger_shared::event::Event;
use outrigger_shared::limits::{ByteRate, Limit, OverRate, Policy, Rate};

use crate::driver::{Session, seconds};
use crate::wire::{CONTINUATION, TEXT, close, frame, payload, ping, text};

use Side::{App, Client};

fn assert_too_big(from: Side, session: &mut Session, limit: Limit, cause: Cause, passed: usize) {
    assert!(session.events.contains(&Event::LimitHit { from, limit }), "{:?}", session.events);
    assert_eq!(session.forwarded[from as usize], passed as u64);
    assert_eq!(session.close_code_to(from), Some(1009));
    assert_eq!(session.close_code_to(from.peer()), Some(if from == Client { 1001 } else { 1011 }));
    // The stream stays readable: the answers end the session without a timeout.
    for side in Side::BOTH {
        session.feed(side, &close(side, 1009, ""));
    }
    session.eof(App);
    assert_eq!(session.cause(), Some(cause));
}

#[test]
fn a_message_of_the_limit_passes_and_one_byte_more_does_not() {
    for from in Side::BOTH {
        let policy = Policy { max_message_size: Some(20_000), ..Policy::default() };
        let mut session = Session::new(policy.clone());
        session.feed(from, &text(from, &payload(20_000)));
        assert_eq!(session.events, []);
        let passed = session.forwarded[from as usize];
        session.feed(from, &text(from, &payload(20_001)));
        assert_too_big(
            from,
            &mut session,
            Limit::MessageSize,
            Cause::MessageTooBig(from),
            usize::try_from(passed).unwrap(),
        );
        assert_eq!(session.events[0], Event::LimitHit { from, limit: Limit::MessageSize });

        // Summed over its fragments, by what they declare: nothing of the one that goes over is forwarded.
        let mut session = Session::new(policy);
        let within =
            [frame(from, TEXT, &payload(19_999)), ping(from, b""), frame(from, CONTINUATION, &[1; 1])].concat();
        session.feed(from, &within);
        session.feed(from, &frame(from, 0x80 | CONTINUATION, b""));
        session.feed(from, &within);
        assert_eq!(session.events, []);
        let passed = usize::try_from(session.forwarded[from as usize]).unwrap();
        session.feed(from, &frame(from, CONTINUATION, &[1; 1]));
        assert_too_big(from, &mut session, Limit::MessageSize, Cause::MessageTooBig(from), passed);
    }
}

#[test]
fn the_reason_names_the_limit() {
    let mut session = Session::new(Policy { max_message_size: Some(67_108_864), ..Policy::default() });
    session.feed(Client, &crate::wire::header(0x81, true, 67_108_865));
    session.feed(Client, &[1, 2, 3, 4]);
    assert_eq!(session.close_to(Client), Some((1009, "message from the client over 67108864 bytes".into())));
}

#[test]
fn frames_have_a_limit_of_their_own() {
    for from in Side::BOTH {
        let mut session = Session::new(Policy { max_frame_size: Some(100), ..Policy::default() });
        let within = [frame(from, TEXT, &[1; 100]), frame(from, 0x80 | CONTINUATION, &[1; 100])].concat();
        session.feed(from, &within);
        assert_eq!(session.events, []);
        session.feed(from, &text(from, &[1; 101]));
        assert_too_big(from, &mut session, Limit::FrameSize, Cause::FrameTooBig(from), within.len());
    }
}

#[test]
fn a_message_may_have_so_many_fragments() {
    for from in Side::BOTH {
        let mut session = Session::new(Policy { max_fragments: Some(3), ..Policy::default() });
        let three =
            [frame(from, TEXT, b"1"), frame(from, CONTINUATION, b"2"), frame(from, 0x80 | CONTINUATION, b"3")].concat();
        session.feed(from, &three.repeat(2));
        assert_eq!(session.events, []);
        let open = [frame(from, TEXT, b""), frame(from, CONTINUATION, b""), frame(from, CONTINUATION, b"")].concat();
        session.feed(from, &open);
        session.feed(from, &frame(from, CONTINUATION, b""));
        let passed = three.len() * 2 + open.len();
        assert_too_big(from, &mut session, Limit::Fragments, Cause::TooManyFragments(from), passed);
    }
}

#[test]
fn a_sender_over_its_message_rate_is_slowed_down() {
    let policy = Policy { message_rate: Some(Rate { per_second: 10, burst: 3 }), ..Policy::default() };
    let mut session = Session::new(policy);
    let may_read = |session: &Session, from| session.relay.may_read(from, 0, session.now);
    session.feed(Client, &text(Client, b"x").repeat(2));
    assert!(may_read(&session, Client));
    session.feed(Client, &text(Client, b"x").repeat(2));
    assert!(!may_read(&session, Client) && may_read(&session, App));
    assert_eq!(session.frames(App).len(), 4, "what was read is forwarded");
    assert_eq!(session.events, [Event::RateLimited { from: Client, on: true }]);
    // One over the burst, so the next token is two tenths of a second away.
    assert_eq!(session.relay.deadline(), Some(session.now + Duration::from_millis(200)));
    session.pass(Duration::from_millis(199));
    assert!(!may_read(&session, Client));
    session.pass(Duration::from_millis(1));
    assert!(may_read(&session, Client));
    assert_eq!(session.events.last(), Some(&Event::RateLimited { from: Client, on: false }));
    // Control frames and fragments are no messages.
    session.feed(Client, &frame(Client, TEXT, b"x"));
    assert!(!may_read(&session, Client));
    session.pass(Duration::from_millis(100));
    session.feed(Client, &[ping(Client, b"x").repeat(9), frame(Client, 0x80, b"x")].concat());
    assert!(may_read(&session, Client));
}

#[test]
fn a_sender_over_its_byte_rate_is_slowed_down() {
    let policy = Policy { byte_rate: Some(ByteRate { per_second: 1000, burst: 5000 }), ..Policy::default() };
    let mut session = Session::new(policy);
    session.feed(App, &text(App, &[0; 10_000])[..5000]);
    assert!(!session.relay.may_read(App, 0, session.now));
    session.pass(Duration::from_millis(1));
    assert!(session.relay.may_read(App, 0, session.now), "in the middle of a frame as well");
}

#[test]
fn a_sender_over_its_rate_is_closed_where_the_policy_says_so() {
    let rate = Some(Rate { per_second: 10, burst: 3 });
    let mut session = Session::new(Policy { message_rate: rate, over_rate: OverRate::Close, ..Policy::default() });
    session.feed(Client, &text(Client, b"x").repeat(3));
    session.pass(Duration::from_millis(100));
    session.feed(Client, &text(Client, b"x"));
    assert_eq!(session.events, []);
    session.feed(Client, &text(Client, b"x").repeat(2));
    assert_eq!(session.close_to(Client), Some((1008, "client over its rate".into())));
    assert_eq!(session.close_code_to(App), Some(1001));
    assert_eq!(session.frames(App).len(), 5, "four messages and the Close");

    let rate = Some(ByteRate { per_second: 1000, burst: 5000 });
    let mut session = Session::new(Policy { byte_rate: rate, over_rate: OverRate::Close, ..Policy::default() });
    session.feed(App, &text(App, &[0; 4996]));
    assert_eq!(session.events, []);
    session.feed(App, &text(App, b""));
    assert_eq!(session.close_code_to(App), Some(1008));
    assert_eq!(session.close_code_to(Client), Some(1011));
}

#[test]
fn a_long_frame_over_the_rate_comes_to_its_end() {
    let rate = Some(ByteRate { per_second: 1000, burst: 5000 });
    let mut session = Session::new(Policy { byte_rate: rate, over_rate: OverRate::Close, ..Policy::default() });
    let long = text(Client, &payload(20_000));
    session.feed(Client, &long[..6000]);
    assert_eq!(session.close_code_to(Client), Some(1008));
    session.feed(Client, &[&long[6000..], &text(Client, b"not this")].concat());
    assert_eq!(session.frames(App).len(), 2);
    assert_eq!(session.close_code_to(App), Some(1001));
    session.pass(seconds(20));
    assert_eq!(session.cause(), Some(Cause::RateExceeded(Client)));
}

#[test]
fn a_full_write_buffer_stops_the_sender() {
    let policy = Policy { write_buffer: 1000, ..Policy::default() };
    let mut session = Session::new(policy);
    session.feed(Client, &text(Client, b"x"));
    assert!(session.relay.may_read(Client, 999, session.now));
    assert!(!session.relay.may_read(Client, 1000, session.now));
    // Unless what comes is dropped: then the end of it has to be found.
    session.feed(App, &close(App, 1000, ""));
    assert!(!session.relay.may_read(Client, 1000, session.now), "the app still gets data, and the Close");
    session.feed(Client, &close(Client, 1000, ""));
    assert!(session.relay.may_read(Client, 1000, session.now));
    session.eof(Client);
    assert!(!session.relay.may_read(Client, 0, session.now));
}
