//! Sidecars that do not keep to their configuration, or say what is not so.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outrigger::config::{Config, Lifetime};
use outrigger_shared::close::{Cause, End, Initiator};
use outrigger_shared::event::Event;
use outrigger_sim::world::tamper::{Tamper, Task};

use crate::catch::caught_by;
use crate::worlds;

const SECOND: Duration = Duration::from_secs(1);

/// A sidecar that goes by another configuration than it was given.
struct Configured<F>(F);

impl<F: Fn(&mut Config) + Send + Sync> Tamper for Configured<F> {
    fn config(&self, config: &mut Config) {
        (self.0)(config);
    }
}

#[test]
fn keepalive_is_a_second_late() {
    let slow = |config: &mut Config| {
        let interval = &mut config.session.keepalive.client;
        *interval = interval.map(|interval| interval + SECOND);
    };
    caught_by("keepalive", "keepalive too slow by a second", &worlds::quiet(), || Configured(slow));
}

#[test]
fn keepalive_is_a_second_early() {
    let fast = |config: &mut Config| {
        let interval = &mut config.session.keepalive.app;
        *interval = interval.map(|interval| interval.saturating_sub(SECOND));
    };
    caught_by("keepalive", "keepalive too fast by a second", &worlds::quiet(), || Configured(fast));
}

#[test]
fn there_is_no_keepalive() {
    let off = |config: &mut Config| config.session.keepalive.app = None;
    caught_by("keepalive", "no keepalive to the app", &worlds::quiet(), || Configured(off));
}

#[test]
fn a_dead_client_is_waited_for() {
    let patient = |config: &mut Config| config.session.keepalive.pong_timeout += SECOND;
    caught_by("keepalive", "pong awaited too long by a second", &worlds::behind_silence(), || Configured(patient));
}

#[test]
fn the_idle_limit_is_longer() {
    let longer = |config: &mut Config| config.dial.read_timeout += SECOND;
    caught_by("limits", "idle limit too long by a second", &worlds::idle(), || Configured(longer));
}

#[test]
fn a_session_lives_for_ever() {
    let endless = |config: &mut Config| config.session.lifetime = None;
    caught_by("limits", "lifetime not enforced", &worlds::short_lived(), || Configured(endless));
}

#[test]
fn more_is_buffered_than_is_allowed() {
    let roomy = |config: &mut Config| config.session.write_buffer = 1 << 20;
    caught_by("memory", "write_buffer ignored", &worlds::slow_reader(), || Configured(roomy));
}

/// What comes does not put the idle limit off: it strikes a minute after the session began, whatever was said.
#[test]
fn the_idle_timer_is_not_reset() {
    struct Stubborn;
    fn idle(end: End) -> End {
        let cause = if end.cause == Cause::Lifetime { Cause::Idle } else { end.cause };
        End { cause, ..end }
    }
    impl Tamper for Stubborn {
        fn config(&self, config: &mut Config) {
            config.session.lifetime = Some(Lifetime { max: config.dial.read_timeout, jitter_percent: 0 });
        }

        fn event(&self, event: Event) -> Option<Event> {
            Some(if let Event::Ended(end) = event { Event::Ended(idle(end)) } else { event })
        }

        fn end(&self, end: End) -> Option<End> {
            Some(idle(end))
        }
    }
    caught_by("causes", "timer not reset", &worlds::busy(), || Stubborn);
}

#[test]
fn the_app_is_said_to_have_closed() {
    struct Liar;
    impl Tamper for Liar {
        fn end(&self, end: End) -> Option<End> {
            let lie = End { by: Initiator::App, cause: Cause::Close, ..end };
            Some(if end.cause == Cause::Idle { lie } else { end })
        }
    }
    caught_by("causes", "wrong cause", &worlds::idle(), || Liar);
}

#[test]
fn an_end_is_kept_quiet() {
    #[derive(Default)]
    struct Quiet(AtomicUsize);
    impl Tamper for Quiet {
        fn end(&self, end: End) -> Option<End> {
            (self.0.fetch_add(1, Ordering::Relaxed) != 1).then_some(end)
        }
    }
    caught_by("registry", "end of a session not told", &worlds::idle(), Quiet::default);
}

/// The session is over, and what counts it as live is never dropped.
#[test]
fn a_session_is_never_deregistered() {
    struct Leak;
    impl Tamper for Leak {
        fn task(&self, mut task: Task) -> Task {
            Box::pin(async move {
                task.as_mut().await;
                pending::<()>().await;
                drop(task);
            })
        }
    }
    caught_by("registry", "registry leak", &worlds::idle(), || Leak);
}
