//! The cells of the table: what is done, per what it is counted, and what it should cost.

use std::time::Duration;

use crate::link::Door;
use crate::load;
use crate::process::{cpu_ns, resident_kib, settle};
use crate::proxies::{Kind, Proxy, Site};

/// Sessions of the idle cells.
const IDLE_SESSIONS: usize = 5000;
/// Descriptors that this process needs besides two for each session: a client's and the app's.
const SPARE_DESCRIPTORS: u64 = 500;
/// Messages in flight of the pipelined cell.
const IN_FLIGHT: usize = 32;
/// Sessions at once of the cell with several.
const CONNECTIONS: usize = 8;
/// So that idle sessions are pinged soon: the default of 25 s would be a long wait.
const OFTEN: [&str; 2] = ["--keepalive", "2s"];
/// Pings of each session before its memory is looked at again.
const PINGS: usize = 2;
/// Turns that the proxies take within a round: short ones, so that they meet the same moments of a busy machine.
const CPU_TURNS: usize = 16;
const START_TURNS: usize = 5;
const GIB: f64 = (1 << 30) as f64;

/// A row of the table.
pub(crate) struct Cell {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) target: Option<Target>,
    what: What,
}

/// What Outrigger as it comes is held against.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// So many times the cost of `inspect = "off"`, and of nginx where there is a second number.
    Ratios { blind: f64, nginx: Option<f64> },
    /// So many of the cell's unit.
    Absolute(f64),
}

/// What telemetry may cost on top.
#[derive(Clone, Copy)]
pub(crate) enum Extra {
    /// So many times the cost without.
    Times(f64),
    /// So many of the cell's unit.
    Plus(f64),
}

impl Cell {
    /// What it may cost on top to be told of it; `None` where nobody has said.
    pub(crate) fn extra(&self) -> Option<Extra> {
        match self.what {
            What::Echo { .. } => Some(Extra::Times(1.05)),
            What::Idle { .. } => Some(Extra::Plus(0.5)),
            _ => None,
        }
    }

    /// How many turns each proxy takes in a round. The round's sample is the median of them.
    pub(crate) fn turns(&self, quick: bool) -> usize {
        match self.what {
            _ if quick => 1,
            What::Idle { .. } => 1,
            What::StartUp => START_TURNS,
            _ => CPU_TURNS,
        }
    }
}

#[derive(Clone, Copy)]
enum What {
    Echo { tls: bool, size: usize, connections: usize, at_once: usize, turns: usize },
    Upload { tls: bool, frames: usize },
    Download { tls: bool, frames: usize },
    Handshake { tls: bool, count: usize },
    Idle { tls: bool, pinged: bool },
    StartUp,
}

const TO_BLIND: Option<Target> = Some(Target::Ratios { blind: 1.02, nginx: None });

const fn cell(key: &'static str, title: &'static str, unit: &'static str, target: Option<Target>, what: What) -> Cell {
    Cell { key, title, unit, target, what }
}

const fn echo(tls: bool, size: usize, connections: usize, at_once: usize, turns: usize) -> What {
    What::Echo { tls, size, connections, at_once, turns }
}

pub(crate) const CELLS: [Cell; 17] = [
    cell(
        "echo-64",
        "WS echo, 64 B",
        "µs",
        Some(Target::Ratios { blind: 1.02, nginx: Some(1.03) }),
        echo(false, 64, 1, 1, 2000),
    ),
    cell("echo-1k", "WS echo, 1 KiB", "µs", TO_BLIND, echo(false, 1024, 1, 1, 2000)),
    cell("echo-64-x8", "WS echo, 64 B, 8 connections", "µs", TO_BLIND, echo(false, 64, CONNECTIONS, 1, 300)),
    cell("pipelined", "WS echo, 64 B, 32 in flight", "µs", TO_BLIND, echo(false, 64, 1, IN_FLIGHT, 1500)),
    cell("upload", "WS stream, client to app", "s/GiB", TO_BLIND, What::Upload { tls: false, frames: 1024 }),
    cell("download", "WS stream, app to client", "s/GiB", TO_BLIND, What::Download { tls: false, frames: 1024 }),
    cell("wss-echo-1k", "WSS echo, 1 KiB", "µs", TO_BLIND, echo(true, 1024, 1, 1, 1500)),
    cell("wss-upload", "WSS stream, client to app", "s/GiB", TO_BLIND, What::Upload { tls: true, frames: 768 }),
    cell("wss-download", "WSS stream, app to client", "s/GiB", TO_BLIND, What::Download { tls: true, frames: 768 }),
    cell("handshake", "WS session, opened and closed", "µs", None, What::Handshake { tls: false, count: 150 }),
    cell("wss-handshake", "WSS session, opened and closed", "µs", None, What::Handshake { tls: true, count: 80 }),
    cell("idle", "idle WS session", "KiB", Some(Target::Absolute(3.0)), What::Idle { tls: false, pinged: false }),
    cell("wss-idle", "idle WSS session", "KiB", Some(Target::Absolute(6.5)), What::Idle { tls: true, pinged: false }),
    cell(
        "idle-pinged",
        "idle WS, after pings",
        "KiB",
        Some(Target::Absolute(3.0)),
        What::Idle { tls: false, pinged: true },
    ),
    cell(
        "wss-idle-pinged",
        "idle WSS, after pings",
        "KiB",
        Some(Target::Absolute(6.5)),
        What::Idle { tls: true, pinged: true },
    ),
    cell("start-up", "start to first 101", "ms", None, What::StartUp),
    cell("resident", "resident, no sessions", "KiB", None, What::StartUp),
];

