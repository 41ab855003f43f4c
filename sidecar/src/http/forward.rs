//! Headers on their way through: what belongs to one hop stays behind, and the app learns who really asked.

use std::net::{IpAddr, SocketAddr};

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Uri, Version, request, response};
use ipnet::IpNet;
use outrigger_shared::handshake::tokens;
use outrigger_shared::trace_context;

use crate::config::ResponseHeaders;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Headers of one hop (RFC 9110 §7.6.1), with the older ones that implementations still send. `Trailer` is not among
/// them: trailers go through.
const HOP_BY_HOP: [HeaderName; 8] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE];

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'c> {
    pub(super) addr: SocketAddr,
    /// `http` or `https`: what the client's own connection is.
    pub(super) scheme: &'static str,
    pub(super) trusted: &'c [IpNet],
}

/// Takes off what belongs to the hop: the well-known headers and those that `Connection` names.
pub(super) fn strip_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION).filter_map(|t| t.parse().ok()).collect();
    if headers.contains_key(TRANSFER_ENCODING) {
        // It overrides the length (RFC 9112 §6.3), which would otherwise be believed once it is gone.
        headers.remove(CONTENT_LENGTH);
    }
    let trailers = tokens(headers, &TE).any(|t| t.eq_ignore_ascii_case("trailers"));
    for name in named.iter().chain(&HOP_BY_HOP) {
        // `Connection: host` must not take the one header off without which the request means something else.
        if *name != HOST {
            headers.remove(name);
        }
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Makes a client's request one for the app. Without a sender, what it says of one is left as it is.
pub(super) fn to_app(parts: &mut request::Parts, sender: Option<Sender<'_>>, entropy: impl FnOnce() -> [u8; 24]) {
    let headers = &mut parts.headers;
    strip_hop(headers);
    // hyper answers it with 100 when the app's connection asks for the body.
    headers.remove(EXPECT);
    if let Some(sender) = sender {
        forwarded(headers, sender);
    }
    if !headers.get(TRACEPARENT).is_some_and(|value| trace_context::is_valid(value.as_bytes())) {
        // A tracestate belongs to its traceparent (W3C Trace Context §3.3).
        headers.remove(TRACESTATE);
        let started = trace_context::start(entropy()).to_header();
        headers.insert(TRACEPARENT, HeaderValue::from_str(&started).expect("it is hex and dashes"));
    }
    // An absolute form is for proxies (RFC 9112 §3.2.2); path and query themselves go through byte for byte.
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::from(path);
    parts.version = Version::HTTP_11;
}

/// Makes the app's answer one for the client.
pub(super) fn to_client(parts: &mut response::Parts) {
    strip_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
}

/// Puts the configured headers on an answer.
pub(super) fn decorate(headers: &mut HeaderMap, extra: &ResponseHeaders) {
    for (name, value) in &extra.set {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in &extra.add {
        headers.append(name.clone(), value.clone());
    }
}

/// Puts the tokens back that make a request or an answer an upgrade.
pub(super) fn mark_upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Sets `X-Forwarded-*` and `Forwarded` (RFC 7239). What the client says of itself counts only if it is trusted.
fn forwarded(headers: &mut HeaderMap, sender: Sender<'_>) {
    let ip = sender.addr.ip().to_canonical();
    let trusted = sender.trusted.iter().any(|net| net.contains(&ip));
    if !trusted {
        let said: Vec<HeaderName> = headers.keys().filter(|name| tells_of_the_client(name)).cloned().collect();
        for name in said {
            headers.remove(name);
        }
    }
    let host = headers.get(HOST).cloned();
    append(headers, &X_FORWARDED_FOR, &ip.to_string());
    append(headers, &FORWARDED, &element(ip, host.as_ref(), sender.scheme));
    headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(sender.scheme));
    if let Some(host) = host {
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    }
}

/// Apps take all of `X-Forwarded-*` for the proxy's word, also those that this one does not set itself.
fn tells_of_the_client(name: &HeaderName) -> bool {
    *name == FORWARDED || name.as_str().starts_with("x-forwarded-")
}

/// One element of `Forwarded`. A value with a colon or a bracket is quoted (RFC 7239 §4).
fn element(ip: IpAddr, host: Option<&HeaderValue>, scheme: &str) -> String {
    let node = match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    };
    // A Host that would need escapes inside the quotes is no host; it is left out rather than passed on.
    let host = host.and_then(|h| h.to_str().ok()).filter(|h| !h.contains(['"', '\\']));
    match host {
        Some(host) if host.contains([':', '[', ';', ',', '=']) => format!("for={node};host=\"{host}\";proto={scheme}"),
        Some(host) if !host.is_empty() => format!("for={node};host={host};proto={scheme}"),
        _ => format!("for={node};proto={scheme}"),
    }
}

