//! Every end has a cause, and it is the true one: what the sidecar says is held against what the world did, and when. A
//! fault is an excuse only for what it can bring about, and only where it is on the session's own way.

use std::time::Duration;

use outrigger_shared::close::{Cause, End, Initiator, Side};
use outrigger_shared::relay::LIFETIME_GRACE;

use super::{Case, SLACK, micros};
use crate::actors::Ending;
use crate::middlebox::End as CutEnd;
use crate::scenario::{FaultKind, Host, SidecarId};
use crate::world::record::{Ended, Passed, SidecarSession};

/// What lies between a deed and its effect at the other end of the world, retransmissions included.
const EFFECT_US: u64 = 5_000_000;

pub(super) fn check(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for session in case.sidecar_sessions {
        let Some(ended) = session.ended() else { continue };
        let untimely = session.passed.as_ref().and_then(|passed| untimely(case, session, ended, passed));
        let wrong = [untrue(case, session, ended).map(str::to_owned), untimely, missed_cut(case, session, ended)];
        let told = |why| format!("{} says {}: {why}", case.name(session), told(&ended.end));
        found.extend(wrong.into_iter().flatten().map(told));
    }
    found
}

fn told(end: &End) -> String {
    format!("`{}` by the {}", end.cause, end.by)
}

/// Why a cause cannot be the true one, if it cannot.
fn untrue(case: &Case, session: &SidecarSession, ended: &Ended) -> Option<&'static str> {
    let settings = &case.scenario.sidecars[session.sidecar].config;
    let cut = case.cut(session);
    let client = case.client_session(session);
    let troubled = |side| case.is_troubled(session, side);
    match ended.end.cause {
        Cause::Close => match ended.end.by {
            Initiator::Sidecar => Some("the sidecar closes for a reason of its own"),
            Initiator::Client => {
                let left = client.is_none_or(|client| client.closed.is_none_or(|closed| closed.how != Ending::Close));
                let said = left && !only_answered(case, session, Side::Client);
                (!said).then_some("the client sent no Close of its own")
            }
            Initiator::App => only_answered(case, session, Side::App).then_some("the app sent no Close of its own"),
        },
        Cause::Lifetime if settings.session.lifetime.is_none() => Some("no lifetime is configured"),
        Cause::KeepaliveLost(side) => {
            let keepalive = &settings.session.keepalive;
            let on = if side == Side::Client { keepalive.client } else { keepalive.app };
            if on.is_none() {
                return Some("there is no keepalive on this side");
            }
            let excuse = troubled(side) || is_slow(case, session, side);
            (!excuse).then_some("the peer was there, and nothing was wrong with the way to it")
        }
        Cause::Reset(Side::Client) | Cause::Gone(Side::Client) => {
            let client_broke = client.is_some_and(|client| {
                client.closed.is_some_and(|closed| {
                    matches!(closed.how, Ending::Timeout | Ending::Error | Ending::Eof | Ending::Left)
                })
            });
            let network = case.faults_on(session).any(|kind| case.between_client(session, kind));
            let excuse = cut.is_some() || client.is_none() || client_broke || network;
            (!excuse).then_some("no hop cut the connection, and the client did not leave")
        }
        Cause::Reset(Side::App) | Cause::Gone(Side::App) => {
            (!troubled(Side::App) && ended.at_us < case.stopping_us).then_some("the app neither died nor was cut off")
        }
        Cause::Shutdown | Cause::Drain => {
            let sidecar = Host::Sidecar(SidecarId(session.sidecar));
            let restart = |kind: &FaultKind| matches!(kind, FaultKind::Restart { host } if *host == sidecar);
            let told = case.faults_on(session).any(restart) || ended.at_us >= case.stopping_us;
            (!told).then_some("the sidecar was not told to stop")
        }
        Cause::Operator => Some("no operator is there"),
        Cause::Rebalance => {
            let sidecar = &case.scenario.sidecars[session.sidecar];
            let asked = sidecar.config.choice.rebalance.is_some() && sidecar.apps.len() > 1;
            (!asked).then_some("the sidecar was not told to rebalance, or has one app")
        }
        Cause::Stalled(side) => {
            let excuse = troubled(side) || is_slow(case, session, side);
            (!excuse).then_some("everybody was reading")
        }
        _ => None,
    }
}

