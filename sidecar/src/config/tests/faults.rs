//! All faults come at once, each with its place and what to write instead.

use super::*;

fn faults(text: &str) -> Vec<String> {
    lines(&resolve_file(text).unwrap_err().faults)
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text = "\
# comment
lissen = 'http://0.0.0.0:80'
proxy_read_timeout = 'fast'
listen = ['http://localhost:80',
  'https://127.0.0.1:443', 12]
  log_level = ['info']
ssl_protocols = 'TLSv1.1 TLSv1.3'
worker_threads = 1979-05-27
trusted_proxies = ['10.0.0.0/8', [1]]
[limits]
max_fragments = 1
";
    let sources = Sources {
        file: Some(FileSource { name: "etc/o.toml", text }),
        env: vec![
            ("HOME".to_owned(), "/".to_owned()),
            ("OUTRIGGER_CONFIG".to_owned(), "etc/o.toml".to_owned()),
            ("OUTRIGGER_UPSTREM".to_owned(), "app:80".to_owned()),
            ("OUTRIGGER_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned()),
            ("OUTRIGGER_BYTE_RATE".to_owned(), "1".to_owned()),
        ],
        flags: vec![("keepalive".to_owned(), "2h".to_owned()), ("keepalive".to_owned(), "1h".to_owned())],
    };
    let report = resolve(&sources, None).unwrap_err();
    let expected = [
        "etc/o.toml:2:1: `lissen` is not a key; did you mean `listen`?",
        "etc/o.toml:3:1: `fast` is not a duration; write a duration from 1s to 1d, such as proxy_read_timeout = \"60s\"",
        "etc/o.toml:4:11: `http://localhost:80` names the host `localhost`, and a listener takes an IP address; \
         write `http://127.0.0.1:80`",
        "etc/o.toml:5:3: a https:// listener needs a certificate and its key; add tls_cert = [\"/etc/outrigger/tls.crt\"] \
         and tls_key = [\"/etc/outrigger/tls.key\"]",
        "etc/o.toml:5:28: `12` has no scheme; write `http://0.0.0.0:8080`",
        "etc/o.toml:6:3: log_level takes one value, not a list; write `error`, `warn`, `info`, `debug` or `trace`, \
         such as log_level = \"info\"",
        "etc/o.toml:7:1: TLSv1.1 is broken and was withdrawn (RFC 8996, RFC 7568), so it is not spoken; \
         write `TLSv1.2`, `TLSv1.3` or both; clients of the last ten years have them",
        "etc/o.toml:8:1: worker_threads cannot be a date; write a whole number from 1 to 64, such as worker_threads = \"1\"",
        "etc/o.toml:9:34: trusted_proxies cannot hold a list; write an IP address or a network such as `10.0.0.0/8`, \
         such as trusted_proxies = [\"10.0.0.0/8\"]",
        "etc/o.toml:10:2: `limits` is a table, and there are none; write its keys at the top of the file, without a heading",
        "OUTRIGGER_UPSTREM: is not a key; did you mean `OUTRIGGER_UPSTREAM`?",
        "OUTRIGGER_BYTE_RATE: `1` is out of range; write `off`, or a size per second from 1k/s to 1024g/s, \
         such as OUTRIGGER_BYTE_RATE=1m/s",
        "--keepalive: is given more than once; give it once",
        "--keepalive: `2h` is out of range; write `off`, or a duration from 1s to 1h, such as --keepalive 25s",
        "upstream: is missing, so there is nothing to proxy to; write --upstream localhost:3000, \
         OUTRIGGER_UPSTREAM=localhost:3000 or, in the file, upstream = \"localhost:3000\", with the port of your app",
    ];
    assert_eq!(lines(&report.faults), expected);
    assert_eq!(report.warnings, [], "what follows from faulty keys is not guessed at");
}

#[test]
fn syntax_errors_have_their_line() {
    for (text, place) in [
        ("upstream = app:80", "o.toml:1:12: is not TOML: "),
        ("\n\n  upstream 'app:80'", "o.toml:3:12: is not TOML: "),
        ("listen = 'é\nupstream = 'app:80'", "o.toml:1:1"),
        ("keepalive = 1\r\nkeepalive = 2", "o.toml:2:1: is not TOML: duplicate key; give each key once"),
    ] {
        let faults = faults(text);
        assert!(faults[0].starts_with(place), "{text}: {faults:?}");
    }
    let two = faults("a = \nupstream = 'app:80'\nb = \n");
    assert_eq!(two.iter().map(|fault| &fault[..8]).collect::<Vec<_>>(), ["o.toml:1", "o.toml:3"]);
    assert!(faults(&"a = \n".repeat(1000)).len() <= 20);
}

#[test]
fn guesses_for_unknown_names() {
    for (text, advice) in [
        ("proxy-read-timeout = 1", "did you mean `proxy_read_timeout`?"),
        ("ssl_certificat = 'a'", "did you mean `ssl_certificate`?"),
        ("max_conections = 1", "did you mean `max_connections`?"),
        ("worker_processes = 1", "`outrigger config --reference` lists all keys"),
    ] {
        assert!(faults(&format!("upstream = 'app:80'\n{text}"))[0].ends_with(advice), "{text}");
    }
    for (variable, advice) in [
        ("OUTRIGGER_LOGLEVEL", "did you mean `OUTRIGGER_LOG_LEVEL`?"),
        ("OUTRIGGER_upstream", "did you mean `OUTRIGGER_UPSTREAM`?"),
        ("OUTRIGGER_CONFG", "did you mean `OUTRIGGER_CONFIG`?"),
    ] {
        let env = vec![(variable.to_owned(), "info".to_owned())];
        let report = resolve(&Sources { env, ..Sources::default() }, None).unwrap_err();
        assert_eq!(report.faults[0].to_string(), format!("{variable}: is not a key; {advice}"));
    }
}

#[test]
fn a_key_and_its_alias_are_one() {
    let text = "upstream = 'https://app'\nupstream_tls_name = 'a'\nproxy_ssl_name = 'b'";
    assert_eq!(faults(text), ["o.toml:3:1: says the same as o.toml:2:1, under another name; keep one of the two"]);
}

#[test]
fn a_tls_listener_needs_its_files() {
    const HTTPS: &str = "upstream = 'app:80'\nlisten = 'https://0.0.0.0:443'\n";
    assert!(faults(HTTPS)[0].starts_with("o.toml:2:1: a https:// listener needs a certificate and its key; add "));
    let text = format!("{HTTPS}tls_cert = ['a', 'b']\ntls_key = ['a']");
    assert_eq!(faults(&text), ["o.toml:3:18: b has no tls_key to go with it; give as many tls_key, in the same order"]);
    let text = format!("{HTTPS}tls_key = 'a'");
    assert_eq!(
        faults(&text),
        ["o.toml:3:1: a has no tls_cert to go with it; give as many tls_cert, in the same order"]
    );
    let text = format!("{HTTPS}tls_cert = 'a'\ntls_key = 'a'\ntls_client_auth = 'required'");
    assert_eq!(
        faults(&text),
        ["o.toml:5:1: tls_client_auth is required, but nothing says whose certificates count; \
          add tls_client_ca = \"/etc/outrigger/clients.pem\""]
    );
}

#[test]
fn empty_lists_that_would_shut_everyone_out() {
    for text in ["listen = []", "ssl_protocols = []", "allowed_origins = []"] {
        let faults = faults(&format!("upstream = 'app:80'\n{text}"));
        assert!(faults.len() == 1 && faults[0].starts_with("o.toml:2:1: is an empty list, so no "), "{faults:?}");
    }
    let faults = faults("upstream = 'app:80'\nallowed_origins = ['https://a', '*']");
    assert!(faults.len() == 1 && faults[0].starts_with("o.toml:2:33: `*` takes any origin"), "{faults:?}");
}

#[test]
fn a_wrong_upstream_is_told_with_its_line() {
    for (text, expected) in [
        (
            "upstream = []",
            "o.toml:1:1: is an empty list, so there is nothing to proxy to; write upstream = \"localhost:3000\"",
        ),
        (
            "[[upstream]]\naddress = 'a:1'\nname = 'a'\n[[upstream]]\naddress = 'b:1'\nname = 'a'",
            "o.toml:4:1: `a` is the name of another upstream; remove one of the two, or give each a name of its own \
             with `name`",
        ),
        (
            "upstream = ['a:1', 'a:1;weight=2']",
            "o.toml:1:20: `a:1` is the name of another upstream; remove one of the two, or give each a name of its own \
             with `name`",
        ),
        (
            "[[upstream]]\naddress = 'a:1'\nweight = 0",
            "o.toml:3:1: `0` is not a weight of an upstream; write a whole number from 1 to 1000",
        ),
        (
            "[[upstream]]\naddress = 'a:1'\nregoin = 'eu'",
            "o.toml:3:1: `regoin` is not an option of an upstream; did you mean `region`?",
        ),
        (
            "[[upstream]]\nregion = 'eu'",
            "o.toml:1:1: this upstream has no address; add address = \"HOST:PORT\", or a URL such as \
             \"wss://a.example\"",
        ),
        (
            "upstream = ['a:1', 'b:1;priority=first']",
            "o.toml:1:20: `first` is not a priority of an upstream; write a whole number from 0 to 1000",
        ),
        ("upstream = ['a:1', 'app']", "o.toml:1:20: `app` has no port; write `app:PORT` with the app's port"),
        ("[[upstream]]\naddress = ['a:1']", "o.toml:2:1: address cannot be a list; write a text or a number"),
    ] {
        let faults = faults(text);
        assert!(faults.iter().any(|fault| fault == expected), "{text}: {faults:#?}");
    }
}

#[test]
fn a_way_out_is_for_this_host_alone() {
    let base = "upstream = 'app:80'\negress = 'a:1'\n";
    for (text, expected) in [
        (
            "egress_listen = 'http://0.0.0.0:9000'",
            "o.toml:3:1: `http://0.0.0.0:9000` is no loopback address, so others could go out in the app's name; write \
             `http://127.0.0.1:9000`",
        ),
        (
            "egress_listen = 'https://127.0.0.1:9000'",
            "o.toml:3:1: `https://127.0.0.1:9000` has TLS, which nothing on this host needs; write `http://127.0.0.1:9000`",
        ),
        (
            "listen = 'http://127.0.0.1:9000'",
            "egress_listen: 127.0.0.1:9000 has a listener already; give one of the two another port",
        ),
    ] {
        assert_eq!(faults(&format!("{base}{text}")), [expected]);
    }
    let twice = faults("upstream = 'a:1'\negress = 'a:1'");
    assert!(twice[0].starts_with("o.toml:2:1: `a:1` is the name of another upstream"), "{twice:?}");
    let raw = "upstream = 'a:1;path=/x'\nlisten = 'tls://0.0.0.0:1'\ntls_cert = 'a'\ntls_key = 'b'";
    assert!(faults(raw)[0].starts_with("o.toml:2:1: a tls:// listener needs an upstream without"), "{:?}", faults(raw));
    assert!(faults("egress = 'localhost:9000'")[0].contains("so it would call itself"));
}

#[test]
fn an_identity_is_a_certificate_and_its_key() {
    assert_eq!(
        faults("upstream = 'https://a'\nupstream_tls_key = 'k'"),
        ["o.toml:2:1: upstream_tls_key has no upstream_tls_cert to go with it; give upstream_tls_cert as well"]
    );
    assert_eq!(
        faults("upstream = ['a:1', 'b:1']\nupstream_check_path = 'health'"),
        ["o.toml:2:1: `health` is not a path of a request; write a path that begins with `/`, such as \
          upstream_check_path = \"/\""]
    );
}

#[test]
fn a_sidecar_does_not_call_itself() {
    for (listen, upstream, looped) in [
        ("0.0.0.0:80", "localhost:80", true),
        ("0.0.0.0:80", "127.0.0.2:80", true),
        ("[::]:80", "[::1]:80", true),
        ("127.0.0.1:80", "localhost:80", true),
        ("127.0.0.1:80", "0.0.0.0:80", true),
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("0.0.0.0:80", "localhost:81", false),
        ("0.0.0.0:80", "app:80", false),
        ("10.0.0.1:80", "localhost:80", false),
    ] {
        let result = resolve_file(&format!("listen = 'http://{listen}'\nupstream = '{upstream}'"));
        assert_eq!(result.is_err(), looped, "{listen} {upstream}");
        if let Err(report) = result {
            assert!(lines(&report.faults)[0].starts_with("o.toml:2:1: "), "{report}");
            assert!(report.faults[0].problem.ends_with("is the sidecar's own listener, so it would call itself"));
        }
    }
}

#[test]
fn an_address_is_listened_on_once() {
    let text = "upstream = 'app:80'\nlisten = ['http://0.0.0.0:81', 'http://127.0.0.1:0', 'http://127.0.0.1:0',\n'tls://0.0.0.0:81']\n";
    let faults = faults(&format!("{text}tls_cert = 'a'\ntls_key = 'a'"));
    assert_eq!(
        faults,
        ["o.toml:3:1: 0.0.0.0:81 has a listener already; remove one of the two, or give it another port"]
    );
}

#[test]
fn what_is_never_in_a_log_cannot_be_asked_for() {
    for name in ["Cookie", "AUTHORIZATION", "Proxy-Authorization", "set-cookie"] {
        let found = faults(&format!("upstream = 'app:80'\naccess_log_headers = ['{name}']"));
        assert!(found.len() == 1 && found[0].contains("is a secret as a whole"), "{found:?}");
    }
    let names = ["a"; 17].map(|name| format!("'{name}'")).join(",");
    let found = faults(&format!("upstream = 'app:80'\naccess_log_headers = [{names}]"));
    assert!(found.len() == 1 && found[0].contains("one more than the 16"), "{found:?}");
    for word in ["", "a b", "geheimnis!"] {
        assert_eq!(faults(&format!("upstream = 'app:80'\naccess_log_redact = ['{word}']")).len(), 1, "{word}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let read_file = |path: &Path| match path.to_str() {
        Some("there") => Ok(Vec::new()),
        Some("locked") => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let text = "upstream = 'https://app'\nlisten = 'https://0.0.0.0:443'\ntls_cert = ['there', 'gone']\n\
                tls_key = 'locked'\nupstream_tls_ca = 'gone'\ntls_client_ca = 'there'\ntls_client_auth = 'on'";
    let sources = Sources { file: Some(FileSource { name: "o.toml", text }), ..Sources::default() };
    let report = resolve(&sources, Some(&read_file)).unwrap_err();
    let expected = [
        "o.toml:3:22: cannot read gone: entity not found; check the path; a relative one starts at the working directory",
        "o.toml:4:1: cannot read locked: permission denied; let the user that outrigger runs as read it",
        "o.toml:5:1: cannot read gone: entity not found; check the path; a relative one starts at the working directory",
    ];
    assert_eq!(lines(&report.faults), expected);
}

#[test]
fn secrets_are_in_no_message() {
    let text = "upstream = 'http://me:hunter2@app:80'\nadd_header = ['Authorization: hunter2\\u0001', 'hunter2']\n\
                more_set_headers = [\"Cookie: hunter2\\u0001\", 'Sec-WebSocket-Accept: hunter2']";
    let report = resolve_file(text).unwrap_err();
    assert_eq!(report.faults.len(), 4, "{report}");
    assert!(!report.to_string().contains("hunter2"));
    let text = "upstream = 'http://me:hunter2@app:80'\nadd_header = ['Authorization: hunter2', 'X-Api-Key: hunter2']";
    let sources = Sources { file: Some(FileSource { name: "o.toml", text }), ..Sources::default() };
    let shown = effective(&sources).unwrap();
    assert!(shown.contains("add_header = [\"Authorization: …\", \"X-Api-Key: …\"] # from o.toml:2:1\n"));
    assert!(!shown.contains("hunter2"));
    let config = resolve_file("upstream = 'app:80'\nmore_set_headers = 'Authorization: hunter2'").unwrap().0;
    assert!(!format!("{config:?}").contains("hunter2"));
}
