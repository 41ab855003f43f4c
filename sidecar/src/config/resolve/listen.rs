//! Listeners, and TLS with clients.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::plain;
use crate::config::parse::Problem;
use crate::config::reader::{Found, Reader};
use crate::config::report::Place;
use crate::config::tls_names::{self, CIPHERS, is_tls13};
use crate::config::{CertPair, ClientAuth, Listener, Scheme, Target, TlsFiles, TlsProtocols, Upstream, address, keys};

/// Keys that only mean something when a listener ends TLS.
const TLS_KEYS: [&str; 7] = [
    "tls_cert",
    "tls_key",
    "tls_client_auth",
    "tls_client_ca",
    "ssl_protocols",
    "ssl_ciphers",
    "tls_handshake_timeout",
];

pub(super) fn listeners(reader: &mut Reader) -> Vec<Found<Listener>> {
    let nobody_comes_in = reader.given("egress").is_some() && reader.given("upstream").is_none();
    let (listeners, faultless) = reader.faultless(|reader| reader.many("listen", plain(one_listener)));
    if nobody_comes_in && reader.given("listen").is_none() {
        return Vec::new();
    }
    if listeners.is_empty() && faultless {
        let advice = format!("write {}", reader.spell("listen", "http://0.0.0.0:8080"));
        reader.report.fault(&reader.place("listen"), "is an empty list, so no client could connect", advice);
    }
    for (i, later) in listeners.iter().enumerate() {
        let addr = later.value.addr;
        if addr.port() != 0 && listeners[..i].iter().any(|earlier| earlier.value.addr == addr) {
            let problem = format!("{addr} has a listener already");
            reader.report.fault(&later.place, problem, "remove one of the two, or give it another port");
        }
    }
    listeners
}

/// Where the app beside the sidecar connects, if it has anywhere to go.
pub(super) fn egress(
    reader: &mut Reader,
    listeners: &[Found<Listener>],
    upstreams: &[Upstream],
) -> Vec<Found<Listener>> {
    let found = reader.many("egress_listen", plain(egress_listener));
    if upstreams.is_empty() {
        if reader.given("egress").is_none() {
            reader.useless(&["egress_listen"], "there is no egress");
        }
        return Vec::new();
    }
    for outward in &found {
        let addr = outward.value.addr;
        if addr.port() != 0 && listeners.iter().any(|listener| listener.value.addr == addr) {
            let problem = format!("{addr} has a listener already");
            reader.report.fault(&outward.place, problem, "give one of the two another port");
        }
    }
    found
}

/// A listener that nobody reaches from outside.
fn egress_listener(text: &str) -> Result<Vec<Listener>, Problem> {
    let listener = address::listener(text)?;
    if listener.scheme != Scheme::Http {
        let addr = listener.addr;
        return Err(Problem::new(format!("`{text}` has TLS, which nothing on this host needs"))
            .advise(format!("write `http://{addr}`")));
    }
    if !listener.addr.ip().is_loopback() {
        let port = listener.addr.port();
        return Err(Problem::new(format!("`{text}` is no loopback address, so others could go out in the app's name"))
            .advise(format!("write `http://127.0.0.1:{port}`")));
    }
    Ok(vec![Listener { egress: true, ..listener }])
}

pub(super) fn tls(reader: &mut Reader, listeners: &[Found<Listener>]) -> Option<TlsFiles> {
    let ((certs, keys), files_are_fine) =
        reader.faultless(|reader| (reader.paths("tls_cert"), reader.paths("tls_key")));
    let (ca, ca_is_fine) = reader.faultless(|reader| reader.path("tls_client_ca"));
    let client_auth = reader.choice("tls_client_auth");
    let protocols = protocols(reader);
    let ciphers = ciphers(reader, protocols);
    let Some(listener) = listeners.iter().find(|found| found.value.scheme.needs_certificate()) else {
        reader.useless(&TLS_KEYS, "no listener is https:// or tls://");
        return None;
    };
    if files_are_fine {
        check_pairs(reader, listener, &certs, &keys);
    }
    let client_auth = self::client_auth(reader, client_auth, ca, ca_is_fine);
    let certs = certs.into_iter().zip(keys).map(|(cert, key)| CertPair { cert: cert.value, key: key.value }).collect();
    Some(TlsFiles { certs, client_auth, protocols, ciphers })
}

/// An upstream that is one of our own listeners would call itself until descriptors run out.
pub(super) fn check_loop(reader: &mut Reader, listeners: &[&Found<Listener>], upstreams: &[&Upstream]) {
    for Upstream { target, written, .. } in upstreams {
        let Target::Tcp { host, port } = target else { continue };
        if listeners.iter().any(|found| is_at(found.value.addr, host, *port)) {
            let problem = format!("{host}:{port} is the sidecar's own listener, so it would call itself");
            let advice = "give the app's port, or let the sidecar listen on another one with `listen`";
            reader.report.fault(&written.0, problem, advice);
        }
    }
}

