//! Clients and apps that do not behave as the scenario says. That is no bug of a sidecar, but a run with it proves
//! nothing.

use std::time::Duration;

use outrigger_sim::actors::{AppEvent, Backoff, Push};
use outrigger_sim::world::tamper::Tamper;

use crate::catch::caught_by;
use crate::worlds;

/// A client that behaves otherwise.
struct Behaving<F>(F);

impl<F: Fn(&mut Push) + Send + Sync> Tamper for Behaving<F> {
    fn push(&self, push: &mut Push) {
        (self.0)(push);
    }
}

#[test]
fn clients_come_back_at_once() {
    let eager = |push: &mut Push| push.backoff = Backoff::constant(Duration::from_millis(50));
    caught_by("backoff", "reconnect without back-off", &worlds::away(), || Behaving(eager));
}

#[test]
fn clients_do_not_come_back_in_time() {
    let lazy = |push: &mut Push| push.backoff.base *= 3;
    caught_by("backoff", "reconnect too late", &worlds::away(), || Behaving(lazy));
}

#[test]
fn clients_do_not_ask_for_what_they_missed() {
    let forgetful = |push: &mut Push| push.forgets = true;
    caught_by("order", "client forgets to resume", &worlds::away(), || Behaving(forgetful));
}

/// The app acknowledges every message, and has not kept every one.
#[test]
fn a_message_is_lost_after_its_acknowledgement() {
    struct Forgetful;
    impl Tamper for Forgetful {
        fn app(&self, event: &AppEvent) -> bool {
            !matches!(event, AppEvent::MessageReceived { n, .. } if n % 7 == 0)
        }
    }
    caught_by("acknowledged", "message lost silently after its acknowledgement", &worlds::busy(), || Forgetful);
}
