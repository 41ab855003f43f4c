//! Sessions as the admin API shows and closes them.

use outrigger_tests::ws::CLOSE;
use outrigger_tests::{App, Frame, Sidecar, Wire};
use serde_json::{Value, json};

fn open(sidecar: &Sidecar, target: &str, extra: &[&str]) -> Wire {
    let mut client = sidecar.client();
    client.open(target, extra);
    client.echo("here");
    client
}

/// The session of this client, as the list has it.
fn of(sidecar: &Sidecar, client: &Wire) -> Value {
    let addr = client.local_addr().to_string();
    let page = sidecar.admin_json("GET", "/sessions?limit=1000", 200);
    let mine = page["sessions"].as_array().expect("a list").iter().find(|session| session["client"] == *addr);
    mine.unwrap_or_else(|| panic!("no session of {addr} in {page}")).clone()
}

/// The ids on a page, and what comes next.
fn page(sidecar: &Sidecar, query: &str) -> (Vec<u64>, Value) {
    let page = sidecar.admin_json("GET", &format!("/sessions?{query}"), 200);
    let ids =
        page["sessions"].as_array().expect("a list").iter().map(|session| session["id"].as_u64().expect("a number"));
    (ids.collect(), page["next"].clone())
}

#[test]
fn a_session_is_shown_with_its_figures_and_without_its_query() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--keepalive-client", "1s").start();
    let mut client = open(&sidecar, "/chat/room?token=of-mine", &["Sec-WebSocket-Protocol: chat"]);
    client.echo("four");
    let session = of(&sidecar, &client);
    assert_eq!(
        (&session["path"], &session["host"], &session["scheme"]),
        (&json!("/chat/room"), &json!("app.test"), &json!("ws"))
    );
    assert_eq!(
        (&session["state"], &session["client_messages"], &session["app_messages"]),
        (&json!("open"), &json!(2), &json!(2))
    );
    // Two masked frames of 4 bytes one way, two bare ones the other way.
    assert_eq!((&session["client_bytes"], &session["app_bytes"]), (&json!(2 * (6 + 4)), &json!(2 * (2 + 4))));
    assert!(session["age_s"].as_f64().expect("a number") > 0.0);
    assert_eq!((&session["client_ping_rtt_s"], &session["app_ping_rtt_s"]), (&Value::Null, &Value::Null));
    let one = sidecar.admin_json("GET", &format!("/sessions/{}", session["id"]), 200);
    assert_eq!((&one["client"], &one["client_bytes"]), (&session["client"], &session["client_bytes"]));
    for path in ["/sessions", "/sessions?limit=1000", "/healthz", "/config"] {
        assert!(!sidecar.admin_json("GET", path, 200).to_string().contains("of-mine"), "{path}");
    }

    let ping = client.frame();
    client.send(Frame::client(outrigger_tests::ws::PONG, &ping.payload).bytes());
    client.echo("behind the pong");
    assert!(of(&sidecar, &client)["client_ping_rtt_s"].as_f64().is_some_and(|rtt| rtt > 0.0));
}

#[test]
fn pages_and_filters_find_every_session_once() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    assert_eq!(page(&sidecar, ""), (vec![], Value::Null));
    let clients: Vec<Wire> = (0..7).map(|_| open(&sidecar, "/", &[])).collect();
    let (all, next) = page(&sidecar, "");
    assert_eq!((all.len(), next), (7, Value::Null));
    let (mut seen, mut after) = (Vec::new(), json!(0));
    while !after.is_null() {
        let (ids, next) = page(&sidecar, &format!("limit=3&after={after}"));
        assert!(ids.len() <= 3);
        seen.extend(ids);
        after = next;
    }
    assert_eq!(seen, all);
    for (query, count) in [
        ("host=app.test", 7),
        ("host=APP.TEST&state=open", 7),
        ("host=other", 0),
        ("client=127.0.0.1", 7),
        ("client=%3A%3Affff:127.0.0.1", 7),
        ("client=127.0.0.2", 0),
        ("state=closing", 0),
    ] {
        assert_eq!(page(&sidecar, query).0.len(), count, "{query}");
    }
    for wrong in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=x",
        "state=new",
        "client=x",
        "size=1",
        "limit=1&limit=2",
        "host=%zz",
    ] {
        let error = sidecar.admin_json("GET", &format!("/sessions?{wrong}"), 400);
        assert!(error["error"].as_str().is_some_and(|text| text.len() > 20), "{wrong}: {error}");
    }
    drop(clients);
}

#[test]
fn one_session_is_closed_and_the_others_stay() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let (mut goes, mut stays) = (open(&sidecar, "/", &[]), open(&sidecar, "/", &[]));
    let id = of(&sidecar, &goes)["id"].clone();
    let path = format!("/sessions/{id}?code=4001&reason=See%20you+at%20caf%C3%A9");
    let said = sidecar.admin_json("DELETE", &path, 202);
    assert_eq!(said, json!({ "id": id, "state": "closing", "code": 4001 }));
    let close = goes.frame();
    assert_eq!((close.opcode, &close.payload[..]), (CLOSE, &Frame::close_payload(4001, "See you at café")[..]));
    // Until the client has answered it is there, on its way out.
    let (closing, _) = page(&sidecar, "state=closing");
    assert_eq!(closing, [id.as_u64().expect("a number")]);
    let client = goes.local_addr();
    goes.send(Frame::client(CLOSE, &close.payload).bytes());
    goes.expect_end();
    let account = sidecar.session_of(client);
    assert_eq!((&account["cause"], &account["by"]), (&json!("operator"), &json!("sidecar")), "{account}");
    assert_eq!((&account["client_code"], &account["app_code"]), (&json!(4001), &json!(4001)), "{account}");
    sidecar.admin_json("DELETE", &format!("/sessions/{id}"), 404);
    stays.echo("as if nothing had been");

    let id = of(&sidecar, &stays)["id"].clone();
    for wrong in ["code=999", "code=1005", "code=1006", "code=1015", "code=5000", "code=x", "reason=a%00b"] {
        sidecar.admin_json("POST", &format!("/sessions/{id}/close?{wrong}"), 400);
    }
    sidecar.admin_json("POST", &format!("/sessions/{id}/close?reason={}", "x".repeat(124)), 400);
    stays.echo("still there");
    sidecar.admin_json("POST", &format!("/sessions/{id}/close?reason={}", "x".repeat(123)), 202);
    let close = stays.frame();
    assert_eq!(close.payload, Frame::close_payload(1001, &"x".repeat(123)));
}

#[test]
fn a_close_without_words_says_who_it_was() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = open(&sidecar, "/", &[]);
    let id = of(&sidecar, &client)["id"].clone();
    sidecar.admin_json("POST", &format!("/sessions/{id}/close"), 202);
    assert_eq!(client.frame().payload, Frame::close_payload(1001, "closed by an operator"));
}
