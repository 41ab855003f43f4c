//! Where it listens and whom it dials: families of addresses, Unix sockets, several listeners, several threads.

use std::io::{Read, Write, copy};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use outrigger_tests::http::get;
use outrigger_tests::{App, Launch, Scratch, Sidecar, Wire};

/// Both kinds of traffic, over one listener.
fn works(addr: SocketAddr) {
    let mut client = Wire::plain(addr);
    client.ask(&get("/", &[])).expect(200);
    let mut client = Wire::plain(addr);
    client.open("/", &[]);
    client.echo("through");
}

/// Passes bytes between two connections, each way until its end.
fn bridge<A, B>(a: [A; 2], b: [B; 2])
where
    A: Read + Write + Send + 'static,
    B: Read + Write + Send + 'static,
{
    let ([mut from_a, mut to_a], [mut from_b, mut to_b]) = (a, b);
    thread::spawn(move || copy(&mut from_a, &mut to_b));
    thread::spawn(move || copy(&mut from_b, &mut to_a));
}

fn both_ways(stream: TcpStream) -> [TcpStream; 2] {
    [stream.try_clone().expect("a descriptor is free"), stream]
}

fn both_ways_unix(stream: UnixStream) -> [UnixStream; 2] {
    [stream.try_clone().expect("a descriptor is free"), stream]
}

#[test]
fn the_app_can_listen_on_a_unix_socket() {
    let (app, scratch) = (App::echo(), Scratch::new());
    let path = scratch.path("app.sock");
    let listener = UnixListener::bind(&path).expect("a path that is free and short");
    let target = app.addr();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            bridge(both_ways_unix(stream), both_ways(TcpStream::connect(target).expect("the app listens")));
        }
    });
    let sidecar = Launch::new().flag("--upstream", format!("unix:{path}")).http().start();
    works(sidecar.addr("http"));
}

#[test]
fn it_listens_and_dials_over_ipv6() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    };
    let app = App::echo();
    let (target, upstream) = (app.addr(), listener.local_addr().expect("a bound socket"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            bridge(both_ways(stream), both_ways(TcpStream::connect(target).expect("the app listens")));
        }
    });
    let sidecar = Sidecar::before(upstream).flag("--listen", "http://[::1]:0").start();
    assert!(sidecar.addr("http").is_ipv6());
    works(sidecar.addr("http"));
    assert_eq!(app.request(0).get("x-forwarded-for"), Some("::1"));
    assert!(app.request(0).get("forwarded").is_some_and(|f| f.contains("for=\"[::1]\"")));
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    // `localhost` may be ::1 first, where nobody listens here: the next address is tried.
    let app = App::echo();
    let sidecar = Launch::new().flag("--upstream", format!("localhost:{}", app.addr().port())).http().start();
    works(sidecar.addr("http"));
}

#[test]
fn there_can_be_many_listeners_and_many_threads() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().http().http().flag("--worker-threads", "4").start();
    let listening = sidecar.log().iter().filter(|line| line.contains(r#""scheme":"http""#)).count();
    assert_eq!(listening, 3);
    let addr = sidecar.addr("http");
    let clients: Vec<_> = (0..16).map(|_| thread::spawn(move || works(addr))).collect();
    for client in clients {
        client.join().expect("a client that got what it asked for");
    }
}
