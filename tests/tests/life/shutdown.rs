//! The end of the process: no new connections, a grace for what lives, exit 0.

use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Instant;

use outrigger_tests::app::response;
use outrigger_tests::http::{Response, get};
use outrigger_tests::ws::{CLOSE, upgrade};
use outrigger_tests::{App, End, Frame, PATIENCE, Sidecar};
use rustix::process::Signal;

/// A grace that no test waits for: whoever needs it to pass fails.
const ENDLESS: &str = "10m";

#[test]
fn sigterm_and_sigint_end_an_idle_process_with_exit_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let app = App::ok();
        let mut sidecar = Sidecar::before(app.addr()).http().https().flag("--shutdown-grace", ENDLESS).start();
        sidecar.signal(signal);
        let status = sidecar.wait_exit();
        assert_eq!(status.code(), Some(0), "{signal:?}: {status:?}");
    }
}

#[test]
fn sigterm_closes_idle_keep_alive_connections() {
    let app = App::ok();
    let mut sidecar = Sidecar::before(app.addr()).http().flag("--shutdown-grace", ENDLESS).start();
    let mut client = sidecar.client();
    client.ask(&get("/", &[])).expect(200);
    sidecar.terminate();
    client.expect_end();
    assert_eq!(sidecar.wait_exit().code(), Some(0));
}

#[test]
fn sigterm_gives_a_live_session_its_grace_and_tells_a_new_one_to_go_elsewhere() {
    let app = App::echo();
    let before = Sidecar::before(app.addr()).http();
    let mut sidecar = before.flag("--shutdown-grace", ENDLESS).flag("--drain-window", "off").start();
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.echo("before");
    sidecar.terminate();
    let refused = refused_upgrade(&sidecar);
    assert_eq!((refused.status, refused.head.get("retry-after")), (503, Some("1")));
    client.echo("during the grace");
    client.send(Frame::client(CLOSE, Frame::close_payload(1000, "")).bytes());
    client.expect_close(1000);
    client.expect_end();
    assert_eq!(sidecar.wait_exit().code(), Some(0));
}

#[test]
fn sigterm_cuts_at_the_end_of_the_grace_and_exits_0() {
    let app = App::echo();
    let mut sidecar = Sidecar::before(app.addr()).http().flag("--shutdown-grace", "1s").start();
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.echo("before");
    sidecar.terminate();
    let (_, end) = client.rest();
    assert_ne!(end, End::Silent);
    assert_eq!(sidecar.wait_exit().code(), Some(0));
    app.wait_all_ended();
}

#[test]
fn sigterm_lets_a_request_on_its_way_finish() {
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let app = App::http(move |_, _| {
        let _ = gate.lock().expect("no panic under this lock").recv();
        response(200, &[], "late but whole")
    });
    let mut sidecar = Sidecar::before(app.addr()).http().flag("--shutdown-grace", ENDLESS).start();
    let addr = sidecar.addr("http");
    let mut client = sidecar.client();
    client.send(get("/", &[]));
    app.request(0);
    sidecar.terminate();
    wait_refused(addr);
    assert!(sidecar.is_running(), "it left a request behind");
    go.send(()).expect("the app waits");
    assert_eq!(client.response("GET").expect(200).text(), "late but whole");
    assert_eq!(sidecar.wait_exit().code(), Some(0));
}

#[test]
fn sigterm_answers_who_waits_in_the_queue_of_the_port() {
    let app = App::ok();
    let mut sidecar = Sidecar::before(app.addr()).http().flag("--shutdown-grace", ENDLESS).start();
    let addr = sidecar.addr("http");
    sidecar.signal(Signal::STOP);
    // The kernel shakes hands for a process that is stopped.
    let mut queued: Vec<_> = (0..300).map(|_| sidecar.client()).collect();
    for client in &mut queued {
        client.send(get("/", &[]));
    }
    sidecar.terminate();
    sidecar.signal(Signal::CONT);
    for client in &mut queued {
        client.response("GET").expect(200);
    }
    drop(queued);
    assert_eq!(sidecar.wait_exit().code(), Some(0));
    wait_refused(addr);
}

#[test]
fn sigterm_lets_a_client_ask_that_has_only_just_connected() {
    let app = App::echo();
    let mut sidecar = Sidecar::before(app.addr()).http().https().flag("--shutdown-grace", ENDLESS).start();
    // With the handshake done, it is certain that the process has them.
    let (mut asks, mut silent) = (sidecar.connect("https"), sidecar.connect("https"));
    sidecar.terminate();
    wait_refused(sidecar.addr("http"));
    let answer = asks.ask(&get("/", &[])).expect(200);
    assert_eq!(answer.head.get("connection"), Some("close"));
    // Who says nothing is not waited for until the grace is over.
    silent.expect_end();
    assert_eq!(sidecar.wait_exit().code(), Some(0));
}

/// Asks for sessions until one is refused.
fn refused_upgrade(sidecar: &Sidecar) -> Response {
    let start = Instant::now();
    loop {
        let mut client = sidecar.client();
        client.send(upgrade("/", &[]));
        let answer = client.response("GET");
        if answer.status != 101 {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "it still takes sessions");
    }
}

/// Waits until nobody listens any more.
fn wait_refused(addr: SocketAddr) {
    let start = Instant::now();
    while TcpStream::connect(addr).is_ok() {
        assert!(start.elapsed() < PATIENCE, "{addr} still takes connections after SIGTERM");
    }
}
