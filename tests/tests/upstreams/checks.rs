//! Checks that see more than an open port.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outrigger_tests::app::response;
use outrigger_tests::http::get;
use outrigger_tests::{App, Conn, Launch, Sidecar};

/// A sidecar in front of both that checks them every second.
fn checking(kind: &str, first: &App, second: &App) -> Sidecar {
    let launch = Launch::new().http().flag("--upstream-check", kind).flag("--upstream-check-interval", "1s");
    let launch = launch.flag("--upstream-check-path", "/health?deep").flag("--upstream-backoff", "100ms");
    let launch = launch.flag("--upstream", format!("{};name=first", first.addr()));
    launch.flag("--upstream", format!("{};name=second;priority=1", second.addr())).start()
}

fn wait_for(sidecar: &Sidecar, message: &str) {
    sidecar.wait_log(message, |line| line["message"] == message && line["upstream"] == "first");
}

/// An app that is named by its answers, and well as long as it says so.
fn named(name: &'static str, well: &Arc<AtomicBool>) -> App {
    let well = Arc::clone(well);
    App::http(move |request, _| match request.target() {
        "/health?deep" if !well.load(Ordering::SeqCst) => response(500, &[], "not at all"),
        _ => response(200, &[], name),
    })
}

#[test]
fn an_app_that_says_it_is_not_well_gets_nothing_until_it_is() {
    let (sick, well) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let (first, second) = (named("first", &sick), named("second", &well));
    let sidecar = checking("http", &first, &second);
    let ask = || sidecar.client().ask(&get("/", &[])).expect(200).text();
    assert_eq!(ask(), "first");
    sick.store(false, Ordering::SeqCst);
    wait_for(&sidecar, "upstream ejected: new connections go elsewhere");
    assert_eq!(ask(), "second");
    sick.store(true, Ordering::SeqCst);
    wait_for(&sidecar, "upstream is well again");
    assert_eq!(ask(), "first");
    let seen = first.seen();
    let check = seen.iter().flat_map(|conn| &conn.requests).find(|request| request.target() == "/health?deep");
    let check = check.expect("it was checked");
    assert_eq!(check.get("user-agent"), Some("outrigger-check"));
    assert_eq!(check.get("host"), Some(first.addr().to_string().as_str()));
}

#[test]
fn a_session_that_answers_no_ping_is_no_session() {
    // It upgrades, and then says nothing to anything.
    let mute = App::scripted(|conn: &mut Conn| {
        if conn.upgrade(&[]).is_some() {
            conn.rest();
        }
    });
    let echo = App::echo();
    let sidecar = {
        let launch = Launch::new().http().flag("--upstream-check", "ws").flag("--upstream-check-interval", "1s");
        let launch = launch.flag("--upgrade-timeout", "1s").flag("--upstream", format!("{};name=first", mute.addr()));
        launch.flag("--upstream", format!("{};name=second;priority=1", echo.addr())).start()
    };
    wait_for(&sidecar, "upstream ejected: new connections go elsewhere");
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.echo("at the second");
}

#[test]
fn a_session_that_answers_is_well() {
    let (first, second) = (App::echo(), App::echo());
    let sidecar = checking("ws", &first, &second);
    // Three checks, each a connection of its own that ends in order.
    first.wait("three checks", |seen| {
        let over = seen.iter().filter(|conn| conn.end.is_some() && conn.requests.iter().any(is_check)).count();
        (over >= 3).then_some(())
    });
    assert!(!sidecar.log().iter().any(|line| line.contains("ejected")), "{:#?}", sidecar.log());
}

fn is_check(request: &outrigger_tests::Head) -> bool {
    request.target() == "/health?deep" && request.has_token("upgrade", "websocket")
}
