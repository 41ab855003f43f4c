//! The app, as the sidecar finds it.

use http::StatusCode;
use serde::Serialize;

use super::Admin;
use super::reply::{Answer, json};
use crate::net::Net;
use crate::upstream::Snapshot;

#[derive(Serialize)]
struct Upstreams {
    upstreams: Vec<Snapshot>,
}

pub(super) fn show<N: Net>(admin: &Admin<N>) -> Answer {
    let settings = admin.control.proxy().settings();
    json(StatusCode::OK, &Upstreams { upstreams: vec![settings.upstream.snapshot()] })
}
