//! The app, how one of its upstreams is chosen, and TLS with it.

use ::http::uri::PathAndQuery;
use outrigger_shared::choose::Pace;

use super::plain;
use crate::config::parse::Problem;
use crate::config::reader::{Found, Reader};
use crate::config::{
    CertPair, Check, CheckKind, Choice, Listener, Route, Scheme, Target, Trust, Upstream, UpstreamTls, address,
};

/// The upstreams of the app, and those that it connects to itself. `inward` is whether there is a listener for the first.
pub(super) fn upstreams(reader: &mut Reader, inward: bool) -> (Vec<Upstream>, Vec<Upstream>) {
    let (upstreams, faultless) = reader.faultless(|reader| located(reader, "upstream"));
    let egress = located(reader, "egress");
    let missing = match reader.given("upstream") {
        None => Some(("is missing, so there is nothing to proxy to", ", with the port of your app")).filter(|_| inward),
        Some(_) => Some(("is an empty list, so there is nothing to proxy to", "")).filter(|_| faultless),
    };
    if let Some((problem, with)) = missing.filter(|_| upstreams.is_empty()) {
        let advice = format!("write {}{with}", reader.spell("upstream", "localhost:3000"));
        reader.report.fault(&reader.place("upstream"), problem, advice);
    }
    let all: Vec<&Upstream> = upstreams.iter().chain(&egress).collect();
    for (i, later) in all.iter().enumerate() {
        if all[..i].iter().any(|earlier| earlier.name == later.name) {
            let problem = format!("`{}` is the name of another upstream", later.name);
            let advice = "remove one of the two, or give each a name of its own with `name`";
            reader.report.fault(&later.written.0, problem, advice);
        }
    }
    (upstreams, egress)
}

fn located(reader: &mut Reader, name: &'static str) -> Vec<Upstream> {
    reader.located(name, |_, text, place| address::upstream(text, place))
}

/// Bytes of which nothing is known have no host and no path.
pub(super) fn check_raw(reader: &mut Reader, listeners: &[Found<Listener>], upstreams: &[Upstream]) {
    let raw = listeners.iter().find(|found| found.value.scheme == Scheme::Tls);
    if let Some(raw) = raw
        && !upstreams.is_empty()
        && !upstreams.iter().any(|upstream| upstream.route == Route::default())
    {
        let problem = "a tls:// listener needs an upstream without `host` and `path`";
        reader.report.fault(&raw.place, problem, "add one, or take the two from one that is there");
    }
}

/// Keys that only mean something where there is a choice.
const CHOICE_KEYS: [&str; 7] = [
    "rebalance",
    "upstream_check",
    "upstream_check_path",
    "upstream_check_interval",
    "upstream_max_fails",
    "upstream_backoff",
    "upstream_backoff_max",
];

pub(super) fn choice(reader: &mut Reader, upstreams: &[&Upstream]) -> Choice {
    let choice = Choice {
        check: check(reader),
        fails: u32::try_from(reader.count("upstream_max_fails")).expect("the table's range fits"),
        backoff: reader.duration("upstream_backoff"),
        backoff_max: reader.duration("upstream_backoff_max"),
        pace: pace(reader),
        rebalance: reader.duration_or_word("rebalance"),
    };
    if choice.backoff > choice.backoff_max {
        let place = reader.place("upstream_backoff");
        let problem = "upstream_backoff is longer than upstream_backoff_max, which holds";
        reader.cross_warn(&place, problem, "make it at most as long");
    }
    match choice.check.as_ref().map(|check| &check.kind) {
        _ if !is_choice(upstreams) && !upstreams.is_empty() => reader.useless(
            &CHOICE_KEYS,
            if upstreams.len() == 1 { "there is only one upstream" } else { "no two upstreams are for the same" },
        ),
        None => reader.useless(&["upstream_check_interval", "upstream_check_path"], "upstream_check is off"),
        Some(CheckKind::Tcp) => reader.useless(&["upstream_check_path"], "upstream_check is tcp"),
        Some(CheckKind::Http(_) | CheckKind::WebSocket(_)) => {}
    }
    choice
}

/// Whether two can stand in for each other.
fn is_choice(upstreams: &[&Upstream]) -> bool {
    upstreams.iter().enumerate().any(|(i, one)| upstreams[..i].iter().any(|other| other.route == one.route))
}

fn check(reader: &mut Reader) -> Option<Check> {
    let kind = reader.choice("upstream_check");
    let path = reader.value("upstream_check_path", plain(path));
    let every = reader.duration("upstream_check_interval");
    let kind = match kind {
        "tcp" => CheckKind::Tcp,
        "http" => CheckKind::Http(path),
        "ws" => CheckKind::WebSocket(path),
        _ => return None,
    };
    Some(Check { kind, every })
}

fn pace(reader: &mut Reader) -> Option<Pace> {
    let number = |count: u64| u32::try_from(count).expect("the table's range fits");
    let per_second = reader.count_or_word("upstream_dial_rate").map(number);
    let queue = number(reader.count("upstream_dial_queue"));
    if per_second.is_none() {
        reader.useless(&["upstream_dial_queue"], "upstream_dial_rate is off");
    }
    per_second.map(|per_second| Pace { per_second, queue })
}

fn path(text: &str) -> Result<PathAndQuery, Problem> {
    let path = text.parse::<PathAndQuery>().ok().filter(|path| path.path().starts_with('/'));
    path.ok_or_else(|| Problem::new(format!("`{text}` is not a path of a request")))
}

/// Keys that only mean something where an upstream has TLS.
const TLS_KEYS: [&str; 5] =
    ["upstream_tls_ca", "upstream_tls_name", "upstream_tls_verify", "upstream_tls_cert", "upstream_tls_key"];

pub(super) fn tls(reader: &mut Reader, upstreams: &[&Upstream]) -> UpstreamTls {
    let ca = reader.path("upstream_tls_ca");
    let name = reader.one("upstream_tls_name", |_, text| server_name(text));
    let verify = reader.switch("upstream_tls_verify");
    let any = upstreams.iter().any(|upstream| upstream.tls);
    let identity = identity(reader, any);
    let unix = |upstream: &Upstream| matches!(upstream.target, Target::Unix(_));
    if !upstreams.is_empty() && !any {
        let because = match upstreams {
            [upstream] if unix(upstream) => "the upstream is a Unix socket",
            [_] => "the upstream is not https:// or wss://",
            _ => "no upstream is https:// or wss://",
        };
        reader.useless(&TLS_KEYS, because);
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
    UpstreamTls { trust, identity, name }
}

/// A certificate and its key, or neither; one without the other is a fault where it is `shown`.
fn identity(reader: &mut Reader, shown: bool) -> Option<CertPair> {
    let ((cert, key), files_are_fine) =
        reader.faultless(|reader| (reader.path("upstream_tls_cert"), reader.path("upstream_tls_key")));
    let alone = match (&cert, &key) {
        (Some(_), None) => Some(("upstream_tls_cert", "upstream_tls_key")),
        (None, Some(_)) => Some(("upstream_tls_key", "upstream_tls_cert")),
        _ => None,
    };
    if let Some((given, missing)) = alone.filter(|_| files_are_fine && shown) {
        let problem = format!("{given} has no {missing} to go with it");
        reader.report.fault(&reader.place(given), problem, format!("give {missing} as well"));
    }
    Some(CertPair { cert: cert?, key: key? })
}

/// A DNS name or an IP address, as certificates carry them.
fn server_name(text: &str) -> Result<String, Problem> {
    match rustls::pki_types::ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Problem::new(format!("`{text}` is not a host name"))),
    }
}
