//! Headers that the configuration puts on responses, and on requests to collectors.

use http::{HeaderName, HeaderValue};

use super::parse::Problem;

/// Headers that concern one connection only (RFC 9110 section 7.6.1), and those that frame the message: the sidecar
/// writes them itself.
const REFUSED: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Parts of names whose values are nobody's business.
const SECRET: [&str; 8] = ["auth", "cookie", "credential", "key", "passw", "secret", "session", "token"];

/// `Name: value`. A value that may be a secret is marked as sensitive, and none is repeated in a problem.
pub(crate) fn header(text: &str) -> Result<(HeaderName, HeaderValue), Problem> {
    let (name, value) = text.split_once(':').ok_or_else(|| Problem::new("has no colon between name and value"))?;
    let parsed = HeaderName::from_bytes(name.trim_end().as_bytes());
    let parsed = parsed.map_err(|_| Problem::new(format!("`{name}` is not the name of a header")))?;
    if REFUSED.contains(&parsed.as_str()) || parsed.as_str().starts_with("sec-websocket-") {
        return Err(Problem::new(format!("`{name}` belongs to the connection itself, so the sidecar alone writes it"))
            .advise("remove it"));
    }
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| Problem::new(format!("the value of `{name}` has a control character in it")))?;
    value.set_sensitive(is_secret(name));
    Ok((parsed, value))
}

/// The text of a header with its value hidden if the name tells that it may be a secret.
pub(crate) fn shown(text: &str) -> String {
    match text.split_once(':') {
        Some((name, value)) if !is_secret(name) => format!("{name}:{value}"),
        Some((name, _)) => format!("{name}: …"),
        None => "…".to_owned(),
    }
}

/// The text of a header without its value.
pub(crate) fn hidden(text: &str) -> String {
    text.split_once(':').map_or_else(|| "…".to_owned(), |(name, _)| format!("{name}: …"))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read() {
        let (name, value) = header("X-Served-By:  out: rigger ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-served-by", "out: rigger"));
        assert_eq!(header("X-Empty:").unwrap().1, "");
    }

    #[test]
    fn headers_of_the_connection_are_refused() {
        for text in ["Connection: x", "upgrade: x", "Sec-WebSocket-Accept: x", "Content-Length: 1", "Keep-Alive: x"] {
            assert!(header(text).unwrap_err().what.contains("belongs to the connection"), "{text}");
        }
        for text in ["no colon", ": x", "a b: x", "X: \u{1}", "X: a\r\nY: b"] {
            assert!(header(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_hidden() {
        for text in ["Authorization: Bearer x1", "Set-Cookie: x1", "X-Api-Key: x1", "X-Auth-Token: x1", "broken x1"] {
            assert!(!shown(text).contains("x1"), "{text}");
        }
        assert_eq!(shown("Server: outrigger"), "Server: outrigger");
    }
}
