//! Hops in front of a host: load balancers and NATs that forget connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{ConnId, Event, State};
use crate::rng::Stream;
use crate::wan::{Addr, RST_BYTES, Side};

/// How a hop ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A forged RST to both ends.
    Rst,
    /// A forged FIN to both ends, after what is on its way; later data is answered with a RST.
    Fin,
    /// Nothing: packets of the connection vanish from then on.
    Silence,
}

/// One hop on the way to a host, or from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// As it shall appear in reports.
    pub name: String,
    pub idle: Option<Idle>,
    /// Cuts a connection this long after its handshake.
    pub lifetime: Option<(Duration, End)>,
    /// It sees only connections that others open to the host, as a load balancer does, and not those of the host.
    pub inbound_only: bool,
}

/// A hop's patience with silence: it cuts a connection after so long without a packet that carries data; bare ACKs do
/// not count. How long is drawn for each connection, from `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    pub from: Duration,
    /// Not less than `from`.
    pub to: Duration,
    pub end: End,
}

impl Hop {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), idle: None, lifetime: None, inbound_only: false }
    }

    #[must_use]
    pub fn inbound_only(self) -> Self {
        Self { inbound_only: true, ..self }
    }

    #[must_use]
    pub fn idle(self, after: Duration, end: End) -> Self {
        self.idle_between(after, after, end)
    }

    #[must_use]
    pub fn idle_between(self, from: Duration, to: Duration, end: End) -> Self {
        Self { idle: Some(Idle { from, to, end }), ..self }
    }

    #[must_use]
    pub fn lifetime(self, after: Duration, end: End) -> Self {
        Self { lifetime: Some((after, end)), ..self }
    }
}

/// A connection that a hop has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Virtual microseconds since the start of the run.
    pub at_us: u64,
    /// The hop, and the host that it stands in front of.
    pub hop: String,
    pub host: Arc<str>,
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub end: End,
    /// Of its lifetime, rather than of silence.
    pub of_age: bool,
}

/// A hop as it watches one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The end in front of which the hop stands.
    side: Side,
    hop: usize,
    /// Its idle limit for this connection, in microseconds.
    idle_us: Option<u64>,
    last_data_at: u64,
}

impl State {
    /// The hops that see a connection between two ends.
    pub(crate) fn watches(&self, client: (u16, Addr), server: (u16, Addr)) -> Vec<Watch> {
        let of = |at: u16, side| {
            let host = self.host(at);
            let hops = host.hops.iter().enumerate();
            let watching = hops.filter(move |(_, hop)| side == Side::Server || !hop.inbound_only);
            watching.map(move |(index, hop)| {
                let idle_us = hop.idle.map(|idle| self.patience(idle, &host.name, &hop.name, (client.1, server.1)));
                Watch { side, hop: index, idle_us, last_data_at: 0 }
            })
        };
        of(client.0, Side::Client).chain(of(server.0, Side::Server)).collect()
    }

    /// Draws an idle limit from a stream of its own for each connection, so that no other connection's limit hangs on
    /// whether this one exists.
    fn patience(&self, idle: Idle, host: &str, hop: &str, (client, server): (Addr, Addr)) -> u64 {
        if idle.from == idle.to {
            return micros(idle.from);
        }
        let ends = (SocketAddr::from(client), SocketAddr::from(server));
        let mut stream = Stream::new(self.seed, &format!("hop {host}/{hop} {} > {}", ends.0, ends.1));
        stream.between(micros(idle.from), micros(idle.to))
    }

    /// The handshake is done: the hops' clocks start.
    pub(crate) fn watch(&mut self, id: ConnId) {
        let now = self.now();
        let Some(conn) = self.conns.get_mut(id) else { return };
        let hosts = [conn.ends[0].host, conn.ends[1].host];
        let mut timers = Vec::new();
        for (index, watch) in conn.watches.iter_mut().enumerate() {
            watch.last_data_at = now;
            timers.push((index, watch.side, watch.hop, watch.idle_us));
        }
        for (watch, side, hop, idle_us) in timers {
            let lifetime_us = self.host(hosts[side as usize]).hops[hop].lifetime.map(|lifetime| micros(lifetime.0));
            for (after_us, lifetime) in [(idle_us, false), (lifetime_us, true)] {
                if let Some(after_us) = after_us {
                    self.schedule(now + after_us, Event::Hop { conn: id, watch, lifetime });
                }
            }
        }
    }

    /// A packet with data passes the hops in front of `at` now.
    pub(crate) fn passed_hops(&mut self, id: ConnId, at: Side, now: u64) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.watches.iter_mut().filter(|watch| watch.side == at).for_each(|watch| watch.last_data_at = now);
    }

    pub(crate) fn hop_timer(&mut self, id: ConnId, watch: usize, lifetime: bool) {
        let now = self.now();
        let Some(conn) = self.conns.get(id) else { return };
        let Watch { side, hop, idle_us, last_data_at } = conn.watches[watch];
        if conn.flows.iter().any(|flow| flow.silenced || flow.cut) {
            return;
        }
        let host = self.host(conn.ends[side as usize].host);
        let hop = &host.hops[hop];
        let idle = hop.idle.zip(idle_us).map(|(idle, after_us)| (after_us, idle.end));
        let age = hop.lifetime.map(|(after, end)| (micros(after), end));
        let Some((after_us, end)) = (if lifetime { age } else { idle }) else { return };
        let due = last_data_at + after_us;
        if !lifetime && due > now {
            return self.schedule(due, Event::Hop { conn: id, watch, lifetime });
        }
        let cut = Cut {
            at_us: now,
            hop: hop.name.clone(),
            host: host.name.clone(),
            client: conn.ends[0].addr.into(),
            server: conn.ends[1].addr.into(),
            end,
            of_age: lifetime,
        };
        let why = if lifetime { "of age" } else { "idle" };
        let text = format!("{} cuts {} > {} ({why}, {end:?})", cut.hop, cut.client, cut.server);
        self.log.push(now, cut.host.clone(), text);
        self.cuts.push(cut);
        self.cut(id, side, end);
    }

    /// Ends a connection at the hop in front of `near`.
    fn cut(&mut self, id: ConnId, near: Side, end: End) {
        let now = self.now();
        self.hurry();
        let conn = self.conns.get_mut(id).expect("the caller has looked");
        match end {
            End::Silence => conn.flows.iter_mut().for_each(|flow| flow.silenced = true),
            End::Rst => {
                conn.flows.iter_mut().for_each(|flow| {
                    flow.cut = true;
                    flow.forget_queue();
                });
                self.schedule(now, Event::Reset { conn: id, to: near });
                self.count(id, near.other(), RST_BYTES, false);
                let at = self.cross(id, near, RST_BYTES);
                self.schedule(at, Event::Reset { conn: id, to: near.other() });
            }
            End::Fin => {
                for from in Side::BOTH {
                    self.forge_fin(id, from, near);
                }
            }
        }
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}
