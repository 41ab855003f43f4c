//! One line, as JSON or as text.

use std::fmt::{self, Write as _};
use std::time::Duration;

use http::HeaderName;
use outrigger_shared::close::{CloseCode, Initiator, Side};
use outrigger_shared::relay::Relay;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::Asked;
use crate::session::Who;
use crate::telemetry::{Exchange, Fault};

/// What a line says, in this order.
pub(super) struct Line<'a> {
    message: &'static str,
    fields: Vec<(&'static str, Value<'a>)>,
}

enum Value<'a> {
    Text(&'a str),
    Owned(String),
    Number(u64),
    Flag(bool),
    Headers(&'a [(HeaderName, Box<str>)]),
}

/// The time of a line, as all lines of the log have it.
pub(super) fn now() -> String {
    let mut text = String::new();
    // A String takes what it is given, and the clock is after 1970.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

impl<'a> Line<'a> {
    /// The account of a session that is over; `None` if it is not.
    pub(super) fn of_session(who: &'a Who, lived: Duration, relay: &Relay) -> Option<Self> {
        let end = relay.end()?;
        let (client, app) = (relay.stats(Side::Client), relay.stats(Side::App));
        let code = |code: Option<CloseCode>| code.map(|code| u64::from(code.0));
        let mut line = Self::of(who);
        line.number("duration_ms", whole(lived.as_millis()));
        line.text("by", end.by.as_str());
        line.text("cause", end.cause.as_str());
        line.maybe_text("side", end.cause.side().map(Side::as_str));
        line.owned("reason", end.cause.to_string());
        line.maybe_number("client_code", code(end.client_code));
        line.maybe_number("app_code", code(end.app_code));
        line.number("client_messages", client.text + client.binary);
        line.number("client_bytes", client.bytes);
        line.number("app_messages", app.text + app.binary);
        line.number("app_bytes", app.bytes);
        line.maybe_number("client_ping_rtt_us", client.ping_rtt.map(|rtt| whole(rtt.as_micros())));
        line.maybe_number("app_ping_rtt_us", app.ping_rtt.map(|rtt| whole(rtt.as_micros())));
        Some(line)
    }

    /// The account of a session that is gone without an end.
    pub(super) fn of_cut(who: &'a Who) -> Self {
        let mut line = Self::of(who);
        line.text("by", Initiator::Sidecar.as_str());
        line.text("cause", "cut");
        line.text("reason", "a peer left before the session began, or the process ended");
        line
    }

    fn of(who: &'a Who) -> Self {
        let mut line = Self { message: "session ended", fields: Vec::with_capacity(24) };
        line.number("session", who.id);
        line.owned("client", who.client.to_string());
        line.text("scheme", who.scheme);
        line.text("host", &who.host);
        line.text("path", &who.path);
        line.asked(who.asked.as_deref());
        line.maybe_text("subprotocol", who.protocol.as_deref());
        line.maybe_text("upstream", who.upstream.as_deref());
        line
    }

    /// The account of a request and its answer.
    pub(super) fn of_request(exchange: &'a Exchange) -> Self {
        let mut line = Self { message: "request", fields: Vec::with_capacity(16) };
        line.owned("client", exchange.client.to_string());
        line.text("scheme", exchange.scheme);
        line.text("method", exchange.method.as_str());
        line.text("host", &exchange.host);
        line.text("path", &exchange.path);
        line.asked(exchange.asked.as_deref());
        line.maybe_text("upstream", exchange.upstream.as_deref());
        line.number("status", exchange.status.as_u16().into());
        line.maybe_text("fault", exchange.fault.map(Fault::as_str));
        line.number("duration_us", whole(exchange.took.as_micros()));
        line.number("body_bytes", exchange.body_bytes);
        line.put("upgrade", Value::Flag(exchange.upgrade));
        line.put("whole", Value::Flag(exchange.whole));
        line
    }

    /// The line with its end.
    pub(super) fn render(&self, json: bool, time: &str) -> String {
        let mut out = String::with_capacity(512);
        let written = if json { self.write_json(&mut out, time) } else { self.write_text(&mut out, time) };
        written.expect("a String takes what it is given");
        out.push('\n');
        out
    }

    fn write_json(&self, out: &mut String, time: &str) -> fmt::Result {
        write!(out, "{{\"timestamp\":{},\"level\":\"INFO\",\"message\":\"{}\"", json(time), self.message)?;
        for (name, value) in &self.fields {
            write!(out, ",\"{name}\":")?;
            match value {
                Value::Text(text) => out.push_str(&json(text)),
                Value::Owned(text) => out.push_str(&json(text)),
                Value::Number(number) => write!(out, "{number}")?,
                Value::Flag(flag) => write!(out, "{flag}")?,
                Value::Headers(headers) => {
                    let pairs: Vec<_> = headers
                        .iter()
                        .map(|(name, value)| format!("{}:{}", json(name.as_str()), json(value)))
                        .collect();
                    write!(out, "{{{}}}", pairs.join(","))?;
                }
            }
        }
        out.push('}');
        Ok(())
    }

    fn write_text(&self, out: &mut String, time: &str) -> fmt::Result {
        write!(out, "{time}  INFO {}", self.message)?;
        for (name, value) in &self.fields {
            match value {
                Value::Text(text) => write!(out, " {name}={}", Quoted(text))?,
                Value::Owned(text) => write!(out, " {name}={}", Quoted(text))?,
                Value::Number(number) => write!(out, " {name}={number}")?,
                Value::Flag(flag) => write!(out, " {name}={flag}")?,
                Value::Headers(headers) => {
                    for (header, value) in *headers {
                        write!(out, " {name}.{header}={}", Quoted(value))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, name: &'static str, value: Value<'a>) {
        self.fields.push((name, value));
    }

    fn text(&mut self, name: &'static str, text: &'a str) {
        self.put(name, Value::Text(text));
    }

    fn maybe_text(&mut self, name: &'static str, text: Option<&'a str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn owned(&mut self, name: &'static str, text: String) {
        self.put(name, Value::Owned(text));
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.put(name, Value::Number(number));
    }

    fn maybe_number(&mut self, name: &'static str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    /// What else may be shown, where there is something.
    fn asked(&mut self, asked: Option<&'a Asked>) {
        let Some(Asked { query, headers }) = asked else { return };
        self.maybe_text("query", query.as_deref());
        if !headers.is_empty() {
            self.put("headers", Value::Headers(headers));
        }
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// As it is where it is one word of visible characters, else in quotes and escaped: no client writes a line of its own.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |char: char| !(char.is_whitespace() || char.is_control() || matches!(char, '"' | '\\' | '='));
        if !self.0.is_empty() && self.0.chars().all(plain) { f.write_str(self.0) } else { write!(f, "{:?}", self.0) }
    }
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Method, StatusCode};

    use super::*;

    const TIME: &str = "2026-01-02T03:04:05.000006Z";

    fn exchange() -> Exchange {
        let headers = vec![(HeaderName::from_static("user-agent"), "a \"b\"".into())];
        Exchange {
            client: "192.0.2.1:4711".parse().unwrap(),
            scheme: "https",
            method: Method::GET,
            host: "app.test".into(),
            path: "/a\u{1b}[1m=é".into(),
            asked: Some(Arc::new(Asked { query: Some("room=5".into()), headers })),
            upstream: None,
            status: StatusCode::BAD_GATEWAY,
            upgrade: false,
            fault: Some(Fault::Unreachable),
            took: Duration::from_micros(1234),
            body_bytes: 99,
            whole: true,
        }
    }

    #[test]
    fn a_line_is_json_or_text() {
        let exchange = exchange();
        let line = Line::of_request(&exchange);
        let value: serde_json::Value =
            serde_json::from_str(line.render(true, TIME).strip_suffix('\n').unwrap()).unwrap();
        let wanted = serde_json::json!({
            "timestamp": TIME, "level": "INFO", "message": "request", "client": "192.0.2.1:4711", "scheme": "https",
            "method": "GET", "host": "app.test", "path": "/a\u{1b}[1m=é", "query": "room=5",
            "headers": { "user-agent": "a \"b\"" }, "status": 502, "fault": "unreachable", "duration_us": 1234,
            "body_bytes": 99, "upgrade": false, "whole": true,
        });
        assert_eq!(value, wanted);
        assert_eq!(
            line.render(false, TIME),
            format!(
                "{TIME}  INFO request client=192.0.2.1:4711 scheme=https method=GET host=app.test path=\"/a\\u{{1b}}[1m=é\" \
                 query=\"room=5\" headers.user-agent=\"a \\\"b\\\"\" status=502 fault=unreachable duration_us=1234 \
                 body_bytes=99 upgrade=false whole=true\n"
            )
        );
    }

    #[test]
    fn the_time_is_in_the_form_of_the_log() {
        let now = now();
        assert!(now.len() == TIME.len() && now.ends_with('Z') && now.as_bytes()[10] == b'T', "{now}");
    }
}
