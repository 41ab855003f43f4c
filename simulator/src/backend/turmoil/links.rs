//! Latency, jitter, loss and partitions, by the means that turmoil has for them.
//!
//! A link of turmoil is a pair of hosts, alike in both directions. It can be held, which keeps everything back until it
//! is released: that is a partition. (turmoil's own partitions, and its `fail_rate`, drop segments; its streams send
//! nothing twice, so each of them stands still for ever after.) A lost segment comes later, by as much as its
//! retransmission takes: streams put segments in order, so those behind it wait, as they would.

use std::net::Ipv4Addr;
use std::time::Duration;

use ::turmoil::Sim;

use super::state::{State, with};
use crate::rng::Stream;

/// turmoil draws jitter from an exponential distribution with this parameter, over the range and cut off at its end.
/// With this one the mean is the middle of the range, as it is in the other network.
pub(super) const JITTER_CURVE: f64 = 1.594;
/// What a retransmission waits for besides its round trip: the least that Linux allows itself.
const RECOVERY_US: u64 = 200_000;
const WHOLE_PPM: u64 = 1_000_000;

/// A link as it was last set.
#[derive(Debug, Clone, Copy)]
struct Setting {
    held: bool,
    latency_us: u64,
    jitter_us: u64,
    loss_ppm: u32,
}

struct Pair {
    hosts: (u16, u16),
    ips: (Ipv4Addr, Ipv4Addr),
    /// Nothing before the first time.
    set: Option<Setting>,
    /// What is sent in this tick is lost, and comes late.
    losing: bool,
    dice: Stream,
}

/// All links of a run.
pub(super) struct Pairs(Vec<Pair>);

impl Pairs {
    pub(super) fn new(state: &State) -> Self {
        let count = u16::try_from(state.hosts.len()).expect("the options were checked");
        let pair = |a: u16, b: u16| Pair {
            hosts: (a, b),
            ips: (state.host(a).ip, state.host(b).ip),
            set: None,
            losing: false,
            dice: Stream::new(state.seed, &format!("pair {a} {b}")),
        };
        Self((0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).map(|(a, b)| pair(a, b)).collect())
    }

    /// Tells turmoil of what has changed.
    pub(super) fn update(&mut self, sim: &Sim) {
        for pair in &mut self.0 {
            let wanted = with(|s| s.wanted(pair.hosts));
            let before = pair.set.replace(wanted);
            let was_held = before.is_some_and(|before| before.held);
            let (a, b) = pair.ips;
            if wanted.held && !was_held {
                sim.hold(a, b);
            } else if was_held && !wanted.held {
                sim.release(a, b);
            }
            pair.tell(sim);
        }
    }

    /// Rolls the dice of every link that loses, for what is sent in the next tick.
    pub(super) fn lose(&mut self, sim: &Sim) {
        for pair in &mut self.0 {
            let loss = u64::from(pair.set.map_or(0, |set| set.loss_ppm));
            let losing = loss > 0 && pair.dice.chance(loss, WHOLE_PPM);
            if losing != pair.losing {
                pair.losing = losing;
                pair.tell(sim);
            }
        }
    }

    /// Takes back what a host has sent and nobody has yet, and keeps what others send to it. To be called before its
    /// tasks are dropped: what they say then is lost too.
    pub(super) fn silence(&mut self, sim: &Sim, host: u16) {
        for pair in self.0.iter_mut().filter(|pair| pair.hosts.0 == host || pair.hosts.1 == host) {
            let (a, b) = pair.ips;
            let (from, to) = if pair.hosts.0 == host { (a, b) } else { (b, a) };
            sim.partition_oneway(from, to);
            // It has to be held anew.
            pair.set.iter_mut().for_each(|set| set.held = false);
        }
    }
}

impl Pair {
    fn tell(&self, sim: &Sim) {
        let (a, b) = self.ips;
        let Some(Setting { latency_us, jitter_us, .. }) = self.set else { return };
        let recovery = if self.losing { RECOVERY_US + 2 * latency_us } else { 0 };
        let latency = Duration::from_micros(latency_us + recovery);
        sim.set_link_latency(a, b, latency);
        sim.set_link_max_message_latency(a, b, latency + Duration::from_micros(jitter_us));
    }
}

impl State {
    /// What the link between two hosts has to be now. Scenarios whose links differ by direction are not played here;
    /// while a fault is about to change both directions, the worse one counts.
    fn wanted(&mut self, (a, b): (u16, u16)) -> Setting {
        let (from, to) = (self.place(a), self.place(b));
        let routes = [self.links.route(from, to), self.links.route(to, from)];
        let [there, back] = routes.map(|route| self.links.link(route));
        let blocked = routes.iter().any(|route| route.blocked);
        Setting {
            held: blocked || !self.host(a).up || !self.host(b).up,
            latency_us: there.latency_us.max(back.latency_us),
            jitter_us: there.jitter_us.max(back.jitter_us),
            loss_ppm: there.loss_ppm.max(back.loss_ppm),
        }
    }
}