/// What is wrong with the moment of an end that a clock brings about, measured at the sidecar's sockets.
fn untimely(case: &Case, session: &SidecarSession, ended: &Ended, passed: &Passed) -> Option<String> {
    let config = &case.scenario.sidecars[session.sidecar].config;
    let settings = &config.session;
    let closing_us = passed.closing_us.filter(|_| !passed.deferred)?;
    let exactly = |is: u64, due: Duration| {
        let off = Duration::from_micros(is.abs_diff(micros(due))) > SLACK;
        off.then(|| format!("it began after {:?} of that, and is due after {due:?}", Duration::from_micros(is)))
    };
    match ended.end.cause {
        Cause::Idle => exactly(passed.idle_at_end_us, config.dial.read_timeout),
        Cause::KeepaliveLost(side) => {
            let Some(waited) = passed.sides[side as usize].wait_at_end_us else {
                return Some("no ping was unanswered".to_owned());
            };
            let interval = if side == Side::Client { settings.keepalive.client } else { settings.keepalive.app };
            let silent = Duration::from_micros(passed.sides[side as usize].silent_at_end_us);
            let least = interval? + settings.keepalive.pong_timeout;
            if silent + SLACK < least {
                return Some(format!("it was heard of {silent:?} before, and may be silent for {least:?}"));
            }
            exactly(waited, settings.keepalive.pong_timeout)
        }
        Cause::Stalled(side) => match passed.sides[side as usize].blocked_at_end_us {
            // What waits inside of TLS counts from when TLS takes no more.
            Some(blocked) if passed.tls && side == Side::Client && blocked > micros(config.dial.send_timeout) => None,
            Some(blocked) => exactly(blocked, config.dial.send_timeout),
            None => Some("nothing waited for it".to_owned()),
        },
        Cause::Lifetime => {
            let lifetime = settings.lifetime?;
            let lived = Duration::from_micros(closing_us - session.opened_us);
            let least = lifetime.max / 100 * (100 - u32::from(lifetime.jitter_percent.min(100)));
            let early = lived + SLACK < least;
            (early || lived > lifetime.max + LIFETIME_GRACE + SLACK).then(|| format!("it lived for {lived:?}"))
        }
        _ => None,
    }
}

/// A hop that cuts for all to see is what ended the session, if nothing else had before.
fn missed_cut(case: &Case, session: &SidecarSession, ended: &Ended) -> Option<String> {
    let cut = case.cut(session).filter(|cut| cut.end != CutEnd::Silence)?;
    let network = case.faults_on(session).any(|kind| case.between_client(session, kind));
    if ended.at_us < cut.at_us || network {
        return None;
    }
    if ended.at_us > cut.at_us + EFFECT_US {
        return Some("a hop had cut the connection long before".to_owned());
    }
    // The cut may cross an end on its way.
    let began_before = ended.end.by == Initiator::Sidecar || ended.end.cause == Cause::Close;
    let seen = matches!(ended.end.cause, Cause::Reset(Side::Client) | Cause::Gone(Side::Client));
    (!seen && !began_before).then(|| "a hop cut the connection to the client".to_owned())
}

/// Whether both ends are on record, and this one sent no Close but perhaps an answer.
fn only_answered(case: &Case, session: &SidecarSession, side: Side) -> bool {
    let Some(wire) = case.wire(session) else { return false };
    let seen = &wire.ends[side as usize];
    let (sent, got) = (seen.closes_sent.first(), seen.closes_got.first());
    let opened = side == Side::Client || seen.opened_us.is_some();
    // An answer goes out at the moment at which the question is read, or later.
    opened && sent.is_none_or(|sent| got.is_some_and(|got| got.0 <= sent.0))
}

/// A client that reads slowly, or that a hop has cut off, is slow with its answers too.
fn is_slow(case: &Case, session: &SidecarSession, side: Side) -> bool {
    side == Side::Client && (case.cut(session).is_some() || case.client_is_slow(session))
}
