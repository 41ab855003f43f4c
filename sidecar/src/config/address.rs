//! Addresses in their several forms: listeners, the upstream, origins, networks.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use http::uri::PathAndQuery;
use ipnet::IpNet;
use outrigger_shared::proxy_protocol::Version;

use super::key::UPSTREAM_OPTIONS;
use super::parse::Problem;
use super::report::{Place, did_you_mean};
use super::units::parse_whole;
use super::{Listener, Origin, Route, Scheme, Target, Upstream, Written};

/// `http://ADDR:PORT`, `https://…` or `tls://…`, the address an IP.
pub(crate) fn listener(text: &str) -> Result<Listener, Problem> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let known = match scheme {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        "tls" => Some(Scheme::Tls),
        _ => None,
    };
    let Some(scheme) = known else {
        let (what, instead) = match scheme {
            "" => ("has no scheme", "http"),
            "ws" => ("has the scheme `ws`, but `http` listeners take WS as well", "http"),
            "wss" => ("has the scheme `wss`, but `https` listeners take WSS as well", "https"),
            "tcp" => ("has the scheme `tcp`, which does not exist", "http"),
            _ => ("has an unknown scheme", "http"),
        };
        let addr = if rest.parse::<SocketAddr>().is_ok() { rest } else { "0.0.0.0:8080" };
        return Err(Problem::new(format!("`{text}` {what}")).advise(format!("write `{instead}://{addr}`")));
    };
    if let Ok(addr) = rest.parse() {
        return Ok(Listener { scheme, addr, egress: false });
    }
    Err(listener_problem(text, scheme.as_str(), rest))
}

fn listener_problem(text: &str, scheme: &str, rest: &str) -> Problem {
    if rest.contains(',') {
        return Problem::new(format!("`{text}` is more than one address")).advise("give each as a value of its own");
    }
    if rest.contains('/') {
        let address = rest.split('/').next().unwrap_or_default();
        return Problem::new(format!("`{text}` has a path, and listeners take all paths"))
            .advise(format!("write `{scheme}://{address}`"));
    }
    if let Ok(addr) = rest.parse::<IpAddr>() {
        let addr = SocketAddr::new(addr, if scheme == "http" { 8080 } else { 8443 });
        return Problem::new(format!("`{text}` has no port")).advise(format!("write `{scheme}://{addr}`"));
    }
    match rest.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_err() => {
            Problem::new(format!("`{text}` has no port from 0 to 65535"))
                .advise(format!("write `{scheme}://{host}:8080`"))
        }
        Some(("" | "*", port)) => Problem::new(format!("`{text}` has no IP address"))
            .advise(format!("write `{scheme}://0.0.0.0:{port}`, or `{scheme}://[::]:{port}` for IPv6")),
        Some((host, port)) if host.contains(':') && !host.starts_with('[') => {
            Problem::new(format!("`{text}` has an IPv6 address without brackets"))
                .advise(format!("write `{scheme}://[{host}]:{port}`"))
        }
        Some((host, port)) => {
            let addr = if host == "localhost" { "127.0.0.1" } else { "0.0.0.0" };
            Problem::new(format!("`{text}` names the host `{host}`, and a listener takes an IP address"))
                .advise(format!("write `{scheme}://{addr}:{port}`"))
        }
        None => Problem::new(format!("`{text}` has no IP address and port"))
            .advise(format!("write `{scheme}://0.0.0.0:8080`")),
    }
}

/// Where an upstream is: whether over TLS, and the target.
type Address = (bool, Target);

/// The highest priority and weight of an upstream.
const MAX_RANK: u16 = 1000;

/// An address, with options behind it as in `;region=eu;weight=2`.
pub(crate) fn upstream(text: &str, place: &Place) -> Result<Upstream, Problem> {
    let mut parts = text.split(';');
    let text = parts.next().unwrap_or_default();
    let (tls, target) = upstream_address(text)?;
    let mut upstream = Upstream {
        name: text.to_owned(),
        tls,
        target,
        region: String::new(),
        priority: 0,
        weight: 1,
        route: Route::default(),
        proxy_protocol: None,
        written: Written(place.clone()),
    };
    let mut given = Vec::new();
    for part in parts {
        let Some((name, value)) = part.split_once('=') else {
            return Err(Problem::new(format!("`{part}` is not an option of an upstream"))
                .advise("write each option as in `;region=eu`"));
        };
        if given.contains(&name) {
            return Err(Problem::new(format!("`{name}` is given more than once")).advise("give it once"));
        }
        upstream_option(&mut upstream, name, value)?;
        given.push(name);
    }
    Ok(upstream)
}

