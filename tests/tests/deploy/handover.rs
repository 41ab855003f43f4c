//! A new process takes the listening sockets of the old one over a Unix socket.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};

use outrigger_tests::http::get;
use outrigger_tests::sidecar::Finished;
use outrigger_tests::ws::CLOSE;
use outrigger_tests::{App, End, Frame, Launch, Scratch, Sidecar, Wire};
use serde_json::json;

use crate::flood::Flood;

const CONNECTS: usize = 10_000;
/// Faults in the settings.
const EXIT_CONFIG: i32 = 2;
/// What goes wrong when it runs.
const EXIT_RUNTIME: i32 = 1;

/// One app, and sidecars that take over from each other in front of it.
struct Line {
    app: App,
    scratch: Scratch,
}

impl Line {
    fn new() -> Line {
        Line { app: App::echo(), scratch: Scratch::new() }
    }

    fn path(&self) -> String {
        self.scratch.path("handover.sock")
    }

    fn launch(&self) -> Launch {
        self.launch_with("500ms")
    }

    /// One that leaves its sessions alone until the second signal.
    fn launch_patient(&self) -> Launch {
        self.launch_with("off").flag("--shutdown-grace", "1h")
    }

    fn launch_with(&self, window: &str) -> Launch {
        let launch = Sidecar::before(self.app.addr()).flag("--handover", self.path());
        launch.env("OUTRIGGER_DRAIN_WINDOW", window).env("OUTRIGGER_DRAIN_QUIET", "100ms")
    }

    /// The next process, at the address of the one before.
    fn next(&self, addr: SocketAddr) -> Sidecar {
        self.launch().flag("--listen", format!("http://{addr}")).start()
    }
}

#[track_caller]
fn assert_exits_0(mut old: Sidecar) {
    assert_eq!(old.wait_exit().code(), Some(0), "{:#?}", old.log());
}

#[track_caller]
fn assert_says(finished: &Finished, words: &[&str]) {
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} expected in {}", finished.stderr);
    }
}

#[test]
fn each_of_ten_thousand_connects_is_served_while_three_processes_hand_over() {
    let line = Line::new();
    let mut current = line.launch().http().start();
    let addr = current.addr("http");
    let flood = Flood::start(addr, 4, CONNECTS / 4);
    for _ in 0..3 {
        flood.wait_quarter();
        let mut stays = Wire::session(addr);
        let next = line.next(addr);
        assert_eq!(next.addr("http"), addr);
        stays.part();
        assert_exits_0(std::mem::replace(&mut current, next));
    }
    flood.finish().expect_all_served(CONNECTS);
    Wire::session(addr);
}

#[test]
fn a_session_stays_with_the_old_process_until_its_close() {
    let line = Line::new();
    let old = line.launch_patient().http().start();
    let addr = old.addr("http");
    let mut stays = Wire::session(addr);
    let new = line.next(addr);
    old.wait_log("handed over", |line| line["message"] == "handed over; stopping");
    stays.echo("after the handover");
    let mut fresh = Wire::session(addr);
    // The first signal starts the grace, the second ends it.
    old.terminate();
    stays.echo("in the grace");
    old.terminate();
    stays.part();
    assert_exits_0(old);
    fresh.echo("with the new one");
    drop(new);
}

#[test]
fn the_old_process_drains_over_its_window() {
    let line = Line::new();
    let old = line.launch().http().start();
    let mut clients = [(); 20].map(|()| Wire::session(old.addr("http")));
    let _new = line.next(old.addr("http"));
    for client in &mut clients {
        client.part();
        let account = old.session_of(client.local_addr());
        assert_eq!((&account["cause"], &account["client_code"]), (&json!("drain"), &json!(1012)), "{account}");
    }
    assert_exits_0(old);
}

