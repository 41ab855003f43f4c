//! OpenTelemetry's own variables.

use std::collections::BTreeMap;

use super::*;

fn resolve_env(text: &str, env: &[(&str, &str)]) -> (Config, Vec<String>) {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sources = Sources { file: Some(FileSource { name: "o.toml", text }), env, ..Sources::default() };
    let (config, warnings) = resolve(&sources, None).unwrap_or_else(|report| panic!("{report}"));
    (config, lines(&warnings))
}

const BASE: &str = "upstream = 'app:80'\n";

/// A value for each variable that says something else than the default.
const VARIABLES: &[(&str, &str)] = &[
    ("OTEL_SDK_DISABLED", "true"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4318/v1/traces"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:4318/v1/metrics"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=d%20e"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "t=b"),
    ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "m=b"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "3500"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
    ("OTEL_TRACES_EXPORTER", "none"),
    ("OTEL_METRICS_EXPORTER", "none"),
    ("OTEL_TRACES_SAMPLER", "traceidratio"),
    ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
    ("OTEL_SERVICE_NAME", "chat"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c=d%2Ce"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "77"),
    ("OTEL_BSP_SCHEDULE_DELAY", "1234"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "4321"),
];

#[test]
fn every_variable_takes_effect() {
    let known: BTreeMap<_, _> = keys::all().filter_map(|key| Some((key.standard?.variable, key.name))).collect();
    assert_eq!(known.keys().copied().collect::<Vec<_>>(), {
        let mut tried: Vec<_> = VARIABLES.iter().map(|(name, _)| *name).collect();
        tried.sort_unstable();
        tried
    });
    let base = format!("{BASE}otlp_endpoint = 'http://localhost:4318'\ntraces_sampler = 'traceidratio'\n");
    let quiet = BASE.to_owned();
    for (name, value) in VARIABLES {
        // Those that the base sets itself are tried without.
        let base = if ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER"].contains(name) { &quiet } else { &base };
        let (config, warnings) = resolve_env(base, &[(name, value)]);
        assert!(!warnings.iter().any(|warning| warning.contains("passed over")), "{name}: {warnings:?}");
        assert_ne!(format!("{config:?}"), format!("{:?}", resolve_env(base, &[]).0), "{name}");
    }
}

#[test]
fn ours_win_and_an_empty_variable_says_nothing() {
    let text = format!("{BASE}otlp_endpoint = 'http://ours:1'\n");
    let (config, _) = resolve_env(&text, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs:2")]);
    assert_eq!(config.otlp.traces.unwrap().to.host, "ours");
    let (config, warnings) = resolve_env(BASE, &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]);
    assert_eq!((config.otlp.traces, warnings.len()), (None, 0));
}

#[test]
fn a_wrong_variable_is_passed_over_with_a_warning_and_no_secret_is_repeated() {
    let (config, warnings) = resolve_env(
        BASE,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ],
    );
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
    assert!(warnings.iter().all(|line| line.contains("passed over") && !line.contains("s3cret")), "{warnings:#?}");
    let traces = config.otlp.traces.unwrap();
    assert_eq!((traces.protocol, traces.timeout), (OtlpProtocol::Http, Duration::from_secs(10)));
    assert_eq!(config.tracing.sampler, trace::Sampler { parent_based: true, ratio: 1.0 });
}

#[test]
fn endpoints_are_made_as_the_specification_has_it() {
    let to = |env: &[(&str, &str)]| {
        let (config, _) = resolve_env(BASE, env);
        let shown = |export: Option<Export>| {
            export.map(|Export { to, .. }| format!("{} {}:{}{}", to.tls, to.host, to.port, to.path))
        };
        (shown(config.otlp.traces), shown(config.otlp.metrics))
    };
    let both = |traces: &str, metrics: &str| (Some(traces.to_owned()), Some(metrics.to_owned()));
    let (endpoint, traces) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    assert_eq!(to(&[]), (None, None));
    assert_eq!(to(&[(endpoint, "http://c:1")]), both("false c:1/v1/traces", "false c:1/v1/metrics"));
    assert_eq!(to(&[(endpoint, "https://c/x/")]), both("true c:443/x/v1/traces", "true c:443/x/v1/metrics"));
    assert_eq!(
        to(&[(endpoint, "http://c:1"), (traces, "http://[::1]:2")]),
        both("false ::1:2/", "false c:1/v1/metrics")
    );
    assert_eq!(to(&[(traces, "http://t:2/y")]), (Some("false t:2/y".to_owned()), None));
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert_eq!(to(&[(endpoint, "http://c:1"), grpc]), both("false c:1/", "false c:1/"));
    assert_eq!(to(&[("OTEL_TRACES_EXPORTER", "otlp"), grpc]), (Some("false localhost:4317/".to_owned()), None));
    assert_eq!(to(&[("OTEL_TRACES_EXPORTER", "otlp")]), (Some("false localhost:4318/v1/traces".to_owned()), None));
    assert_eq!(to(&[(endpoint, "http://c:1"), ("OTEL_TRACES_EXPORTER", "none")]).0, None);
}

#[test]
fn the_name_of_the_service_has_a_variable_of_its_own_that_wins() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,x=y");
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    assert_eq!(resolve_env(BASE, &[attributes]).0.otlp.resource, pairs(&[("service.name", "a"), ("x", "y")]));
    let both = [attributes, ("OTEL_SERVICE_NAME", "b")];
    assert_eq!(resolve_env(BASE, &both).0.otlp.resource, pairs(&[("service.name", "b"), ("x", "y")]));
    assert_eq!(resolve_env(BASE, &[]).0.otlp.resource, pairs(&[("service.name", "outrigger")]));
}

#[test]
fn shares_of_messages() {
    let one_in = |share: &str| {
        let text = format!("{BASE}otlp_endpoint = 'http://c:1'\ntrace_messages = '{share}'\n");
        resolve_file(&text).map(|(config, _)| config.tracing.messages.map(std::num::NonZeroU32::get))
    };
    for (share, expected) in
        [("off", None), ("1%", Some(100)), ("0.1%", Some(1000)), ("100", Some(1)), ("3%", Some(33))]
    {
        assert_eq!(one_in(share).unwrap(), expected, "{share}");
    }
    for wrong in ["0", "101%", "-1%", "NaN", "inf", "some"] {
        assert!(one_in(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_no_endpoint() {
    for wrong in [
        "c:4318",
        "//c",
        "ftp://c",
        "http://",
        "http://c:0",
        "http://c:x",
        "http://c?x=y",
        "http://me:pw@c",
        "grpc://c",
    ] {
        let text = format!("{BASE}otlp_endpoint = '{wrong}'\n");
        let report = resolve_file(&text).expect_err(wrong);
        assert!(!report.to_string().contains("pw"), "{report}");
    }
}

#[test]
fn headers_for_collectors_are_never_shown() {
    let text = format!("{BASE}otlp_endpoint = 'http://c:1'\notlp_headers = ['x-plain: s3cret']\n");
    let sources = Sources {
        file: Some(FileSource { name: "o.toml", text: &text }),
        env: vec![("OTEL_EXPORTER_OTLP_TRACES_HEADERS".to_owned(), "y=s3cret".to_owned())],
        ..Sources::default()
    };
    let shown = effective(&sources).unwrap();
    assert!(shown.contains("x-plain: …") && shown.contains("y: …") && !shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("# from the variable OTEL_EXPORTER_OTLP_TRACES_HEADERS"), "{shown}");
    assert!(!format!("{:?}", resolve(&sources, None).unwrap().0).contains("s3cret"));
}
