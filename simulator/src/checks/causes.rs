//! Every end has a cause, and it is the true one: what the sidecar says is held against what the world did.

use std::time::Duration;

use outrigger_shared::close::{Cause, End, Initiator, Side};

use super::Case;
use crate::actors::Ending;
use crate::middlebox::{Cut, End as CutEnd};
use crate::scenario::{FaultKind, Host, SidecarId};
use crate::world::record::{ClientSession, Ended, SidecarSession};

/// What lies between a deed and its effect at the other end of the world, retransmissions included.
const EFFECT_US: u64 = 5_000_000;

pub(super) fn check(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for session in case.sidecar_sessions {
        let Some(ended) = session.ended() else { continue };
        if let Some(why) = untrue(case, session, ended) {
            found.push(format!("{} says {}: {why}", case.name(session), told(&ended.end)));
        }
        if let Some(why) = missed_cut(case, session, ended) {
            found.push(format!("{} says {}: {why}", case.name(session), told(&ended.end)));
        }
    }
    found
}

fn told(end: &End) -> String {
    format!("`{}` by the {}", end.cause, end.by)
}

/// Why a cause cannot be the true one, if it cannot.
fn untrue(case: &Case, session: &SidecarSession, ended: &Ended) -> Option<&'static str> {
    let settings = &case.scenario.sidecars[session.sidecar].config;
    let cut = cut(case, session);
    let client = client_session(case, session);
    let troubled = |kinds: &dyn Fn(&FaultKind) -> bool| troubled(case, session, ended, kinds);
    match ended.end.cause {
        Cause::Close => match ended.end.by {
            Initiator::Sidecar => Some("the sidecar closes for a reason of its own"),
            Initiator::Client => {
                let left = client.is_none_or(|client| client.closed.is_none_or(|closed| closed.how != Ending::Close));
                (!left).then_some("the client was closed by the other side")
            }
            Initiator::App => {
                let left = client.and_then(|client| client.closed).is_some_and(|closed| closed.how == Ending::Left);
                (left && !troubled(&|kind| concerns_app(case, session, kind)))
                    .then_some("no app was told to close, and the client left")
            }
        },
        Cause::Lifetime if settings.session.lifetime.is_none() => Some("no lifetime is configured"),
        Cause::KeepaliveLost(side) => {
            let keepalive = &settings.session.keepalive;
            let on = if side == Side::Client { keepalive.client } else { keepalive.app };
            if on.is_none() {
                return Some("there is no keepalive on this side");
            }
            let excuse = cut.is_some() || troubled(&|_| true) || client_is_slow(case, session);
            (!excuse).then_some("the peer was there, and nothing was wrong with the way to it")
        }
        Cause::Reset(Side::Client) | Cause::Gone(Side::Client) => {
            let client_broke = client.is_some_and(|client| {
                client.closed.is_some_and(|closed| {
                    matches!(closed.how, Ending::Timeout | Ending::Error | Ending::Eof | Ending::Left)
                })
            });
            let excuse = cut.is_some() || client.is_none() || client_broke || troubled(&|_| true);
            (!excuse).then_some("no hop cut the connection, and the client did not leave")
        }
        Cause::Reset(Side::App) | Cause::Gone(Side::App) => {
            let excuse = troubled(&|kind| concerns_app(case, session, kind) || is_network(kind));
            (!excuse && ended.at_us < case.stopping_us).then_some("the app neither died nor was cut off")
        }
        Cause::Shutdown | Cause::Drain => {
            let sidecar = Host::Sidecar(SidecarId(session.sidecar));
            let restarted = troubled(&|kind| matches!(kind, FaultKind::Restart { host } if *host == sidecar));
            (!restarted && ended.at_us < case.stopping_us).then_some("the sidecar was not told to stop")
        }
        Cause::Stalled(_) => {
            let excuse = cut.is_some() || troubled(&|_| true) || client_is_slow(case, session);
            (!excuse).then_some("everybody was reading")
        }
        _ => None,
    }
}

/// A hop that cuts for all to see is what ended the session, if nothing else had before.
fn missed_cut(case: &Case, session: &SidecarSession, ended: &Ended) -> Option<&'static str> {
    let cut = cut(case, session).filter(|cut| cut.end == CutEnd::Rst)?;
    if ended.at_us < cut.at_us || troubled(case, session, ended, &|_| true) {
        return None;
    }
    if ended.at_us > cut.at_us + EFFECT_US {
        return Some("a hop had cut the connection long before");
    }
    // The cut may cross an end on its way.
    let began_before = ended.end.by == Initiator::Sidecar || ended.end.cause == Cause::Close;
    let seen = matches!(ended.end.cause, Cause::Reset(Side::Client) | Cause::Gone(Side::Client));
    (!seen && !began_before).then_some("a hop cut the connection to the client")
}

fn cut<'a>(case: &Case<'a>, session: &SidecarSession) -> Option<&'a Cut> {
    let over_us = session.over_us().unwrap_or(u64::MAX);
    case.cuts.iter().find(|cut| cut.client == session.client && (session.opened_us..=over_us).contains(&cut.at_us))
}

fn client_session<'a>(case: &Case<'a>, session: &SidecarSession) -> Option<&'a ClientSession> {
    let after = case.client_sessions.iter().filter(|seen| seen.opened_us >= session.opened_us);
    after.into_iter().find(|seen| seen.addr == Some(session.client))
}

/// Whether a fault of such a kind was on, or had just been, while the session lived.
fn troubled(case: &Case, session: &SidecarSession, ended: &Ended, kinds: &dyn Fn(&FaultKind) -> bool) -> bool {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2);
    case.faults.iter().filter(|fault| kinds(&fault.kind)).any(|fault| {
        let over = micros(fault.at + fault.lasts) + micros(case.scenario.heal);
        micros(fault.at) <= ended.at_us && over >= session.opened_us
    })
}

fn concerns_app(case: &Case, session: &SidecarSession, kind: &FaultKind) -> bool {
    let app = case.scenario.sidecars[session.sidecar].app;
    match kind {
        FaultKind::Kill { host } | FaultKind::PowerLoss { host } | FaultKind::Restart { host } => {
            *host == Host::App(app)
        }
        FaultKind::AppStall { app: stalled } => *stalled == app,
        _ => false,
    }
}

fn is_network(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Partition { .. }
            | FaultKind::OneWayPartition { .. }
            | FaultKind::LossBurst { .. }
            | FaultKind::LatencySpike { .. }
    )
}

fn client_is_slow(case: &Case, session: &SidecarSession) -> bool {
    let of_addr = case.connections.iter().find(|connection| connection.addr == session.client);
    of_addr.is_some() && case.scenario.clients.iter().any(|group| group.reads.is_some())
}
