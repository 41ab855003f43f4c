//! The level of the log, changed while it is written.

use http::StatusCode;
use serde::Serialize;

use super::Admin;
use super::call::Call;
use super::query::Faulty;
use super::reply::{Answer, Refusal, json};
use crate::net::Net;
use crate::telemetry::Level;

const LEVELS: &str = "error, warn, info, debug or trace";

#[derive(Serialize)]
struct Log {
    level: String,
}

pub(super) fn show<N: Net>(admin: &Admin<N>) -> Result<Answer, Refusal> {
    Ok(answer(log(admin)?))
}

pub(super) fn set<N: Net>(admin: &Admin<N>, call: &Call<'_>) -> Result<Answer, Refusal> {
    let level = call.query.read("level", LEVELS, |text| {
        // tracing would take numbers and capitals, too.
        let known = ["error", "warn", "info", "debug", "trace"].contains(&text);
        known.then(|| text.parse().expect("tracing has the same levels"))
    })?;
    let level = level.ok_or_else(|| Faulty(format!("Which level? Give level={LEVELS}")))?;
    let log = log(admin)?;
    log.set(level);
    Ok(answer(log))
}

fn log<N: Net>(admin: &Admin<N>) -> Result<&Level, Refusal> {
    admin.control.log().ok_or_else(|| Refusal::not_found("This sidecar writes no log of its own"))
}

fn answer(log: &Level) -> Answer {
    let level = log.get().map_or_else(|| "off".to_owned(), |level| level.to_string().to_lowercase());
    json(StatusCode::OK, &Log { level })
}
