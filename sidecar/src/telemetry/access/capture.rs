//! What of a request may be shown. Secrets are taken out where a request is read, before anything is kept of it: whoever
//! writes a line later has none to give away.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Uri};

use crate::config;

/// What stands for what is nobody's business.
const REDACTED: &str = "[redacted]";
/// Characters of a query, and of a header's value, that are kept; `…` stands for the rest.
const MAX_QUERY_CHARS: usize = 1024;
const MAX_VALUE_CHARS: usize = 256;
/// Letters and digits in a row, and characters in all, from which on a text is rather a token than a name. Standard UUIDs
/// are longer, and no word of a language that people give things names in.
const TOKEN_RUN: usize = 16;
const TOKEN_CHARS: usize = 33;

/// What else of a request may be shown than its host and path.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub(super) query: Option<Box<str>>,
    /// Those that were there, in the order of the configuration; several of a name are one.
    pub(super) headers: Vec<(HeaderName, Box<str>)>,
}

/// Takes out of requests what may be shown.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    query: bool,
    headers: Vec<HeaderName>,
    /// Parts of names whose values are hidden, in lower case.
    redact: Vec<String>,
}

impl Capture {
    pub(crate) fn new(config: &config::AccessLog) -> Self {
        let config::AccessLog { lines, query, headers, redact, .. } = config;
        let wanted = *lines != config::AccessLines::Off;
        let headers = if wanted { headers.clone() } else { Vec::new() };
        Self { query: *query && wanted, headers, redact: redact.clone() }
    }

    /// `None` where nothing is wanted, or there is nothing of it.
    pub(crate) fn of(&self, uri: &Uri, headers: &HeaderMap) -> Option<Arc<Asked>> {
        let query = uri.query().filter(|_| self.query).map(|query| self.query(query));
        let headers: Vec<_> = self
            .headers
            .iter()
            .filter(|name| headers.contains_key(*name))
            .map(|name| (name.clone(), self.header(name, headers)))
            .collect();
        (query.is_some() || !headers.is_empty()).then(|| Arc::new(Asked { query, headers }))
    }

    /// A subprotocol, or that it is not to be shown: browsers cannot set headers, so tokens are put there.
    pub(crate) fn subprotocol(&self, text: Box<str>) -> Box<str> {
        if self.hides(&text) || could_be_token(&text) { REDACTED.into() } else { text }
    }

    fn query(&self, query: &str) -> Box<str> {
        let parameter = |text: &str| match text.split_once('=') {
            Some((name, value)) => {
                let hidden = could_be_token(name) || self.hides(&decoded(name)) || could_be_token(&decoded(value));
                let name = if could_be_token(name) { REDACTED } else { name };
                format!("{name}={}", if hidden { REDACTED } else { value })
            }
            None if self.hides(&decoded(text)) || could_be_token(&decoded(text)) => REDACTED.to_owned(),
            None => text.to_owned(),
        };
        let parameters: Vec<_> = query.split('&').map(parameter).collect();
        shortened(&parameters.join("&"), MAX_QUERY_CHARS).into()
    }

    fn header(&self, name: &HeaderName, headers: &HeaderMap) -> Box<str> {
        if *name != SEC_WEBSOCKET_PROTOCOL && self.hides(name.as_str()) {
            return REDACTED.into();
        }
        let values = headers.get_all(name).iter().map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
        let text = values.collect::<Vec<_>>().join(", ");
        if *name == SEC_WEBSOCKET_PROTOCOL {
            let offered = text.split(',').map(|one| self.subprotocol(one.trim().into()));
            return shortened(&offered.collect::<Vec<_>>().join(", "), MAX_VALUE_CHARS).into();
        }
        shortened(without_query(&text), MAX_VALUE_CHARS).into()
    }

    fn hides(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.redact.iter().any(|word| name.contains(word))
    }
}

/// Whether a text looks as if it was made to be guessed by nobody.
fn could_be_token(text: &str) -> bool {
    let runs = text.split(|char: char| !char.is_ascii_alphanumeric());
    text.chars().count() >= TOKEN_CHARS || runs.into_iter().any(|run| run.len() >= TOKEN_RUN)
}

/// A URL in a header, as in `Referer`, ends at its query.
fn without_query(text: &str) -> &str {
    match text.find(['?', '#']) {
        Some(at) if text[..at].contains('/') => &text[..at],
        _ => text,
    }
}

fn shortened(text: &str, chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars) {
        Some((at, _)) => Cow::Owned(format!("{}…", &text[..at])),
        None => Cow::Borrowed(text),
    }
}

