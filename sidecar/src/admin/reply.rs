//! Answers: JSON, never to be stored.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, Response, StatusCode};
use serde::Serialize;

use super::access::Refused;
use super::query::Faulty;
use crate::http::ResponseBody;
use crate::net::Net;

pub(super) type Answer = Response<ResponseBody>;

#[derive(Serialize)]
struct Error<'a> {
    /// What is wrong and what to do, as a sentence without its full stop.
    error: &'a str,
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut bytes = serde_json::to_vec(value).expect("names are text, and nothing else can fail");
    bytes.push(b'\n');
    text(status, "application/json", bytes)
}

pub(super) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(ResponseBody::text(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Why there is no other answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    why: Cow<'static, str>,
    field: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// `why` says what is wrong and what to do, without a full stop.
    pub(super) fn new(status: StatusCode, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, why: why.into(), field: None }
    }

    pub(super) fn not_found(why: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    pub(super) fn wrong_method(method: &Method, allowed: &str) -> Self {
        let why = format!("{method} does nothing here; use {allowed}");
        let allowed = HeaderValue::from_str(allowed).expect("methods are visible ASCII");
        Self { field: Some((ALLOW, allowed)), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, why) }
    }

    pub(super) fn answer(self) -> Answer {
        let mut response = json(self.status, &Error { error: &self.why });
        if let Some((name, value)) = self.field {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Faulty> for Refusal {
    fn from(faulty: Faulty) -> Self {
        Self::new(StatusCode::BAD_REQUEST, faulty.0)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::NoToken | Refused::WrongToken => StatusCode::UNAUTHORIZED,
            Refused::Unreadable(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Refused::NotHere | Refused::NeedlessToken | Refused::Page | Refused::Host => StatusCode::FORBIDDEN,
        };
        let challenge = (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        let field = (status == StatusCode::UNAUTHORIZED).then_some(challenge);
        Self { field, ..Self::new(status, refused.to_string()) }
    }
}

/// The answer with its date, as RFC 9110 §6.6.1 wants of a server that has a clock.
pub(super) fn dated<N: Net>(mut response: Answer, net: &N) -> Answer {
    let date = httpdate::fmt_http_date(net.wall_clock());
    response.headers_mut().insert(DATE, HeaderValue::from_str(&date).expect("an HTTP date is visible ASCII"));
    response
}