/// Sets one of the options.
pub(crate) fn upstream_option(upstream: &mut Upstream, name: &str, value: &str) -> Result<(), Problem> {
    match name {
        "name" => upstream.name = label(name, value)?,
        "region" => upstream.region = label(name, value)?,
        "priority" => upstream.priority = rank(name, value, 0)?,
        "weight" => upstream.weight = rank(name, value, 1)?,
        "host" => upstream.route.host = Some(route_host(value)?),
        "path" => upstream.route.path = Some(route_path(value)?),
        "proxy_protocol" => upstream.proxy_protocol = Some(proxy_version(value)?),
        _ => {
            let advice = match did_you_mean(name, UPSTREAM_OPTIONS.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", UPSTREAM_OPTIONS.map(|option| format!("`{option}`")).join(", ")),
            };
            return Err(Problem::new(format!("`{name}` is not an option of an upstream")).advise(advice));
        }
    }
    Ok(())
}

fn label(name: &str, value: &str) -> Result<String, Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !value.is_empty() && value.chars().all(allowed) {
        return Ok(value.to_owned());
    }
    Err(Problem::new(format!("`{value}` is not a {name} of an upstream"))
        .advise("write letters, digits, `-`, `_` and `.`"))
}

fn route_host(value: &str) -> Result<String, Problem> {
    match host_and_port(value) {
        Some((host, None)) if !host.contains(':') => Ok(host.to_ascii_lowercase()),
        _ => Err(Problem::new(format!("`{value}` is not a host of requests"))
            .advise("write a name without a port, such as `api.example.com`")),
    }
}

fn route_path(value: &str) -> Result<String, Problem> {
    let path = value.parse::<PathAndQuery>().ok().filter(|path| path.query().is_none() && value.starts_with('/'));
    match path {
        Some(path) => Ok(path.path().to_owned()),
        None => Err(Problem::new(format!("`{value}` is not a path of requests")).advise("write it as in `/eu/`")),
    }
}

fn proxy_version(value: &str) -> Result<Version, Problem> {
    match value {
        "v1" => Ok(Version::V1),
        "v2" => Ok(Version::V2),
        _ => {
            Err(Problem::new(format!("`{value}` is not a version of the PROXY protocol")).advise("write `v1` or `v2`"))
        }
    }
}

fn rank(name: &str, value: &str, least: u16) -> Result<u16, Problem> {
    let rank = parse_whole(value).and_then(|rank| u16::try_from(rank).ok());
    rank.filter(|rank| (least..=MAX_RANK).contains(rank)).ok_or_else(|| {
        Problem::new(format!("`{value}` is not a {name} of an upstream"))
            .advise(format!("write a whole number from {least} to {MAX_RANK}"))
    })
}

/// `host:port`, `http(s)://host[:port]`, `ws(s)://host[:port]` or `unix:/path`. User names and passwords are refused,
/// and not repeated in what is said about them.
fn upstream_address(text: &str) -> Result<Address, Problem> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_upstream(text, path);
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    if rest.contains('@') {
        return Err(Problem::new("has a user name or password in it, which would show up in logs and process lists")
            .advise("write the address without it, and let the app check who calls"));
    }
    let (tls, default_port) = match scheme {
        "" => (false, None),
        "http" | "ws" => (false, Some(80)),
        "https" | "wss" => (true, Some(443)),
        _ => {
            return Err(Problem::new(format!("`{text}` has an unknown scheme"))
                .advise("write `http`, `https`, `ws`, `wss`, or no scheme at all"));
        }
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        let address = authority.split(['/', '?', '#']).next().unwrap_or_default();
        return Err(Problem::new(format!("`{text}` has a path, but the path of each request goes through as it is"))
            .advise(format!("write `{address}`")));
    }
    let (host, port) =
        host_and_port(authority).ok_or_else(|| Problem::new(format!("`{text}` is not a host and a port")))?;
    let Some(port) = port.or(default_port) else {
        return Err(Problem::new(format!("`{text}` has no port"))
            .advise(format!("write `{authority}:PORT` with the app's port")));
    };
    Ok((tls, Target::Tcp { host, port }))
}

