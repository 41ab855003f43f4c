//! The table of docs/DEPLOYS.md: what clients notice of each kind of restart. Started by hand:
//! `cargo test -p outrigger-tests --test deploy -- --ignored --nocapture`

use std::net::{SocketAddr, TcpListener};

use outrigger_tests::{App, Launch, Scratch, Sidecar};

use crate::flood::{Flood, Outcome};

const CLIENTS: usize = 40;
const CONNECTS: usize = 10_000;
const RESTARTS: usize = 3;

#[test]
#[ignore = "it measures, and what it measures depends on the kernel"]
fn what_clients_notice_of_a_restart() {
    let migrate = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req").expect("Linux 5.14 or later");
    println!("tcp_migrate_req={}, {RESTARTS} restarts under {CLIENTS} clients", migrate.trim());
    println!("| restart | connects | served | 503 | refused | reset | other |");
    println!("|---|---|---|---|---|---|---|");
    row("handover", handover());
    row("LISTEN_FDS", listen_fds());
    row("reuseport", reuseport());
    row("stop, then start", stop_and_start());
}

fn row(what: &str, outcome: Outcome) {
    let Outcome { served, turned_away, refused, reset, other } = outcome;
    let connects = served + turned_away + refused + reset + other.len();
    println!("| {what} | {connects} | {served} | {turned_away} | {refused} | {reset} | {} |", other.len());
}

fn launch(app: &App) -> Launch {
    Sidecar::before(app.addr()).flag("--drain-window", "0s").flag("--drain-quiet", "0s")
}

fn at(launch: Launch, addr: SocketAddr) -> Sidecar {
    launch.flag("--listen", format!("http://{addr}")).start()
}

/// Restarts under load; `replace` is given the old process and gives the new one.
fn restarts(mut current: Sidecar, mut replace: impl FnMut(Sidecar, SocketAddr) -> Sidecar) -> Outcome {
    let addr = current.addr("http");
    let flood = Flood::start(addr, CLIENTS, CONNECTS / CLIENTS);
    for _ in 0..RESTARTS {
        flood.wait_quarter();
        current = replace(current, addr);
    }
    flood.finish()
}

fn stopped(mut old: Sidecar) {
    old.terminate();
    assert!(old.wait_exit().success());
}

fn handover() -> Outcome {
    let (app, scratch) = (App::echo(), Scratch::new());
    let launch = || launch(&app).flag("--handover", scratch.path("handover.sock"));
    restarts(launch().http().start(), |mut old, addr| {
        let new = at(launch(), addr);
        assert!(old.wait_exit().success());
        new
    })
}

fn listen_fds() -> Outcome {
    let app = App::echo();
    let unit = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let launch = || launch(&app).inheriting(unit.try_clone().expect("a descriptor is free"));
    restarts(launch().http().start(), |old, addr| {
        stopped(old);
        at(launch(), addr)
    })
}

fn reuseport() -> Outcome {
    let app = App::echo();
    let launch = || launch(&app).flag("--reuseport", "on");
    restarts(launch().http().start(), |old, addr| {
        let new = at(launch(), addr);
        stopped(old);
        new
    })
}

fn stop_and_start() -> Outcome {
    let app = App::echo();
    restarts(launch(&app).http().start(), |old, addr| {
        stopped(old);
        at(launch(&app), addr)
    })
}
