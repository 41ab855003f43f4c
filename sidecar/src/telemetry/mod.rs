//! What people see of the sidecar. All of it is made by observers out of two enums: what happens to a session is an
//! [`Event`], what happens around sessions a [`Notice`].

mod access;
mod log;
pub mod metrics;
mod notice;
pub mod otlp;
pub mod trace;

use std::sync::Arc;
use std::time::Duration;

use outrigger_shared::close::Side;
use outrigger_shared::event::Event;
use outrigger_shared::relay::{Relay, Stats};

pub(crate) use access::Capture;
pub use access::{AccessLog, Asked};
pub use log::{Level, Log, init};
pub use metrics::Metrics;
pub use notice::{Exchange, Fault, Notice};

use crate::session::Who;

/// Hears what happens, on the thread on which it happens: it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// A step in a session's life; `Event::Ended` is the last but one thing to hear.
    fn event(&self, who: &Who, event: &Event);

    /// Both sockets can be dropped and the relay's counters are final. Heard exactly once per session that ran.
    fn ended(&self, who: &Who, lived: Duration, relay: &Relay);

    /// A session that was opened is gone without an end: a peer left before its first byte, or its task was dropped.
    fn cut(&self, who: &Who) {
        let _ = who;
    }

    /// What passed from one side in one turn of a session. Heard only by those that count traffic, and only when there
    /// was something.
    fn passed(&self, from: Side, passed: &Stats) {
        let _ = (from, passed);
    }

    /// Whether [`Observer::passed`] is to be called; asked once per session.
    fn counts_traffic(&self) -> bool {
        false
    }

    /// Something that belongs to no session.
    fn notice(&self, notice: &Notice<'_>) {
        let _ = notice;
    }
}

/// Several observers, told in order.
pub struct Observers(pub Vec<Arc<dyn Observer>>);

impl Observer for Observers {
    fn event(&self, who: &Who, event: &Event) {
        for observer in &self.0 {
            observer.event(who, event);
        }
    }

    fn ended(&self, who: &Who, lived: Duration, relay: &Relay) {
        for observer in &self.0 {
            observer.ended(who, lived, relay);
        }
    }

    fn cut(&self, who: &Who) {
        for observer in &self.0 {
            observer.cut(who);
        }
    }

    fn passed(&self, from: Side, passed: &Stats) {
        for observer in &self.0 {
            observer.passed(from, passed);
        }
    }

    fn counts_traffic(&self) -> bool {
        self.0.iter().any(|observer| observer.counts_traffic())
    }

    fn notice(&self, notice: &Notice<'_>) {
        for observer in &self.0 {
            observer.notice(notice);
        }
    }
}
