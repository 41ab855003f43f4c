//! What was on the wire, and for whom.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Packets in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    pub packets: u64,
    /// On the wire without Ethernet: IP and TCP headers, payload, ACKs and retransmissions.
    pub bytes: u64,
    /// What applications wrote, once.
    pub payload: u64,
    /// The part of `packets` that was sent again.
    pub retransmitted: u64,
}

impl Counter {
    pub(crate) fn packet(&mut self, bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
    }

    pub(crate) fn retransmit(&mut self, bytes: u32) {
        self.packet(bytes);
        self.retransmitted += 1;
    }

    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.payload += other.payload;
        self.retransmitted += other.retransmitted;
    }
}

/// All connections from one host to a port of another that were made under one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    pub client: Arc<str>,
    pub server: Arc<str>,
    /// Of the server, as clients dial it.
    pub port: u16,
    /// From [`crate::net::SimNet::labelled`] on the client; empty without.
    pub label: Arc<str>,
    /// Connections tried.
    pub connections: u64,
    /// From client to server.
    pub up: Counter,
    /// From server to client.
    pub down: Counter,
}

/// Client host, server host, port, label.
pub(crate) type Key = (u16, u16, u16, Arc<str>);

#[derive(Default)]
pub(crate) struct TrafficTable(BTreeMap<Key, (u64, [Counter; 2])>);

impl TrafficTable {
    pub(crate) fn add(&mut self, key: Key, counters: [Counter; 2]) {
        let (connections, sums) = self.0.entry(key).or_default();
        *connections += 1;
        for (sum, counter) in sums.iter_mut().zip(counters) {
            sum.add(counter);
        }
    }

    pub(crate) fn clone_sums(&self) -> Self {
        Self(self.0.clone())
    }

    pub(crate) fn into_rows(self, name: impl Fn(u16) -> Arc<str>) -> Vec<Traffic> {
        let row = |((client, server, port, label), (connections, [up, down])): (Key, (u64, [Counter; 2]))| Traffic {
            client: name(client),
            server: name(server),
            port,
            label,
            connections,
            up,
            down,
        };
        self.0.into_iter().map(row).collect()
    }
}
