//! Keepalive, idle limit, send timeout, lifetime.

use std::time::Duration;

use outrigger_shared::close::{Cause, CloseCode, Initiator, Side};
use outrigger_shared::event::Event;
use outrigger_shared::limits::{ByteRate, Keepalive, Policy};
use outrigger_shared::relay::{LIFETIME_GRACE, LINGER, Negotiated, QUIET_MOMENT};

use crate::driver::{START, Session, just_below, seconds};
use crate::wire::{self, PING, close, frame, payload, ping, pong, text};

use Side::{App, Client};

/// Keepalive to one side only.
fn keepalive_to(side: Side) -> Policy {
    match side {
        Client => Policy { keepalive_app: None, ..Policy::default() },
        App => Policy { keepalive_client: None, ..Policy::default() },
    }
}

fn no_keepalive() -> Policy {
    Policy { keepalive_client: None, keepalive_app: None, ..Policy::default() }
}

#[test]
fn a_silent_side_is_pinged_and_its_pong_is_ours() {
    for side in Side::BOTH {
        let mut session = Session::new(keepalive_to(side));
        session.pass(just_below(seconds(25)));
        assert_eq!(session.frames(side), []);
        session.pass(Duration::from_micros(1));
        let payload = session.last_ping(side);
        assert_eq!(payload.len(), 8);
        session.pass(Duration::from_millis(80));
        session.feed(side, &pong(side, &payload));
        assert_eq!(session.frames(side.peer()), [], "the pong is swallowed");
        let rtt = Duration::from_millis(80);
        assert_eq!(session.events, [Event::PingSent { to: side }, Event::PongReceived { from: side, rtt }]);
        let stats = session.stats(side);
        assert_eq!((stats.pings_injected, stats.pongs_swallowed, stats.ping_rtt), (1, 1, Some(rtt)));
        assert_eq!((stats.pongs, stats.bytes_discarded), (0, stats.bytes));
        // A second one is nobody's answer.
        session.feed(side, &pong(side, &payload));
        assert_eq!(session.frames(side.peer()).len(), 1);
    }
}

/// The driver looks at the sockets once more before an end, and not before each ping.
#[test]
fn an_end_by_the_clock_is_announced_and_a_ping_is_not() {
    for side in Side::BOTH {
        let mut session = Session::new(keepalive_to(side));
        let due = |session: &Session| session.relay.deadline().expect("it has a keepalive");
        let asks = due(&session);
        assert_eq!(asks.since(START), seconds(25));
        assert!(!session.relay.may_end_at(asks));
        session.pass(seconds(25));
        let gives_up = due(&session);
        assert_eq!(gives_up.since(START), seconds(45));
        assert!(session.relay.may_end_at(gives_up) && !session.relay.may_end_at(asks));
        // A sidecar that was stopped for an hour finds more than a ping due.
        let asleep = Session::new(keepalive_to(side));
        assert!(asleep.relay.may_end_at(START + seconds(3600)));
    }
}

#[test]
fn live_peers_are_never_idle() {
    let mut session = Session::new(Policy::default());
    let mut answered = [0; 2];
    for _ in 0..3600 {
        session.pass(seconds(1));
        for side in Side::BOTH {
            let pings = session.stats(side).pings_injected;
            if pings > answered[side as usize] {
                answered[side as usize] = pings;
                let payload = session.last_ping(side);
                session.feed(side, &pong(side, &payload));
            }
        }
    }
    assert_eq!(session.end(), None);
    assert!(answered[0] > 130 && answered[1] > 130, "{answered:?}");
    let frames = session.frames(Client);
    assert!(frames.iter().all(|frame| frame.opcode == PING));
}

#[test]
fn other_pongs_and_the_peers_own_pings_pass() {
    let mut session = Session::new(keepalive_to(Client));
    session.pass(seconds(25));
    let payload = session.last_ping(Client);
    let mut other = payload.clone();
    other[7] ^= 1;
    let passing =
        [pong(Client, &other), pong(Client, &payload[..7]), ping(Client, &payload), pong(Client, b"")].concat();
    session.feed(Client, &passing);
    assert_eq!(session.out[App as usize], passing);
    session.feed(App, &pong(App, &payload));
    assert_eq!(
        session.frames(Client).len(),
        2,
        "the app's pong with the same payload is not an answer of the client's"
    );
    session.feed(Client, &pong(Client, &payload));
    assert_eq!(session.out[App as usize], passing);
}