#[test]
fn who_has_only_just_connected_gets_an_answer_from_the_old_process() {
    let line = Line::new();
    let old = line.launch().http().https().start();
    let addr = old.addr("http");
    // With the handshake done, it is certain which process has the connection.
    let (mut asks, mut opens) = (old.connect("https"), old.connect("https"));
    let _new = line.next(addr);
    old.wait_log("handed over", |line| line["message"] == "handed over; stopping");
    let answer = asks.ask(&get("/", &[])).expect(200);
    assert_eq!(answer.head.get("connection"), Some("close"));
    opens.open("/", &[]);
    opens.echo("a session, if a short one");
    opens.part();
    assert_exits_0(old);
}

#[test]
fn a_new_process_that_does_not_get_ready_leaves_the_old_one_alone() {
    let line = Line::new();
    let mut old = line.launch().http().start();
    let addr = old.addr("http");
    let mut stays = Wire::session(addr);
    let listen = format!("http://{addr}");

    let broken = line.launch().flag("--listen", &listen).flag("--drain-window", "never").fail();
    broken.expect(EXIT_CONFIG);
    let missing = line.launch().flag("--listen", &listen).flag("--listen", "https://127.0.0.1:0");
    missing.flag("--tls-cert", "none.pem").flag("--tls-key", "none.pem").fail().expect(EXIT_CONFIG);
    // This one has the sockets already when it fails.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = format!("http://{}", taken.local_addr().expect("a bound socket"));
    let late = line.launch().flag("--listen", &listen).flag("--listen", &taken).fail().expect(EXIT_RUNTIME);
    assert_says(&late, &[&taken, "another process has it"]);
    old.wait_log("that it goes on", |line| line["message"] == "a handover came to nothing; this process goes on");

    assert!(old.is_running());
    stays.echo("as if nothing had been");
    Wire::session(addr);
    let _new = line.next(addr);
    stays.part();
    assert_exits_0(old);
}

#[test]
fn who_talks_nonsense_to_the_old_process_gets_nothing() {
    let line = Line::new();
    let mut old = line.launch().http().start();
    let addr = old.addr("http");
    for nonsense in ["", "no\n", "readyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "\u{ff}\n", "GET / HTTP/1.1\r\n\r\n"] {
        let mut stranger = UnixStream::connect(line.path()).expect("the old process is there");
        stranger.write_all(nonsense.as_bytes()).expect("a socket takes a few bytes");
        drop(stranger);
    }
    let _new = line.next(addr);
    let declined = |line: &&String| line.contains("a handover came to nothing");
    assert_eq!(old.log().iter().filter(declined).count(), 5, "{:#?}", old.log());
    assert!(old.wait_exit().success());
}

#[test]
fn listeners_come_and_go_with_a_handover() {
    let line = Line::new();
    let old = line.launch().http().flag("--listen", "http://127.0.0.2:0").start();
    let listening = |line: &String| line.split_once("127.0.0.2:")?.1.split('"').next()?.parse().ok();
    let port: u16 = old.log().iter().find_map(listening).expect("the second listener's address");
    let (stays, goes) = (old.addr("http"), SocketAddr::from(([127, 0, 0, 2], port)));
    Wire::session(goes);
    let new = line.launch().flag("--listen", format!("http://{stays}")).flag("--listen", "http://127.0.0.3:0").start();
    assert_exits_0(old);
    assert!(TcpStream::connect(goes).is_err(), "{goes} is still open");
    assert!(new.log().iter().any(|line| line.contains("127.0.0.3:")), "{:#?}", new.log());
    Wire::session(stays);
}

#[test]
fn any_port_is_the_port_of_the_old_process() {
    let line = Line::new();
    let old = line.launch().http().https().start();
    let (http, https) = (old.addr("http"), old.addr("https"));
    // In another order, so that only the scheme can tell which is which.
    let new = line.launch().https().http().start();
    assert_eq!((new.addr("http"), new.addr("https")), (http, https));
    assert_exits_0(old);
    new.connect("https").ask(&get("/", &[])).expect(200);
    new.connect("http").ask(&get("/", &[])).expect(200);
}

