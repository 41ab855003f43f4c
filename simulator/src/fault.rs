//! What goes wrong, and when.

use crate::engine::{Event, State};
use crate::wan::{Link, Place};

/// Something that happens to the network or to a host at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing leaves `from` for `to`; what is on its way still arrives. Senders retry as TCP does.
    Block { from: Place, to: Place },
    /// Ends a [`Fault::Block`]: senders go on with their next retransmission.
    Unblock { from: Place, to: Place },
    /// [`Fault::Block`] in both directions.
    Partition { a: Place, b: Place },
    /// Ends a [`Fault::Partition`].
    Heal { a: Place, b: Place },
    /// Another link from now on, in this direction: loss, latency, bandwidth.
    Link { from: Place, to: Place, link: Link },
    /// Power loss, by host index: tasks are gone, not a packet leaves, peers hear nothing.
    Crash { host: u16 },
    /// The process is killed: tasks are gone, the kernel closes their connections.
    Kill { host: u16 },
    /// The host's wall clock is wrong by this many microseconds from now on.
    Skew { host: u16, offset_us: i64 },
}

impl State {
    pub(crate) fn apply(&mut self, fault: &Fault) {
        let now = self.now();
        self.log.push(now, "".into(), format!("{fault:?}"));
        self.hurry();
        match *fault {
            Fault::Block { from, to } => self.links.block(from, to),
            Fault::Unblock { from, to } => self.links.unblock(from, to),
            Fault::Partition { a, b } => {
                self.links.block(a, b);
                self.links.block(b, a);
            }
            Fault::Heal { a, b } => {
                self.links.unblock(a, b);
                self.links.unblock(b, a);
            }
            Fault::Link { from, to, link } => self.links.set(from, to, link),
            Fault::Crash { host } => self.crash(host),
            Fault::Kill { host } => self.kill(host),
            Fault::Skew { host, offset_us } => self.host_mut(host).skew_us = offset_us,
        }
    }

    pub(crate) fn schedule_fault(&mut self, at_us: u64, fault: Fault) {
        let at = at_us.max(self.now());
        self.schedule(at, Event::Fault(fault));
    }

    fn crash(&mut self, host: u16) {
        self.kill(host);
        self.host_mut(host).up = false;
        let mut over = Vec::new();
        for (id, conn) in self.conns.iter_mut() {
            for side in crate::wan::Side::BOTH {
                if conn.ends[side as usize].host == host {
                    conn.end(side).gone = true;
                    conn.flow(side).forget_queue();
                    conn.flow(side).fin_waits = false;
                }
            }
            if conn.is_over() {
                over.push(id);
            }
        }
        for id in over {
            self.retire(id);
        }
    }

    fn kill(&mut self, host: u16) {
        let host = self.host_mut(host);
        host.process += 1;
        host.tasks.drain(..).for_each(|task| task.abort());
    }
}
