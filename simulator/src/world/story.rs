//! A run as it can be drawn: who heard what when, besides what is on record of every run.

use super::record::{ClientSession, SidecarSession};
use crate::middlebox::Cut;
use crate::scenario::PlannedFault;

/// Messages that are kept of one run; of others only the number.
const MAX_KEPT: usize = 200_000;

/// All that a picture of a run is made from.
#[derive(Debug, Clone)]
pub struct Story {
    /// Who clients are, by their numbers.
    pub clients: Vec<Who>,
    pub faults: Vec<PlannedFault>,
    pub cuts: Vec<Cut>,
    pub sessions: Vec<ClientSession>,
    pub sidecar_sessions: Vec<SidecarSession>,
    pub heard: Heard,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    pub name: String,
    /// Index of its group.
    pub group: usize,
}

/// What came through, in the order in which it did.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    pub updates: Vec<Update>,
    pub messages: Vec<Message>,
    /// Beyond what is kept.
    pub left_out: usize,
}

/// An update that a client got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    pub client: u32,
    pub seq: u64,
    pub created_us: u64,
    pub at_us: u64,
}

/// A message of a client, and when it reached its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub client: u32,
    pub n: u64,
    pub sent_us: u64,
    pub at_us: Option<u64>,
}

impl Heard {
    pub(super) fn update(&mut self, update: Update) {
        if self.is_full() {
            self.left_out += 1;
        } else {
            self.updates.push(update);
        }
    }

    pub(super) fn sent(&mut self, client: u32, n: u64, sent_us: u64) {
        if self.is_full() {
            self.left_out += 1;
        } else {
            self.messages.push(Message { client, n, sent_us, at_us: None });
        }
    }

    pub(super) fn arrived(&mut self, client: u32, n: u64, at_us: u64) {
        // What arrives was sent not long ago.
        let sent = self.messages.iter_mut().rev().find(|message| (message.client, message.n) == (client, n));
        if let Some(message) = sent {
            message.at_us.get_or_insert(at_us);
        }
    }

    fn is_full(&self) -> bool {
        self.updates.len() + self.messages.len() >= MAX_KEPT
    }
}
