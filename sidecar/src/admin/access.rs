//! Who may change something: this very host, or whoever has the token.
//!
//! A browser on this host is on loopback too, whatever page it shows. It cannot be talked into a change by another site:
//! such requests carry `Origin` or `Sec-Fetch-Site`, and behind a name that was rebound to 127.0.0.1 (DNS rebinding)
//! the `Host` is that name.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};

use super::token::{TokenError, TokenFile};

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("Only this host may change something; to let others, set admin_token_file and send the token")]
    NotHere,
    #[error("Other hosts change something with the token of admin_token_file: Authorization: Bearer TOKEN")]
    NoToken,
    #[error("This is not the token in admin_token_file")]
    WrongToken,
    #[error(
        "There is no admin_token_file, so no token is the right one; leave Authorization out, and ask from this host"
    )]
    NeedlessToken,
    #[error("The token cannot be checked: {0}")]
    Unreadable(TokenError),
    #[error("A browser asks for this on behalf of a page (Origin, Sec-Fetch-Site); send the token of admin_token_file")]
    Page,
    #[error(
        "Without a token, Host has to be localhost or a loopback address: a name may have been rebound to this host"
    )]
    Host,
}

/// Lets a request pass that changes something.
pub(super) fn may_change(peer: SocketAddr, headers: &HeaderMap, token: Option<&TokenFile>) -> Result<(), Refused> {
    if let Some(given) = headers.get(AUTHORIZATION) {
        let token = token.ok_or(Refused::NeedlessToken)?;
        let text = given.to_str().unwrap_or_default();
        let given = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let matches = token.matches(given.map_or("", |(_, token)| token.trim())).map_err(Refused::Unreadable)?;
        return if matches { Ok(()) } else { Err(Refused::WrongToken) };
    }
    if !peer.ip().to_canonical().is_loopback() {
        return Err(if token.is_some() { Refused::NoToken } else { Refused::NotHere });
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if headers.contains_key(ORIGIN) || site.is_some_and(|site| site != b"none") {
        return Err(Refused::Page);
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(is_loopback) { Ok(()) } else { Err(Refused::Host) }
}

/// `localhost` or a loopback address, with or without a port.
fn is_loopback(host: &str) -> bool {
    if let Ok(addr) = host.parse::<SocketAddr>() {
        return addr.ip().to_canonical().is_loopback();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.contains(':') => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(peer: &str, fields: &[(&'static str, &str)]) -> Result<(), Refused> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        may_change(peer.parse().unwrap(), &headers, None)
    }

    #[test]
    fn this_host_may_and_others_may_not() {
        let host = ("host", "localhost:9900");
        for peer in ["127.0.0.1:5", "127.9.9.9:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            asked(peer, &[host]).unwrap();
        }
        for peer in ["10.0.0.1:5", "[fe80::1]:5", "[::ffff:10.0.0.1]:5", "0.0.0.0:5", "128.0.0.1:5"] {
            assert!(matches!(asked(peer, &[host]), Err(Refused::NotHere)), "{peer}");
        }
    }

    #[test]
    fn pages_may_not() {
        let (peer, host) = ("127.0.0.1:5", ("host", "127.0.0.1:9900"));
        for field in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:9900"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "same-origin"),
        ] {
            assert!(matches!(asked(peer, &[host, field]), Err(Refused::Page)), "{field:?}");
        }
        asked(peer, &[host, ("sec-fetch-site", "none")]).unwrap();
    }

    #[test]
    fn a_host_that_is_a_name_may_have_been_rebound() {
        for host in
            ["localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:80", "[::ffff:127.0.0.1]:1"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1:9900",
            "[::2]:80",
            "localhost:80:80",
            "localhost@evil.example",
            "::1:80",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
        assert!(matches!(asked("127.0.0.1:5", &[]), Err(Refused::Host)));
    }

    #[test]
    fn a_token_where_there_is_none_is_a_mistake() {
        let fields = [("host", "localhost"), ("authorization", "Bearer 0123456789abcdef")];
        assert!(matches!(asked("127.0.0.1:5", &fields), Err(Refused::NeedlessToken)));
    }
}
