//! What is recorded of traces, and what goes to collectors.

use std::num::NonZeroU32;

use ::http::Uri;
use ::http::uri::Scheme;

use super::{plain, to_usize};
use crate::config::parse::{self, Problem};
use crate::config::reader::Reader;
use crate::config::{Collector, Export, Otlp, OtlpProtocol, Trust, header};
use crate::telemetry::trace::{Plan, Sampler};

/// The name of the one attribute that every resource has.
const SERVICE_NAME: &str = "service.name";

/// Keys that mean nothing where nothing is exported.
const EXPORT_KEYS: [&str; 11] = [
    "otlp_protocol",
    "otlp_traces_protocol",
    "otlp_metrics_protocol",
    "otlp_headers",
    "otlp_traces_headers",
    "otlp_metrics_headers",
    "otlp_timeout",
    "otlp_traces_timeout",
    "otlp_metrics_timeout",
    "otlp_ca",
    "resource_attributes",
];

/// Keys that mean nothing where no traces are exported. What is recorded of them is a simulation's matter, too.
const TRACE_KEYS: [&str; 2] = ["span_queue", "span_export_interval"];

/// A kind of telemetry with its own keys, which win over those for both.
struct Signal {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    headers: &'static str,
    timeout: &'static str,
    /// Behind the endpoint for both, over HTTP (OTLP specification, "Endpoint URLs for OTLP/HTTP").
    path: &'static str,
}

const TRACES: Signal = Signal {
    exporter: "traces_exporter",
    endpoint: "otlp_traces_endpoint",
    protocol: "otlp_traces_protocol",
    headers: "otlp_traces_headers",
    timeout: "otlp_traces_timeout",
    path: "v1/traces",
};
const METRICS: Signal = Signal {
    exporter: "metrics_exporter",
    endpoint: "otlp_metrics_endpoint",
    protocol: "otlp_metrics_protocol",
    headers: "otlp_metrics_headers",
    timeout: "otlp_metrics_timeout",
    path: "v1/metrics",
};

pub(super) fn otlp(reader: &mut Reader) -> Otlp {
    let on = reader.switch("otlp");
    let endpoint = reader.one("otlp_endpoint", plain(collector));
    let general = General {
        protocol: protocol(reader.choice("otlp_protocol")),
        headers: headers(reader, "otlp_headers"),
        timeout: reader.duration("otlp_timeout"),
        trust: reader.path("otlp_ca").map_or(Trust::BuiltInRoots, Trust::File),
        endpoint,
    };
    let traces = export(reader, &TRACES, &general).filter(|_| on);
    let metrics = export(reader, &METRICS, &general).filter(|_| on);
    let otlp = Otlp {
        resource: resource(reader),
        queue: to_usize(reader.count("span_queue")),
        span_interval: reader.duration("span_export_interval"),
        metric_interval: reader.duration("metric_export_interval"),
        traces,
        metrics,
    };
    if !on {
        reader.useless(&["otlp_endpoint", "otlp_traces_endpoint", "otlp_metrics_endpoint"], "otlp is off");
    }
    if otlp.traces.is_none() && otlp.metrics.is_none() {
        reader.useless(&EXPORT_KEYS, "nothing is exported");
    }
    if otlp.metrics.is_none() {
        reader.useless(&["metric_export_interval"], "no metrics are exported");
    }
    otlp
}

pub(super) fn tracing(reader: &mut Reader, exported: bool) -> Plan {
    let sampler = reader.choice("traces_sampler");
    let ratio = reader.value("traces_sampler_arg", plain(ratio));
    let (parent_based, own) = match sampler.strip_prefix("parentbased_") {
        Some(own) => (true, own),
        None => (false, sampler),
    };
    let ratio = match own {
        "always_on" => 1.0,
        "always_off" => 0.0,
        _ => ratio,
    };
    let plan = Plan {
        sampler: Sampler { parent_based, ratio },
        messages: reader.value("trace_messages", parse::or_word(plain(one_in))),
        segment: reader.duration("trace_segment"),
    };
    if !exported {
        reader.useless(&TRACE_KEYS, "no traces are exported");
    } else if own != "traceidratio" {
        reader.useless(&["traces_sampler_arg"], "the sampler takes no ratio");
    }
    plan
}

/// What holds for a signal whose own keys say nothing.
struct General {
    endpoint: Option<Collector>,
    protocol: OtlpProtocol,
    headers: Vec<(::http::HeaderName, ::http::HeaderValue)>,
    timeout: std::time::Duration,
    trust: Trust,
}