/// Adds a member to a list header, on one line with those that are there.
fn append(headers: &mut HeaderMap, name: &HeaderName, member: &str) {
    let mut line: Vec<u8> = Vec::new();
    for value in headers.get_all(name) {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(member.as_bytes());
    let value = HeaderValue::from_bytes(&line).expect("header values and ASCII joined make a header value");
    headers.insert(name.clone(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> request::Parts {
        let mut request = http::Request::get("http://app.example/a%2Fb//c;d?e=f?g");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn sent(mut parts: request::Parts, trusted: &[&str]) -> request::Parts {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let sender = Sender { addr: "[::ffff:192.0.2.7]:4711".parse().unwrap(), scheme: "https", trusted: &trusted };
        to_app(&mut parts, Some(sender), || [7; 24]);
        parts
    }

    #[test]
    fn path_and_query_go_through_byte_for_byte() {
        assert_eq!(sent(request(&[("host", "a")]), &[]).uri, "/a%2Fb//c;d?e=f?g");
    }

    #[test]
    fn hop_by_hop_headers_stay_behind() {
        let parts = sent(
            request(&[
                ("host", "a"),
                ("connection", "close, X-Mine, host"),
                ("x-mine", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers, deflate"),
                ("upgrade", "h2c"),
                ("x-other", "2"),
            ]),
            &[],
        );
        for gone in ["connection", "x-mine", "keep-alive", "upgrade"] {
            assert!(!parts.headers.contains_key(gone), "{gone}");
        }
        assert_eq!(parts.headers["te"], "trailers");
        assert_eq!(parts.headers["x-other"], "2");
        assert_eq!(parts.headers["host"], "a");
    }

    #[test]
    fn strangers_cannot_say_who_they_are() {
        let parts = sent(
            request(&[
                ("host", "a:8443"),
                ("x-forwarded-for", "6.6.6.6"),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-host", "evil"),
                ("forwarded", "for=6.6.6.6"),
                ("x-forwarded-user", "admin"),
            ]),
            &["198.51.100.0/24"],
        );
        assert_eq!(parts.headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(parts.headers["x-forwarded-proto"], "https");
        assert!(!parts.headers.contains_key("x-forwarded-user"));
        assert_eq!(parts.headers["x-forwarded-host"], "a:8443");
        assert_eq!(parts.headers["forwarded"], "for=192.0.2.7;host=\"a:8443\";proto=https");
    }

    #[test]
    fn trusted_proxies_are_believed_and_added_to() {
        let parts = sent(
            request(&[
                ("host", "a"),
                ("x-forwarded-for", "203.0.113.1"),
                ("x-forwarded-for", "203.0.113.2"),
                ("x-forwarded-proto", "http"),
                ("forwarded", "for=203.0.113.1"),
            ]),
            &["192.0.2.0/24"],
        );
        assert_eq!(parts.headers["x-forwarded-for"], "203.0.113.1, 203.0.113.2, 192.0.2.7");
        assert_eq!(parts.headers["x-forwarded-proto"], "http");
        assert_eq!(parts.headers["forwarded"], "for=203.0.113.1, for=192.0.2.7;host=a;proto=https");
    }

    #[test]
    fn a_trace_is_passed_on_or_started() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parts = sent(request(&[("traceparent", given), ("tracestate", "a=b")]), &[]);
        assert_eq!(
            (parts.headers["traceparent"].as_bytes(), &parts.headers["tracestate"]),
            (given.as_bytes(), &"a=b".parse().unwrap())
        );
        let parts = sent(request(&[("traceparent", "nonsense"), ("tracestate", "a=b")]), &[]);
        assert!(trace_context::is_valid(parts.headers["traceparent"].as_bytes()));
        assert!(!parts.headers.contains_key("tracestate"));
    }
}
