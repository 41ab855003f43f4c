//! The one table of keys. TOML keys, variables, flags, help, reference, schema and completion all come from it.

use super::key::{Key, Kind, StandardForm};

/// Keys that belong together, under the heading they have in help and reference.
pub(crate) struct Group {
    pub title: &'static str,
    pub keys: &'static [Key],
}

const MS: u64 = 1;
const S: u64 = 1_000;
const M: u64 = 60 * S;
const H: u64 = 60 * M;
const D: u64 = 24 * H;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const OFF: &[&str] = &["off"];
const ADDRESS: &str = "`http://`, `https://` or `tls://` with an IP address and a port";
const ADMIN_ADDRESS: &str = "an IP address with a port";
const HEADER: &str = "`Name: value`";

/// Every key, in the order of the reference.
pub(crate) static GROUPS: [Group; 13] = [
    Group { title: "Addresses", keys: ADDRESSES },
    Group { title: "Several upstreams", keys: CHOICE },
    Group { title: "TLS with clients", keys: TLS },
    Group { title: "TLS with the app", keys: UPSTREAM_TLS },
    Group { title: "HTTP", keys: HTTP },
    Group { title: "Time limits towards the app", keys: DIAL },
    Group { title: "WebSocket sessions", keys: SESSION },
    Group { title: "Access and headers", keys: ACCESS },
    Group { title: "Drain and restart", keys: LIFECYCLE },
    Group { title: "Admin API", keys: ADMIN },
    Group { title: "Logs", keys: LOGS },
    Group { title: "OpenTelemetry", keys: OTLP },
    Group { title: "Process", keys: PROCESS },
];

/// All keys of all groups.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|group| group.keys)
}

/// The key of this name or alias.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.names().any(|known| known == name))
}

const fn time(from: u64, to: u64) -> Kind {
    Kind::Duration { from, to }
}

const ADDRESSES: &[Key] = &[
    Key::list(
        "listen",
        Kind::Text(ADDRESS, "ADDRESS"),
        "http://0.0.0.0:8080",
        "Where clients connect. `http` takes HTTP and WS, `https` takes HTTP and WSS and ends TLS, `tls` \
         ends TLS and passes the bytes on as they are. Port 0 lets the system pick. `[::]` is IPv6 alone, as in nginx.",
    )
    .preset(&["http://0.0.0.0:8080"]),
    Key::list(
        "upstream",
        Kind::Upstream,
        "localhost:3000",
        "The app. `https` and `wss` reach it over TLS. The path of a request goes through as it is, so none \
         is given here. Of several, as in `wss://a.example;region=eu;priority=1;weight=5`, the lowest priority \
         (0 to 1000, default 0) comes first, then the nearest region, then the fewest connections per weight (1 to 1000, \
         default 1). One with `host=` or `path=` is for requests with that Host, or with a path that begins so, alone. \
         `proxy_protocol=` `v1` or `v2` tells it who the client is. In the file they can be `[[upstream]]` tables with \
         `address` and the same names.",
    )
    .mostly_one()
    .unset("required"),
    Key::list(
        "egress",
        Kind::Upstream,
        "wss://api.example.com",
        "Where the app beside the sidecar connects to by way of it, as in `upstream`; `[[egress]]` in the file.",
    )
    .mostly_one(),
    Key::list(
        "egress_listen",
        Kind::Text("`http://` with a loopback address and a port", "ADDRESS"),
        "http://127.0.0.1:9000",
        "Where the app connects for that.",
    )
    .preset(&["http://127.0.0.1:9000"]),
];

