//! Apps and sidecars as processes that start, die, leave and come back.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outrigger::lifecycle::Lifecycle;
use outrigger::net::Net;
use outrigger::server::{Server, Surroundings};
use outrigger::telemetry::trace::Tracer;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::balancer::Balancer;
use super::clients::padding;
use super::ledger::{Ledger, SidecarEar};
use super::readings::{Meter, ReadingStore};
use super::spans::SpanStore;
use super::tap::Tapped;
use crate::actors::{Actor, App, AppControl, AppOptions, Clock, Feed, Rng, Stop, WritePattern};
use crate::backend::HostNet;
use crate::backend::Network;
use crate::crypto;
use crate::rng::Stream;
use crate::scenario::{self, APP_PORT, Host, Scenario};

/// From the end of one process to the start of the next, at least: its sockets close in between.
const START_TAKES: Duration = Duration::from_millis(1);
/// Connections of a sidecar whose configuration leaves it open.
const MAX_CONNECTIONS: usize = 65_536;

/// What every machine needs to start.
pub(super) struct Ground {
    pub(super) world: Network,
    pub(super) seed: u64,
    pub(super) clock: Clock,
    pub(super) feed: Feed,
    pub(super) ledger: Arc<Ledger>,
    pub(super) balancer: Arc<Balancer>,
    /// Rung when a process has ended by itself.
    pub(super) ended: Arc<Notify>,
    /// If spans are kept.
    pub(super) spans: Option<Arc<SpanStore>>,
    /// If sidecars are read.
    pub(super) readings: Option<Arc<ReadingStore>>,
}

/// A host with at most one process.
pub(super) struct Machine {
    pub(super) host: Host,
    pub(super) name: String,
    process: Option<Process>,
    /// Processes that there have been.
    started: u32,
    /// Faults that keep it down.
    holds: u32,
}

struct Process {
    net: HostNet,
    stop: Stop,
    ended: Arc<AtomicBool>,
    app: Option<AppControl>,
    sidecar: Option<Arc<Lifecycle>>,
    meter: Option<Arc<Meter>>,
}

impl Machine {
    pub(super) fn new(scenario: &Scenario, host: Host) -> Self {
        let name = match host {
            Host::App(id) => scenario.apps[id.0].name.clone(),
            Host::Sidecar(id) => scenario.sidecars[id.0].name.clone(),
        };
        Self { host, name, process: None, started: 0, holds: 0 }
    }

    /// Starts the process if nothing keeps it down, and buries one that has ended.
    pub(super) async fn settle(&mut self, ground: &Ground, scenario: &Scenario) {
        if let Some(meter) = self.meter() {
            meter.look();
        }
        if self.process.as_ref().is_some_and(|process| process.ended.load(Ordering::Acquire)) {
            self.kill(ground);
        }
        if self.process.is_none() && self.holds == 0 {
            if self.started > 0 {
                sleep(START_TAKES).await;
            }
            let net = if self.started == 0 { ground.world.host(&self.name) } else { ground.world.restart(&self.name) };
            let process = match self.host {
                Host::App(id) => start_app(ground, net, self.started, id.0, &scenario.apps[id.0]).await,
                Host::Sidecar(id) => start_sidecar(ground, net, self.started, id.0, &scenario.sidecars[id.0]).await,
            };
            self.process = Some(process);
            self.started += 1;
            self.is_ready(ground, true);
        }
    }

    /// It was told to stop, and did.
    pub(super) fn has_ended(&self) -> bool {
        self.process.as_ref().is_none_or(|process| process.ended.load(Ordering::Acquire))
    }

    pub(super) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    pub(super) fn hold(&mut self) {
        self.holds += 1;
    }

    pub(super) fn release(&mut self) {
        self.holds -= 1;
    }

    /// SIGTERM.
    pub(super) fn stop(&self, ground: &Ground) {
        if let Some(process) = &self.process {
            process.stop.stop();
            self.is_ready(ground, false);
        }
    }

    /// The process is gone at once, and its kernel says so.
    pub(super) fn kill(&mut self, ground: &Ground) {
        self.read_last();
        if self.process.take().is_some() {
            ground.world.kill(&self.name);
            self.sessions_are_gone(ground);
            self.is_ready(ground, false);
        }
    }

    pub(super) fn crash(&mut self, ground: &Ground) {
        self.read_last();
        self.process = None;
        ground.world.crash(&self.name);
        self.sessions_are_gone(ground);
        self.is_ready(ground, false);
    }

    /// What a balancer will know of it: as its `/ready` says it, or its silence.
    fn is_ready(&self, ground: &Ground, ready: bool) {
        if let Host::Sidecar(id) = self.host {
            ground.balancer.is_ready(id.0, ready);
        }
    }

    /// Connections and sessions of a running sidecar.
    pub(super) fn live(&self) -> Option<usize> {
        Some(self.process.as_ref()?.sidecar.as_ref()?.live())
    }

    /// Reads a sidecar for the last time, unless that is done.
    pub(super) fn read_last(&self) {
        if let Some(meter) = self.meter() {
            meter.last();
        }
    }

