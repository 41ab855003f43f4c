//! Every key has all its faces: file, variable, flag, reference, schema.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// Values under which every key has an effect on the configuration.
const BASE: &[(&str, &str)] = &[
    ("listen", "https://127.0.0.1:8443"),
    ("upstream", "https://app:443"),
    ("egress", "https://partner:443"),
    ("tls_cert", "a.crt"),
    ("tls_key", "a.key"),
    ("tls_client_auth", "optional"),
    ("tls_client_ca", "ca.pem"),
    ("message_rate", "100/s"),
    ("max_lifetime", "1h"),
    ("hold", "10s"),
    ("upstream_check", "http"),
    ("upstream_dial_rate", "100"),
    ("upstream_tls_cert", "side.crt"),
    ("upstream_tls_key", "side.key"),
    ("otlp_endpoint", "http://localhost:4318"),
    ("traces_sampler", "parentbased_traceidratio"),
];

/// For each key a value other than its default and than its [`BASE`].
const OTHER: &[(&str, &str)] = &[
    ("listen", "tls://[::1]:0"),
    ("upstream", "wss://other:444"),
    ("egress", "wss://partner:444"),
    ("egress_listen", "http://127.0.0.1:9001"),
    ("upstream_check", "off"),
    ("upstream_check_path", "/health?deep"),
    ("upstream_check_interval", "5s"),
    ("upstream_max_fails", "3"),
    ("upstream_backoff", "2s"),
    ("upstream_backoff_max", "1m"),
    ("rebalance", "10m"),
    ("upstream_dial_rate", "50"),
    ("upstream_dial_queue", "7"),
    ("tls_cert", "b.crt"),
    ("tls_key", "b.key"),
    ("tls_client_auth", "required"),
    ("tls_client_ca", "b.pem"),
    ("ssl_protocols", "TLSv1.3"),
    ("ssl_ciphers", "ECDHE-RSA-AES128-GCM-SHA256"),
    ("tls_handshake_timeout", "5s"),
    ("upstream_tls_ca", "app.pem"),
    ("upstream_tls_name", "app.internal"),
    ("upstream_tls_cert", "s.crt"),
    ("upstream_tls_key", "s.key"),
    ("upstream_tls_verify", "off"),
    ("client_header_timeout", "30s"),
    ("client_body_timeout", "30s"),
    ("client_max_body_size", "1m"),
    ("client_header_buffer_size", "4k"),
    ("keepalive_timeout", "0"),
    ("proxy_connect_timeout", "5s"),
    ("proxy_read_timeout", "2m"),
    ("proxy_send_timeout", "2m"),
    ("upgrade_timeout", "5s"),
    ("upstream_keepalive", "0"),
    ("upstream_keepalive_timeout", "1m"),
    ("inspect", "off"),
    ("keepalive", "off"),
    ("keepalive_client", "off"),
    ("keepalive_app", "10s"),
    ("pong_timeout", "5s"),
    ("max_message_size", "1m"),
    ("max_frame_size", "1m"),
    ("max_fragments", "100"),
    ("message_rate", "7"),
    ("message_burst", "9"),
    ("byte_rate", "1m/s"),
    ("over_rate", "close"),
    ("max_lifetime", "1d"),
    ("lifetime_jitter", "0%"),
    ("write_buffer", "4k"),
    ("close_timeout", "1s"),
    ("close_code_idle", "3000"),
    ("close_code_lifetime", "3001"),
    ("close_code_rate", "3002"),
    ("close_code_app_gone", "3003"),
    ("close_code_app_silent", "3004"),
    ("close_code_shutdown", "3005"),
    ("close_code_drain", "3006"),
    ("allowed_origins", "https://a.example"),
    ("trusted_proxies", "10.0.0.0/8"),
    ("proxy_protocol_from", "10.0.0.0/8"),
    ("add_header", "X-A: b"),
    ("more_set_headers", "Server: b"),
    ("max_connections", "10"),
    ("shutdown_grace", "1m"),
    ("drain_window", "off"),
    ("drain_jitter", "10%"),
    ("drain_quiet", "1s"),
    ("hold", "5s"),
    ("hold_max", "7"),
    ("handover", "/run/h.sock"),
    ("reuseport", "on"),
    ("admin", "127.0.0.1:9901"),
    ("admin_token_file", "token"),
    ("watch", "off"),
    ("worker_threads", "2"),
    ("log_format", "json"),
    ("log_level", "debug"),
    ("access_log", "all"),
    ("access_log_format", "text"),
    ("access_log_query", "on"),
    ("access_log_headers", "X-Request-Id"),
    ("access_log_redact", "Room"),
    ("otlp", "off"),
    ("otlp_endpoint", "https://collector:4318/x"),
    ("otlp_traces_endpoint", "http://traces:1/v1/traces"),
    ("otlp_metrics_endpoint", "http://metrics:1/v1/metrics"),
    ("otlp_protocol", "grpc"),
    ("otlp_traces_protocol", "grpc"),
    ("otlp_metrics_protocol", "grpc"),
    ("otlp_headers", "X-A: b"),
    ("otlp_traces_headers", "X-B: b"),
    ("otlp_metrics_headers", "X-C: b"),
    ("otlp_timeout", "3s"),
    ("otlp_traces_timeout", "4s"),
    ("otlp_metrics_timeout", "5s"),
    ("otlp_ca", "collector.pem"),
    ("traces_exporter", "none"),
    ("metrics_exporter", "none"),
    ("traces_sampler", "always_off"),
    ("traces_sampler_arg", "0.25"),
    ("trace_messages", "0.5%"),
    ("trace_segment", "1m"),
    ("service_name", "chat"),
    ("resource_attributes", "a=b"),
    ("span_queue", "9"),
    ("span_export_interval", "1s"),
    ("metric_export_interval", "9s"),
];

