//! Lets the planned faults happen, and looks around once a second.

use std::time::Duration;

use tokio::select;
use tokio::time::{Instant, sleep_until};

use super::clients::Clients;
use super::hosts::{machine_host, micros, place};
use super::machines::{Ground, Machine};
use super::weather::{Change, Weather};
use crate::fault;
use crate::rng::Stream;
use crate::scenario::{FaultKind, GroupId, Host, PlannedFault, Scenario};

/// How often it is looked at what clients know.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Everything that faults can touch.
pub(super) struct Stage<'a> {
    pub(super) ground: Ground,
    pub(super) scenario: &'a Scenario,
    pub(super) faults: &'a [PlannedFault],
    pub(super) began: Instant,
    pub(super) machines: Vec<Machine>,
    pub(super) weather: Weather,
    pub(super) clients: Option<Clients>,
    /// Faults that are on.
    pub(super) on: Vec<usize>,
}

/// A fault's first moment, or its last.
#[derive(Debug, Clone, Copy)]
struct Turn {
    at: Duration,
    fault: usize,
    begins: bool,
}

impl Stage<'_> {
    /// Starts what is to run and does not.
    pub(super) async fn settle(&mut self) {
        for machine in &mut self.machines {
            machine.settle(&self.ground, self.scenario).await;
        }
    }

    /// Plays all faults, until the scenario's duration is over.
    pub(super) async fn play(&mut self) {
        let mut turns = Vec::new();
        for (fault, planned) in self.faults.iter().enumerate() {
            turns.push(Turn { at: planned.at, fault, begins: true });
            turns.push(Turn { at: planned.at + planned.lasts, fault, begins: false });
        }
        // Stable: a fault that lasts no time begins before it ends.
        turns.sort_by_key(|turn| turn.at);
        let mut turns = turns.into_iter().peekable();
        let mut sample = SAMPLE_EVERY;
        let end = self.scenario.duration;
        loop {
            self.settle().await;
            let next = turns.peek().map_or(end, |turn| turn.at).min(sample).min(end);
            select! {
                biased;
                () = self.ground.ended.notified() => {}
                () = sleep_until(self.began + next) => {
                    if sample == next {
                        self.ground.ledger.sample();
                        sample += SAMPLE_EVERY;
                    }
                    while let Some(turn) = turns.next_if(|turn| turn.at <= next) {
                        self.turn(turn);
                    }
                    if next == end && turns.peek().is_none() {
                        return;
                    }
                }
            }
        }
    }

    fn turn(&mut self, turn: Turn) {
        let planned = &self.faults[turn.fault];
        let what = if turn.begins { "begins" } else { "ends" };
        let text = format!("fault {} ({}) {what}", planned.label, planned.kind.word().as_str());
        self.ground.world.log("", text);
        if turn.begins {
            self.on.push(turn.fault);
        } else {
            self.on.retain(|fault| *fault != turn.fault);
        }
        let between = |a, b| (place(self.scenario, a), place(self.scenario, b));
        match planned.kind.clone() {
            FaultKind::Partition { a, b } => self.both_ways(turn, between(a, b), Change::Block),
            FaultKind::OneWayPartition { from, to } => self.one_way(turn, between(from, to), Change::Block),
            FaultKind::LossBurst { a, b, loss_ppm } => {
                self.both_ways(turn, between(a, b), Change::Loss { ppm: loss_ppm });
            }
            FaultKind::LatencySpike { a, b, latency } => {
                self.both_ways(turn, between(a, b), Change::Latency(latency));
            }
            FaultKind::Kill { host } => self.machine(turn, host, Machine::kill),
            FaultKind::PowerLoss { host } => self.machine(turn, host, Machine::crash),
            FaultKind::Restart { host } => self.machine(turn, host, |machine, ground| machine.stop(ground)),
            FaultKind::SlowReader { group, .. } => self.reading(group),
            FaultKind::AppStall { app } => {
                let machine = self.machines.iter().find(|machine| machine.host == Host::App(app));
                if let (true, Some(machine)) = (turn.begins, machine) {
                    machine.stall(planned.lasts);
                }
            }
            FaultKind::ClockSkew { host, .. } => self.skew(host),
        }
    }

    fn both_ways(&mut self, turn: Turn, (a, b): (crate::wan::Place, crate::wan::Place), change: Change) {
        self.one_way(turn, (a, b), change);
        if turn.begins && a != b {
            self.weather.begin(turn.fault, b, a, change);
        }
    }

    fn one_way(&mut self, turn: Turn, (from, to): (crate::wan::Place, crate::wan::Place), change: Change) {
        if turn.begins {
            self.weather.begin(turn.fault, from, to, change);
        } else {
            self.weather.end(turn.fault);
        }
    }

    fn machine(&mut self, turn: Turn, host: Host, down: impl FnOnce(&mut Machine, &Ground)) {
        let machine = self.machines.iter_mut().find(|machine| machine.host == host).expect("every host is a machine");
        if turn.begins {
            machine.hold();
            down(machine, &self.ground);
        } else {
            machine.release();
        }
    }

    /// Sets the pace of every client of a group, by all faults that are on.
    fn reading(&mut self, group: GroupId) {
        let Some(clients) = &self.clients else { return };
        let usual = self.scenario.clients[group.0].reads;
        let mut paces = vec![usual; clients.rates[group.0].len()];
        for fault in &self.on {
            let planned = &self.faults[*fault];
            if let FaultKind::SlowReader { group: of, per_10k, reads } = planned.kind
                && of == group
            {
                for slow in slow_ones(self.ground.seed, &planned.label, paces.len(), per_10k) {
                    paces[slow] = Some(paces[slow].map_or(reads, |pace| pace.min(reads)));
                }
            }
        }
        for (rate, pace) in clients.rates[group.0].iter().zip(paces) {
            rate.set(pace);
        }
    }

    /// Sets a host's clock, by all faults that are on.
    fn skew(&self, host: Host) {
        let of_it = self.on.iter().filter_map(|fault| match self.faults[*fault].kind {
            FaultKind::ClockSkew { host: of, ahead, by } if of == host => {
                let by = i64::try_from(micros(by)).unwrap_or(i64::MAX / 4);
                Some(if ahead { by } else { -by })
            }
            _ => None,
        });
        let fault = fault::Fault::Skew { host: machine_host(self.scenario, host), offset_us: of_it.sum() };
        self.ground.world.apply(&fault);
    }
}

/// Which clients of a group a fault makes slow: at least one.
fn slow_ones(seed: u64, label: &str, count: usize, per_10k: u16) -> Vec<usize> {
    let mut stream = Stream::new(seed, &format!("slow {label}"));
    let mut all: Vec<usize> = (0..count).collect();
    let slow = (count * usize::from(per_10k)).div_ceil(10_000).clamp(1, count);
    for place in 0..slow {
        let left = u64::try_from(count - place).expect("a group is small");
        let picked = place + usize::try_from(stream.below(left)).expect("less than the group");
        all.swap(place, picked);
    }
    all.truncate(slow);
    all
}