fn unix_upstream(text: &str, path: &str) -> Result<Address, Problem> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.starts_with('/') && path.len() > 1 {
        Ok((false, Target::Unix(PathBuf::from(path))))
    } else {
        Err(Problem::new(format!("`{text}` has no absolute path")).advise("write `unix:/run/app.sock`"))
    }
}

/// `https://host[:port]` or `http://…`, as browsers write it in the Origin header (RFC 6454 section 6.2).
pub(crate) fn origin(text: &str) -> Result<Origin, Problem> {
    let form = |what: &str| Problem::new(format!("`{text}` {what}"));
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
        _ if text == "null" => {
            return Err(form("is what any sandboxed page sends, so it identifies nobody")
                .advise("leave it out, and give the origins of your own pages"));
        }
        _ => return Err(form("has no `https://` or `http://`").advise(format!("write `https://{text}`"))),
    };
    if rest.contains(['/', '?', '#']) {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return Err(
            form("has a path, and an origin ends with its host or port").advise(format!("write `{scheme}://{host}`"))
        );
    }
    if rest.contains('*') {
        return Err(form("has a wildcard, and origins are compared as a whole").advise("give each origin by itself"));
    }
    let (host, port) = host_and_port(rest).ok_or_else(|| form("is not an origin"))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_ascii_lowercase() };
    Ok(Origin { scheme, host, port: port.unwrap_or(if scheme == "https" { 443 } else { 80 }) })
}

/// An address or a network; bits below the prefix are cleared.
pub(crate) fn network(text: &str) -> Result<IpNet, Problem> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(addr.into());
    }
    let parsed = text.parse::<IpNet>().map(|network| network.trunc());
    parsed.map_err(|_| Problem::new(format!("`{text}` is neither an IP address nor a network")))
}

