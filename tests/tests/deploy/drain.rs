//! SIGTERM with many sessions: each gets its Close in its own share of the window.

use std::thread;
use std::time::{Duration, Instant};

use outrigger_tests::ws::CLOSE;
use outrigger_tests::{App, Frame, Sidecar, Wire};

const SESSIONS: u32 = 40;
const WINDOW: Duration = Duration::from_secs(4);
/// A signal is not felt before it is sent, but a clock is read after it.
const CLOCK: Duration = Duration::from_millis(50);

#[test]
fn b21_a_drain_spreads_its_closes_over_the_window_in_random_order() {
    let app = App::echo();
    let window = format!("{}s", WINDOW.as_secs());
    let before = Sidecar::before(app.addr()).http();
    let mut sidecar = before.flag("--drain-window", window).flag("--drain-quiet", "0").start();
    let clients: Vec<Wire> = (0..SESSIONS).map(|_| sidecar.session()).collect();
    let began = Instant::now();
    sidecar.terminate();
    let waiting: Vec<_> = clients.into_iter().map(|client| thread::spawn(move || closed(client, began))).collect();
    let moments: Vec<Duration> = waiting.into_iter().map(|thread| thread.join().expect("it got its Close")).collect();

    // However busy the machine is, nobody is closed before its share begins.
    let mut sorted = moments.clone();
    sorted.sort_unstable();
    for (place, moment) in (0..).zip(&sorted) {
        let earliest = WINDOW * place / SESSIONS;
        assert!(*moment + CLOCK >= earliest, "Close {place} came after {moment:?}, its share begins at {earliest:?}");
    }
    assert_ne!(moments, sorted, "those that came first are not the first to go");
    assert_eq!(sidecar.wait_exit().code(), Some(0));
    let ended = sidecar.wait_log("the account of the drain", |line| line["message"] == "drained");
    assert_eq!(ended["sessions"], SESSIONS);
    let causes = sidecar.log().iter().filter(|line| line.contains(r#""cause":"drain""#)).count();
    assert_eq!(causes, 40, "every session says why it ended");
}

#[test]
fn b21_what_a_client_still_sends_after_the_close_of_a_drain_reaches_the_app() {
    let app = App::echo();
    let before = Sidecar::before(app.addr()).http();
    let mut sidecar = before.flag("--drain-window", "0s").flag("--drain-quiet", "0").start();
    let mut client = sidecar.session();
    sidecar.terminate();
    client.expect_close(1012);
    client.send(Frame::client(outrigger_tests::ws::TEXT, "the last word").bytes());
    client.send(Frame::client(CLOSE, Frame::close_payload(1012, "")).bytes());
    client.expect_end();
    app.wait_frame("what the client said last", |frame| frame.payload == b"the last word");
    assert_eq!(sidecar.wait_exit().code(), Some(0));
}

/// When a client gets its Close; it answers, and sees the end.
fn closed(mut client: Wire, began: Instant) -> Duration {
    client.expect_close(1012);
    let moment = began.elapsed();
    client.send(Frame::client(CLOSE, Frame::close_payload(1012, "")).bytes());
    client.expect_end();
    moment
}