const CHOICE: &[Key] = &[
    Key::new(
        "upstream_check",
        Kind::Choice(&["tcp", "http", "ws", "off"]),
        "tcp",
        "How each of several upstreams is checked: `tcp` connects, `http` asks for a path and wants 200 to 399, `ws` opens \
         a session and wants a pong. With `off` only connections for clients tell.",
    ),
    Key::new(
        "upstream_check_path",
        Kind::Text("a path that begins with `/`", "PATH"),
        "/",
        "What `http` and `ws` checks ask for.",
    ),
    Key::new(
        "upstream_check_interval",
        time(S, 10 * M),
        "10s",
        "From one check of an upstream to the next; a connection for a client counts as one.",
    ),
    Key::new(
        "upstream_max_fails",
        Kind::Count { from: 1, to: 100 },
        "1",
        "Failures to connect in a row after which one of several upstreams is ejected: new connections go to the others \
         until it is well again.",
    ),
    Key::new(
        "upstream_backoff",
        time(100 * MS, 10 * M),
        "1s",
        "How long an ejected upstream is left alone before it is tried; each further failure doubles it. Up to half is \
         taken off by chance.",
    ),
    Key::new("upstream_backoff_max", time(100 * MS, H), "30s", "The longest that becomes of it."),
    Key::new(
        "rebalance",
        time(S, D),
        "off",
        "Time over which sessions are closed with 1012 that are not at the nearest upstream that is well, once it has been \
         that for 30 s: one by one, each at a quiet moment (`drain_quiet`), so that their clients come back to it.",
    )
    .words(OFF)
    .example("5m"),
    Key::new(
        "upstream_dial_rate",
        Kind::Count { from: 1, to: 100_000 },
        "off",
        "Most connections dialled to each upstream in a second, also where there is only one; more wait in line, so that \
         a herd of clients meets an app that can stand it.",
    )
    .words(OFF)
    .example("100"),
    Key::new(
        "upstream_dial_queue",
        Kind::Count { from: 0, to: 100_000 },
        "1000",
        "How many may wait so for each upstream; more get 503 with `Retry-After`.",
    ),
];

const TLS: &[Key] = &[
    Key::list(
        "tls_cert",
        Kind::Path,
        "/etc/outrigger/tls.crt",
        "PEM certificate chains, leaf first; each goes with the key at the same place in `tls_key`. Needed \
         for `https` and `tls` listeners; the first answers clients whose server name matches none.",
    )
    .aliases(&["ssl_certificate"]),
    Key::list(
        "tls_key",
        Kind::Path,
        "/etc/outrigger/tls.key",
        "PEM private keys, one for each of `tls_cert`, in the same order.",
    )
    .aliases(&["ssl_certificate_key"]),
    Key::new(
        "tls_client_auth",
        Kind::Choice(&["off", "optional", "required", "on"]),
        "off",
        "Whether clients show a certificate: `optional` checks one that is shown, `required` (or nginx's \
         `on`) insists.",
    )
    .aliases(&["ssl_verify_client"]),
    Key::new(
        "tls_client_ca",
        Kind::Path,
        "/etc/outrigger/clients.pem",
        "PEM file of the authorities that sign certificates of clients; needed unless `tls_client_auth` is `off`.",
    )
    .aliases(&["ssl_client_certificate"])
    .unset("none"),
    Key::list(
        "ssl_protocols",
        Kind::Text("`TLSv1.2` or `TLSv1.3`", "VERSION"),
        "TLSv1.3",
        "TLS versions spoken with clients, as a list or separated by spaces as in nginx. Older versions are \
         broken and do not exist here (RFC 8996).",
    )
    .preset(&["TLSv1.2", "TLSv1.3"]),
    Key::list(
        "ssl_ciphers",
        Kind::Text("an IANA or OpenSSL name of a cipher suite", "SUITE"),
        "TLS_AES_128_GCM_SHA256",
        "Cipher suites offered to clients, best first, as a list or separated by colons as in nginx. A TLS \
         version of which none is named keeps all of its own.",
    )
    .unset("all nine that rustls has"),
    Key::new("tls_handshake_timeout", time(S, 2 * M), "10s", "How long a client may take for the TLS handshake."),
];

