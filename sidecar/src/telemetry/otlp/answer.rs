//! What a collector says to what it was sent. None of it is trusted: it is read up to its end or its first fault.

use std::time::Duration;

use base64::Engine as _;
use http::HeaderMap;
use http::header::{HeaderName, RETRY_AFTER};
use serde_json::Value;

use super::message::{FIXED32, FIXED64, LEN, VARINT};

/// Characters of a collector's own words that are repeated.
const MAX_WORDS: usize = 200;

pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// What became of one attempt to hand something over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It took all but so many spans or points; what it says of them.
    Accepted { rejected: u64, words: String },
    /// Not now, but perhaps later; when, if it says so.
    Later { after: Option<Duration>, why: String },
    /// It does not want this, and will not want it again.
    Refused { why: String },
    /// It does not speak OTLP.
    Nonsense { why: String },
}

impl Answer {
    pub(super) fn later(why: &impl ToString) -> Self {
        Self::Later { after: None, why: why.to_string() }
    }

    fn nonsense(why: &str) -> Self {
        Self::Nonsense { why: why.to_owned() }
    }
}

/// The answer to a request over HTTP (OTLP specification, "OTLP/HTTP Response"). `now` is seconds since 1970.
pub(super) fn http(status: u16, headers: &HeaderMap, body: &[u8], now: u64) -> Answer {
    match status {
        200..=299 => match kind(headers) {
            "application/x-protobuf" | "application/protobuf" => {
                export_response(body).unwrap_or_else(|| Answer::nonsense("the answer's protobuf is broken"))
            }
            "application/json" => {
                json_response(body).unwrap_or_else(|| Answer::nonsense("the answer's JSON is broken"))
            }
            _ if body.is_empty() => Answer::Accepted { rejected: 0, words: String::new() },
            _ => Answer::nonsense("the answer is neither protobuf nor JSON: is this a collector's OTLP port?"),
        },
        429 | 502 | 503 | 504 => Answer::Later { after: retry_after(headers, now), why: format!("status {status}") },
        _ => Answer::Refused { why: format!("status {status}") },
    }
}

/// The answer to a call over gRPC: HTTP's status, the trailers (or the header, where there is nothing else), and the body.
pub(super) fn grpc(status: u16, trailers: &HeaderMap, body: &[u8]) -> Answer {
    let code = trailers.get(GRPC_STATUS).and_then(|code| code.to_str().ok()?.parse::<u32>().ok());
    let why = |code| {
        let words = trailers.get(GRPC_MESSAGE).and_then(|words| words.to_str().ok()).unwrap_or_default();
        format!("gRPC status {code} {}", cut(words)).trim_end().to_owned()
    };
    match (status, code) {
        (200, Some(0)) => {
            let message = body.split_at_checked(5).and_then(|(head, message)| {
                let length = u32::from_be_bytes(head[1..].try_into().expect("four of five bytes"));
                (head[0] == 0 && usize::try_from(length) == Ok(message.len())).then_some(message)
            });
            let answer = message.and_then(export_response);
            answer.unwrap_or_else(|| Answer::nonsense("the answer is no message of gRPC"))
        }
        // Of these another attempt may come to another end (OTLP specification, "Failures"): CANCELLED, DEADLINE_EXCEEDED,
        // ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS.
        (_, Some(code @ (1 | 4 | 10 | 11 | 14 | 15))) => Answer::Later { after: retry_info(trailers), why: why(code) },
        // RESOURCE_EXHAUSTED only where it says when.
        (_, Some(8)) if retry_info(trailers).is_some() => Answer::Later { after: retry_info(trailers), why: why(8) },
        (_, Some(code)) if code != 0 => Answer::Refused { why: why(code) },
        // gRPC, "HTTP to gRPC Status Code Mapping".
        (429 | 502 | 503 | 504, None) => Answer::later(&format!("status {status}")),
        (200, None) => Answer::nonsense("the answer has no gRPC status: is this a collector's gRPC port?"),
        _ => Answer::Refused { why: format!("status {status}") },
    }
}

