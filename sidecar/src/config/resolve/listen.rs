//! Listeners, and TLS with clients.

use std::net::{IpAddr, SocketAddr};

use super::super::reader::{Found, Reader};
use super::super::tls_names::{self, CIPHERS, is_tls13};
use super::super::{CertPair, ClientAuth, Listener, Target, TlsFiles, TlsProtocols, Upstream, address};
use super::plain;

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
    let listeners = reader.many("listen", |_, text| address::listener(text).map(|listener| vec![listener]));
    if listeners.is_empty() {
        let advice = format!("write {}", reader.spell("listen", "http://0.0.0.0:8080"));
        reader.report.fault(&reader.place("listen"), "is an empty list, so no client could connect", advice);
    }
    for (i, later) in listeners.iter().enumerate() {
        let taken = |earlier: &&Found<Listener>| earlier.value.addr == later.value.addr && later.value.addr.port() != 0;
        if listeners[..i].iter().any(|earlier| taken(&earlier)) {
            let problem = format!("{} has a listener already", later.value.addr);
            reader.report.fault(&later.place, problem, "remove one of the two, or give it another port");
        }
    }
    listeners
}

pub(super) fn tls(reader: &mut Reader, listeners: &[Found<Listener>]) -> Option<TlsFiles> {
    let wanted = listeners.iter().find(|found| found.value.scheme.needs_certificate());
    let faults = reader.report.faults.len();
    let certs = reader.paths("tls_cert");
    let keys = reader.paths("tls_key");
    let files_are_fine = reader.report.faults.len() == faults;
    let client_auth = client_auth(reader);
    let protocols = protocols(reader);
    let ciphers = ciphers(reader, protocols);
    let Some(listener) = wanted else {
        reader.useless(&TLS_KEYS, "no listener is https:// or tls://");
        return None;
    };
    if client_auth == ClientAuth::Off {
        reader.useless(&["tls_client_ca"], "tls_client_auth is off");
    }
    let pairs = certs.len();
    if files_are_fine && pairs != keys.len() {
        let (place, missing) =
            if pairs > keys.len() { (&certs[keys.len()].place, "tls_key") } else { (&keys[pairs].place, "tls_cert") };
        let problem = format!("there are {pairs} tls_cert and {} tls_key", keys.len());
        reader.report.fault(place, problem, format!("give each one its {missing}, in the same order"));
    } else if files_are_fine && pairs == 0 {
        let problem = format!("a {}:// listener needs a certificate and its key", listener.value.scheme.as_str());
        let (cert, key) = (place_of(reader, listener, "tls_cert"), place_of(reader, listener, "tls_key"));
        reader.report.fault(&listener.place, problem, format!("add {cert} and {key}"));
    }
    let certs = certs.into_iter().zip(keys).map(|(cert, key)| CertPair { cert: cert.value, key: key.value }).collect();
    Some(TlsFiles { certs, client_auth, protocols, ciphers })
}

/// An upstream that is one of our own listeners would call itself until descriptors run out.
pub(super) fn check_loop(reader: &mut Reader, listeners: &[Found<Listener>], upstream: Option<&Upstream>) {
    let Some(Upstream { target: Target::Tcp { host, port }, .. }) = upstream else { return };
    let host_ip = host.parse::<IpAddr>().ok();
    let is_us = |addr: SocketAddr| {
        let local = host == "localhost" || host_ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
        let listens_there = match host_ip {
            Some(ip) if !ip.is_unspecified() && !addr.ip().is_unspecified() => ip == addr.ip(),
            _ => addr.ip().is_unspecified() || addr.ip().is_loopback(),
        };
        addr.port() == *port && local && listens_there
    };
    if let Some(listener) = listeners.iter().find(|found| is_us(found.value.addr)) {
        let problem = format!("{host}:{port} is the sidecar's own listener, so it would call itself");
        let advice = "give the app's port, or let the sidecar listen on another one with `listen`";
        let place = if reader.given("upstream").is_some() { reader.place("upstream") } else { listener.place.clone() };
        reader.report.fault(&place, problem, advice);
    }
}

fn place_of(reader: &Reader, listener: &Found<Listener>, name: &'static str) -> String {
    let place = reader.given(name).unwrap_or(&listener.place);
    let key = super::super::keys::find(name).expect("in the table");
    place.spell(key, key.example)
}

fn client_auth(reader: &mut Reader) -> ClientAuth {
    let faults = reader.report.faults.len();
    let ca = reader.path("tls_client_ca");
    let ca_is_fine = reader.report.faults.len() == faults;
    let mode = reader.choice("tls_client_auth");
    match (mode, ca) {
        ("off", _) => ClientAuth::Off,
        ("optional", Some(ca)) => ClientAuth::Optional(ca),
        (_, Some(ca)) => ClientAuth::Required(ca),
        (mode, None) => {
            if ca_is_fine {
                let problem = format!("tls_client_auth is {mode}, but nothing says whose certificates count");
                let place = reader.place("tls_client_auth");
                let key = super::super::keys::find("tls_client_ca").expect("in the table");
                reader.report.fault(&place, problem, format!("add {}", place.spell(key, key.example)));
            }
            ClientAuth::Off
        }
    }
}

fn protocols(reader: &mut Reader) -> TlsProtocols {
    let versions = reader.many("ssl_protocols", plain(tls_names::protocols));
    let has = |version| versions.iter().any(|found| found.value == version);
    match (has(TlsProtocols::OnlyTls12), has(TlsProtocols::OnlyTls13)) {
        (true, false) => TlsProtocols::OnlyTls12,
        (false, true) => TlsProtocols::OnlyTls13,
        (true, true) => TlsProtocols::Both,
        (false, false) => {
            let advice = format!("write {}", reader.spell("ssl_protocols", "TLSv1.3"));
            reader.report.fault(&reader.place("ssl_protocols"), "is an empty list, so no client could connect", advice);
            TlsProtocols::Both
        }
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
            reader.report.warn(&place, problem, "remove it, or add the version");
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
