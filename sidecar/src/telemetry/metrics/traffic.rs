//! What sessions pass on, turn by turn: the only figures that a busy session touches.

use std::sync::atomic::{AtomicU64, Ordering};

use outrigger_shared::close::Side;
use outrigger_shared::relay::{SIZE_BOUNDS, Stats};

use super::float;
use super::store::Value;
use super::table::Id;

/// By the side that sent, indexed by [`Side`].
#[derive(Debug, Default)]
pub(super) struct Traffic([Direction; 2]);

#[derive(Debug, Default)]
struct Direction {
    bytes: AtomicU64,
    text: AtomicU64,
    binary: AtomicU64,
    text_bytes: AtomicU64,
    binary_bytes: AtomicU64,
    pings: AtomicU64,
    pongs: AtomicU64,
    closes: AtomicU64,
    /// Ours, *to* this side.
    pings_injected: AtomicU64,
    closes_injected: AtomicU64,
    sizes: [AtomicU64; SIZE_BOUNDS.len() + 1],
}

impl Traffic {
    pub(super) fn add(&self, from: Side, passed: &Stats) {
        let to = &self.0[from as usize];
        let pairs = [
            (&to.bytes, passed.bytes),
            (&to.text, passed.text),
            (&to.binary, passed.binary),
            (&to.text_bytes, passed.text_bytes),
            (&to.binary_bytes, passed.binary_bytes),
            (&to.pings, passed.pings),
            (&to.pongs, passed.pongs),
            (&to.closes, passed.closes),
            (&to.pings_injected, passed.pings_injected),
            (&to.closes_injected, passed.closes_injected),
        ];
        let sizes = to.sizes.iter().zip(passed.sizes.map(u64::from));
        for (counter, amount) in pairs.into_iter().chain(sizes) {
            // Most are 0, and looking costs less than adding.
            if amount > 0 {
                counter.fetch_add(amount, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn snapshot(&self, put: &mut impl FnMut(Id, &[&str], Value)) {
        for side in Side::BOTH {
            let direction = &self.0[side as usize];
            let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let mut number = |id, labels: &[&str], counter| put(id, labels, Value::Number(float(load(counter))));
            let side = side.as_str();
            number(Id::Messages, &[side, "text"], &direction.text);
            number(Id::Messages, &[side, "binary"], &direction.binary);
            number(Id::Payload, &[side, "text"], &direction.text_bytes);
            number(Id::Payload, &[side, "binary"], &direction.binary_bytes);
            number(Id::Control, &[side, "ping"], &direction.pings);
            number(Id::Control, &[side, "pong"], &direction.pongs);
            number(Id::Control, &[side, "close"], &direction.closes);
            number(Id::Received, &[side], &direction.bytes);
            number(Id::Injected, &[side, "ping"], &direction.pings_injected);
            number(Id::Injected, &[side, "close"], &direction.closes_injected);
            let counts = direction.sizes.iter().map(load).collect();
            let sum = float(load(&direction.text_bytes) + load(&direction.binary_bytes));
            put(Id::MessageSize, &[side], Value::Histogram { counts, sum });
        }
    }
}
