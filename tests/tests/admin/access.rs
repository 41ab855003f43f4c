//! Everybody may read; this host, or whoever has the token, may change something.

use std::net::{SocketAddr, TcpStream};

use outrigger_tests::http::lines;
use outrigger_tests::{App, Launch, Response, Sidecar, Wire};
use serde_json::Value;

const TOKEN: &str = "correct-horse-battery-staple";
const EXIT_CONFIG: i32 = 2;

/// Asks at this address with these lines besides a right `Host`.
fn ask(addr: SocketAddr, method: &str, path: &str, fields: &[&str]) -> Response {
    let host = format!("Host: {addr}");
    let has_host = fields.iter().any(|field| field.to_lowercase().starts_with("host:"));
    let host = (!has_host).then_some(host.as_str());
    let all: Vec<&str> = host.into_iter().chain(fields.iter().copied()).collect();
    Wire::plain(addr).ask(&format!("{method} {path} HTTP/1.1\r\n{}\r\n", lines(&all)))
}

/// An address of this host that is not loopback, if it has one.
fn outside() -> Option<std::net::IpAddr> {
    // A datagram socket's `connect` sends nothing: it only looks the route up.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

fn said(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    body["error"].as_str().expect("a sentence").to_owned()
}

#[test]
fn pages_cannot_change_anything_from_this_hosts_browser() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let addr = sidecar.addr("admin");
    for fields in [
        &["Origin: https://evil.example"][..],
        &["Origin: null"],
        &["Sec-Fetch-Site: cross-site"],
        &["Sec-Fetch-Site: same-origin"],
        &["Host: evil.example"],
        &["Host: evil.example:9900"],
        &["Host: 10.0.0.1:9900"],
        &["Authorization: Bearer guessed-guessed-guessed"],
    ] {
        for (method, path) in
            [("POST", "/drain"), ("POST", "/quitquitquit"), ("DELETE", "/sessions/1"), ("POST", "/sessions/1/close")]
        {
            let refused = ask(addr, method, path, fields).expect(403);
            assert!(!said(&refused).is_empty());
        }
        // Reading is for everybody.
        ask(addr, "GET", "/ready", fields).expect(200);
    }
    assert_eq!(sidecar.admin_json("GET", "/drain", 200)["state"], "none");
    ask(addr, "POST", "/drain", &["Sec-Fetch-Site: none"]).expect(202);
}

#[test]
fn the_token_lets_others_change_something_and_is_read_anew_each_time() {
    let app = App::echo();
    let launch = Sidecar::before(app.addr()).http();
    let path = launch.file("token", &format!("{TOKEN}\n"));
    let sidecar = launch.flag("--admin-token-file", &path).start();
    let addr = sidecar.addr("admin");
    let drain = |token: &str| ask(addr, "POST", "/drain", &["Host: evil.example", &format!("Authorization: {token}")]);
    for wrong in [
        format!("Bearer {TOKEN}x"),
        format!("Bearer {}", &TOKEN[1..]),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {TOKEN}"),
        TOKEN.to_owned(),
    ] {
        let refused = drain(&wrong).expect(401);
        assert_eq!(refused.head.get("www-authenticate"), Some("Bearer"), "{wrong}");
    }
    std::fs::write(&path, "another-token-altogether").expect("the file is ours");
    drain(&format!("Bearer {TOKEN}")).expect(401);
    std::fs::write(&path, "short").expect("the file is ours");
    assert!(said(&drain("Bearer short").expect(500)).contains("16 or more"));
    std::fs::remove_file(&path).expect("the file is ours");
    drain("Bearer short").expect(500);
    std::fs::write(&path, "another-token-altogether").expect("the file is ours");
    assert_eq!(sidecar.admin_json("GET", "/drain", 200)["state"], "none");
    drain("bearer another-token-altogether").expect(202);
}