/// The base as a file, one key left out.
fn base_without(name: &str) -> String {
    let kept = BASE.iter().filter(|(key, _)| *key != name);
    kept.map(|(key, value)| format!("{key} = {value:?}\n")).collect::<Vec<_>>().concat()
}

fn value_in(values: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    values.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

#[test]
fn every_key_is_tried_here() {
    let tried: BTreeSet<&str> = OTHER.iter().map(|(name, _)| *name).collect();
    let keys: BTreeSet<&str> = keys::all().map(|key| key.name).collect();
    assert_eq!(tried, keys);
    assert_eq!(OTHER.len(), keys.len());
}

#[test]
fn every_key_and_alias_takes_effect_from_file_variable_and_flag() {
    let unchanged = format!("{:?}", resolve_file(&base_without("")).unwrap().0);
    for (name, value) in OTHER {
        let mut results = BTreeSet::new();
        for alias in keys::find(name).unwrap().names() {
            for layer in OURS {
                let (config, _) = resolve_with(&base_without(name), layer, alias, value)
                    .unwrap_or_else(|report| panic!("{alias} from {layer:?}: {report}"));
                results.insert(format!("{config:?}"));
            }
        }
        assert_eq!(results.len(), 1, "{name} means the same from everywhere");
        assert!(!results.contains(&unchanged), "{name} has an effect");
    }
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    for (name, other) in OTHER {
        let first = value_in(BASE, name).or(match keys::find(name).unwrap().default {
            key::Preset::Value(value) => Some(value),
            key::Preset::List(values) => Some(values[0]),
            key::Preset::Unset(_) => None,
        });
        let Some(first) = first else { continue };
        let config = |file: &str, env: Option<&str>, flag: Option<&str>| {
            let text = format!("{}{name} = {file:?}\n", base_without(name));
            let sources = Sources {
                file: Some(FileSource { name: "o.toml", text: &text }),
                env: env.map(|value| (key::variable(name), value.to_owned())).into_iter().collect(),
                flags: flag.map(|value| ((*name).to_owned(), value.to_owned())).into_iter().collect(),
            };
            format!("{:?}", resolve(&sources, None).unwrap_or_else(|report| panic!("{name}: {report}")).0)
        };
        let (with_first, with_other) = (config(first, None, None), config(other, None, None));
        assert_ne!(with_first, with_other, "{name}");
        assert_eq!(config(first, Some(other), None), with_other, "{name}: variable over file");
        assert_eq!(config(first, None, Some(other)), with_other, "{name}: flag over file");
        assert_eq!(config(first, Some(first), Some(other)), with_other, "{name}: flag over variable");
        assert_eq!(config(other, Some(other), Some(first)), with_first, "{name}: flag over both");
    }
}

#[test]
fn every_key_is_asked_for() {
    let mut report = Report::default();
    let text = base_without("");
    let sources = Sources { file: Some(FileSource { name: "o.toml", text: &text }), ..Sources::default() };
    let settings = Settings::read(&sources, &mut report).unwrap();
    let mut reader = Reader::new(&settings, None, report);
    assert!(resolve::config(&mut reader).is_some());
    assert_eq!(reader.seen, keys::all().map(|key| key.name).collect());
}

#[test]
fn names_are_unique_and_in_snake_case() {
    let names: Vec<&str> = keys::all().flat_map(Key::names).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for name in names {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
    }
}

#[test]
fn the_reference_tells_everything_about_each_key() {
    let reference = reference();
    for key in keys::all() {
        let start = format!("| `{}`", key.name);
        let row = reference.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{}", key.name));
        let said = [key.default_text(), key.accepts(), key.flag(), key.variable(), key.about.to_owned()];
        for text in said.into_iter().chain(key.names().map(str::to_owned)) {
            assert!(row.contains(&text), "{}: {text}", key.name);
        }
        assert_eq!(row.matches(" | ").count(), 4, "{} fits the table", key.name);
    }
    assert_eq!(reference.lines().filter(|line| line.starts_with("| `")).count(), keys::all().count());
}

#[test]
fn the_schema_has_each_key_and_alias() {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), keys::all().flat_map(Key::names).count());
    for key in keys::all() {
        for name in key.names() {
            let property = &properties[name];
            assert!(property["description"].as_str().unwrap().contains(key.about), "{name}");
            match key.default {
                key::Preset::Value(value) => assert_eq!(property["default"], value, "{name}"),
                key::Preset::List(values) => assert_eq!(property["default"], serde_json::json!(values), "{name}"),
                key::Preset::Unset(_) => assert!(property.get("default").is_none(), "{name}"),
            }
            let array = property["anyOf"].as_array().is_some_and(|forms| forms[0]["type"] == "array");
            assert_eq!(array, key.list, "{name}");
        }
    }
    let grace = &properties["shutdown_grace"]["anyOf"];
    assert_eq!(
        (&grace[0]["type"], &grace[1]["minimum"], &grace[1]["maximum"]),
        (&"string".into(), &0.into(), &3600.into())
    );
    let keepalive = properties["keepalive"]["anyOf"].as_array().unwrap();
    assert!(keepalive.iter().any(|form| form["const"] == "off") && keepalive.iter().any(|form| form["const"] == false));
}

#[test]
fn the_documents_are_what_the_program_prints() {
    assert_eq!(
        include_str!("../../../../docs/CONFIG.md"),
        reference(),
        "outrigger config --reference > docs/CONFIG.md"
    );
    let kept: Value = serde_json::from_str(include_str!("../../../../docs/outrigger.schema.json")).unwrap();
    let printed: Value = serde_json::from_str(&schema()).unwrap();
    assert_eq!(kept, printed, "outrigger config --schema > docs/outrigger.schema.json");
}

#[test]
fn what_is_in_effect_reads_back_as_the_same() {
    for (name, value) in OTHER {
        let text = format!("{}{name} = {value:?}\n", base_without(name));
        let sources = Sources { file: Some(FileSource { name: "o.toml", text: &text }), ..Sources::default() };
        let printed = effective(&sources).unwrap();
        let (again, before) = (resolve_file(&printed).unwrap().0, resolve_file(&text).unwrap().0);
        assert_eq!(format!("{again:?}"), format!("{before:?}"), "{name}");
    }
}
