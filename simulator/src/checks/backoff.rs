//! Clients come back no sooner and no later than their back-off says. Measured from the end of a session, or of an
//! attempt, to the next look-up of a name.

use std::time::Duration;

use super::{Case, SLACK, micros};
use crate::scenario::{ClientKind, Jitter};
use crate::world::record::Redial;

/// With full jitter a single wait may be nothing at all. That so many in a row are each below this part of what they
/// may be happens once in 2^32.
const MIN_WAITS: usize = 8;
const SMALL_PART: u64 = 16;

pub(super) fn check(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for (index, group) in case.scenario.clients.iter().enumerate() {
        // Pollers have their interval; and a long poll follows on the last one at once.
        if !matches!(group.kind, ClientKind::Push(_) | ClientKind::Sse(_)) {
            continue;
        }
        let of_group: Vec<&Redial> =
            case.redials.iter().filter(|redial| case.group(redial.client).0 == index).collect();
        let mut full = Vec::new();
        for redial in of_group {
            let reconnect = &group.reconnect;
            let wait = |base, max| wait((base, reconnect.factor, max), redial.waits);
            let (base, max) = (reconnect.base, reconnect.max);
            let (shortest, longest) = (wait(base.from, max), wait(base.to, max));
            let (least, most) = match reconnect.jitter {
                Jitter::None => (shortest, longest),
                Jitter::Equal => (shortest / 2, longest),
                Jitter::Full => (Duration::ZERO, longest),
                // `max` bounds what was drawn, not that from which it is drawn.
                Jitter::Half => (wait(base.from, max * 2) / 2, (wait(base.to, max * 2) / 2 * 3).min(max)),
            };
            let waited = Duration::from_micros(redial.waited_us);
            let says = format!("{} came back after {waited:?}", group.name);
            if waited + SLACK < least || waited > most + SLACK {
                found.push(format!("{says}; its back-off says {least:?} to {most:?}"));
            }
            full.push((redial.waited_us, micros(most)));
        }
        let small = full.iter().all(|(waited, most)| *waited < most / SMALL_PART);
        if group.reconnect.jitter == Jitter::Full && full.len() >= MIN_WAITS && small {
            found.push(format!(
                "{}: none of {} waits is a part worth the name of its back-off",
                group.name,
                full.len()
            ));
        }
    }
    found
}

/// The wait, before jitter, after so many before it of which `base` was the first.
fn wait((base, factor, max): (Duration, f64, Duration), waits: u32) -> Duration {
    let grown = (0..waits).try_fold(base.as_secs_f64(), |wait, _| {
        let grown = wait * factor.max(1.0);
        (grown < max.as_secs_f64()).then_some(grown)
    });
    grown.map_or(max, Duration::from_secs_f64).min(max)
}