const UPSTREAM_TLS: &[Key] = &[
    Key::new(
        "upstream_tls_ca",
        Kind::Path,
        "/etc/outrigger/app-ca.pem",
        "PEM file of the authorities that may have signed the app's certificate; no others are believed.",
    )
    .aliases(&["proxy_ssl_trusted_certificate"])
    .unset("the Mozilla roots, built in"),
    Key::new(
        "upstream_tls_name",
        Kind::Text("a host name", "NAME"),
        "app.internal",
        "Server name to ask for and to find in the app's certificate.",
    )
    .aliases(&["proxy_ssl_name"])
    .unset("the upstream's host"),
    Key::new(
        "upstream_tls_cert",
        Kind::Path,
        "/etc/outrigger/sidecar.crt",
        "PEM certificate chain, leaf first, that the sidecar shows to an app that asks for one.",
    )
    .aliases(&["proxy_ssl_certificate"])
    .unset("none"),
    Key::new("upstream_tls_key", Kind::Path, "/etc/outrigger/sidecar.key", "PEM private key of `upstream_tls_cert`.")
        .aliases(&["proxy_ssl_certificate_key"])
        .unset("none"),
    Key::new(
        "upstream_tls_verify",
        Kind::Switch,
        "on",
        "Whether the app's certificate is checked. `off` lets anyone on the way pose as the app.",
    )
    .aliases(&["proxy_ssl_verify"]),
];

const HTTP: &[Key] = &[
    Key::new(
        "client_header_timeout",
        time(S, 2 * M),
        "60s",
        "How long a client may take for the header of a request, from accept; then 408.",
    ),
    Key::new(
        "client_body_timeout",
        time(S, 2 * M),
        "60s",
        "Longest silence while the body of a request is read; then 408.",
    ),
    Key::new(
        "client_max_body_size",
        Kind::Size { from: KIB, to: 10_240 * MIB },
        "60m",
        "Largest body of a request; then 413. `0` takes any, as in nginx.",
    )
    .words(&["0", "off"]),
    Key::new(
        "client_header_buffer_size",
        Kind::Size { from: KIB, to: 256 * KIB },
        "32k",
        "Largest header block of a request; then 431.",
    ),
    Key::new(
        "keepalive_timeout",
        time(0, 15 * M),
        "75s",
        "How long an idle HTTP connection of a client is kept; `0` closes after each answer. Sessions have \
         `keepalive`.",
    ),
];

const DIAL: &[Key] = &[
    Key::new(
        "proxy_connect_timeout",
        time(100 * MS, 2 * M),
        "4s",
        "How long connecting to the app may take; then 504.",
    ),
    Key::new(
        "proxy_read_timeout",
        time(S, D),
        "60s",
        "Longest silence of the app: before an HTTP answer, then 504; in a session, then an idle close. \
         Pings of `keepalive` hold a live session open.",
    ),
    Key::new("proxy_send_timeout", time(S, D), "60s", "Longest time that the app may take no more bytes."),
    Key::new(
        "upgrade_timeout",
        time(S, 2 * M),
        "10s",
        "How long the app may take to answer an upgrade request, once it has taken the connection; then 504.",
    ),
    Key::new(
        "upstream_keepalive",
        Kind::Count { from: 0, to: 1024 },
        "32",
        "Idle HTTP connections to the app that are kept for further requests.",
    ),
    Key::new(
        "upstream_keepalive_timeout",
        time(100 * MS, 15 * M),
        "4s",
        "How long each of them is kept. Stay below the app's own limit (Node: 5 s), or requests meet closed \
         connections.",
    ),
];

