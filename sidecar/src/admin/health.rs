//! Probes, the index, and the end.

use http::StatusCode;
use serde::Serialize;

use super::Admin;
use super::reply::{Answer, Refusal, json};
use super::route::ROUTES;
use crate::lifecycle::{Lifecycle, Stage};
use crate::net::Net;

#[derive(Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    endpoints: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    method: &'static str,
    path: &'static str,
    parameters: &'static [&'static str],
    about: &'static str,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    ready: bool,
    version: &'static str,
    uptime_s: f64,
    sessions: usize,
    /// Connections of clients, and sessions, that live.
    live: usize,
}

pub(super) fn index() -> Answer {
    let entry = |route: &'static super::route::Route| Entry {
        method: route.method.as_str(),
        path: route.path,
        parameters: route.parameters,
        about: route.about,
    };
    let index =
        Index { name: "outrigger", version: env!("CARGO_PKG_VERSION"), endpoints: ROUTES.iter().map(entry).collect() };
    json(StatusCode::OK, &index)
}

pub(super) fn live() -> Answer {
    json(StatusCode::OK, &Status { status: "live" })
}

pub(super) fn ready<N: Net>(admin: &Admin<N>) -> Answer {
    let (status, reason) = state(admin.control.lifecycle());
    let code = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(code, &Readiness { status, reason })
}

pub(super) fn healthz<N: Net>(admin: &Admin<N>) -> Answer {
    let (proxy, lifecycle) = (admin.control.proxy(), admin.control.lifecycle());
    let (status, reason) = state(lifecycle);
    let health = Health {
        status,
        ready: reason.is_none(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: admin.since.elapsed().as_secs_f64(),
        sessions: proxy.registry().len(),
        live: lifecycle.live(),
    };
    json(StatusCode::OK, &health)
}

pub(super) fn quit<N: Net>(admin: &Admin<N>) -> Result<Answer, Refusal> {
    let lifecycle = admin.control.lifecycle();
    if lifecycle.stage() > Stage::Draining {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "The process stops already; wait for its end, or send it SIGTERM",
        ));
    }
    lifecycle.ask_to_stop();
    Ok(json(StatusCode::ACCEPTED, &Status { status: "stopping" }))
}

/// A word for how far the process is, and why it is not ready if it is not.
fn state(lifecycle: &Lifecycle) -> (&'static str, Option<&'static str>) {
    match lifecycle.stage() {
        Stage::Running if lifecycle.has_begun() => ("ready", None),
        Stage::Running => ("starting", Some("It does not serve yet; try again in a second")),
        Stage::Draining => ("draining", Some("It drains, and takes no new sessions; go to another replica")),
        Stage::Stopping | Stage::Closing | Stage::Stopped => {
            ("stopping", Some("It stops, and takes nothing new; go to another replica"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_its_word() {
        let lifecycle = Lifecycle::new();
        assert_eq!(state(&lifecycle).0, "starting");
        lifecycle.get_ready();
        assert_eq!(state(&lifecycle), ("ready", None));
        for (stage, word) in
            [(Stage::Draining, "draining"), (Stage::Stopping, "stopping"), (Stage::Closing, "stopping")]
        {
            lifecycle.advance(stage);
            let (status, reason) = state(&lifecycle);
            assert_eq!((status, reason.is_some()), (word, true));
        }
    }
}
