//! The app, how one of its upstreams is chosen, and TLS with it.

use crate::config::parse::Problem;
use crate::config::reader::Reader;
use crate::config::{Choice, Target, Trust, Upstream, UpstreamTls, address};

pub(super) fn upstreams(reader: &mut Reader) -> Vec<Upstream> {
    let (found, faultless) =
        reader.faultless(|reader| reader.located("upstream", |_, text, place| address::upstream(text, place)));
    let missing = match reader.given("upstream") {
        None => Some(("is missing, so there is nothing to proxy to", "write", ", with the port of your app")),
        Some(_) => Some(("is an empty list, so there is nothing to proxy to", "write", "")).filter(|_| faultless),
    };
    if let Some((problem, write, with)) = missing.filter(|_| found.is_empty()) {
        let advice = format!("{write} {}{with}", reader.spell("upstream", "localhost:3000"));
        reader.report.fault(&reader.place("upstream"), problem, advice);
    }
    for (i, later) in found.iter().enumerate() {
        if found[..i].iter().any(|earlier| earlier.name == later.name) {
            let problem = format!("`{}` is the name of another upstream", later.name);
            let advice = "remove one of the two, or give each a name of its own with `name`";
            reader.report.fault(&later.written.0, problem, advice);
        }
    }
    found
}

pub(super) fn choice(reader: &mut Reader, upstreams: &[Upstream]) -> Choice {
    let checks = reader.choice("upstream_check") != "off";
    let every = reader.duration("upstream_check_interval");
    let choice = Choice {
        check_every: checks.then_some(every),
        fails: u32::try_from(reader.count("upstream_max_fails")).expect("the table's range fits"),
        backoff: reader.duration("upstream_backoff"),
        backoff_max: reader.duration("upstream_backoff_max"),
    };
    if choice.backoff > choice.backoff_max {
        let place = reader.place("upstream_backoff");
        let problem = "upstream_backoff is longer than upstream_backoff_max, which holds";
        reader.cross_warn(&place, problem, "make it at most as long");
    }
    if upstreams.len() == 1 {
        let names = [
            "upstream_check",
            "upstream_check_interval",
            "upstream_max_fails",
            "upstream_backoff",
            "upstream_backoff_max",
        ];
        reader.useless(&names, "there is only one upstream");
    } else if !checks {
        reader.useless(&["upstream_check_interval"], "upstream_check is off");
    }
    choice
}

pub(super) fn tls(reader: &mut Reader, upstreams: &[Upstream]) -> UpstreamTls {
    let ca = reader.path("upstream_tls_ca");
    let name = reader.one("upstream_tls_name", |_, text| server_name(text));
    let verify = reader.switch("upstream_tls_verify");
    let unix = |upstream: &Upstream| matches!(upstream.target, Target::Unix(_));
    if !upstreams.is_empty() && !upstreams.iter().any(|upstream| upstream.tls) {
        let because = match upstreams {
            [upstream] if unix(upstream) => "the upstream is a Unix socket",
            [_] => "the upstream is not https:// or wss://",
            _ => "no upstream is https:// or wss://",
        };
        reader.useless(&["upstream_tls_ca", "upstream_tls_name", "upstream_tls_verify"], because);
    } else if !verify {
        reader.useless(&["upstream_tls_ca"], "upstream_tls_verify is off");
        let advice = "give the app's authority with `upstream_tls_ca` instead, and its name with `upstream_tls_name`";
        let problem = "upstream_tls_verify is off, so anyone on the way can pose as the app";
        reader.report.warn(&reader.place("upstream_tls_verify"), problem, advice);
    }
    let trust = match (verify, ca) {
        (false, _) => Trust::Anyone,
        (true, None) => Trust::BuiltInRoots,
        (true, Some(ca)) => Trust::File(ca),
    };
    UpstreamTls { trust, name }
}

/// A DNS name or an IP address, as certificates carry them.
fn server_name(text: &str) -> Result<String, Problem> {
    match rustls::pki_types::ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Problem::new(format!("`{text}` is not a host name"))),
    }
}
