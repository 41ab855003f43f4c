//! Warnings stop nothing, and each names its place.

use super::*;

/// The warnings for a file that begins with an upstream, without their advice.
fn warned(text: &str) -> Vec<String> {
    let (_, warnings) =
        resolve_file(&format!("upstream = 'app:80'\n{text}")).unwrap_or_else(|report| panic!("{report}"));
    warnings.iter().map(|warning| format!("{}: {}", warning.place, warning.problem)).collect()
}

#[test]
fn timeouts_that_clb_would_not_take() {
    for (text, count) in [
        ("proxy_read_timeout = 30", 0),
        ("proxy_read_timeout = 899", 0),
        ("proxy_read_timeout = 900", 1),
        ("proxy_read_timeout = 3600", 1),
        ("proxy_read_timeout = 3601", 2),
        ("proxy_read_timeout = 29", 1),
        ("proxy_connect_timeout = '3999ms'", 1),
        ("proxy_connect_timeout = 4", 0),
        ("client_body_timeout = 29", 1),
        ("client_body_timeout = 30", 0),
    ] {
        let warnings = warned(text);
        assert_eq!(warnings.len(), count, "{text}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.starts_with("o.toml:2:1: ") && warning.contains("CLB")));
    }
}

#[test]
fn pings_that_come_too_late() {
    for (text, place) in [
        ("keepalive = 60", "o.toml:2:1"),
        ("proxy_read_timeout = 30\nkeepalive_app = 30", "o.toml:3:1"),
        ("keepalive_client = '2m'", "o.toml:2:1"),
    ] {
        let warnings = warned(text);
        let [warning] = warnings.as_slice() else { panic!("{text}: {warnings:?}") };
        assert!(warning.starts_with(&format!("{place}: the first ping to ")), "{warning}");
    }
    assert_eq!(warned("keepalive = 59"), [] as [&str; 0]);
    assert_eq!(warned("proxy_read_timeout = 25").len(), 2, "the default of keepalive is 25 seconds");
    assert_eq!(warned("proxy_read_timeout = 60\nkeepalive = 'off'"), [] as [&str; 0]);
}

#[test]
fn keys_without_effect() {
    for (text, because) in [
        ("tls_cert = 'a'\ntls_key = 'b'", "no listener is https:// or tls://"),
        ("ssl_protocols = 'TLSv1.3'", "no listener is https:// or tls://"),
        ("tls_client_auth = 'required'", "no listener is https:// or tls://"),
        ("upstream_tls_name = 'app'", "the upstream is not https:// or wss://"),
        ("upstream_tls_verify = 'off'", "the upstream is not https:// or wss://"),
        ("upstream_keepalive = 0\nupstream_keepalive_timeout = 5", "upstream_keepalive is 0"),
        ("egress_listen = 'http://127.0.0.1:1'", "there is no egress"),
        ("upstream_dial_queue = 5", "upstream_dial_rate is off"),
        ("upstream_tls_cert = 'a'\nupstream_tls_key = 'b'", "the upstream is not https:// or wss://"),
        ("upstream_check = 'off'", "there is only one upstream"),
        ("upstream_backoff = '5s'", "there is only one upstream"),
        ("keepalive = 'off'\npong_timeout = 5", "keepalive is off"),
        ("keepalive_app = 'off'\nclose_code_app_silent = 1011", "keepalive of the app is off"),
        ("access_log = 'off'\naccess_log_query = 'on'", "access_log is off"),
        ("message_burst = 5", "message_rate is off"),
        ("over_rate = 'close'", "message_rate and byte_rate are off"),
        ("byte_rate = '1m'\nclose_code_rate = 1013", "over_rate is slow"),
        ("lifetime_jitter = 5", "max_lifetime is off"),
        ("close_code_lifetime = 1012", "max_lifetime is off"),
        ("inspect = 'off'\nmax_message_size = '1m'", "inspect is off"),
        ("inspect = 'off'\nkeepalive = 5", "inspect is off"),
        ("listen = 'tls://0.0.0.0:1'\ntls_cert = 'a'\ntls_key = 'b'\nadd_header = 'A: b'", "all listeners are tls://"),
        ("listen = 'https://0.0.0.0:1'\ntls_cert = 'a'\ntls_key = 'b'\ntls_client_ca = 'c'", "tls_client_auth is off"),
    ] {
        let warnings = warned(text);
        let expected = format!("has no effect, as {because}");
        assert!(
            !warnings.is_empty() && warnings.iter().all(|warning| warning.contains(&expected)),
            "{text}: {warnings:?}"
        );
    }
}

#[test]
fn a_suite_of_a_version_that_is_not_spoken() {
    let text = "listen = 'https://0.0.0.0:1'\ntls_cert = 'a'\ntls_key = 'b'\nssl_protocols = 'TLSv1.3'\n\
                ssl_ciphers = 'ECDHE-RSA-AES128-GCM-SHA256'";
    assert_eq!(warned(text).len(), 1);
}

#[test]
fn trust_in_everyone() {
    for (listen, trusted, count) in [
        ("http://0.0.0.0:80", "0.0.0.0/0", 1),
        ("http://[::]:80", "::/0", 1),
        ("http://127.0.0.1:80", "0.0.0.0/0", 0),
        ("http://0.0.0.0:80", "10.0.0.0/8", 0),
    ] {
        assert_eq!(
            warned(&format!("listen = '{listen}'\ntrusted_proxies = '{trusted}'")).len(),
            count,
            "{listen} {trusted}"
        );
    }
    let (_, warnings) = resolve_file("upstream = 'https://app'\nupstream_tls_verify = false").unwrap();
    assert!(warnings[0].problem.contains("anyone on the way can pose as the app"));
}

#[test]
fn a_wrong_value_that_is_overridden_is_only_a_warning() {
    let (config, warnings) =
        resolve_with("upstream = 'app:80'\nshutdown_grace = 'soon'", Layer::Flags, "shutdown_grace", "5s").unwrap();
    assert_eq!(config.shutdown_grace, Duration::from_secs(5));
    let expected = "o.toml:2:1: `soon` is not a duration; --shutdown-grace overrides it, so it does no harm yet";
    assert_eq!(lines(&warnings), [expected]);
}
