//! What people see of sessions. All of it is made from the one `Event` enum, by whoever observes.

mod log;

use std::time::Duration;

use outrigger_shared::event::Event;
use outrigger_shared::relay::Relay;

pub use log::{Level, Log, init};

use crate::session::Who;

/// Hears what happens to sessions, on the thread on which it happens: it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// A step in a session's life; `Event::Ended` is the last but one thing to hear.
    fn event(&self, who: &Who, event: &Event);

    /// Both sockets can be dropped and the relay's counters are final. Heard exactly once per session that began.
    fn ended(&self, who: &Who, lived: Duration, relay: &Relay);
}
