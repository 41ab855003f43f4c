//! Answers that the sidecar gives itself.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION};
use http::{Response, StatusCode};
use outrigger_shared::handshake;

use super::body::ResponseBody;

/// Seconds after which a refused client may come back: long enough for a replica to take over, short enough not to
/// be noticed.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// A plain-text answer: the status and, in one sentence, why. It never names the app's address.
pub(super) fn reply(status: StatusCode, why: &str, now: SystemTime) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::text(Bytes::from(format!("{why}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let date = httpdate::fmt_http_date(now);
    headers.insert(DATE, HeaderValue::from_str(&date).expect("an HTTP date is visible ASCII"));
    match status {
        StatusCode::UPGRADE_REQUIRED => {
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(handshake::VERSION));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        _ => {}
    }
    response
}

/// Whole seconds, at least one.
pub(super) fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs() + 1)
}

/// Makes the client's connection end with this answer.
pub(super) fn and_close(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