#[test]
fn any_byte_proves_life_and_a_late_pong_is_still_ours() {
    let mut session = Session::new(keepalive_to(Client));
    session.pass(seconds(25));
    let payload = session.last_ping(Client);
    session.pass(seconds(19));
    session.feed(Client, &text(Client, b"part of a frame")[..3]);
    session.pass(seconds(24));
    assert_eq!(session.end(), None);
    session.pass(seconds(1));
    assert_eq!(session.stats(Client).pings_injected, 2);
    assert_eq!(session.last_ping(Client), payload, "unanswered, so asked again in the same words");
    session.feed(Client, &text(Client, b"part of a frame")[3..]);
    session.feed(Client, &pong(Client, &payload));
    assert_eq!(session.frames(App).len(), 1);
    session.pass(seconds(25));
    assert_eq!(session.last_ping(Client), payload, "the other answer may still come");
    session.feed(Client, &[pong(Client, &payload), pong(Client, &payload)].concat());
    assert_eq!(session.frames(App).len(), 1);
    session.pass(seconds(25));
    assert_ne!(session.last_ping(Client), payload);
}

/// A slow reader that speaks finds several pings at once when it reads again, and answers each.
#[test]
fn each_ping_that_went_unanswered_may_be_answered_late() {
    for side in Side::BOTH {
        let mut session = Session::new(keepalive_to(side));
        for _ in 0..3 {
            session.pass(seconds(25));
            session.feed(side, &text(side, b"busy"));
        }
        assert_eq!(session.stats(side).pings_injected, 3);
        let payload = session.last_ping(side);
        for answered in 1..=3 {
            session.feed(side, &pong(side, &payload));
            assert_eq!(session.stats(side).pongs_swallowed, answered);
        }
        assert_eq!(session.frames(side.peer()).len(), 3, "the texts alone");
        session.feed(side, &pong(side, &payload));
        assert_eq!(session.frames(side.peer()).len(), 4, "nobody asked for a fourth");
        session.pass(seconds(25));
        assert_ne!(session.last_ping(side), payload);
    }
}

#[test]
fn a_dead_peer_is_given_up() {
    for (side, spoke) in [(Client, false), (App, false), (App, true)] {
        let other = side.peer();
        let mut session = Session::new(keepalive_to(side));
        if spoke {
            session.feed(side, &text(side, b"alive so far"));
        }
        session.pass(just_below(seconds(45)));
        assert_eq!(session.close_to(side), None);
        session.pass(Duration::from_micros(1));
        let reason = format!("no answer to a ping from the {side} in 20 s");
        // An app that never said anything is a gateway's problem, one that fell silent an error of its own.
        let told = match (other, spoke) {
            (App, _) => 1001,
            (Client, true) => 1011,
            (Client, false) => 1014,
        };
        assert_eq!(session.close_to(side), Some((1011, reason.clone())));
        assert_eq!(session.close_to(other), Some((told, reason)));
        session.feed(other, &close(other, 1001, ""));
        session.pass(LINGER);
        let end = session.end().expect("the dead side is not waited for");
        assert_eq!((end.by, end.cause), (Initiator::Sidecar, Cause::KeepaliveLost(side)));
    }
}

#[test]
fn a_ping_waits_for_the_end_of_a_long_frame_and_so_does_its_timer() {
    let mut session = Session::new(Policy { idle_timeout: None, ..keepalive_to(App) });
    let long = text(Client, &[1; 10_000]);
    session.feed(Client, &long[..5000]);
    session.pass(seconds(100));
    assert_eq!(session.stats(App).pings_injected, 0);
    session.feed(Client, &[&long[5000..], &text(Client, b"behind it")].concat());
    let opcodes: Vec<u8> = session.frames(App).iter().map(|frame| frame.opcode).collect();
    assert_eq!(opcodes, [wire::TEXT, PING, wire::TEXT], "at the first boundary");
    session.pass(seconds(19));
    assert_eq!(session.close_to(App), None);
    session.pass(seconds(1));
    assert_eq!(session.close_code_to(App), Some(1011));
}