const SESSION: &[Key] = &[
    Key::new(
        "inspect",
        Kind::Choice(&["frames", "off"]),
        "frames",
        "`frames` reads frame headers, never payloads. `off` is a blind tunnel after the 101: no pings, \
         limits on messages, figures or Close frames.",
    ),
    Key::new(
        "keepalive",
        time(S, H),
        "25s",
        "Ping a side after this much silence of it, and keep its pong; so nothing on the way sees an idle session.",
    )
    .words(OFF),
    Key::new("keepalive_client", time(S, H), "25s", "The same for clients alone.").words(OFF).unset("as `keepalive`"),
    Key::new("keepalive_app", time(S, H), "25s", "The same for the app alone.").words(OFF).unset("as `keepalive`"),
    Key::new(
        "pong_timeout",
        time(S, 10 * M),
        "20s",
        "How long a ping may stay unanswered before that side counts as dead.",
    ),
    Key::new(
        "max_message_size",
        Kind::Size { from: 125, to: 1 << 40 },
        "64m",
        "Largest message, summed over its fragments; then Close 1009.",
    )
    .words(OFF),
    Key::new("max_frame_size", Kind::Size { from: 125, to: 1 << 40 }, "off", "Largest single frame; then Close 1009.")
        .words(OFF)
        .example("1m"),
    Key::new(
        "max_fragments",
        Kind::Count { from: 1, to: 1 << 31 },
        "131072",
        "Most fragments in one message; then Close 1009.",
    )
    .words(OFF),
    Key::new(
        "message_rate",
        Kind::MessageRate { from: 1, to: 1_000_000 },
        "off",
        "Most messages per second, for each session and direction.",
    )
    .words(OFF)
    .example("100/s"),
    Key::new(
        "message_burst",
        Kind::Count { from: 1, to: 1_000_000 },
        "200",
        "Messages that may come at once after a silence.",
    )
    .unset("one second of `message_rate`"),
    Key::new(
        "byte_rate",
        Kind::ByteRate { from: KIB, to: 1 << 40 },
        "off",
        "Most bytes per second, for each session and direction.",
    )
    .words(OFF)
    .example("1m/s"),
    Key::new(
        "over_rate",
        Kind::Choice(&["slow", "close"]),
        "slow",
        "What happens to a sender above its rate: `slow` reads it more slowly and loses nothing, `close` \
         ends its session.",
    ),
    Key::new(
        "max_lifetime",
        time(S, 30 * D),
        "off",
        "Longest life of a session, so that load spreads again after a scale-up.",
    )
    .words(OFF)
    .example("12h"),
    Key::new(
        "lifetime_jitter",
        Kind::Percent { to: 50 },
        "10%",
        "Each session ends up to this much before `max_lifetime`, so that not all reconnect at once.",
    ),
    Key::new(
        "write_buffer",
        Kind::Size { from: 4 * KIB, to: 16 * MIB },
        "64k",
        "Bytes held for a side that does not read, per direction; then the other side is not read either.",
    ),
    Key::new("close_timeout", time(100 * MS, M), "5s", "How long the answer to a Close frame is awaited."),
    Key::new("close_code_idle", Kind::CloseCode, "1001", "Close code after `proxy_read_timeout`."),
    Key::new("close_code_lifetime", Kind::CloseCode, "1001", "Close code after `max_lifetime`."),
    Key::new("close_code_rate", Kind::CloseCode, "1008", "Close code for a sender above its rate."),
    Key::new(
        "close_code_app_gone",
        Kind::CloseCode,
        "1011",
        "Close code for clients when the app's connection ends without a Close, or it answers no ping.",
    )
    .unset("1011, with `hold` 1012"),
    Key::new(
        "close_code_app_silent",
        Kind::CloseCode,
        "1014",
        "The same for an app that has not sent a byte since its 101.",
    )
    .unset("1014, with `hold` 1012"),
    Key::new("close_code_drain", Kind::CloseCode, "1012", "Close code for sessions that are closed by a drain."),
    Key::new(
        "close_code_shutdown",
        Kind::CloseCode,
        "1012",
        "Close code for sessions that are left when `shutdown_grace` is over.",
    ),
];

const ACCESS: &[Key] = &[
    Key::list(
        "allowed_origins",
        Kind::Text("an origin, `https://HOST` with an optional `:PORT`", "ORIGIN"),
        "https://app.example.com",
        "Origins of pages that may open a session; all others get 403. `*` takes any.",
    )
    .words(&["*"])
    .unset("any"),
    Key::list(
        "trusted_proxies",
        Kind::Text("an IP address or a network such as `10.0.0.0/8`", "NETWORK"),
        "10.0.0.0/8",
        "Peers whose `Forwarded` and `X-Forwarded-*` headers are believed; from all others they are replaced.",
    ),
    Key::list(
        "proxy_protocol_from",
        Kind::Text("an IP address or a network such as `10.0.0.0/8`", "NETWORK"),
        "10.0.0.0/8",
        "Peers whose connections begin with a PROXY header, version 1 or 2, which says who the client is. From all others \
         such a header is no header.",
    ),
    Key::list(
        "add_header",
        Kind::Text(HEADER, "HEADER"),
        "X-Served-By: outrigger",
        "Headers added to every HTTP response, the 101 included.",
    ),
    Key::list(
        "more_set_headers",
        Kind::Text(HEADER, "HEADER"),
        "Server: outrigger",
        "Headers put on every HTTP response in place of the app's.",
    ),
];

