//! Who got which Close, and what else of the sidecar's own arrives: by what clients and apps themselves got, frame by
//! frame.
//!
//! Each end gets at most one Close, with the code that the sidecar says it got; none is left with a bare end of stream
//! unless the way to it was broken. Pings that nobody at the other end sent are as many as the sidecar says, and their
//! answers never arrive there.

use outrigger::config::Inspect;
use outrigger_shared::close::{Cause, CloseCode, Side};

use super::Case;
use crate::actors::Ending;
use crate::world::record::{EndSeen, Ended, SidecarSession};

pub(super) fn check(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for session in case.sidecar_sessions {
        let Some(wire) = case.wire(session) else { continue };
        for side in Side::BOTH {
            let seen = &wire.ends[side as usize];
            let wrong = strange(session.ended(), side, seen).or_else(|| untrue(case, session, side, seen));
            found.extend(wrong.map(|what| format!("{}: the {side} {what}", case.name(session))));
        }
    }
    found
}

/// Something arrived that must not.
fn strange(ended: Option<&Ended>, side: Side, seen: &EndSeen) -> Option<String> {
    if seen.closes_got.len() > 1 {
        return Some(format!("got {} Closes", seen.closes_got.len()));
    }
    if seen.pongs_foreign > 0 {
        return Some(format!("got {} pongs that the other side owed to the sidecar, or to nobody", seen.pongs_foreign));
    }
    let ended = ended?;
    let stats = if side == Side::Client { &ended.client } else { &ended.app };
    let (got, own) = (seen.pings_foreign, stats.pings_injected);
    if got > own || (got < own && !seen.closes_got.is_empty()) {
        return Some(format!("got {got} pings of the sidecar's, which says it sent {own}"));
    }
    let (got, own) = (seen.closes_foreign, stats.closes_injected);
    (got > own).then(|| format!("got {got} Closes of the sidecar's, which says it sent {own}"))
}

/// What the sidecar says of this side's Close is not what was seen there.
fn untrue(case: &Case, session: &SidecarSession, side: Side, seen: &EndSeen) -> Option<String> {
    let ended = session.ended()?;
    if case.scenario.sidecars[session.sidecar].config.session.inspect == Inspect::Off {
        return None;
    }
    let told = if side == Side::Client { ended.end.client_code } else { ended.end.app_code };
    let told = told.map(|code| code.0);
    let code = |close: &(u64, Option<u16>)| close.1.unwrap_or(CloseCode::NO_STATUS.0);
    if let Some(got) = seen.closes_got.first().map(code) {
        return (told != Some(got)).then(|| format!("got a Close {got}; the sidecar says {told:?}"));
    }
    let sent = seen.closes_sent.first().map(code);
    if (told.is_some() && told == sent) || is_broken(case, session, side, seen, ended) {
        return None;
    }
    match told {
        Some(told) => Some(format!("got no Close; the sidecar says {told}")),
        None => Some("was left without a Close".to_owned()),
    }
}

/// Whether no Close could reach this side.
fn is_broken(case: &Case, session: &SidecarSession, side: Side, seen: &EndSeen, ended: &Ended) -> bool {
    // A frame that nobody will complete: there is no place for a Close behind it.
    if seen.is_inside || case.is_troubled(session, side) {
        return true;
    }
    match side {
        Side::Client => {
            let client = case.client_session(session);
            let left = |how| matches!(how, Ending::Left | Ending::Timeout | Ending::Error);
            case.cut(session).is_some()
                || client.is_none_or(|client| client.closed.is_none_or(|closed| left(closed.how)))
        }
        // It left by itself, or never began.
        Side::App => {
            let gone = matches!(ended.end.cause, Cause::Gone(Side::App) | Cause::Reset(Side::App));
            gone || seen.opened_us.is_none() || ended.at_us >= case.stopping_us
        }
    }
}