#[test]
fn a_side_that_speaks_while_its_ping_waits_needs_none() {
    let mut session = Session::new(keepalive_to(App));
    let long = text(Client, &[1; 10_000]);
    session.feed(Client, &long[..5000]);
    session.pass(seconds(30));
    session.feed(App, &text(App, b"here I am"));
    session.feed(Client, &long[5000..]);
    assert_eq!(session.frames(App).len(), 1);
}

#[test]
fn a_slow_reader_is_not_a_dead_one() {
    let mut session = Session::new(Policy { idle_timeout: None, ..keepalive_to(Client) });
    session.feed(App, &text(App, &payload(60_000)));
    session.relay.write_blocked(Client, session.now);
    for left in (1..6).rev() {
        session.pass(seconds(19));
        session.relay.write_progress(Client, session.now, left * 1000);
    }
    assert_eq!(session.stats(Client).pings_injected, 1);
    session.relay.write_progress(Client, session.now, 0);
    session.pass(just_below(seconds(20)));
    assert_eq!(session.close_to(Client), None);
    session.pass(Duration::from_micros(1));
    assert_eq!(session.close_code_to(Client), Some(1011), "but it has to answer once it got the ping");
}

#[test]
fn a_side_that_is_not_read_is_not_blamed_for_its_silence() {
    // The client is slow, so the app is not read: whatever it sends, and its pongs, wait in its socket.
    let mut session = Session::new(Policy::default());
    session.feed(App, &text(App, &payload(60_000)));
    session.relay.write_blocked(Client, session.now);
    for left in (1..30).rev() {
        session.pass(seconds(10));
        session.feed(Client, &pong(Client, b""));
        if left % 5 == 0 {
            session.relay.write_progress(Client, session.now, left);
        }
    }
    session.relay.write_progress(Client, session.now, 0);
    session.pass(just_below(seconds(25)));
    assert_eq!(session.stats(App).pings_injected, 0);
    session.pass(Duration::from_micros(1));
    assert_eq!(session.stats(App).pings_injected, 1);
    assert_eq!(session.end(), None);

    // The same at a rate that makes the app wait for two minutes.
    let byte_rate = Some(ByteRate { per_second: 100, burst: 1000 });
    let mut session = Session::new(Policy { byte_rate, ..keepalive_to(App) });
    session.feed(App, &text(App, &[0; 13_000]));
    session.pass(seconds(120));
    assert!(!session.relay.may_read(App, 0, session.now));
    assert_eq!(session.injected, [0, 0]);
    session.pass(seconds(26));
    assert_eq!(session.stats(App).pings_injected, 1);
}

#[test]
fn a_slow_transfer_is_not_idle() {
    let mut session = Session::new(no_keepalive());
    session.feed(App, &text(App, &payload(60_000)));
    session.relay.write_blocked(Client, session.now);
    for left in (0..5).rev() {
        session.pass(seconds(40));
        session.relay.write_progress(Client, session.now, left);
    }
    session.pass(just_below(seconds(60)));
    assert_eq!(session.events, []);
    session.pass(Duration::from_micros(1));
    assert_eq!(session.close_code_to(Client), Some(1001));
}

#[test]
fn an_idle_session_is_closed_in_order() {
    let mut session = Session::new(no_keepalive());
    session.pass(seconds(30));
    session.feed(App, &text(App, b"x"));
    session.pass(just_below(seconds(60)));
    assert_eq!(session.close_to(Client), None);
    session.pass(Duration::from_micros(1));
    assert_eq!(session.close_to(Client), Some((1001, "idle for 60 s".into())));
    session.feed(Client, &close(Client, 1001, ""));
    assert_eq!(session.close_code_to(App), Some(1001));
    session.feed(App, &close(App, 1001, ""));
    session.eof(App);
    let end = session.end().expect("an end");
    assert_eq!((end.by, end.cause), (Initiator::Sidecar, Cause::Idle));
}

#[test]
fn without_any_limit_there_is_no_deadline() {
    let policy = Policy { idle_timeout: None, ..no_keepalive() };
    let session = Session::new(policy);
    assert_eq!(session.relay.deadline(), None);
}

#[test]
fn activity_moves_the_deadline_and_nothing_happens_before_it() {
    let mut session = Session::new(Policy::default());
    assert_eq!(session.relay.deadline(), Some(START + seconds(25)));
    session.pass(seconds(10));
    session.feed(Client, &text(Client, b"x"));
    assert_eq!(session.relay.deadline(), Some(START + seconds(25)), "the app's");
    session.feed(App, &text(App, b"x"));
    assert_eq!(session.relay.deadline(), Some(START + seconds(35)));
    session.timeout();
    assert_eq!(session.events, []);
    assert_eq!(session.injected, [0, 0]);
}

