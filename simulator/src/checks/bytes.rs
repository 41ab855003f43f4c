//! A sidecar gives out what it was given, to the byte and in order: what an app put on its connection behind the 101 is
//! what the client got there, and the other way round. Every frame is compared by a digest over all of it, control
//! frames included, and above TLS, at both ends (how: `world/wire`); bodies of answers and event streams byte by byte. And the sidecar's own counters add up to what was
//! there.

use outrigger_shared::close::{Cause, Initiator, Side};

use super::Case;
use crate::actors::Ending;

pub(super) fn check(case: &Case) -> Vec<String> {
    let mut found = case.bodies.to_vec();
    for wire in case.wires {
        let at = wire.addr;
        found.extend(
            wire.problems
                .iter()
                .map(|problem| format!("session of {at}, asked for at {} us: {problem}", wire.asked_us)),
        );
    }
    for session in case.sidecar_sessions {
        let Some(ended) = session.ended() else { continue };
        let name = case.name(session);
        for (side, stats) in [("client", &ended.client), ("app", &ended.app)] {
            if stats.bytes_discarded > stats.bytes {
                found.push(format!("{name} discarded more bytes of the {side} than it had"));
            }
            let frames = stats.text + stats.binary + stats.pings + stats.pongs + stats.closes + stats.pongs_swallowed;
            if frames > stats.frames {
                found.push(format!("{name} counts {frames} frames of the {side} by kind, {} in all", stats.frames));
            }
        }
        let Some(seen) = case.client_session(session) else { continue };
        let sent = ended.app.text + ended.app.binary;
        if seen.messages > sent {
            found.push(format!("{name}: its client has {} messages, its app sent {sent}", seen.messages));
        }
        let in_order = ended.end.cause == Cause::Close && ended.end.by == Initiator::App;
        // Behind a broken network the sidecar gives up in the end, and the client never gets the Close.
        let whole =
            seen.closed.is_some_and(|closed| closed.how == Ending::Close || !case.is_troubled(session, Side::Client));
        if in_order && ended.app.bytes_discarded == 0 && whole && seen.messages < sent {
            found.push(format!("{name}: its client has {} of the {sent} messages its app sent", seen.messages));
        }
    }
    found
}
