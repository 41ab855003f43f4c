//! From raw settings to [`Config`], one small resolver for each section.

mod access;
pub(super) mod admin;
mod http;
mod lifecycle;
mod listen;
pub(super) mod log;
mod otlp;
mod session;
mod upstream;

use std::time::Duration;

use super::Config;
use super::key::Key;
use super::parse::Problem;
use super::reader::Reader;

/// Resolves every section; faults and warnings go to the reader's report. `None` exactly when there is a fault.
pub(crate) fn config(reader: &mut Reader) -> Option<Config> {
    let listeners = listen::listeners(reader);
    let tls = listen::tls(reader, &listeners);
    let (upstreams, egress) = upstream::upstreams(reader, !listeners.is_empty());
    upstream::check_raw(reader, &listeners, &upstreams);
    let outward = listen::egress(reader, &listeners, &egress);
    let all: Vec<_> = upstreams.iter().chain(&egress).collect();
    listen::check_loop(reader, &listeners.iter().chain(&outward).collect::<Vec<_>>(), &all);
    let choice = upstream::choice(reader, &all);
    let upstream_tls = upstream::tls(reader, &all);
    let http = http::limits(reader, &listeners);
    let dial = http::dial(reader);
    let hold = lifecycle::hold(reader);
    let session = session::session(reader, dial.read_timeout, hold.is_some());
    let access = access::access(reader, &listeners);
    let headers = access::headers(reader);
    let max_connections = reader.count_or_word("max_connections").map(to_usize);
    let shutdown_grace = reader.duration("shutdown_grace");
    let drain = lifecycle::drain(reader, shutdown_grace);
    let handover = reader.one("handover", plain(lifecycle::socket_path));
    let reuse_port = reader.switch("reuseport");
    let watch = reader.switch("watch");
    let worker_threads = to_usize(reader.count("worker_threads"));
    let log = log::log(reader);
    let access_log = log::access_log(reader, log.format);
    let admin = admin::admin(reader, &listeners, &upstreams);
    let otlp = otlp::otlp(reader);
    let tracing = otlp::tracing(reader, otlp.traces.is_some());
    if reader.report.faults.is_empty() {
        reader.report.warnings.append(&mut reader.cross_warnings);
    }
    reader.report.sort();
    if !reader.report.faults.is_empty() {
        return None;
    }
    Some(Config {
        listeners: listeners.into_iter().chain(outward).map(|found| found.value).collect(),
        upstreams,
        egress,
        choice,
        tls,
        upstream_tls,
        http,
        dial,
        session,
        access,
        headers,
        max_connections,
        shutdown_grace,
        drain,
        hold,
        handover,
        reuse_port,
        watch,
        worker_threads,
        log,
        access_log,
        admin,
        tracing,
        otlp,
    })
}

/// Warns when a duration is outside what CLB accepts for the directive of this name.
fn warn_outside_clb(reader: &mut Reader, name: &'static str, value: Duration, from_to_seconds: (u64, u64)) {
    let (from, to) = from_to_seconds;
    if !(Duration::from_secs(from)..=Duration::from_secs(to)).contains(&value) {
        let place = reader.place(name);
        let spelled = reader.spell(name, &format!("{from}s"));
        let problem =
            format!("{name} is outside the {from} to {to} seconds that CLB accepts, so a CLB in front cannot match it");
        reader.report.warn(&place, problem, format!("write {spelled} or more, up to {to}s, if there is one"));
    }
}

/// Wraps a parser that needs no key.
fn plain<T>(parse: impl Fn(&str) -> Result<T, Problem>) -> impl Fn(&Key, &str) -> Result<T, Problem> {
    move |_, text| parse(text)
}

/// Ranges in the table keep every count well below 32 bits, sizes of buffers too.
fn to_usize(count: u64) -> usize {
    usize::try_from(count).expect("the table's range fits")
}
