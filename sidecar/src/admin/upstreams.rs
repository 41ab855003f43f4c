//! The upstreams, as the sidecar finds them.

use http::StatusCode;
use serde::Serialize;

use super::Admin;
use super::reply::{Answer, json};
use crate::net::Net;
use crate::upstream::{Held, Shown};

#[derive(Serialize)]
struct Upstreams {
    upstreams: Vec<Shown>,
    /// `null` where upgrades do not wait for an app that is away.
    hold: Option<Held>,
}

pub(super) fn show<N: Net>(admin: &Admin<N>) -> Answer {
    let settings = admin.control.proxy().settings();
    json(StatusCode::OK, &Upstreams { upstreams: settings.upstreams.shown(), hold: settings.upstreams.hold() })
}
