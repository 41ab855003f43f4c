//! The allow-list of web origins (RFC 6454, RFC 6455 §10.2).

use http::Uri;
use http::header::{HeaderMap, ORIGIN};

use crate::config::Origin;

/// Whether a handshake with these headers may go on. With a list, there must be exactly one `Origin` line and its
/// scheme, host and port must all be those of a member.
pub(super) fn allowed(list: Option<&[Origin]>, headers: &HeaderMap) -> bool {
    let Some(list) = list else { return true };
    let mut lines = headers.get_all(ORIGIN).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let Some((scheme, host, port)) = line.to_str().ok().and_then(parse) else { return false };
    list.iter().any(|o| o.scheme == scheme && o.port == port && o.host.eq_ignore_ascii_case(&host))
}

/// Scheme, host and port. `None` for `null` and for whatever is more or less than an origin.
fn parse(value: &str) -> Option<(&'static str, String, u16)> {
    let uri: Uri = value.parse().ok()?;
    let (scheme, default_port) = match uri.scheme_str()? {
        "http" => ("http", 80),
        "https" => ("https", 443),
        _ => return None,
    };
    let authority = uri.authority()?;
    // The parser makes a missing path a slash: only the text can tell that there is none, and no userinfo.
    let rest = value.get(scheme.len() + "://".len()..)?;
    if !rest.eq_ignore_ascii_case(authority.as_str()) || rest.contains('@') {
        return None;
    }
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        None if rest.ends_with(':') => return None,
        None => default_port,
    };
    Some((scheme, authority.host().to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<Origin> {
        vec![
            Origin { scheme: "https", host: "app.example".into(), port: 443 },
            Origin { scheme: "http", host: "[::1]".into(), port: 8080 },
        ]
    }

    fn check(origins: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, origin.parse().unwrap());
        }
        allowed(Some(&list()), &headers)
    }

    #[test]
    fn exactly_one_origin_that_is_exactly_a_member() {
        for good in ["https://app.example", "https://app.example:443", "https://APP.example", "http://[::1]:8080"] {
            assert!(check(&[good]), "{good}");
        }
        for bad in [
            "http://app.example",
            "https://app.example:8443",
            "https://app.example.evil",
            "https://evil-app.example",
            "https://app.example/",
            "https://app.example@evil",
            "https://user@app.example",
            "https://app.example:",
            "null",
            "",
            "ws://app.example",
            "https://app.example https://app.example",
        ] {
            assert!(!check(&[bad]), "{bad}");
        }
        assert!(!check(&[]));
        assert!(!check(&["https://app.example", "https://app.example"]));
        assert!(allowed(None, &HeaderMap::new()));
    }
}
