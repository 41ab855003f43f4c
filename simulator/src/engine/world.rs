//! The run from the inside: clock, faults, history, figures.

use std::sync::Arc;
use std::time::Duration;

use super::state::{call, with};
use crate::fault::Fault;
use crate::history::Digest;
use crate::middlebox::{Cut, micros};
use crate::net::{SimNet, pass_over_ports};
use crate::rng::Stream;
use crate::wan::{Link, Place, Traffic};

/// A handle on the run of this thread; clones are the same. Every method panics outside of the run.
#[derive(Debug, Clone, Copy)]
pub struct World(());

impl World {
    pub(super) fn new() -> Self {
        Self(())
    }

    /// The host's current process. Panics on a name that is none.
    pub fn host(&self, name: &str) -> SimNet {
        let index = self.index(name);
        SimNet::current(index)
    }

    /// A host's place in [`super::Options::hosts`], for [`Place::Host`] and [`Fault`]. Panics on a name that is none.
    pub fn index(&self, name: &str) -> u16 {
        let found = with(|s| s.hosts.iter().position(|host| *host.name == *name));
        let index = found.unwrap_or_else(|| panic!("no host is called {name}"));
        u16::try_from(index).expect("the options were checked")
    }

    /// Virtual time since the start, exact to the microsecond.
    pub fn now(&self) -> Duration {
        with(|s| Duration::from_micros(s.now()))
    }

    /// A stream of randomness of the run's seed, for the play's own use.
    pub fn rng(&self, name: &str) -> Stream {
        with(|s| Stream::new(s.seed, &format!("play {name}")))
    }

    /// Appends to the history; `host` may be empty.
    pub fn log(&self, host: &str, text: impl Into<String>) {
        with(|s| {
            let now = s.now();
            s.log.push(now, Arc::from(host), text.into());
        });
    }

    /// The digest over all packets and events so far.
    pub fn digest(&self) -> Digest {
        with(|s| s.log.digest())
    }

    /// Does it now.
    pub fn apply(&self, fault: &Fault) {
        call(|s| s.apply(fault));
    }

    /// Does it at a virtual time since the start; now, if that is past.
    pub fn at(&self, time: Duration, fault: Fault) {
        with(|s| s.schedule_fault(micros(time), fault));
    }

    /// Changes the link in one direction from `start` for `length`, and then back to what it is at this call: bursts
    /// of loss, spikes of latency.
    pub fn during(
        &self,
        start: Duration,
        length: Duration,
        (from, to): (Place, Place),
        change: impl FnOnce(Link) -> Link,
    ) {
        let before = self.link(from, to);
        self.at(start, Fault::Link { from, to, link: change(before) });
        self.at(start + length, Fault::Link { from, to, link: before });
    }

    /// The link between exactly these places; the default one, if none was set.
    pub fn link(&self, from: Place, to: Place) -> Link {
        with(|s| s.links.between(from, to))
    }

    /// Power loss: see [`Fault::Crash`].
    pub fn crash(&self, name: &str) {
        self.apply(&Fault::Crash { host: self.index(name) });
    }

    /// See [`Fault::Kill`].
    pub fn kill(&self, name: &str) {
        self.apply(&Fault::Kill { host: self.index(name) });
    }

    /// A new process on the host. After a crash the kernel is new too, and knows no connection of before; the address
    /// stays the same. Panics when the host has no life left.
    pub fn restart(&self, name: &str) -> SimNet {
        let index = self.index(name);
        let fresh = call(|s| {
            let now = s.now();
            s.log.push(now, Arc::from(name), "restart".to_owned());
            let seed = s.seed;
            let host = s.host_mut(index);
            host.process += 1;
            host.tasks.drain(..).for_each(|task| task.abort());
            let booted = !host.up;
            if booted {
                assert!(
                    usize::from(host.life) + 1 < host.lives.len(),
                    "{name} has no life left: give it more with HostSpec::lives"
                );
                host.life += 1;
                host.up = true;
            }
            host.entropy = Stream::new(seed, &format!("host {name} process {}", host.process));
            booted.then(|| (host.lives[usize::from(host.life)].0, host.ports_taken))
        });
        if let Some((kernel, ports)) = fresh {
            pass_over_ports(kernel, ports);
        }
        SimNet::current(index)
    }

    /// What middleboxes have cut so far.
    pub fn cuts(&self) -> Vec<Cut> {
        with(|s| s.cuts.clone())
    }

    /// What was on the wire so far, in a fixed order.
    pub fn traffic(&self) -> Vec<Traffic> {
        with(|s| s.traffic())
    }

    pub fn stats(&self) -> super::Stats {
        with(|s| s.stats)
    }
}
