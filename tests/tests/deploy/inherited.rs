//! Listening sockets that are given to the process, as systemd does.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::mpsc::channel;
use std::thread;

use outrigger_tests::http::get;
use outrigger_tests::sidecar::Finished;
use outrigger_tests::{App, Launch, PATIENCE, Sidecar, Wire};

use crate::flood::{Flood, Outcome};

const EXIT_CONFIG: i32 = 2;
const EXIT_RUNTIME: i32 = 1;

/// A socket unit: it listens as long as it lives, whoever serves.
struct Unit {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Unit {
    fn new() -> Unit {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        Unit { listener, addr }
    }

    fn descriptor(&self) -> OwnedFd {
        self.listener.try_clone().expect("a descriptor is free").into()
    }

    fn launch(&self, app: &App) -> Launch {
        Sidecar::before(app.addr()).flag("--listen", format!("http://{}", self.addr)).inheriting(self.descriptor())
    }
}

#[track_caller]
fn assert_says(finished: &Finished, words: &[&str]) {
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} expected in {}", finished.stderr);
    }
}

#[test]
fn the_port_answers_before_and_after_a_restart_and_keeps_who_comes_in_between() {
    let (app, unit) = (App::ok(), Unit::new());
    let addr = unit.addr;
    let mut first = unit.launch(&app).start();
    assert_eq!(first.addr("http"), addr);
    Wire::plain(addr).ask(&get("/", &[])).expect(200);
    first.terminate();
    assert_eq!(first.wait_exit().code(), Some(0));
    // Nobody serves now, and still nobody is refused.
    let (connected, all_connected) = channel();
    let waiting = (0..50).map(|_| {
        let connected = connected.clone();
        thread::spawn(move || {
            let mut client = Wire::plain(addr);
            client.send(get("/", &[]));
            connected.send(()).expect("the test waits");
            client.response("GET").expect(200);
        })
    });
    let waiting: Vec<_> = waiting.collect();
    for _ in &waiting {
        all_connected.recv_timeout(PATIENCE).expect("a client connects");
    }
    let _second = unit.launch(&app).start();
    for client in waiting {
        client.join().expect("it was answered");
    }
}

#[test]
fn no_connect_is_refused_or_reset_over_three_restarts() {
    let (app, unit) = (App::echo(), Unit::new());
    let launch = || unit.launch(&app).flag("--drain-window", "0s").flag("--drain-quiet", "0s");
    let mut current = launch().start();
    let flood = Flood::start(unit.addr, 4, 1000);
    for _ in 0..3 {
        flood.wait_quarter();
        current.terminate();
        assert_eq!(current.wait_exit().code(), Some(0));
        current = launch().start();
    }
    let Outcome { served, turned_away, refused, reset, other } = flood.finish();
    assert!(served + turned_away >= 4000, "{served} and {turned_away}");
    assert_eq!((refused, reset, other), (0, 0, Vec::new()));
}

#[test]
fn a_listener_without_a_socket_is_bound() {
    let (app, unit) = (App::ok(), Unit::new());
    let sidecar = unit.launch(&app).flag("--listen", "http://127.0.0.2:0").start();
    assert_eq!(sidecar.addr("http"), unit.addr);
    assert!(sidecar.log().iter().any(|line| line.contains("127.0.0.2:")), "{:#?}", sidecar.log());
}

#[test]
fn any_port_takes_the_socket_of_the_same_address() {
    let (app, unit) = (App::ok(), Unit::new());
    let sidecar = Sidecar::before(app.addr()).http().inheriting(unit.descriptor()).start();
    assert_eq!(sidecar.addr("http"), unit.addr);
    sidecar.client().ask(&get("/", &[])).expect(200);
}

#[test]
fn a_socket_that_no_listener_wants_is_an_error_with_its_address() {
    let (app, unit) = (App::ok(), Unit::new());
    for listen in ["http://127.0.0.2:0".to_owned(), format!("http://0.0.0.0:{}", unit.addr.port())] {
        let launch = Sidecar::before(app.addr()).flag("--listen", &listen).inheriting(unit.descriptor());
        let finished = launch.fail();
        if listen.starts_with("http://0.0.0.0") {
            // The wider address cannot be bound beside it.
            assert_says(&finished.expect(EXIT_RUNTIME), &[&listen, "another process has it"]);
        } else {
            let says = [&format!("the socket {}", unit.addr), &format!("--listen http://{}", unit.addr)];
            assert_says(&finished.expect(EXIT_CONFIG), &says.map(String::as_str));
        }
    }
}

#[test]
fn what_is_no_listening_tcp_socket_is_an_error() {
    let (app, unit) = (App::ok(), Unit::new());
    let connected: OwnedFd = TcpStream::connect(unit.addr).expect("it listens").into();
    let datagrams: OwnedFd = UdpSocket::bind("127.0.0.1:0").expect("a free port").into();
    let file: OwnedFd = std::fs::File::open("/dev/zero").expect("it is everywhere").into();
    for (descriptor, says) in [(connected, "does not listen"), (datagrams, "tcp"), (file, "not a socket")] {
        let launch = Sidecar::before(app.addr()).http().env("LISTEN_FDNAMES", "web.socket").inheriting(descriptor);
        let finished = launch.fail().expect(EXIT_CONFIG);
        assert_says(&finished, &["descriptor 3 (web.socket)", says, "ListenStream=ADDRESS:PORT"]);
    }
}

#[test]
fn a_count_that_is_none_is_an_error() {
    let (app, unit) = (App::ok(), Unit::new());
    for count in ["", "one", "-1", "254"] {
        let finished = unit.launch(&app).env("LISTEN_FDS", count).fail().expect(EXIT_CONFIG);
        assert_says(&finished, &["LISTEN_FDS is", "at most 253"]);
    }
    // Two announced, one given.
    let finished = unit.launch(&app).env("LISTEN_FDS", "2").fail().expect(EXIT_CONFIG);
    assert_says(&finished, &["descriptor 4", "no listening TCP socket"]);
}

#[test]
fn a_socket_for_another_process_is_left_alone() {
    let (app, unit) = (App::ok(), Unit::new());
    let launch = Sidecar::before(app.addr()).http().env("LISTEN_PID", "1").inheriting(unit.descriptor());
    let sidecar = launch.start();
    assert_ne!(sidecar.addr("http"), unit.addr);
    sidecar.wait_log("a warning", |line| {
        line["level"] == "WARN" && line["message"].as_str().is_some_and(|said| said.contains("LISTEN_PID"))
    });
}