const LIFECYCLE: &[Key] = &[
    Key::new(
        "shutdown_grace",
        time(0, H),
        "25s",
        "How long what is there may go on after SIGTERM; then what is left is closed. Stay below \
         `terminationGracePeriodSeconds` less two `close_timeout`.",
    ),
    Key::new(
        "drain_window",
        time(0, H),
        "15s",
        "Time over which a drain closes the sessions, one by one in random order, so that they do not all come back \
         at once. `off` leaves them alone until `shutdown_grace` is over.",
    )
    .words(OFF),
    Key::new(
        "drain_jitter",
        Kind::Percent { to: 100 },
        "100%",
        "How much of its share of `drain_window` each session is moved by chance.",
    ),
    Key::new(
        "drain_quiet",
        time(0, M),
        "2s",
        "How long the Close of a drain may wait for a quiet moment: no message underway, no byte for 100 ms.",
    ),
    Key::new(
        "hold",
        time(100 * MS, 10 * M),
        "off",
        "How long an upgrade waits for an app that cannot be reached, as while it restarts, instead of failing at once; \
         then 503.",
    )
    .words(OFF)
    .example("10s"),
    Key::new(
        "hold_max",
        Kind::Count { from: 1, to: 100_000 },
        "1000",
        "Upgrades that may wait so at once; more get 503.",
    ),
    Key::new(
        "handover",
        Kind::Text("the absolute path of a socket", "PATH"),
        "/run/outrigger/handover.sock",
        "Unix socket over which a new process takes the listening sockets from the old one, which then drains: no \
         connection is refused in between.",
    )
    .unset("none"),
    Key::new(
        "reuseport",
        Kind::Switch,
        "off",
        "Whether the listeners' ports may be bound by other processes of the same user at the same time \
         (SO_REUSEPORT); the kernel spreads connections over them.",
    ),
    Key::new(
        "watch",
        Kind::Switch,
        "on",
        "Whether the configuration is read again when its file, a certificate or a key changes, as on SIGHUP.",
    ),
];

const ADMIN: &[Key] = &[
    Key::new(
        "admin",
        Kind::Text(ADMIN_ADDRESS, "ADDRESS"),
        "127.0.0.1:9900",
        "Where the admin API answers: probes, sessions, drain (docs/ADMIN.md). Whoever reaches it may read; changing \
         something takes this very host, or `admin_token_file`. Port 0 lets the system pick.",
    )
    .words(OFF),
    Key::new(
        "admin_token_file",
        Kind::Path,
        "/etc/outrigger/admin-token",
        "File with the token, 16 characters or more, that lets other hosts change something by `Authorization: Bearer`. \
         It is read anew for each such request.",
    )
    .unset("none"),
];

const OTLP_URL: Kind = Kind::Text("`http://` or `https://` with a host, an optional port and path", "URL");
const OTLP_HEADER: Kind = Kind::Text(HEADER, "HEADER");
const OTLP_PROTOCOL: Kind = Kind::Choice(&["grpc", "http/protobuf"]);
const OTLP_TIMEOUT: Kind = time(100 * MS, 2 * M);
const EXPORTER: Kind = Kind::Choice(&["otlp", "none"]);

