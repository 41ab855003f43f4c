//! Every range, written out here once more: both ends are in, one step further is not.

use super::*;

/// Key, least, greatest, just too small, just too large.
const RANGES: &[(&str, &str, &str, &str, &str)] = &[
    ("tls_handshake_timeout", "1s", "120s", "999ms", "120001ms"),
    ("client_header_timeout", "1s", "120s", "999ms", "120001ms"),
    ("client_body_timeout", "1s", "120s", "999ms", "120001ms"),
    ("client_max_body_size", "1k", "10240m", "1023", "10737418241"),
    ("client_header_buffer_size", "1k", "256k", "1023", "262145"),
    ("keepalive_timeout", "0", "900s", "-1", "900001ms"),
    ("proxy_connect_timeout", "100ms", "120s", "99ms", "120001ms"),
    ("proxy_read_timeout", "1s", "24h", "999ms", "86400001ms"),
    ("proxy_send_timeout", "1s", "24h", "999ms", "86400001ms"),
    ("upstream_check_interval", "1s", "10m", "999ms", "600001ms"),
    ("upstream_max_fails", "1", "100", "0", "101"),
    ("upstream_backoff", "100ms", "10m", "99ms", "600001ms"),
    ("upstream_backoff_max", "100ms", "1h", "99ms", "3600001ms"),
    ("rebalance", "1s", "24h", "999ms", "86400001ms"),
    ("upstream_dial_rate", "1", "100000", "0", "100001"),
    ("upstream_dial_queue", "0", "100000", "-1", "100001"),
    ("upgrade_timeout", "1s", "120s", "999ms", "120001ms"),
    ("upstream_keepalive", "0", "1024", "-1", "1025"),
    ("upstream_keepalive_timeout", "100ms", "900s", "99ms", "900001ms"),
    ("keepalive", "1s", "1h", "999ms", "3600001ms"),
    ("keepalive_client", "1s", "1h", "999ms", "3600001ms"),
    ("keepalive_app", "1s", "1h", "999ms", "3600001ms"),
    ("pong_timeout", "1s", "10m", "999ms", "600001ms"),
    ("max_message_size", "125", "1099511627776", "124", "1099511627777"),
    ("max_frame_size", "125", "1099511627776", "124", "1099511627777"),
    ("max_fragments", "1", "2147483648", "0", "2147483649"),
    ("message_rate", "1", "1000000/s", "0", "1000001/s"),
    ("message_burst", "1", "1000000", "0", "1000001"),
    ("byte_rate", "1k/s", "1024g", "1023/s", "1099511627777"),
    ("max_lifetime", "1s", "30d", "999ms", "2592000001ms"),
    ("lifetime_jitter", "0%", "50", "-1%", "51%"),
    ("write_buffer", "4k", "16m", "4095", "16777217"),
    ("close_timeout", "100ms", "60s", "99ms", "60001ms"),
    ("close_code_idle", "1000", "4999", "999", "5000"),
    ("close_code_lifetime", "1001", "3000", "1002", "2999"),
    ("close_code_rate", "1008", "1008", "1007", "1009"),
    ("close_code_app_gone", "1011", "1014", "1010", "1015"),
    ("close_code_app_silent", "1011", "1014", "1005", "1006"),
    ("close_code_shutdown", "1012", "1013", "0", "65536"),
    ("close_code_drain", "1001", "1012", "1002", "1015"),
    ("max_connections", "1", "1000000", "0", "1000001"),
    ("shutdown_grace", "0", "1h", "-1s", "3600001ms"),
    ("drain_window", "0", "1h", "-1s", "3600001ms"),
    ("drain_jitter", "0%", "100", "-1%", "101%"),
    ("drain_quiet", "0", "60s", "-1s", "60001ms"),
    ("hold", "100ms", "10m", "99ms", "600001ms"),
    ("hold_max", "1", "100000", "0", "100001"),
    ("worker_threads", "1", "64", "0", "65"),
    ("otlp_timeout", "100ms", "120s", "99ms", "120001ms"),
    ("otlp_traces_timeout", "100ms", "120s", "99ms", "120001ms"),
    ("otlp_metrics_timeout", "100ms", "120s", "99ms", "120001ms"),
    ("trace_segment", "1s", "24h", "999ms", "86400001ms"),
    ("span_queue", "1", "100000", "0", "100001"),
    ("span_export_interval", "10ms", "60s", "9ms", "60001ms"),
    ("metric_export_interval", "100ms", "1h", "99ms", "3600001ms"),
];

#[test]
fn every_range_ends_where_it_should() {
    for (name, least, greatest, below, above) in RANGES {
        for value in [least, greatest] {
            let result = resolve_with("upstream = 'app:80'", Layer::Flags, name, value);
            assert!(result.is_ok(), "{name} = {value}: {}", result.unwrap_err());
        }
        for value in [below, above, &"", &"x", &"1 1"] {
            for layer in OURS {
                let report = resolve_with("upstream = 'app:80'", layer, name, value).unwrap_err();
                let [fault] = report.faults.as_slice() else { panic!("{name} = {value}: {report}") };
                let key = keys::find(name).unwrap();
                let advice = format!("write {}, such as {}", key.accepts(), fault.place.spell(key, key.example));
                assert_eq!(fault.advice, advice);
            }
        }
    }
}

#[test]
fn every_key_with_a_range_is_among_them() {
    use key::Kind;
    let has_range =
        |kind| !matches!(kind, Kind::Choice(_) | Kind::Switch | Kind::Path | Kind::Upstream | Kind::Text(..));
    for key in keys::all().filter(|key| has_range(key.kind)) {
        assert!(RANGES.iter().any(|(name, ..)| *name == key.name), "{}", key.name);
    }
}

#[test]
fn words_are_exact() {
    for (name, wrong) in [
        ("inspect", "payloads"),
        ("over_rate", "Slow"),
        ("log_format", "yaml"),
        ("log_level", "warning"),
        ("access_log", "on"),
        ("access_log_format", "auto"),
        ("access_log_query", "yes"),
        ("tls_client_auth", "yes"),
        ("upstream_tls_verify", "1"),
        ("upstream_check", "ping"),
        ("keepalive", "none"),
        ("max_connections", "off"),
    ] {
        for layer in OURS {
            let report = resolve_with("upstream = 'app:80'", layer, name, wrong).unwrap_err();
            assert_eq!(report.faults.len(), 1, "{report}");
            assert!(report.faults[0].problem.contains(wrong), "{report}");
        }
    }
}

#[test]
fn advice_is_accepted_when_followed() {
    for key in keys::all() {
        for layer in OURS {
            let base = if key.name == "upstream" { "" } else { "upstream = 'app:80'" };
            let result = resolve_with(base, layer, key.name, key.example);
            assert!(result.is_ok(), "{}", result.unwrap_err());
        }
    }
}
