//! A sidecar gives out what it was given: a client has no message that its app did not send in this session, and in
//! a session that its app closed in order, or the client, it has every one.

use outrigger_shared::close::{Cause, Initiator};

use super::Case;
use crate::world::record::ClientSession;

pub(super) fn check(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
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
        let after = |seen: &&ClientSession| seen.opened_us >= session.opened_us && seen.addr == Some(session.client);
        let Some(seen) = case.client_sessions.iter().find(after) else { continue };
        let sent = ended.app.text + ended.app.binary;
        if seen.messages > sent {
            found.push(format!("{name}: its client has {} messages, its app sent {sent}", seen.messages));
        }
        let in_order = ended.end.cause == Cause::Close && ended.end.by == Initiator::App;
        if in_order && ended.app.bytes_discarded == 0 && seen.closed.is_some() && seen.messages < sent {
            found.push(format!("{name}: its client has {} of the {sent} messages its app sent", seen.messages));
        }
    }
    found
}