/// How much is done of everything.
pub(crate) struct Scale {
    divisor: usize,
    idle: usize,
}

impl Scale {
    /// `descriptors` is how many files this process may have open.
    pub(crate) fn new(quick: bool, descriptors: u64) -> Scale {
        let fit = usize::try_from(descriptors.saturating_sub(SPARE_DESCRIPTORS) / 2).unwrap_or(usize::MAX);
        let idle = IDLE_SESSIONS.min(fit);
        if quick { Scale { divisor: 10, idle: idle.min(100) } } else { Scale { divisor: 1, idle } }
    }

    fn of(&self, count: usize) -> usize {
        (count / self.divisor).max(1)
    }
}

/// The proxies that run all the time; the idle cells and the start-up cell have processes of their own.
pub(crate) struct Bench<'a> {
    site: &'a Site,
    scale: Scale,
    running: Vec<(Kind, Proxy)>,
}

impl Bench<'_> {
    pub(crate) fn start(site: &Site, scale: Scale) -> Bench<'_> {
        let kinds = Kind::ALL.into_iter().filter(|kind| site.has(*kind));
        Bench { site, scale, running: kinds.map(|kind| (kind, site.start(kind, &[]))).collect() }
    }

    /// One turn's figure, in the cell's unit; `None` where the cell has no meaning for the proxy.
    pub(crate) fn run(&mut self, cell: &Cell, kind: Kind) -> Option<f64> {
        let proxy = &self.running.iter().find(|(running, _)| *running == kind).expect("all proxies run").1;
        let door = |tls: bool| if tls { &proxy.wss } else { &proxy.ws };
        match cell.what {
            What::Echo { tls, size, connections, at_once, turns } => {
                let turns = self.scale.of(turns);
                let mut links: Vec<_> = (0..connections).map(|_| door(tls).open("/echo").expect("a session")).collect();
                load::echo(&mut links, size, at_once, turns / 20 + 1);
                let cost = cost(proxy, || load::echo(&mut links, size, at_once, turns));
                links.into_iter().for_each(crate::link::Link::close);
                Some(micros_per(cost, turns * at_once * connections))
            }
            What::Upload { tls, frames } => Some(self.stream(proxy, door(tls), frames, load::upload)),
            What::Download { tls, frames } => Some(self.stream(proxy, door(tls), frames, load::download)),
            What::Handshake { tls, count } => {
                let count = self.scale.of(count);
                let sessions = || (0..count).for_each(|_| door(tls).open("/echo").expect("a session").close());
                Some(micros_per(cost(proxy, sessions), count))
            }
            What::Idle { pinged: true, .. } if !matches!(kind, Kind::Frames | Kind::Observed) => None,
            What::Idle { tls, pinged } => Some(self.idle(kind, tls, pinged)),
            What::StartUp => {
                let proxy = self.site.start(kind, &[]);
                settle(&proxy.pids);
                let resident = resident_kib(&proxy.pids);
                Some(if cell.key == "resident" { kib(resident) } else { millis(proxy.start_up) })
            }
        }
    }

    fn stream(&self, proxy: &Proxy, door: &Door, frames: usize, run: impl Fn(&Door, usize)) -> f64 {
        let frames = self.scale.of(frames);
        seconds_per_gib(cost(proxy, || run(door, frames)), frames)
    }

    /// In a process of its own, because memory that a process has once had does not show when it is used again.
    fn idle(&self, kind: Kind, tls: bool, pinged: bool) -> f64 {
        let proxy = self.site.start(kind, if pinged { &OFTEN } else { &[] });
        let door = if tls { &proxy.wss } else { &proxy.ws };
        // What is there once for all sessions comes with the first ones.
        let few = load::idle(door, 16);
        settle(&proxy.pids);
        let before = resident_kib(&proxy.pids);
        let mut links = load::idle(door, self.scale.idle);
        if pinged {
            load::answer_pings(&mut links, PINGS);
        }
        settle(&proxy.pids);
        let grown = resident_kib(&proxy.pids).saturating_sub(before);
        drop(few);
        kib(grown) / count(links.len())
    }
}

/// The CPU time that a proxy spends on what `work` asks of it, in nanoseconds.
fn cost(proxy: &Proxy, work: impl FnOnce()) -> u64 {
    settle(&proxy.pids);
    let before = cpu_ns(&proxy.pids);
    work();
    settle(&proxy.pids);
    cpu_ns(&proxy.pids) - before
}

fn micros_per(ns: u64, operations: usize) -> f64 {
    nanos(ns) / 1e3 / count(operations)
}

fn seconds_per_gib(ns: u64, frames: usize) -> f64 {
    nanos(ns) / 1e9 * GIB / count(frames * crate::app::STREAM_PAYLOAD_BYTES)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a sample is far below 2^53 ns")]
fn nanos(ns: u64) -> f64 {
    ns as f64
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 KiB")]
fn kib(kib: u64) -> f64 {
    kib as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn count(count: usize) -> f64 {
    count as f64
}