fn export(reader: &mut Reader, signal: &Signal, general: &General) -> Option<Export> {
    let exporter = reader.one(signal.exporter, parse::choice);
    let own = reader.one(signal.endpoint, plain(collector));
    let protocol = reader.one(signal.protocol, parse::choice).map_or(general.protocol, protocol);
    let own_headers = headers(reader, signal.headers);
    let has_headers = reader.given(signal.headers).is_some();
    let timeout = reader.one(signal.timeout, parse::duration).unwrap_or(general.timeout);
    let wanted = match exporter {
        Some(word) => word == "otlp",
        None => own.is_some() || general.endpoint.is_some(),
    };
    let to = own.unwrap_or_else(|| {
        let general = general.endpoint.clone();
        match protocol {
            OtlpProtocol::Grpc => general.unwrap_or_else(|| local(4317)),
            OtlpProtocol::Http => general.unwrap_or_else(|| local(4318)).join(signal.path),
        }
    });
    let headers = if has_headers { own_headers } else { general.headers.clone() };
    wanted.then(|| Export { to, protocol, headers, timeout, trust: general.trust.clone() })
}

/// Where the OTLP specification has a collector if nobody says where it is.
fn local(port: u16) -> Collector {
    Collector { tls: false, host: "localhost".to_owned(), port, path: "/".to_owned() }
}

impl Collector {
    fn join(self, path: &str) -> Self {
        Self { path: format!("{}/{path}", self.path.trim_end_matches('/')), ..self }
    }
}

fn protocol(word: &str) -> OtlpProtocol {
    if word == "grpc" { OtlpProtocol::Grpc } else { OtlpProtocol::Http }
}

fn headers(reader: &mut Reader, name: &'static str) -> Vec<(::http::HeaderName, ::http::HeaderValue)> {
    let found = reader.many(name, plain(|text| header::header(text).map(|header| vec![header])));
    found
        .into_iter()
        .map(|found| {
            let (name, mut value) = found.value;
            value.set_sensitive(true);
            (name, value)
        })
        .collect()
}

/// The configured attributes with the name of the service, which has a key of its own that wins.
fn resource(reader: &mut Reader) -> Vec<(String, String)> {
    let name = reader.value(
        "service_name",
        plain(|text| if text.is_empty() { Err(Problem::new("is empty")) } else { Ok(text.to_owned()) }),
    );
    let mut resource: Vec<(String, String)> = Vec::new();
    for found in reader.many("resource_attributes", plain(|text| attribute(text).map(|attribute| vec![attribute]))) {
        let (name, value) = found.value;
        match resource.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => resource.push((name, value)),
        }
    }
    let named = resource.iter_mut().find(|(known, _)| known == SERVICE_NAME);
    match named {
        Some((_, known)) if reader.given("service_name").is_some() => *known = name,
        Some(_) => {}
        None => resource.insert(0, (SERVICE_NAME.to_owned(), name)),
    }
    resource
}

fn attribute(text: &str) -> Result<(String, String), Problem> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(Problem::new(format!("`{text}` is not `name=value`"))),
    }
}

/// A URL without what may be a secret in it.
fn collector(text: &str) -> Result<Collector, Problem> {
    if text.contains('@') {
        let advice = "put what tells who you are into `otlp_headers`";
        return Err(Problem::new("has a user in it, which would be shown").advise(advice));
    }
    let wrong = || Problem::new(format!("`{text}` is not a URL of a collector"));
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let tls = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        _ => {
            return Err(
                wrong().advise(format!("write `http://{}`, or `https://` for TLS", text.trim_start_matches('/')))
            );
        }
    };
    if uri.query().is_some() || text.contains('#') {
        return Err(
            Problem::new(format!("`{text}` has more than a path behind the host")).advise("write it without that")
        );
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let authority = uri.authority().map(::http::uri::Authority::as_str).unwrap_or_default();
    // What stands behind a colon and is no port is passed over by the parser.
    let port = match uri.port() {
        Some(port) => port.as_u16(),
        None if authority.rsplit_once(':').is_some_and(|(_, behind)| !behind.ends_with(']')) => return Err(wrong()),
        None => {
            if tls {
                443
            } else {
                80
            }
        }
    };
    if host.is_empty() || port == 0 {
        return Err(wrong());
    }
    Ok(Collector { tls, host, port, path: uri.path().to_owned() })
}

fn ratio(text: &str) -> Result<f64, Problem> {
    let ratio: Option<f64> = text.parse().ok();
    ratio
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| Problem::new(format!("`{text}` is not a ratio from 0 to 1")))
}

/// A percentage as one in so many.
fn one_in(text: &str) -> Result<NonZeroU32, Problem> {
    let wrong = || Problem::new(format!("`{text}` is not a share from 0.0001% to 100%"));
    let percent: f64 = text.strip_suffix('%').unwrap_or(text).parse().map_err(|_| wrong())?;
    if !(0.0001..=100.0).contains(&percent) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 1 to a million")]
    let one_in = (100.0 / percent).round() as u32;
    NonZeroU32::new(one_in).ok_or_else(wrong)
}
