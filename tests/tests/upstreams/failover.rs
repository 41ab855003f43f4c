//! One of several apps dies: sessions and requests go to the others, and come back to it when it is well.

use std::net::SocketAddr;
use std::process::Command;

use outrigger_tests::app::{Reserved, response};
use outrigger_tests::http::get;
use outrigger_tests::tools::{Tool, node};
use outrigger_tests::{App, Conn, Launch, Sidecar, Wire};

const EJECTED: &str = "upstream ejected: new connections go elsewhere";
const WELL: &str = "upstream is well again";

/// A sidecar in front of these, each with its options. It forgives soon, so that no test waits long.
fn before(upstreams: &[(SocketAddr, &str)]) -> Launch {
    let launch = Launch::new().http().flag("--upstream-backoff", "100ms");
    upstreams.iter().fold(launch, |launch, (addr, options)| launch.flag("--upstream", format!("{addr};{options}")))
}

fn wait_for(sidecar: &Sidecar, message: &str, upstream: &str) {
    sidecar.wait_log(message, |line| line["message"] == message && line["upstream"] == upstream);
}

/// `ws`'s echo server as a process of its own, at this port or any.
fn ws_server(port: u16) -> Option<Tool> {
    let mut server: Command = node("ws-server.mjs")?;
    server.args(["127.0.0.1", &port.to_string()]);
    Some(Tool::start(server))
}

/// How many requests an app has been asked.
fn asked(app: &App) -> usize {
    app.seen().iter().map(|conn| conn.requests.len()).sum()
}

#[test]
fn what_an_app_does_not_take_goes_to_the_next_one_and_only_once() {
    let (dead, app) = (Reserved::new(), App::echo());
    let sidecar =
        before(&[(dead.addr(), "name=dead"), (app.addr(), "name=live")]).flag("--upstream-check", "off").start();
    sidecar.session();
    let body = "a body that is sent once";
    let post = format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    sidecar.client().ask(&post).expect(200);
    assert_eq!(asked(&app), 2);
    wait_for(&sidecar, EJECTED, "dead");
    assert_eq!(sidecar.session_ended()["upstream"], "live");
}

#[test]
fn of_two_processes_one_is_killed_and_its_sessions_move() {
    const EACH: usize = 5;
    let (Some(one), Some(other)) = (ws_server(0), ws_server(0)) else { return };
    let (addr_one, addr_other) = (one.addr(), other.addr());
    let sidecar = before(&[(addr_one, "name=one"), (addr_other, "name=other")]).start();
    let clients: Vec<Wire> = (0..2 * EACH).map(|_| sidecar.session()).collect();
    drop(one);
    let mut at_other = Vec::new();
    for mut client in clients {
        // Its app is gone at once, or answers.
        client.send(outrigger_tests::Frame::client(outrigger_tests::ws::TEXT, "still there").bytes());
        match client.try_frame() {
            Ok(frame) if frame.opcode == outrigger_tests::ws::TEXT => at_other.push(client),
            _ => at_other.push(sidecar.session()),
        }
    }
    wait_for(&sidecar, EJECTED, "one");
    let lost = sidecar.log().iter().filter(|line| line.contains("session ended") && line.contains("\"one\"")).count();
    assert_eq!((lost, at_other.len()), (EACH, 2 * EACH));
    for client in &mut at_other {
        client.echo("at the other one");
    }
    // It comes back, and nobody is moved for it; new sessions fill it up.
    let one = ws_server(addr_one.port()).expect("it was there before");
    assert_eq!(one.addr(), addr_one);
    wait_for(&sidecar, WELL, "one");
    let at_one: Vec<Wire> = (0..EACH).map(|_| sidecar.session()).collect();
    for client in &mut at_other {
        client.echo("nobody was moved");
    }
    drop(other);
    for mut client in at_one {
        client.echo("the new ones are there");
    }
}

#[test]
fn polls_go_where_sessions_go() {
    let (down, spare) = (Reserved::new(), App::http(|_, _| response(200, &[], "spare")));
    let addr = down.addr();
    let sidecar = before(&[(addr, "name=main"), (spare.addr(), "name=spare;priority=1")]).start();
    let mut client = sidecar.client();
    for _ in 0..3 {
        assert_eq!(client.ask(&get("/", &[])).expect(200).text(), "spare");
    }
    wait_for(&sidecar, EJECTED, "main");
    let _main = App::on(down.listen(), None, |conn: &mut Conn| conn.serve(|_, _| response(200, &[], "main")));
    wait_for(&sidecar, WELL, "main");
    assert_eq!(client.ask(&get("/", &[])).expect(200).text(), "main");
}

#[test]
fn with_all_of_them_gone_a_client_is_told_so_and_hold_waits_for_any() {
    let (one, other) = (Reserved::new(), Reserved::new());
    let sidecar = before(&[(one.addr(), "name=one"), (other.addr(), "name=other")]).start();
    sidecar.client().ask(&get("/", &[])).expect(502);
    drop(sidecar);

    let sidecar = before(&[(one.addr(), "name=one"), (other.addr(), "name=other")]).flag("--hold", "10m").start();
    let mut client = sidecar.client();
    client.send(outrigger_tests::ws::upgrade("/", &[]));
    sidecar.wait_log("a warning", |line| line["message"] == "the app is away, upgrades wait for it");
    let _other = App::on(other.listen(), None, Conn::serve_echo);
    client.response("GET").expect(101);
    client.echo("any of them");
}

#[test]
fn a_name_that_never_resolves_is_told_with_its_line() {
    let app = App::echo();
    let file = |text: &str| {
        let launch = Launch::new().http();
        let path = launch.file("o.toml", text);
        (launch.flag("--config", &path), path)
    };
    let (launch, path) = file("# nobody\nupstream = 'http://nobody.invalid'\n");
    let failed = launch.fail().expect(1);
    let expected = format!("{path}:2:1: upstream nobody.invalid: the name does not resolve");
    assert!(failed.stderr.contains(&expected), "{failed:#?}");

    // Beside one that does, it is a warning.
    let text = format!(
        "[[upstream]]\naddress = 'http://nobody.invalid'\nname = 'far'\n[[upstream]]\naddress = '{}'\n",
        app.addr()
    );
    let (launch, path) = file(&text);
    let sidecar = launch.start();
    let warning = format!("{path}:1:1: upstream nobody.invalid: the name does not resolve");
    sidecar.wait_log("a warning", |line| line["message"].as_str().is_some_and(|text| text.starts_with(&warning)));
    sidecar.session();
}
