//! No session outlives its limits: neither its lifetime, nor silence of both sides beyond the idle limit. Silence is
//! measured at the sidecar's sockets.

use std::time::Duration;

use super::{Case, SLACK, micros};
use crate::world::record::{Fate, SidecarSession};

/// Beyond the limit itself and the time for a closing handshake: rounding of timers, and bytes on their way.
const MARGIN: Duration = Duration::from_secs(2);

pub(super) fn check(case: &Case) -> Vec<String> {
    case.sidecar_sessions.iter().filter_map(|session| too_old(case, session)).collect()
}

fn too_old(case: &Case, session: &SidecarSession) -> Option<String> {
    let settings = &case.scenario.sidecars[session.sidecar].config;
    let over_us = match &session.fate {
        Fate::Open => return None,
        Fate::Killed { at_us } => *at_us,
        Fate::Ended(ended) => ended.at_us,
    };
    let lived = Duration::from_micros(over_us - session.opened_us);
    if let Some(lifetime) = settings.session.lifetime {
        let most = lifetime.max + outrigger_shared::relay::LIFETIME_GRACE + settings.session.close_timeout + MARGIN;
        if lived > most {
            return Some(format!("{} lived {lived:?}; its lifetime is {:?}", case.name(session), lifetime.max));
        }
    }
    let passed = session.passed.as_ref()?;
    let idle = passed.longest_idle_us;
    let frame_ends = if passed.deferred { settings.session.close_timeout } else { Duration::ZERO };
    (idle > micros(settings.dial.read_timeout + frame_ends + SLACK)).then(|| {
        let idle = Duration::from_micros(idle);
        format!("{} was silent for {idle:?}, beyond its idle limit", case.name(session))
    })
}