#[test]
fn other_hosts_may_read_and_need_the_token_for_the_rest() {
    let app = App::echo();
    let Some(ip) = outside() else {
        println!("skipped: this host has no address but loopback");
        return;
    };
    let launch = Sidecar::before(app.addr()).http().flag("--admin", format!("{ip}:0"));
    let token = launch.file("token", TOKEN);
    let without = Sidecar::before(app.addr()).http().flag("--admin", format!("{ip}:0")).start();
    let with = launch.flag("--admin-token-file", token).start();
    let (without, with) = (without.addr("admin"), with.addr("admin"));
    assert!(TcpStream::connect(with).is_ok());
    // From here to its own outer address this host looks like any other.
    for addr in [without, with] {
        ask(addr, "GET", "/sessions", &[]).expect(200);
        ask(addr, "GET", "/config", &["Origin: https://evil.example"]).expect(200);
    }
    assert!(said(&ask(without, "POST", "/drain", &[]).expect(403)).contains("admin_token_file"));
    assert!(said(&ask(without, "POST", "/drain", &["Host: localhost"]).expect(403)).contains("Only this host"));
    ask(with, "POST", "/drain", &["Host: localhost"]).expect(401);
    ask(with, "POST", "/drain", &[&format!("Authorization: Bearer {TOKEN}")]).expect(202);
}

#[test]
fn a_token_file_that_is_wrong_is_refused_at_the_start() {
    for (content, says) in [
        ("", "a token of 0 characters; write 16 or more"),
        ("fifteen-letters", "a token of 15 characters"),
        ("two lines\nof something else", "only the token"),
        ("sixteen-lettérs!", "only the token"),
    ] {
        let launch = Launch::new().http().flag("--upstream", "127.0.0.1:9");
        let path = launch.file("token", content);
        let failed = launch.flag("--admin-token-file", path).fail().expect(EXIT_CONFIG);
        assert!(failed.stderr.contains(says), "{says:?} expected in {}", failed.stderr);
    }
    let long = Launch::new().http().flag("--upstream", "127.0.0.1:9");
    let path = long.file("token", &"x".repeat(4097));
    let failed = long.flag("--admin-token-file", path).fail().expect(EXIT_CONFIG);
    assert!(failed.stderr.contains("longer than the 4096 bytes"), "{}", failed.stderr);
    let missing = Launch::new().http().flag("--upstream", "127.0.0.1:9").flag("--admin-token-file", "none");
    missing.fail().expect(EXIT_CONFIG);
}

#[test]
fn a_token_that_everybody_can_read_is_worth_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let app = App::ok();
    for (mode, warned) in [(0o644, true), (0o600, false)] {
        let launch = Sidecar::before(app.addr()).http();
        let path = launch.file("token", TOKEN);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("the file is ours");
        let sidecar = launch.flag("--admin-token-file", &path).start();
        assert_eq!(sidecar.log().iter().any(|line| line.contains("every user of this host")), warned, "{mode:o}");
    }
}

#[test]
fn a_port_that_is_taken_says_what_to_do() {
    let app = App::ok();
    let first = Sidecar::before(app.addr()).http().start();
    let addr = first.addr("admin").to_string();
    let second = Sidecar::before(app.addr()).http().flag("--admin", &addr).fail().expect(1);
    for part in [&addr, "--admin 127.0.0.1:0", "--admin off"] {
        assert!(second.stderr.contains(part), "{part} expected in {}", second.stderr);
    }
    let off = Sidecar::before(app.addr()).http().flag("--admin", "off").start();
    assert!(!off.log().iter().any(|line| line.contains(r#""scheme":"admin""#)));
}

#[test]
fn the_admin_api_is_not_the_app() {
    let upstream = Launch::new().http().flag("--upstream", "localhost:9900").flag("--admin", "127.0.0.1:9900");
    assert!(upstream.fail().expect(EXIT_CONFIG).stderr.contains("the admin API itself"));
    let listener = Launch::new().flag("--upstream", "127.0.0.1:9").flag("--admin", "127.0.0.1:9901");
    let failed = listener.flag("--listen", "http://127.0.0.1:9901").fail().expect(EXIT_CONFIG);
    assert!(failed.stderr.contains("is the address of a listener"), "{}", failed.stderr);
}