#[test]
fn a_side_that_takes_nothing_is_stalled() {
    for side in Side::BOTH {
        let mut session = Session::new(Policy { idle_timeout: None, ..no_keepalive() });
        session.feed(side.peer(), &text(side.peer(), &[1; 3000]));
        session.relay.write_blocked(side, session.now);
        session.pass(seconds(59));
        session.relay.write_blocked(side, session.now);
        session.pass(just_below(seconds(1)));
        assert_eq!(session.events, []);
        session.relay.write_progress(side, session.now, 100);
        session.pass(seconds(60));
        assert_eq!(session.close_to(side), Some((1008, format!("{side} took no data for 60 s"))));
        let other = side.peer();
        assert_eq!(session.close_code_to(other), Some(if other == Client { 1011 } else { 1001 }));
        session.pass(seconds(20));
        assert_eq!(session.cause(), Some(Cause::Stalled(side)));
    }
}

#[test]
fn a_write_that_came_through_is_no_stall() {
    let mut session = Session::new(Policy { idle_timeout: None, ..no_keepalive() });
    session.relay.write_blocked(Client, session.now);
    session.relay.write_progress(Client, session.now, 0);
    assert_eq!(session.relay.deadline(), None);
}

#[test]
fn a_lifetime_ends_at_a_quiet_moment() {
    let policy =
        Policy { max_lifetime: Some(seconds(600)), lifetime_jitter_percent: 0, idle_timeout: None, ..no_keepalive() };
    let mut session = Session::new(policy.clone());
    session.pass(seconds(599));
    session.feed(Client, &text(Client, b"x"));
    session.pass(seconds(1));
    assert_eq!(session.close_to(Client), Some((1001, "session older than 600 s".into())));

    // Never quiet: at most the grace later.
    let mut session = Session::new(policy);
    session.pass(seconds(599));
    session.feed(Client, &frame(Client, wire::TEXT, b"never finished"));
    session.pass((seconds(1) + LIFETIME_GRACE).saturating_sub(QUIET_MOMENT));
    assert_eq!(session.close_to(Client), None);
    session.pass(QUIET_MOMENT);
    assert_eq!(session.close_code_to(Client), Some(1001));
    session.feed(Client, &close(Client, 1001, ""));
    session.eof(App);
    assert_eq!(session.cause(), Some(Cause::Lifetime));
}

#[test]
fn lifetimes_are_spread_by_the_seed() {
    let policy = Policy { max_lifetime: Some(seconds(1000)), idle_timeout: None, ..no_keepalive() };
    let mut ends: Vec<u64> = (0..200)
        .map(|seed| {
            let session = Session::negotiated(policy.clone(), Negotiated::default(), seed);
            session.relay.deadline().expect("a lifetime").since(START).as_secs()
        })
        .collect();
    assert!(ends.iter().all(|end| (900..=1000).contains(end)), "never later than the limit: {ends:?}");
    ends.sort_unstable();
    assert!(ends[0] < 910 && ends[199] > 990 && (940..960).contains(&ends[100]), "{ends:?}");
}

#[test]
fn pings_and_masks_come_from_the_seed() {
    let streams = [1, 1, 2].map(|seed| {
        let mut session = Session::negotiated(keepalive_to(App), Negotiated::default(), seed);
        session.pass(seconds(25));
        session.close(Cause::Shutdown, CloseCode::GOING_AWAY, None);
        session.eof(Client);
        session.out[App as usize].clone()
    });
    assert_eq!(streams[0], streams[1]);
    assert_ne!(streams[0], streams[2]);
}

#[test]
fn zero_timeouts_do_not_spin() {
    let keepalive = Some(Keepalive { interval: Duration::ZERO, pong_timeout: Duration::ZERO });
    let policy = Policy {
        keepalive_client: keepalive,
        keepalive_app: keepalive,
        close_timeout: Duration::ZERO,
        idle_timeout: Some(Duration::ZERO),
        ..Policy::default()
    };
    let mut session = Session::new(policy);
    session.pass(seconds(3));
    assert!(session.end().is_some());
}