/// Whether who dials this host and port reaches a listener at this address of this machine.
pub(super) fn is_at(addr: SocketAddr, host: &str, port: u16) -> bool {
    let host_ip = host.parse::<IpAddr>().ok();
    let local = host == "localhost" || host_ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
    let listens_there = match host_ip {
        Some(ip) if !ip.is_unspecified() && !addr.ip().is_unspecified() => ip == addr.ip(),
        _ => addr.ip().is_unspecified() || addr.ip().is_loopback(),
    };
    addr.port() == port && local && listens_there
}

fn one_listener(text: &str) -> Result<Vec<Listener>, Problem> {
    address::listener(text).map(|listener| vec![listener])
}

/// Every certificate has its key and there is at least one.
fn check_pairs(reader: &mut Reader, listener: &Found<Listener>, certs: &[Found<PathBuf>], keys: &[Found<PathBuf>]) {
    let single = match (certs.get(keys.len()), keys.get(certs.len())) {
        (Some(cert), _) => Some((cert, "tls_key")),
        (None, Some(key)) => Some((key, "tls_cert")),
        (None, None) => None,
    };
    if let Some((single, missing)) = single {
        let problem = format!("{} has no {missing} to go with it", single.value.display());
        reader.report.fault(&single.place, problem, format!("give as many {missing}, in the same order"));
    } else if certs.is_empty() {
        let problem = format!("a {}:// listener needs a certificate and its key", listener.value.scheme.as_str());
        let advice =
            format!("add {} and {}", example(&listener.place, "tls_cert"), example(&listener.place, "tls_key"));
        reader.report.fault(&listener.place, problem, advice);
    }
}

fn client_auth(reader: &mut Reader, mode: &str, ca: Option<PathBuf>, ca_is_fine: bool) -> ClientAuth {
    match (mode, ca) {
        ("off", ca) => {
            if ca.is_some() {
                reader.useless(&["tls_client_ca"], "tls_client_auth is off");
            }
            ClientAuth::Off
        }
        ("optional", Some(ca)) => ClientAuth::Optional(ca),
        (_, Some(ca)) => ClientAuth::Required(ca),
        (mode, None) => {
            if ca_is_fine {
                let place = reader.place("tls_client_auth");
                let problem = format!("tls_client_auth is {mode}, but nothing says whose certificates count");
                reader.report.fault(&place, problem, format!("add {}", example(&place, "tls_client_ca")));
            }
            ClientAuth::Off
        }
    }
}

/// How a key is written at this kind of place.
fn example(place: &Place, name: &'static str) -> String {
    let key = keys::find(name).expect("the name is in the table of keys");
    place.spell(key, key.example)
}

fn protocols(reader: &mut Reader) -> TlsProtocols {
    let (versions, faultless) = reader.faultless(|reader| reader.many("ssl_protocols", plain(tls_names::protocols)));
    if versions.is_empty() && faultless {
        let advice = format!("write {}", reader.spell("ssl_protocols", "TLSv1.3"));
        reader.report.fault(&reader.place("ssl_protocols"), "is an empty list, so no client could connect", advice);
    }
    let has = |version| versions.iter().any(|found| found.value == version);
    match (has(TlsProtocols::OnlyTls12), has(TlsProtocols::OnlyTls13)) {
        (true, false) => TlsProtocols::OnlyTls12,
        (false, true) => TlsProtocols::OnlyTls13,
        (true, true) | (false, false) => TlsProtocols::Both,
    }
}

/// The suites that were named. A version of which none was named keeps all of its own, as TLS 1.3 does in nginx;
/// `ssl_protocols` is what turns a version off.
fn ciphers(reader: &mut Reader, protocols: TlsProtocols) -> Option<Vec<rustls::CipherSuite>> {
    let found = reader.many("ssl_ciphers", plain(tls_names::ciphers));
    let mut suites: Vec<_> = Vec::new();
    for Found { value: suite, place } in found {
        let unspoken = if is_tls13(suite) { TlsProtocols::OnlyTls12 } else { TlsProtocols::OnlyTls13 };
        if protocols == unspoken {
            let problem = format!("{suite:?} has no effect, as ssl_protocols leaves its version out");
            reader.cross_warn(&place, problem, "remove it, or add the version");
        } else if !suites.contains(&suite) {
            suites.push(suite);
        }
    }
    if suites.is_empty() {
        return None;
    }
    for tls13 in [true, false] {
        if !suites.iter().any(|suite| is_tls13(*suite) == tls13) {
            suites.extend(CIPHERS.iter().map(|(suite, _, _)| *suite).filter(|suite| is_tls13(*suite) == tls13));
        }
    }
    Some(suites)
}