/// The media type, without its parameters.
fn kind(headers: &HeaderMap) -> &str {
    let value = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: u64) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(at.as_secs().saturating_sub(now)))
}

/// `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_info(trailers: &HeaderMap) -> Option<Duration> {
    let encoded = trailers.get(GRPC_DETAILS)?.to_str().ok()?;
    let status = BASE64_STANDARD_LAX.decode(encoded).ok()?;
    let details = fields(&status)?.into_iter().filter_map(|field| field.bytes(3));
    for any in details {
        let any = fields(any)?;
        let of_kind = any.iter().find_map(|field| field.bytes(1))?;
        if of_kind.ends_with(b"google.rpc.RetryInfo") {
            let info = fields(any.iter().find_map(|field| field.bytes(2))?)?;
            let delay = fields(info.iter().find_map(|field| field.bytes(1))?)?;
            let number = |of: u32| delay.iter().find_map(|field| field.number(of)).unwrap_or(0);
            return Some(Duration::new(
                number(1),
                u32::try_from(number(2)).ok().filter(|nanos| *nanos < 1_000_000_000)?,
            ));
        }
    }
    None
}

/// gRPC leaves the padding off.
const BASE64_STANDARD_LAX: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// An `Export…ServiceResponse`; `None` if it is none.
fn export_response(bytes: &[u8]) -> Option<Answer> {
    let mut rejected = 0;
    let mut words = String::new();
    for partial in fields(bytes)?.iter().filter_map(|field| field.bytes(1)) {
        for field in fields(partial)? {
            // A negative number is none.
            rejected = field.number(1).and_then(|n| u64::try_from(n.cast_signed()).ok()).unwrap_or(rejected);
            words = field.bytes(2).map_or(words, |words| cut(&String::from_utf8_lossy(words)));
        }
    }
    Some(Answer::Accepted { rejected, words })
}

/// The same in JSON, as some collectors answer whatever they were sent.
fn json_response(bytes: &[u8]) -> Option<Answer> {
    if bytes.is_empty() {
        return Some(Answer::Accepted { rejected: 0, words: String::new() });
    }
    let answer: Value = serde_json::from_slice(bytes).ok()?;
    let partial = answer.as_object()?.get("partialSuccess").unwrap_or(&Value::Null);
    let rejected = ["rejectedSpans", "rejectedDataPoints"].iter().find_map(|name| match &partial[name] {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    });
    let words = cut(partial["errorMessage"].as_str().unwrap_or_default());
    Some(Answer::Accepted { rejected: rejected.unwrap_or(0), words })
}

/// What is put into a log: no control characters, and not much.
fn cut(words: &str) -> String {
    words.chars().filter(|letter| !letter.is_control()).take(MAX_WORDS).collect()
}

/// A field of a protobuf message.
struct Read<'a> {
    number: u32,
    value: ReadValue<'a>,
}

enum ReadValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Read<'a> {
    fn bytes(&self, number: u32) -> Option<&'a [u8]> {
        match self.value {
            ReadValue::Bytes(bytes) if self.number == number => Some(bytes),
            _ => None,
        }
    }

    fn number(&self, number: u32) -> Option<u64> {
        match self.value {
            ReadValue::Number(value) if self.number == number => Some(value),
            _ => None,
        }
    }
}

/// All fields of a message; `None` if it is none. Groups, which nobody uses any more, make it none.
fn fields(mut bytes: &[u8]) -> Option<Vec<Read<'_>>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
        let fixed = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let value = match u32::try_from(tag & 7).ok()? {
            VARINT => ReadValue::Number(varint(&mut bytes)?),
            FIXED64 => ReadValue::Number(fixed(take(&mut bytes, 8)?)),
            LEN => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                ReadValue::Bytes(take(&mut bytes, length)?)
            }
            FIXED32 => ReadValue::Number(fixed(take(&mut bytes, 4)?)),
            _ => return None,
        };
        fields.push(Read { number, value });
    }
    Some(fields)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// Ten bytes at most.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
