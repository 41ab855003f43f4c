//! What settings resolve to.

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn defaults() {
    let (config, warnings) = resolve_file("upstream = 'localhost:3000'").unwrap();
    assert_eq!(warnings, []);
    assert_eq!(
        config.listeners,
        [Listener { scheme: Scheme::Http, addr: "0.0.0.0:8080".parse().unwrap(), egress: false }]
    );
    let target = Target::Tcp { host: "localhost".to_owned(), port: 3000 };
    let name = "localhost:3000".to_owned();
    let written = Written(Place::Unset("upstream"));
    let upstream = Upstream {
        name,
        tls: false,
        target,
        region: String::new(),
        priority: 0,
        weight: 1,
        route: Route::default(),
        proxy_protocol: None,
        written,
    };
    assert_eq!(config.upstreams, [upstream]);
    let second = Duration::from_secs(1);
    let choice = Choice {
        check: Some(Check { kind: CheckKind::Tcp, every: 10 * second }),
        fails: 1,
        backoff: second,
        backoff_max: 30 * second,
        pace: None,
        rebalance: None,
    };
    assert_eq!(config.choice, choice);
    assert_eq!(config.tls, None);
    assert_eq!(config.upstream_tls, UpstreamTls { trust: Trust::BuiltInRoots, identity: None, name: None });
    let http = HttpLimits {
        header_timeout: MINUTE,
        body_timeout: MINUTE,
        max_body: Some(60 << 20),
        max_header: 32 << 10,
        keepalive_timeout: Some(Duration::from_secs(75)),
        tls_handshake_timeout: Duration::from_secs(10),
    };
    assert_eq!(config.http, http);
    let dial = Dial {
        connect_timeout: Duration::from_secs(4),
        read_timeout: MINUTE,
        send_timeout: MINUTE,
        upgrade_timeout: Duration::from_secs(10),
        idle_connections: 32,
        idle_timeout: Duration::from_secs(4),
    };
    assert_eq!(config.dial, dial);
    let ping = Some(Duration::from_secs(25));
    let session = SessionConfig {
        inspect: Inspect::Frames,
        keepalive: Keepalive { client: ping, app: ping, pong_timeout: Duration::from_secs(20) },
        max_message: Some(64 << 20),
        max_frame: None,
        max_fragments: Some(131_072),
        rates: Rates { messages: None, bytes: None, over: OverRate::Slow },
        lifetime: None,
        write_buffer: 64 << 10,
        close_timeout: Duration::from_secs(5),
        close_codes: CloseCodes {
            idle: 1001,
            lifetime: 1001,
            rate: 1008,
            app_gone: 1011,
            app_silent: 1014,
            drain: 1012,
            shutdown: 1012,
        },
    };
    assert_eq!(config.session, session);
    assert_eq!(
        config.access,
        Access { allowed_origins: None, trusted_proxies: Vec::new(), proxy_protocol_from: Vec::new() }
    );
    assert_eq!(config.headers, ResponseHeaders::default());
    assert_eq!((config.max_connections, config.worker_threads), (None, 1));
    assert_eq!(config.shutdown_grace, Duration::from_secs(25));
    let (window, quiet) = (Some(Duration::from_secs(15)), Duration::from_secs(2));
    assert_eq!(config.drain, Drain { window, jitter_percent: 100, quiet });
    assert_eq!((config.hold, config.handover, config.reuse_port), (None, None, false));
    assert_eq!(config.log, Log { format: LogFormat::Auto, level: tracing::Level::INFO });
    let AccessLog { lines, format, query, headers, redact } = &config.access_log;
    assert_eq!((*lines, *format, *query), (AccessLines::Sessions, LogFormat::Auto, false));
    assert!(headers.is_empty() && redact.iter().any(|word| word == "token"));
    assert_eq!(config.admin, Some(Admin { addr: "127.0.0.1:9900".parse().unwrap(), token_file: None }));
}

