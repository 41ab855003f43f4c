//! Two processes at one port side by side.

use std::net::SocketAddr;
use std::time::Instant;

use outrigger_tests::{App, Launch, PATIENCE, Sidecar, Wire};

use crate::flood::Flood;

/// Connects after which both processes have had one, but for a chance of 2 in 2^64.
const ENOUGH: usize = 64;

fn launch(app: &App) -> Launch {
    Sidecar::before(app.addr()).flag("--reuseport", "on").flag("--drain-window", "off").flag("--shutdown-grace", "1h")
}

fn beside(app: &App, addr: SocketAddr) -> Launch {
    launch(app).flag("--listen", format!("http://{addr}"))
}

/// Waits until so many sockets listen at this port of IPv4.
#[track_caller]
fn wait_listeners(addr: SocketAddr, wanted: usize) {
    const LISTEN: &str = "0A";
    let port = format!(":{:04X}", addr.port());
    let start = Instant::now();
    loop {
        let table = std::fs::read_to_string("/proc/self/net/tcp").expect("Linux has it");
        let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
        let count = rows.filter(|row| row[1].ends_with(&port) && row[3] == LISTEN).count();
        if count == wanted {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{count} listeners at {addr} instead of {wanted}");
        std::thread::yield_now();
    }
}

fn sessions(sidecar: &Sidecar) -> usize {
    sidecar.log().iter().filter(|line| line.contains("\"session ended\"")).count()
}

#[test]
fn two_processes_share_a_port_and_the_one_that_stops_leaves_it_to_the_other() {
    let app = App::echo();
    let mut old = launch(&app).http().start();
    let addr = old.addr("http");
    let mut stays = Wire::plain(addr);
    stays.open("/", &[]);
    stays.echo("with the old one");
    let new = beside(&app, addr).start();
    wait_listeners(addr, 2);
    Flood::start(addr, 1, 2 * ENOUGH).finish().expect_all_served(2 * ENOUGH);
    for sidecar in [&old, &new] {
        sidecar.wait_log("a session of its own", |line| line["message"] == "session ended");
    }
    old.terminate();
    wait_listeners(addr, 1);
    let before = sessions(&old);
    // The old one accepts nothing more, though its session lives: no session is turned away.
    let flood = Flood::start(addr, 1, 2 * ENOUGH);
    stays.echo("in the drain");
    flood.finish().expect_all_served(2 * ENOUGH);
    old.terminate();
    stays.expect_close(1012);
    drop(stays);
    assert_eq!(old.wait_exit().code(), Some(0));
    assert!(sessions(&old) <= before + 2, "it went on accepting");
}

#[test]
fn without_it_the_port_is_one_processs_own() {
    let app = App::ok();
    for (first, second) in [("off", "on"), ("on", "off")] {
        let old = Sidecar::before(app.addr()).http().flag("--reuseport", first).start();
        let listen = format!("http://{}", old.addr("http"));
        let beside = Sidecar::before(app.addr()).flag("--listen", listen).flag("--reuseport", second).fail();
        let finished = beside.expect(1);
        assert!(finished.stderr.contains("another process has it"), "{}", finished.stderr);
    }
}