const OTLP: &[Key] = &[
    Key::new(
        "otlp",
        Kind::Switch,
        "on",
        "Whether anything goes to a collector at all. The variable of OpenTelemetry is turned around: `true` means `off`.",
    )
    .standard("OTEL_SDK_DISABLED", StandardForm::Disabled),
    Key::new(
        "otlp_endpoint",
        OTLP_URL,
        "http://localhost:4318",
        "The collector that traces and metrics go to (docs/TRACING.md). Over HTTP, `/v1/traces` and `/v1/metrics` are put \
         behind it.",
    )
    .unset("none: nothing is exported")
    .standard("OTEL_EXPORTER_OTLP_ENDPOINT", StandardForm::Same),
    Key::new(
        "otlp_traces_endpoint",
        OTLP_URL,
        "http://localhost:4318/v1/traces",
        "The same for traces alone. Nothing is put behind it.",
    )
    .unset("as `otlp_endpoint`")
    .standard("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", StandardForm::Same),
    Key::new(
        "otlp_metrics_endpoint",
        OTLP_URL,
        "http://localhost:4318/v1/metrics",
        "The same for metrics alone. Nothing is put behind it.",
    )
    .unset("as `otlp_endpoint`")
    .standard("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", StandardForm::Same),
    Key::new("otlp_protocol", OTLP_PROTOCOL, "http/protobuf", "What is spoken with the collector.")
        .standard("OTEL_EXPORTER_OTLP_PROTOCOL", StandardForm::Same),
    Key::new("otlp_traces_protocol", OTLP_PROTOCOL, "http/protobuf", "The same for traces alone.")
        .unset("as `otlp_protocol`")
        .standard("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", StandardForm::Same),
    Key::new("otlp_metrics_protocol", OTLP_PROTOCOL, "http/protobuf", "The same for metrics alone.")
        .unset("as `otlp_protocol`")
        .standard("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", StandardForm::Same),
    Key::list(
        "otlp_headers",
        OTLP_HEADER,
        "api-key: 0123",
        "Headers on each request to the collector, such as the one that says who you are. Their values are never shown.",
    )
    .standard("OTEL_EXPORTER_OTLP_HEADERS", StandardForm::Pairs(": ")),
    Key::list("otlp_traces_headers", OTLP_HEADER, "api-key: 0123", "The same for traces alone, in place of the others.")
        .unset("as `otlp_headers`")
        .standard("OTEL_EXPORTER_OTLP_TRACES_HEADERS", StandardForm::Pairs(": ")),
    Key::list("otlp_metrics_headers", OTLP_HEADER, "api-key: 0123", "The same for metrics alone, in place of the others.")
        .unset("as `otlp_headers`")
        .standard("OTEL_EXPORTER_OTLP_METRICS_HEADERS", StandardForm::Pairs(": ")),
    Key::new(
        "otlp_timeout",
        OTLP_TIMEOUT,
        "10s",
        "How long one attempt to hand something to the collector may take, from the dial to the answer.",
    )
    .standard("OTEL_EXPORTER_OTLP_TIMEOUT", StandardForm::Milliseconds),
    Key::new("otlp_traces_timeout", OTLP_TIMEOUT, "10s", "The same for traces alone.")
        .unset("as `otlp_timeout`")
        .standard("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", StandardForm::Milliseconds),
    Key::new("otlp_metrics_timeout", OTLP_TIMEOUT, "10s", "The same for metrics alone.")
        .unset("as `otlp_timeout`")
        .standard("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", StandardForm::Milliseconds),
    Key::new(
        "otlp_ca",
        Kind::Path,
        "/etc/outrigger/collector-ca.pem",
        "PEM file of the authorities that may have signed the collector's certificate; no others are believed.",
    )
    .unset("the Mozilla roots, built in")
    .standard("OTEL_EXPORTER_OTLP_CERTIFICATE", StandardForm::Same),
    Key::new("traces_exporter", EXPORTER, "otlp", "Whether traces are recorded and exported.")
        .unset("`otlp` where there is an endpoint")
        .standard("OTEL_TRACES_EXPORTER", StandardForm::Same),
    Key::new("metrics_exporter", EXPORTER, "otlp", "Whether metrics are exported. `/metrics` does not depend on it.")
        .unset("`otlp` where there is an endpoint")
        .standard("OTEL_METRICS_EXPORTER", StandardForm::Same),
    Key::new(
        "traces_sampler",
        Kind::Choice(&[
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ]),
        "parentbased_always_on",
        "Which requests are recorded, their sessions included. With `parentbased_`, whoever sent a `traceparent` decides.",
    )
    .standard("OTEL_TRACES_SAMPLER", StandardForm::Same),
    Key::new(
        "traces_sampler_arg",
        Kind::Text("a ratio from 0 to 1", "RATIO"),
        "1.0",
        "The share of traces that the samplers with `traceidratio` record.",
    )
    .standard("OTEL_TRACES_SAMPLER_ARG", StandardForm::Same),
    Key::new(
        "trace_messages",
        Kind::Text("a share such as `1%` or `0.1%`", "PERCENT"),
        "off",
        "Share of the messages of recorded sessions that get a trace of their own.",
    )
    .words(OFF)
    .example("1%"),
    Key::new(
        "trace_segment",
        time(S, D),
        "5m",
        "How long a segment of a recorded session is: the span that its life is cut into.",
    ),
    Key::new(
        "service_name",
        Kind::Text("a name", "NAME"),
        "outrigger",
        "What the sidecar is called in traces and exported metrics (`service.name`).",
    )
    .standard("OTEL_SERVICE_NAME", StandardForm::Same),
    Key::list(
        "resource_attributes",
        Kind::Text("`name=value`", "ATTRIBUTE"),
        "deployment.environment.name=production",
        "What else is said of the sidecar in traces and exported metrics.",
    )
    .standard("OTEL_RESOURCE_ATTRIBUTES", StandardForm::Pairs("=")),
    Key::new(
        "span_queue",
        Kind::Count { from: 1, to: 100_000 },
        "2048",
        "Spans that wait for the collector at most. What is over is lost, and counted in `outrigger.otlp.spans.lost`.",
    )
    .standard("OTEL_BSP_MAX_QUEUE_SIZE", StandardForm::Same),
    Key::new(
        "span_export_interval",
        time(10 * MS, M),
        "5s",
        "How long a span waits for others to go with it.",
    )
    .standard("OTEL_BSP_SCHEDULE_DELAY", StandardForm::Milliseconds),
    Key::new("metric_export_interval", time(100 * MS, H), "1m", "From one export of the metrics to the next.")
        .standard("OTEL_METRIC_EXPORT_INTERVAL", StandardForm::Milliseconds),
];