#[test]
fn several_upstreams_read_from_everywhere() {
    let tables = "[[upstream]]\naddress = 'wss://a.example'\nname = 'eu-1'\nregion = 'eu'\n\
                  [[upstream]]\naddress = 'b:81'\npriority = 1\nweight = 5";
    let list = "upstream = ['wss://a.example;name=eu-1;region=eu', 'b:81;priority=1;weight=5']";
    let inline =
        "upstream = [{ address = 'wss://a.example', name = 'eu-1', region = 'eu' }, 'b:81;priority=1;weight=5']";
    let env = vec![(
        "OUTRIGGER_UPSTREAM".to_owned(),
        "wss://a.example;name=eu-1;region=eu, b:81;priority=1;weight=5".to_owned(),
    )];
    let flag = |value: &str| ("upstream".to_owned(), value.to_owned());
    let flags = vec![flag("wss://a.example;name=eu-1;region=eu"), flag("b:81;weight=5;priority=1")];
    let expected = resolve_file(list).unwrap().0.upstreams;
    assert_eq!(expected.len(), 2);
    assert_eq!((expected[0].name.as_str(), expected[0].region.as_str(), expected[0].tls), ("eu-1", "eu", true));
    assert_eq!((expected[1].name.as_str(), expected[1].priority, expected[1].weight), ("b:81", 1, 5));
    for text in [tables, inline] {
        assert_eq!(resolve_file(text).unwrap().0.upstreams, expected, "{text}");
    }
    for sources in [Sources { env, ..Sources::default() }, Sources { flags, ..Sources::default() }] {
        assert_eq!(resolve(&sources, None).unwrap().0.upstreams, expected);
    }
    let source = FileSource { name: "o.toml", text: tables };
    let printed = effective(&Sources { file: Some(source), ..Sources::default() }).unwrap();
    assert_eq!(resolve_file(&printed).unwrap().0.upstreams, expected, "{printed}");
    assert_eq!(resolve_file("[upstream]\naddress = 'b:81'").unwrap().0.upstreams[0].name, "b:81");
}

#[test]
fn a_way_out_needs_no_way_in() {
    let (config, warnings) = resolve_file("egress = 'wss://api.example.com'").unwrap();
    assert_eq!(warnings, []);
    let out = Listener { scheme: Scheme::Http, addr: "127.0.0.1:9000".parse().unwrap(), egress: true };
    assert_eq!((config.listeners.as_slice(), config.upstreams.len(), config.egress.len()), (&[out][..], 0, 1));
    let both = "upstream = 'app:80'\negress = ['a:1', 'b:1;host=B.example;path=/eu']\negress_listen = 'http://[::1]:9'";
    let (config, warnings) = resolve_file(both).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.listeners.iter().map(|listener| listener.egress).collect::<Vec<_>>(), [false, true]);
    let route = Route { host: Some("b.example".to_owned()), path: Some("/eu".to_owned()) };
    assert_eq!(config.egress[1].route, route);
}

#[test]
fn toml_types_stand_for_text() {
    let (config, _) = resolve_file(
        "upstream = 'app:80'\nproxy_read_timeout = 120\nclient_max_body_size = 0\nkeepalive = false\n\
         max_fragments = 1_000\nwrite_buffer = 0x4000\nlifetime_jitter = 20\nmax_lifetime = '1h'\nclose_code_idle = 4000\n\
         listen = 'http://127.0.0.1:0'",
    )
    .unwrap();
    assert_eq!(config.dial.read_timeout, 2 * MINUTE);
    assert_eq!(config.http.max_body, None);
    assert_eq!((config.session.keepalive.client, config.session.keepalive.app), (None, None));
    assert_eq!(config.session.max_fragments, Some(1000));
    assert_eq!(config.session.write_buffer, 16 << 10);
    assert_eq!(config.session.lifetime, Some(Lifetime { max: 60 * MINUTE, jitter_percent: 20 }));
    assert_eq!(config.session.close_codes.idle, 4000);
    assert_eq!(config.listeners.len(), 1);
}

#[test]
fn each_side_inherits_keepalive() {
    for (text, client, app) in [
        ("", Some(25), Some(25)),
        ("keepalive = '10s'", Some(10), Some(10)),
        ("keepalive = '10s'\nkeepalive_app = 'off'", Some(10), None),
        ("keepalive = 'off'\nkeepalive_client = 5", Some(5), None),
    ] {
        let keepalive = resolve_file(&format!("upstream = 'app:80'\n{text}")).unwrap().0.session.keepalive;
        assert_eq!(keepalive.client, client.map(Duration::from_secs), "{text}");
        assert_eq!(keepalive.app, app.map(Duration::from_secs), "{text}");
    }
}

#[test]
fn a_burst_is_a_second_of_the_rate_unless_given() {
    for (text, burst) in [("", 50), ("message_burst = 7", 7)] {
        let rates =
            resolve_file(&format!("upstream = 'app:80'\nmessage_rate = '50/s'\n{text}")).unwrap().0.session.rates;
        assert_eq!(rates.messages, Some(MessageRate { per_second: 50, burst }));
    }
}

const TLS: &str = "upstream = 'app:80'\nlisten = ['http://0.0.0.0:80', 'https://0.0.0.0:443', 'tls://[::]:8443']\n\
                   ssl_certificate = ['a.crt', 'b.crt']\nssl_certificate_key = ['a.key', 'b.key']\n";

