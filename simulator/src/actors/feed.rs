//! The updates that an app has to tell of.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::Notify;

use super::event::{FeedEvent, Observer};
use super::signal::until;
use super::{Audience, Clock};

/// Updates that a feed keeps, at most; older ones are forgotten. How many of them an app gives to who comes back is the
/// app's affair.
pub const MAX_KEPT_UPDATES: usize = 1_000_000;
/// What the kept updates may take together.
pub const MAX_KEPT_BYTES: usize = 64 * 1024 * 1024;
/// The largest update.
pub const MAX_UPDATE_BYTES: usize = 1024 * 1024;

/// In place of the number of the newest update that a client has: it wants only what comes after its request.
pub const FROM_NOW: u64 = u64::MAX;

/// One update, as it is told to clients: `{"seq":N,"at":MICROSECONDS,"pad":"…"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub seq: u64,
    pub created_us: u64,
    pub json: Bytes,
}

/// A numbered sequence of updates. Clones are the same feed, so that several apps can tell of it, and an app that is
/// started anew can go on with it.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    id: u32,
    clock: Clock,
    observer: Arc<dyn Observer>,
    audience: Audience,
    kept: Mutex<Kept>,
    changed: Notify,
}

#[derive(Default)]
struct Kept {
    latest: u64,
    bytes: usize,
    updates: VecDeque<Update>,
}

impl Feed {
    pub fn new(id: u32, clock: Clock, observer: Arc<dyn Observer>, audience: Audience) -> Self {
        Self(Arc::new(Inner { id, clock, observer, audience, kept: Mutex::default(), changed: Notify::new() }))
    }

    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Makes an update that exists from now on, and tells whoever waits. Its text has `bytes` bytes, but never fewer
    /// than its numbers need nor more than [`MAX_UPDATE_BYTES`]. Returns its sequence number.
    pub fn publish(&self, bytes: usize) -> u64 {
        let created_us = self.0.clock.now_us();
        let (seq, bytes) = self.with(|kept| {
            kept.latest += 1;
            let json = text(kept.latest, created_us, bytes.min(MAX_UPDATE_BYTES));
            let length = json.len();
            kept.bytes += length;
            kept.updates.push_back(Update { seq: kept.latest, created_us, json });
            while kept.updates.len() > MAX_KEPT_UPDATES || kept.bytes > MAX_KEPT_BYTES {
                kept.bytes -= kept.updates.pop_front().map_or(0, |update| update.json.len());
            }
            (kept.latest, length)
        });
        // On record before anybody can have it.
        self.0.observer.feed(created_us, self.0.id, &FeedEvent::UpdateCreated { seq, bytes });
        self.0.changed.notify_waiters();
        seq
    }

    /// The newest sequence number, 0 before the first update.
    pub fn latest(&self) -> u64 {
        self.with(|kept| kept.latest)
    }

    /// The newest sequence number of an update for `client`, of those that are kept; 0 if there is none.
    pub fn newest_for(&self, client: u32) -> u64 {
        let is_for = |update: &&Update| self.0.audience.is_for(client, update.seq);
        self.with(|kept| kept.updates.iter().rev().find(is_for).map_or(0, |update| update.seq))
    }

    /// The kept updates for `client` after `since`, oldest first, as many as fit into `most_bytes` but at least one if
    /// there is one.
    pub fn after(&self, client: u32, since: u64, most_bytes: usize) -> Vec<Update> {
        self.with(|kept| {
            let first = kept.updates.partition_point(|update| update.seq <= since);
            let mut bytes = 0;
            let for_client =
                kept.updates.iter().skip(first).filter(|update| self.0.audience.is_for(client, update.seq));
            let fitting = for_client.take_while(|update| {
                let fits = bytes == 0 || bytes + update.json.len() <= most_bytes;
                bytes += update.json.len();
                fits
            });
            fitting.cloned().collect()
        })
    }

    /// Waits until there is an update for `client` after `since`, and it is kept still.
    pub async fn beyond(&self, client: u32, since: u64) {
        let mut looked = since;
        let look = || {
            let (oldest, latest) = self.with(|kept| (kept.updates.front().map_or(0, |update| update.seq), kept.latest));
            let found = self.0.audience.first_after(client, looked.max(oldest.saturating_sub(1)), latest);
            looked = looked.max(latest);
            found.map(drop)
        };
        until(&self.0.changed, look).await;
    }

    fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn text(seq: u64, created_us: u64, bytes: usize) -> Bytes {
    let mut text = format!(r#"{{"seq":{seq},"at":{created_us},"pad":""#);
    let pad = bytes.saturating_sub(text.len() + 2);
    text.extend(std::iter::repeat_n('x', pad));
    text.push_str("\"}");
    text.into()
}

/// An update as a client reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Told {
    pub(super) seq: u64,
    at: u64,
}

/// The body of an answer to a poll.
#[derive(Debug, Deserialize)]
struct Answer {
    updates: Vec<Told>,
}

impl Told {
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(super) fn parse_answer(json: &[u8]) -> Option<Vec<Self>> {
        serde_json::from_slice::<Answer>(json).ok().map(|answer| answer.updates)
    }

    pub(super) fn created_us(self) -> u64 {
        self.at
    }

    pub(super) fn delay(self, now_us: u64) -> Duration {
        Duration::from_micros(now_us.saturating_sub(self.at))
    }
}
