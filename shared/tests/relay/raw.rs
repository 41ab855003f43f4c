//! Blind bytes.

use outrigger_shared::close::{Cause, CloseCode, Initiator, Side};
use outrigger_shared::limits::Policy;
use outrigger_shared::relay::QUIET_MOMENT;

use crate::driver::{Session, seconds};

use Side::{App, Client};

#[test]
fn anything_passes() {
    let mut session = Session::raw(Policy::default());
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    session.feed(Client, &bytes);
    session.feed(App, &bytes[1..]);
    assert_eq!(session.out[App as usize], bytes);
    assert_eq!(session.out[Client as usize], bytes[1..]);
    assert_eq!((session.stats(Client).bytes, session.stats(Client).frames), (10_000, 0));
    assert_eq!(session.events, []);
}

#[test]
fn a_half_close_is_passed_on_and_the_other_direction_goes_on() {
    let mut session = Session::raw(Policy::default());
    session.feed(Client, b"request");
    session.eof(Client);
    assert!(session.shuts_down(App) && !session.shuts_down(Client));
    assert!(!session.relay.may_read(Client, 0, session.now) && session.relay.may_read(App, 0, session.now));
    session.feed(App, b"response");
    assert_eq!(session.out[Client as usize], b"response");
    assert_eq!(session.end(), None);
    session.eof(App);
    let end = session.end().expect("an end");
    assert_eq!((end.by, end.cause, end.client_code, end.app_code), (Initiator::Client, Cause::Eof, None, None));
}

#[test]
fn the_last_bytes_are_flushed_before_the_end() {
    let mut session = Session::raw(Policy::default());
    session.feed(App, b"response");
    session.relay.write_blocked(Client, session.now);
    session.eof(App);
    session.eof(Client);
    session.pass(seconds(4));
    session.relay.write_progress(Client, session.now, 3);
    session.pass(seconds(4));
    assert_eq!(session.end(), None);
    session.relay.write_progress(Client, session.now, 0);
    session.pass(seconds(0));
    assert_eq!(session.cause(), Some(Cause::Eof));
}

#[test]
fn time_and_failures_end_it_without_a_word() {
    let mut session = Session::raw(Policy::default());
    session.feed(Client, b"x");
    session.pass(seconds(60));
    assert_eq!(session.cause(), Some(Cause::Idle));

    let mut session = Session::raw(Policy::default());
    session.feed(Client, b"x");
    session.relay.write_blocked(App, session.now);
    session.pass(seconds(30));
    session.feed(App, b"x");
    session.pass(seconds(30));
    assert_eq!(session.cause(), Some(Cause::Stalled(App)));

    let mut session = Session::raw(Policy::default());
    session.fail(App);
    assert_eq!(session.cause(), Some(Cause::Reset(App)));

    let mut session = Session::raw(Policy::default());
    session.fail_write(App);
    session.feed(Client, b"to nobody");
    session.feed(App, b"last words");
    assert_eq!((&session.out[App as usize][..], &session.out[Client as usize][..]), (&b""[..], &b"last words"[..]));
    session.eof(App);
    assert_eq!(session.cause(), Some(Cause::Reset(App)));

    let policy = Policy { max_lifetime: Some(seconds(30)), ..Policy::default() };
    let mut session = Session::raw(policy);
    session.pass(seconds(30));
    assert_eq!(session.cause(), Some(Cause::Lifetime), "without jitter");

    let mut session = Session::raw(Policy::default());
    session.close(Cause::Drain, CloseCode::SERVICE_RESTART, Some(session.now + seconds(9)));
    assert_eq!(session.end(), None);
    session.pass(QUIET_MOMENT);
    assert_eq!(session.cause(), Some(Cause::Drain));
    assert!(session.out[0].is_empty());
}
