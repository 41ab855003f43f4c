//! Figures for Prometheus.

use http::StatusCode;
use http::header::{ACCEPT, HeaderValue, VARY};

use super::Admin;
use super::call::Call;
use super::reply::{Answer, Refusal, text};
use crate::net::Net;
use crate::telemetry::metrics::Format;

pub(super) fn page<N: Net>(admin: &Admin<N>, call: &Call<'_>) -> Result<Answer, Refusal> {
    let metrics = admin.control.metrics().ok_or_else(|| Refusal::not_found("Nothing is counted here"))?;
    let accept: Vec<_> = call.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    let mut answer = text(StatusCode::OK, format.content_type(), metrics.page(&admin.control.now(), format));
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}
