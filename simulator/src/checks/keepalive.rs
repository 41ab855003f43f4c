//! A side that is silent for the keepalive interval gets a ping: then, not later and not earlier; and one that answers
//! nothing is not waited for beyond the pong timeout.
//!
//! Silence is measured at the sidecar's sockets. It does not count while bytes wait for the other side, for then this
//! one is not read, nor for the ping while bytes wait for this one or a frame to it is underway.

use std::time::Duration;

use outrigger::config::Inspect;
use outrigger_shared::close::Side;

use super::{Case, SLACK, micros};
use crate::world::record::SidecarSession;

pub(super) fn check(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for session in case.sidecar_sessions {
        let settings = &case.scenario.sidecars[session.sidecar].config.session;
        let rates = &settings.rates;
        // Who is over its rate is not read.
        let is_limited = rates.messages.is_some() || rates.bytes.is_some();
        if settings.inspect == Inspect::Off || is_limited {
            continue;
        }
        for (side, interval) in [(Side::Client, settings.keepalive.client), (Side::App, settings.keepalive.app)] {
            let Some(interval) = interval else { continue };
            let wrong = unpunctual(session, side, interval, settings.keepalive.pong_timeout);
            found.extend(wrong.map(|what| format!("{}: {what}", case.name(session))));
        }
    }
    found
}

fn unpunctual(session: &SidecarSession, side: Side, interval: Duration, pong_timeout: Duration) -> Option<String> {
    let seen = &session.passed.as_ref()?.sides[side as usize];
    let time = Duration::from_micros;
    let (early, late) = (micros(interval.saturating_sub(SLACK)), micros(interval + SLACK));
    if let Some(after) = seen.shortest_before_ping_us.filter(|after| *after < early) {
        return Some(format!("the {side} was pinged after {:?} of silence; the interval is {interval:?}", time(after)));
    }
    let unpinged = seen.longest_before_ping_us.max(seen.longest_unpinged_us);
    if unpinged > late {
        return Some(format!("the {side} was silent for {:?} without a ping, due after {interval:?}", time(unpinged)));
    }
    if seen.longest_wait_us > micros(pong_timeout + SLACK) {
        let waited = time(seen.longest_wait_us);
        return Some(format!("the {side} answered nothing for {waited:?} after a ping, and may for {pong_timeout:?}"));
    }
    None
}