#[test]
fn certificates_are_paired_in_order() {
    let (config, warnings) = resolve_file(TLS).unwrap();
    assert_eq!(warnings, []);
    let tls = config.tls.unwrap();
    let pair = |name: &str| CertPair { cert: format!("{name}.crt").into(), key: format!("{name}.key").into() };
    assert_eq!(tls.certs, [pair("a"), pair("b")]);
    assert_eq!((tls.client_auth, tls.protocols, tls.ciphers), (ClientAuth::Off, TlsProtocols::Both, None));
    let schemes: Vec<Scheme> = config.listeners.iter().map(|listener| listener.scheme).collect();
    assert_eq!(schemes, [Scheme::Http, Scheme::Https, Scheme::Tls]);
}

#[test]
fn client_certificates_as_in_nginx() {
    let ca = PathBuf::from("ca.pem");
    for (word, client_auth) in [
        ("'optional'", ClientAuth::Optional(ca.clone())),
        ("'required'", ClientAuth::Required(ca.clone())),
        ("'on'", ClientAuth::Required(ca.clone())),
        ("true", ClientAuth::Required(ca)),
    ] {
        let text = format!("{TLS}ssl_verify_client = {word}\nssl_client_certificate = 'ca.pem'");
        assert_eq!(resolve_file(&text).unwrap().0.tls.unwrap().client_auth, client_auth);
    }
}

#[test]
fn versions_and_suites_as_in_nginx() {
    for (text, protocols) in [
        ("ssl_protocols = 'TLSv1.2 TLSv1.3'", TlsProtocols::Both),
        ("ssl_protocols = ['TLSv1.3']", TlsProtocols::OnlyTls13),
        ("ssl_protocols = 'TLSv1.2'", TlsProtocols::OnlyTls12),
    ] {
        assert_eq!(resolve_file(&format!("{TLS}{text}")).unwrap().0.tls.unwrap().protocols, protocols);
    }
    let text = format!("{TLS}ssl_ciphers = 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384'");
    let suites = resolve_file(&text).unwrap().0.tls.unwrap().ciphers.unwrap();
    let names: Vec<&str> = suites.iter().filter_map(rustls::CipherSuite::as_str).collect();
    let expected = [
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS13_AES_256_GCM_SHA384",
        "TLS13_AES_128_GCM_SHA256",
        "TLS13_CHACHA20_POLY1305_SHA256",
    ];
    assert_eq!(names, expected, "TLS 1.3 keeps its own");
}

#[test]
fn trust_in_the_app() {
    for (text, trust) in [
        ("", Trust::BuiltInRoots),
        ("proxy_ssl_trusted_certificate = 'ca.pem'", Trust::File("ca.pem".into())),
        ("proxy_ssl_verify = false", Trust::Anyone),
    ] {
        let text = format!("upstream = 'https://app'\nproxy_ssl_name = 'app.internal'\n{text}");
        let upstream_tls = resolve_file(&text).unwrap().0.upstream_tls;
        assert_eq!(upstream_tls, UpstreamTls { trust, identity: None, name: Some("app.internal".to_owned()) });
    }
}

#[test]
fn lists_from_everywhere() {
    let expected = ["http://127.0.0.1:1", "http://127.0.0.1:2"];
    let addrs = |sources: &Sources| -> Vec<String> {
        let config = resolve(sources, None).unwrap().0;
        config.listeners.iter().map(|listener| format!("{}://{}", listener.scheme.as_str(), listener.addr)).collect()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let upstream = Some(FileSource { name: "o.toml", text: "upstream = 'app:80'" });
    let flags = expected.map(|value| pair("listen", value)).to_vec();
    assert_eq!(addrs(&Sources { file: upstream, flags, ..Sources::default() }), expected);
    let env = vec![pair("OUTRIGGER_LISTEN", &expected.join(","))];
    assert_eq!(addrs(&Sources { file: upstream, env, ..Sources::default() }), expected);
    let text = format!("upstream = 'app:80'\nlisten = {expected:?}");
    let file = Some(FileSource { name: "o.toml", text: &text });
    assert_eq!(addrs(&Sources { file, ..Sources::default() }), expected);
}

#[test]
fn an_empty_variable_empties_a_list() {
    let text = "upstream = 'app:80'\ntrusted_proxies = ['10.0.0.0/8']";
    let config = resolve_with(text, Layer::Environment, "trusted_proxies", "").unwrap().0;
    assert_eq!(config.access.trusted_proxies, []);
}

#[test]
fn any_origin_can_be_asked_for() {
    let text = "upstream = 'app:80'\nallowed_origins = ['https://a.example']";
    assert_eq!(resolve_file(text).unwrap().0.access.allowed_origins.unwrap().len(), 1);
    assert_eq!(resolve_with(text, Layer::Flags, "allowed_origins", "*").unwrap().0.access.allowed_origins, None);
}