    fn meter(&self) -> Option<&Meter> {
        self.process.as_ref()?.meter.as_deref()
    }

    /// Freezes a running app for so long.
    pub(super) fn stall(&self, lasts: Duration) {
        let Some(process) = &self.process else { return };
        if let Some(control) = process.app.clone() {
            // On its own host: the end of a stall is an instant of the app's clock.
            process.net.spawn(async move { control.stall_for(lasts) });
        }
    }

    fn sessions_are_gone(&self, ground: &Ground) {
        if let (Host::Sidecar(id), Some(process)) = (self.host, self.started.checked_sub(1)) {
            ground.ledger.killed(id.0, process);
        }
    }
}

async fn start_app(ground: &Ground, net: HostNet, process: u32, id: usize, app: &scenario::App) -> Process {
    let options = AppOptions {
        processing: (app.processing.from, app.processing.to),
        write: WritePattern::Together,
        headers: padding(app.headers),
        history: app.history.into(),
        max_wait: app.hold,
        sse_heartbeat: app.ping,
        ping: app.ping,
        ..AppOptions::default()
    };
    let seed = Stream::new(ground.seed, &format!("app {}/{process}", app.name)).next_u64();
    let actor = Actor {
        net: net.clone(),
        id: u32::try_from(id).expect("a scenario has few apps"),
        rng: Rng::new(seed),
        clock: ground.clock,
        observer: ground.ledger.clone(),
    };
    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), APP_PORT);
    let feed = ground.feed.clone();
    let app = on_host(&net, async move { App::bind(actor, any, feed, options).await }).await;
    let app = app.expect("the port of a new process is free");
    let control = app.control();
    let (stop, ended) = (Stop::new(), Arc::new(AtomicBool::new(false)));
    let running = app.run(stop.clone());
    spawn(ground, &net, &ended, running);
    Process { net, stop, ended, app: Some(control), sidecar: None, meter: None }
}

async fn start_sidecar(ground: &Ground, net: HostNet, process: u32, id: usize, sidecar: &scenario::Sidecar) -> Process {
    let crypto = crypto::crypto(&net, net.index());
    let ear = SidecarEar { ledger: ground.ledger.clone(), name: sidecar.name.as_str().into(), sidecar: id, process };
    // Its ids are of a stream of their own: whether they are drawn changes nothing else.
    let tracer = ground.spans.as_ref().map(|store| {
        let seed = Stream::new(ground.seed, &format!("spans {}/{process}", sidecar.name)).next_u64();
        let clock = net.clone();
        Tracer::aside(sidecar.config.tracing, seed, move || clock.wall_clock(), store.of(id, process))
    });
    let surroundings = Surroundings {
        tls: sidecar.config.tls.is_some().then(|| crypto::server_side(&crypto)),
        crypto,
        max_connections: MAX_CONNECTIONS,
        observer: Arc::new(ear),
        tracer,
        metrics: ground.readings.is_some(),
    };
    let mut config = sidecar.config.clone();
    let tamper = ground.ledger.tamper();
    if let Some(tamper) = &tamper {
        tamper.config(&mut config);
    }
    let tapped = Tapped { net: net.clone(), gauges: ground.ledger.gauges(), tamper };
    let started = on_host(&net, async move { Server::start(tapped, &config, surroundings).await }).await;
    let server = started.unwrap_or_else(|error| panic!("{} does not start: {error}", sidecar.name));
    let lifecycle = Arc::clone(server.lifecycle());
    let read = ground.readings.as_ref().map(|store| {
        let control = Arc::clone(server.control());
        let every = sidecar.config.otlp.metric_interval;
        (Meter::new(store, (id, process), net.clone(), &control, every), control)
    });
    let meter = read.as_ref().map(|(meter, _)| Arc::clone(meter));
    let (stop, ended) = (Stop::new(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    spawn(ground, &net, &ended, async move {
        server.run(async move { stopped.stopped().await }, pending()).await;
        // Until here there is somebody to ask.
        if let Some((meter, _control)) = &read {
            meter.last();
        }
    });
    Process { net, stop, ended, app: None, sidecar: Some(lifecycle), meter }
}

/// Runs a future on a host of its own and waits for what it yields: sockets and timers belong to the host on which
/// they are made.
async fn on_host<T: Send + 'static>(net: &HostNet, work: impl Future<Output = T> + Send + 'static) -> T {
    let (done, result) = oneshot::channel();
    net.spawn(async move {
        // Nobody is left to take it only when the run is over.
        let _ = done.send(work.await);
    });
    result.await.expect("only the director kills processes, and it waits here")
}

fn spawn(ground: &Ground, net: &HostNet, ended: &Arc<AtomicBool>, running: impl Future<Output = ()> + Send + 'static) {
    let (ended, rung) = (Arc::clone(ended), Arc::clone(&ground.ended));
    net.spawn(async move {
        running.await;
        ended.store(true, Ordering::Release);
        rung.notify_one();
    });
}
