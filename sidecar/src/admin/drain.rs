//! The drain: begun from here, and how far it is.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::Admin;
use super::call::Call;
use super::reply::{Answer, Refusal, json};
use crate::config::units::parse_duration;
use crate::drain;
use crate::net::Net;

/// The longest window that can be asked for, as for `drain_window`.
const MAX_WINDOW: Duration = Duration::from_hours(1);

#[derive(Serialize)]
struct Progress {
    /// `none` before it, `draining`, `drained` when no session is left.
    state: &'static str,
    elapsed_s: Option<f64>,
    /// Over how long the Closes are spread; `null` leaves sessions alone.
    window_s: Option<f64>,
    /// Until the last session is asked to close.
    seconds_left: Option<f64>,
    /// Sessions when it began, and now.
    sessions: usize,
    sessions_left: usize,
    /// Sessions that have ended since it began, by cause.
    ended: BTreeMap<&'static str, u64>,
}

pub(super) fn progress<N: Net>(admin: &Admin<N>) -> Answer {
    json(StatusCode::OK, &now(admin))
}

/// 202 where this request began it, 200 where it was underway.
pub(super) fn begin<N: Net>(admin: &Admin<N>, call: &Call<'_>) -> Result<Answer, Refusal> {
    let window = call.query.read("window", "a duration from 0s to 1h, such as 15s, or off", |text| match text {
        "off" => Some(None),
        text => parse_duration(text).filter(|window| *window <= MAX_WINDOW).map(Some),
    })?;
    let status = if admin.control.drain(window) { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(json(status, &now(admin)))
}

fn now<N: Net>(admin: &Admin<N>) -> Progress {
    let Some(drain::Progress { elapsed, window, window_left, sessions, left, ended }) = admin.control.drain_progress()
    else {
        let sessions = admin.control.proxy().registry().len();
        return Progress {
            state: "none",
            elapsed_s: None,
            window_s: None,
            seconds_left: None,
            sessions,
            sessions_left: sessions,
            ended: BTreeMap::new(),
        };
    };
    Progress {
        state: if left == 0 { "drained" } else { "draining" },
        elapsed_s: Some(elapsed.as_secs_f64()),
        window_s: window.map(|window| window.as_secs_f64()),
        seconds_left: window_left.map(|left| left.as_secs_f64()),
        sessions,
        sessions_left: left,
        ended,
    }
}