/// With `%` and `+` as forms write them; what is not written so stays as it is.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = bytes.get(at + 1).zip(bytes.get(at + 2));
        let escaped = pair.and_then(|(high, low)| Some(16 * hex(*high)? + hex(*low)?));
        match (byte, escaped) {
            (b'%', Some(escaped)) => {
                out.push(escaped);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(other),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessLines, AccessLog, LogFormat};

    fn capture(lines: AccessLines, headers: &[&'static str]) -> Capture {
        let redact = ["token", "key", "cookie"].map(str::to_owned).to_vec();
        let headers = headers.iter().map(|name| HeaderName::from_static(name)).collect();
        Capture::new(&AccessLog { lines, format: LogFormat::Json, query: true, headers, redact })
    }

    fn query(text: &str) -> String {
        let uri = format!("/a?{text}").parse().unwrap();
        let asked = capture(AccessLines::All, &[]).of(&uri, &HeaderMap::new()).unwrap();
        asked.query.as_deref().unwrap().to_owned()
    }

    #[test]
    fn values_of_hidden_parameters_and_tokens_are_left_out() {
        for (given, wanted) in [
            ("room=5&lang=de", "room=5&lang=de"),
            ("Access_Token=abc&room=5", "Access_Token=[redacted]&room=5"),
            ("%74oken=abc", "%74oken=[redacted]"),
            ("to%6Ben=abc", "to%6Ben=[redacted]"),
            ("to+ken=abc&a+b=c%20d", "to+ken=abc&a+b=c%20d"),
            ("apikey", "[redacted]"),
            ("0123456789abcdef", "[redacted]"),
            ("0123456789abcdef=1", "[redacted]=[redacted]"),
            ("room=550e8400-e29b-41d4-a716-446655440000", "room=[redacted]"),
            ("room=0123456789abcdef", "room=[redacted]"),
            ("room=%30123456789abcde%66", "room=[redacted]"),
            ("name=a-name-of-several-words", "name=a-name-of-several-words"),
            ("x==&&=y", "x==&&=y"),
            ("%&%4&%zz=%", "%&%4&%zz=%"),
        ] {
            assert_eq!(query(given), wanted);
        }
        let long = query(&"a=b&".repeat(1000));
        assert!(long.ends_with('…') && long.chars().count() == MAX_QUERY_CHARS + 1);
    }

    #[test]
    fn headers_are_shown_as_far_as_they_may_be() {
        let wanted = ["user-agent", "x-api-key", "referer", "sec-websocket-protocol", "x-absent", "sec-ch-ua-mobile"];
        let capture = capture(AccessLines::Sessions, &wanted);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("user-agent", "Mozilla/5.0 (X11)"),
            ("x-api-key", "abc"),
            ("referer", "https://a.test/page?t=abc#def"),
            ("sec-websocket-protocol", "chat, access_token, 0123456789abcdef"),
            ("sec-websocket-protocol", "v2.chat"),
            ("sec-ch-ua-mobile", "?0"),
            ("cookie", "a=b"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let asked = capture.of(&Uri::from_static("/a"), &headers).unwrap();
        let shown: Vec<_> = asked.headers.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
        assert_eq!(
            shown,
            [
                ("user-agent", "Mozilla/5.0 (X11)"),
                ("x-api-key", "[redacted]"),
                ("referer", "https://a.test/page"),
                ("sec-websocket-protocol", "chat, [redacted], [redacted], v2.chat"),
                ("sec-ch-ua-mobile", "?0"),
            ]
        );
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_wanted() {
        let uri = Uri::from_static("/a?b=c");
        let headers = HeaderMap::from_iter([(http::header::USER_AGENT, HeaderValue::from_static("x"))]);
        assert_eq!(capture(AccessLines::Off, &["user-agent"]).of(&uri, &headers), None);
        assert_eq!(capture(AccessLines::All, &[]).of(&Uri::from_static("/a"), &headers), None);
    }

    #[test]
    fn subprotocols_are_shown_unless_they_could_be_tokens() {
        let capture = capture(AccessLines::Sessions, &[]);
        for known in
            ["chat", "graphql-transport-ws", "v12.stomp", "ocpp2.0.1", "actioncable-v1-json", "v5.channel.k8s.io"]
        {
            assert_eq!(&*capture.subprotocol(known.into()), known);
        }
        for secret in [
            "token.abc",
            "base64url.bearer.authorization.k8s.io.YWJj",
            "eyJhbGciOiJIUzI1NiJ9",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert_eq!(&*capture.subprotocol(secret.into()), REDACTED);
        }
    }
}
