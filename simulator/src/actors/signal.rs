//! Waiting for a condition.
//!
//! `tokio::sync::watch` wakes its receivers in an order that it draws from the runtime's own random numbers, which
//! nobody can seed in a stable build. `Notify` wakes first come, first served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Waits until `ready` gives a value; looks again whenever `changed` notifies its waiters.
pub(super) async fn until<T>(changed: &Notify, mut ready: impl FnMut() -> Option<T>) -> T {
    loop {
        // It hears of every notification from its creation on, so nothing falls between the look and the wait.
        let notified = changed.notified();
        if let Some(value) = ready() {
            return value;
        }
        notified.await;
    }
}

/// Tells actors to leave in good order; clones tell the same ones.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    stopped: AtomicBool,
    changed: Notify,
}

impl Stop {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }

    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Done once it is told to stop, at once if it was before.
    pub async fn stopped(&self) {
        until(&self.0.changed, || self.is_stopped().then_some(())).await;
    }
}
