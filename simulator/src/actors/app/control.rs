//! What can be done to a running app from outside.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::actors::signal::until;

/// A handle on a running app; clones are handles on the same one.
#[derive(Debug, Clone, Default)]
pub struct AppControl(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

/// Each command has a number, so that connections which came after it are not meant.
#[derive(Debug, Default)]
struct State {
    closes: u64,
    close_code: u16,
    cuts: u64,
    leaving: bool,
    stalled_until: Option<Instant>,
}

impl AppControl {
    /// Closes every WebSocket with `code`, as on a deployment, and ends every event stream.
    pub fn close_sessions(&self, code: u16) {
        self.change(|state| {
            state.closes += 1;
            state.close_code = code;
        });
    }

    /// Drops every connection as it is, without a word.
    pub fn cut(&self) {
        self.change(|state| state.cuts += 1);
    }

    /// Freezes the app for so long: it accepts nothing, reads nothing and writes nothing, while updates come to
    /// exist and timers go on. A stall that ends later stays.
    pub fn stall_for(&self, pause: Duration) {
        let until = Instant::now() + pause;
        self.change(|state| state.stalled_until = state.stalled_until.max(Some(until)));
    }

    /// Closes sessions, and lets connections end with the answer that they are at.
    pub(super) fn leave(&self, code: u16) {
        self.close_sessions(code);
        self.change(|state| state.leaving = true);
    }

    /// The ear of a connection or a session, for commands that come after this call.
    pub(super) fn watch(&self) -> Watch {
        let (closes, cuts) = self.look(|state| (state.closes, state.cuts));
        Watch { control: self.clone(), closes, cuts }
    }

    /// When the stall is over, while there is one.
    pub(super) fn stalled_until(&self) -> Option<Instant> {
        self.look(|state| state.stalled_until).filter(|until| *until > Instant::now())
    }

    pub(super) async fn stall_is_over(&self) {
        while let Some(end) = self.stalled_until() {
            sleep_until(end).await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.look(change);
        self.0.changed.notify_waiters();
    }

    fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// See [`AppControl::watch`].
#[derive(Debug, Clone)]
pub(super) struct Watch {
    control: AppControl,
    closes: u64,
    cuts: u64,
}

impl Watch {
    /// Done with the code when the sessions are to close, also because the app is leaving.
    pub(super) async fn close(&self) -> u16 {
        self.reached(|state| (state.leaving || state.closes > self.closes).then_some(state.close_code)).await
    }

    /// Done when the connections are to be cut.
    pub(super) async fn cut(&self) {
        self.reached(|state| (state.cuts > self.cuts).then_some(())).await;
    }

    /// Done when the app is leaving.
    pub(super) async fn leaving(&self) {
        self.reached(|state| state.leaving.then_some(())).await;
    }

    async fn reached<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        until(&self.control.0.changed, || self.control.look(|state| look(state))).await
    }
}
