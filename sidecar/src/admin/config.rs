//! The settings in force.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;

use super::Admin;
use super::call::Call;
use super::reply::{Answer, Refusal, json, text};
use crate::config::{self, Shown, Value};
use crate::net::Net;

#[derive(Serialize)]
struct Settings<'a> {
    settings: BTreeMap<&'static str, Setting<'a>>,
}

#[derive(Serialize)]
struct Setting<'a> {
    /// Text, a list of texts, or `null` where nothing is set. Secrets are left out, and files are paths alone.
    value: Option<Form<'a>>,
    source: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Form<'a> {
    One(&'a str),
    List(&'a [String]),
}

pub(super) fn show<N: Net>(admin: &Admin<N>, call: &Call<'_>) -> Result<Answer, Refusal> {
    let format =
        call.query.read("format", "json or toml", |text| ["json", "toml"].into_iter().find(|word| *word == text))?;
    let shown = admin.control.shown_config();
    if shown.is_empty() {
        return Err(Refusal::not_found("This sidecar was not started from settings that could be shown"));
    }
    if format == Some("toml") {
        return Ok(text(StatusCode::OK, "application/toml", config::toml(&shown)));
    }
    let settings = shown.iter().map(|shown| (shown.key, Setting::from(shown))).collect();
    Ok(json(StatusCode::OK, &Settings { settings }))
}

impl<'a> From<&'a Shown> for Setting<'a> {
    fn from(shown: &'a Shown) -> Self {
        let value = match &shown.value {
            Value::One(text) => Some(Form::One(text)),
            Value::List(texts) => Some(Form::List(texts)),
            Value::Unset(_) => None,
        };
        Self { value, source: &shown.source }
    }
}