const LOGS: &[Key] = &[
    Key::new(
        "log_format",
        Kind::Choice(&["auto", "text", "json"]),
        "auto",
        "`auto` writes text to a terminal and JSON otherwise.",
    ),
    Key::new(
        "log_level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "Least severe level that is logged. The access log is there at any.",
    ),
    Key::new(
        "access_log",
        Kind::Choice(&["off", "sessions", "all"]),
        "sessions",
        "`sessions` writes a line for each session when it has ended, and for each request for one that came to nothing; \
         `all` one for each plain request too (docs/LOGS.md).",
    ),
    Key::new("access_log_format", Kind::Choice(&["text", "json"]), "json", "Its format.").unset("as `log_format`"),
    Key::new(
        "access_log_query",
        Kind::Switch,
        "off",
        "Whether queries are in the access log, without the values that `access_log_redact` hides.",
    ),
    Key::list(
        "access_log_headers",
        Kind::Text("the name of a header", "NAME"),
        "User-Agent",
        "Headers of requests that are in the access log. Cookies and credentials cannot be.",
    ),
    Key::list(
        "access_log_redact",
        Kind::Text("a word of letters, digits, `-` and `_`", "WORD"),
        "token",
        "Parts of names, in any case, whose values are nobody's business: of parameters and headers; and of subprotocols \
         themselves. They are written as `[redacted]`, and so is whatever looks like a token.",
    )
    .preset(&[
        "auth",
        "bearer",
        "code",
        "cookie",
        "credential",
        "jwt",
        "key",
        "nonce",
        "otp",
        "passw",
        "pwd",
        "secret",
        "session",
        "sid",
        "sig",
        "ticket",
        "token",
    ]),
];

const PROCESS: &[Key] = &[
    Key::new(
        "max_connections",
        Kind::Count { from: 1, to: 1_000_000 },
        "auto",
        "Most client connections at once; then 503. `auto` follows from the limit on open files.",
    )
    .words(&["auto"])
    .example("10000"),
    Key::new("worker_threads", Kind::Count { from: 1, to: 64 }, "1", "Threads that carry traffic."),
];