#[test]
fn a_process_that_drains_after_a_signal_hands_over_still() {
    let line = Line::new();
    let old = line.launch_patient().http().start();
    let addr = old.addr("http");
    let mut stays = Wire::session(addr);
    old.terminate();
    old.wait_log("the drain", |line| line["message"] == "drain begins");
    let _new = line.next(addr);
    Wire::session(addr);
    stays.send(Frame::client(CLOSE, Frame::close_payload(1000, "")).bytes());
    stays.expect_close(1000);
    stays.expect_end();
    assert_exits_0(old);
}

#[test]
fn what_a_dead_process_left_behind_is_no_obstacle() {
    let line = Line::new();
    drop(UnixListener::bind(line.path()).expect("a free path"));
    let mut first = line.launch().http().start();
    let addr = first.addr("http");
    first.signal(rustix::process::Signal::KILL);
    assert!(!first.wait_exit().success());
    let second = line.next(addr);
    Wire::session(addr);
    let _third = line.next(addr);
    assert_exits_0(second);
}

#[test]
fn the_socket_is_for_its_owner_and_changes_hands() {
    let line = Line::new();
    let facts = || {
        let found = std::fs::symlink_metadata(line.path()).expect("the socket is there");
        assert!(found.file_type().is_socket());
        (found.permissions().mode() & 0o777, found.ino())
    };
    let old = line.launch().http().start();
    let (mode, first) = facts();
    assert_eq!(mode, 0o600);
    let _new = line.next(old.addr("http"));
    assert_exits_0(old);
    let (mode, second) = facts();
    assert_eq!(mode, 0o600);
    assert_ne!(first, second);
    let names: Vec<_> = std::fs::read_dir(line.scratch.dir()).expect("a folder").flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_path_that_cannot_be_a_socket_is_refused() {
    let (line, scratch) = (Line::new(), Scratch::new());
    let launch = |path: &str| Sidecar::before(line.app.addr()).http().flag("--handover", path);
    let file = scratch.write("precious", "do not lose this");
    let finished = launch(&file).fail().expect(EXIT_RUNTIME);
    assert_says(&finished, &[&file, "is no socket"]);
    assert_eq!(std::fs::read_to_string(&file).expect("it is still there"), "do not lose this");
    let nowhere = scratch.path("nowhere/handover.sock");
    assert_says(&launch(&nowhere).fail().expect(EXIT_RUNTIME), &[&nowhere, "folder has to be there"]);
    assert_says(&launch("handover.sock").fail().expect(EXIT_CONFIG), &["not an absolute path"]);
    let long = format!("/{}", "x".repeat(99));
    assert_says(&launch(&long).fail().expect(EXIT_CONFIG), &["longer than the 99 bytes"]);
}

#[test]
fn who_offers_nonsense_to_the_new_process_is_refused() {
    let line = Line::new();
    for (nonsense, says) in [
        ("", "it has gone"),
        ("outrigger handover 99\n\n", "outrigger handover 99"),
        ("outrigger handover 1\nhttp://127.0.0.1:80\n\n", "it names 1 sockets and gives 0"),
    ] {
        let _ = std::fs::remove_file(line.path());
        let old = UnixListener::bind(line.path()).expect("a free path");
        let talking = std::thread::spawn(move || {
            let (mut new, _) = old.accept().expect("the new process comes");
            new.write_all(nonsense.as_bytes()).expect("a socket takes a few bytes");
        });
        let finished = line.launch().http().fail().expect(EXIT_RUNTIME);
        assert_says(&finished, &[says]);
        talking.join().expect("no panic");
    }
    // One that says nothing at all.
    let _ = std::fs::remove_file(line.path());
    let _silent = UnixListener::bind(line.path()).expect("a free path");
    assert_says(&line.launch().http().fail().expect(EXIT_RUNTIME), &["it has said nothing for 5 s"]);
}

#[test]
fn a_signal_without_a_handover_closes_the_port() {
    let line = Line::new();
    let sidecar = line.launch().http().start();
    let addr = sidecar.addr("http");
    let mut idle = Wire::plain(addr);
    idle.ask(&get("/", &[])).expect(200);
    sidecar.terminate();
    assert_eq!(idle.expect_end(), End::Clean);
    assert_exits_0(sidecar);
    assert!(TcpStream::connect(addr).is_err());
}
