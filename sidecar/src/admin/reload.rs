//! The configuration, read again.

use http::StatusCode;
use serde::Serialize;

use super::Admin;
use super::reply::{Answer, Refusal, json};
use crate::net::Net;
use crate::reload::{self, Refused};

#[derive(Serialize)]
struct Reloaded {
    warnings: Vec<String>,
    /// Settings that keep their old values until the sidecar starts anew.
    needs_restart: Vec<&'static str>,
}

pub(super) async fn reload<N: Net>(admin: &Admin<N>) -> Result<Answer, Refusal> {
    match admin.control.reloads().ask().await {
        Ok(reload::Reloaded { warnings, needs_restart }) => {
            Ok(json(StatusCode::OK, &Reloaded { warnings, needs_restart }))
        }
        Err(refused) => {
            let status = match refused {
                Refused::Faulty(_) => StatusCode::UNPROCESSABLE_ENTITY,
                Refused::Busy | Refused::NotNow(_) => StatusCode::SERVICE_UNAVAILABLE,
                Refused::NoSource => StatusCode::CONFLICT,
            };
            Err(Refusal::new(status, refused.to_string()))
        }
    }
}