/// Host without brackets, and the port if there is one; `None` if either is malformed.
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if host.is_empty() || !(authority.starts_with('[') || host.chars().all(name)) {
        return None;
    }
    match port {
        None => Some((host.to_owned(), None)),
        Some(port) => {
            let port = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok()).flatten()?;
            (port != 0).then(|| (host.to_owned(), Some(port)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_read() {
        for (text, scheme, addr) in [
            ("http://0.0.0.0:8080", Scheme::Http, "0.0.0.0:8080"),
            ("https://[::]:443", Scheme::Https, "[::]:443"),
            ("tls://127.0.0.1:0", Scheme::Tls, "127.0.0.1:0"),
        ] {
            assert_eq!(listener(text), Ok(Listener { scheme, addr: addr.parse().unwrap(), egress: false }));
        }
    }

    #[test]
    fn a_wrong_listener_says_what_to_write() {
        for (text, advice) in [
            ("0.0.0.0:8080", "write `http://0.0.0.0:8080`"),
            ("ws://0.0.0.0:80", "write `http://0.0.0.0:80`"),
            ("wss://0.0.0.0:443", "write `https://0.0.0.0:443`"),
            ("ftp://1.2.3.4:1", "write `http://1.2.3.4:1`"),
            ("http://localhost:8080", "write `http://127.0.0.1:8080`"),
            ("http://example.com:8080", "write `http://0.0.0.0:8080`"),
            ("http://127.0.0.1", "write `http://127.0.0.1:8080`"),
            ("https://::1", "write `https://[::1]:8443`"),
            ("http://fe80::x:80", "write `http://[fe80::x]:80`"),
            ("http://:80", "write `http://0.0.0.0:80`, or `http://[::]:80` for IPv6"),
            ("http://1.2.3.4:70000", "write `http://1.2.3.4:8080`"),
            ("http://1.2.3.4:80/x", "write `http://1.2.3.4:80`"),
            ("http://1.2.3.4:80,http://1.2.3.4:81", "give each as a value of its own"),
            ("12", "write `http://0.0.0.0:8080`"),
            ("http://", "write `http://0.0.0.0:8080`"),
        ] {
            assert_eq!(listener(text).unwrap_err().advice.as_deref(), Some(advice), "{text}");
        }
    }

    #[test]
    fn upstreams_read() {
        for (text, tls, host, port) in [
            ("localhost:3000", false, "localhost", 3000),
            ("http://app_1.internal:81", false, "app_1.internal", 81),
            ("http://app", false, "app", 80),
            ("ws://app/", false, "app", 80),
            ("wss://app", true, "app", 443),
            ("https://[::1]:8443", true, "::1", 8443),
            ("[::1]:80", false, "::1", 80),
        ] {
            let target = Target::Tcp { host: host.to_owned(), port };
            assert_eq!(upstream_address(text), Ok((tls, target)), "{text}");
        }
        for text in ["unix:/run/app.sock", "unix:///run/app.sock"] {
            let target = Target::Unix("/run/app.sock".into());
            assert_eq!(upstream_address(text), Ok((false, target)));
        }
    }

    #[test]
    fn what_is_no_upstream_is_refused() {
        for text in [
            "",
            ":80",
            "app",
            "app:",
            "app:0",
            "app:65536",
            "app:+80",
            "ftp://app:1",
            "http://",
            "http://app/path",
            "http://app?x",
            "a b:80",
            "::1:80",
            "[::1",
            "[::1]80",
            "[app]:80",
            "unix:",
            "unix:app.sock",
            "unix:/",
            "é:80",
        ] {
            assert!(upstream_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_stand_behind_the_address() {
        let place = Place::Unset("upstream");
        let read = |text| upstream(text, &place);
        let plain = read("wss://a.example").unwrap();
        assert_eq!((plain.name.as_str(), plain.region.as_str()), ("wss://a.example", ""));
        assert_eq!((plain.priority, plain.weight, plain.to_string().as_str()), (0, 1, "https://a.example:443"));
        let full = read("a:1;name=eu-1;region=eu;priority=2;weight=5").unwrap();
        assert_eq!((full.name.as_str(), full.region.as_str(), full.priority, full.weight), ("eu-1", "eu", 2, 5));
        for (text, advice) in [
            ("a:1;regoin=eu", "did you mean `region`?"),
            ("a:1;x=eu", "there are `name`, `region`, `priority`, `weight`, `host`, `path`, `proxy_protocol`"),
            ("a:1;host=a.example:80", "write a name without a port, such as `api.example.com`"),
            ("a:1;path=eu", "write it as in `/eu/`"),
            ("a:1;proxy_protocol=2", "write `v1` or `v2`"),
            ("a:1;eu", "write each option as in `;region=eu`"),
            ("a:1;", "write each option as in `;region=eu`"),
            ("a:1;weight=0", "write a whole number from 1 to 1000"),
            ("a:1;weight=1.5", "write a whole number from 1 to 1000"),
            ("a:1;priority=1001", "write a whole number from 0 to 1000"),
            ("a:1;name=", "write letters, digits, `-`, `_` and `.`"),
            ("a:1;region=a b", "write letters, digits, `-`, `_` and `.`"),
            ("a:1;weight=1;weight=2", "give it once"),
        ] {
            assert_eq!(read(text).unwrap_err().advice.as_deref(), Some(advice), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let problem = upstream_address("http://me:hunter2@app:80").unwrap_err();
        assert!(!format!("{problem:?}").contains("hunter2"));
    }

    #[test]
    fn origins_read() {
        for (text, scheme, host, port) in [
            ("https://App.Example.com", "https", "app.example.com", 443),
            ("http://localhost:5173", "http", "localhost", 5173),
            ("HTTPS://[::1]", "https", "[::1]", 443),
        ] {
            assert_eq!(origin(text), Ok(Origin { scheme, host: host.to_owned(), port }));
        }
        for text in [
            "",
            "null",
            "app.example.com",
            "https://a/",
            "https://a/b",
            "https://*.a",
            "https://",
            "ws://a",
            "https://a:x",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks_read() {
        for (text, network_text) in
            [("10.1.2.3", "10.1.2.3/32"), ("10.1.2.3/8", "10.0.0.0/8"), ("::1", "::1/128"), ("::/0", "::/0")]
        {
            assert_eq!(network(text).unwrap().to_string(), network_text);
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "localhost", "*"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
