//! The admin API from the first to the last moment of a process.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use outrigger_tests::app::{Reserved, Seen};
use outrigger_tests::http::get;
use outrigger_tests::ws::{CLOSE, TEXT, frames};
use outrigger_tests::{App, End, Frame, Launch, Scratch, Sidecar, Wire};
use serde_json::{Value, json};

/// Waits until the drain is there.
#[track_caller]
fn drained(sidecar: &Sidecar) -> Value {
    sidecar.wait_log("the end of the drain", |line| line["message"] == "drained");
    let progress = sidecar.admin_json("GET", "/drain", 200);
    assert_eq!((&progress["state"], &progress["sessions_left"]), (&json!("drained"), &json!(0)), "{progress}");
    progress
}

#[test]
fn ready_until_the_drain_and_answering_until_the_end() {
    let app = App::echo();
    let mut sidecar =
        Sidecar::before(app.addr()).http().flag("--drain-window", "off").flag("--shutdown-grace", "1h").start();
    assert_eq!(sidecar.admin_json("GET", "/ready", 200), json!({ "status": "ready" }));
    assert_eq!(sidecar.admin_json("GET", "/live", 200), json!({ "status": "live" }));
    let client = sidecar.session();
    let health = sidecar.admin_json("GET", "/healthz", 200);
    assert_eq!((&health["ready"], &health["sessions"]), (&json!(true), &json!(1)), "{health}");
    sidecar.terminate();
    sidecar.wait_log("the drain", |line| line["message"] == "drain begins");
    let ready = sidecar.admin_json("GET", "/ready", 503);
    assert_eq!(ready["status"], "draining");
    assert!(ready["reason"].as_str().is_some_and(|reason| reason.contains("no new sessions")), "{ready}");
    let head = sidecar.admin().ask("HEAD /ready HTTP/1.1\r\nHost: x\r\n\r\n").expect(503);
    assert_eq!((head.head.get("retry-after"), head.body.len()), (Some("1"), 0));
    assert_eq!(sidecar.admin_json("GET", "/live", 200)["status"], "live");
    let progress = sidecar.admin_json("GET", "/drain", 200);
    assert_eq!((&progress["state"], &progress["sessions_left"]), (&json!("draining"), &json!(1)), "{progress}");
    assert_eq!((&progress["window_s"], &progress["seconds_left"]), (&Value::Null, &Value::Null), "{progress}");
    let mut kept = sidecar.admin();
    kept.ask("GET /live HTTP/1.1\r\nHost: x\r\n\r\n").expect(200);
    drop(client);
    assert_eq!(sidecar.wait_exit().code(), Some(0));
    // A connection that is kept does not keep the process.
    assert_eq!(kept.expect_end(), End::Clean);
}

#[test]
fn a_drain_from_here_leaves_the_process_there() {
    let app = App::echo();
    let before = Sidecar::before(app.addr()).http();
    let mut sidecar = before.flag("--drain-window", "1h").flag("--drain-quiet", "0").start();
    let mut clients = [(); 5].map(|()| sidecar.session());
    assert_eq!(sidecar.admin_json("GET", "/drain", 200)["state"], "none");
    let begun = sidecar.admin_json("POST", "/drain?window=500ms", 202);
    assert_eq!(
        (&begun["state"], &begun["window_s"], &begun["sessions"]),
        (&json!("draining"), &json!(0.5), &json!(5)),
        "{begun}"
    );
    assert!(begun["seconds_left"].as_f64().is_some_and(|left| left <= 0.5));
    // Whoever asks again hears of the first one.
    let again = sidecar.admin_json("POST", "/drain?window=1h", 200);
    assert_eq!((&again["window_s"], &again["sessions"]), (&json!(0.5), &json!(5)), "{again}");
    clients.iter_mut().for_each(Wire::part);
    let progress = drained(&sidecar);
    assert_eq!((&progress["ended"], &progress["sessions"]), (&json!({ "drain": 5 }), &json!(5)), "{progress}");

    // It refuses sessions, answers requests, and is not ready, for as long as nobody stops it.
    sidecar.client().ask(&outrigger_tests::ws::upgrade("/", &[])).expect(503);
    sidecar.client().ask(&get("/", &[])).expect(200);
    sidecar.admin_json("GET", "/ready", 503);
    assert!(sidecar.is_running());
    sidecar.terminate();
    assert_eq!(sidecar.wait_exit().code(), Some(0));
    let begins = sidecar.log().iter().filter(|line| line.contains("drain begins")).count();
    assert_eq!(begins, 1, "the signal begins no second drain");
}

#[test]
fn a_signal_makes_the_window_fit_the_grace() {
    let app = App::echo();
    let before = Sidecar::before(app.addr()).http().flag("--drain-quiet", "0").flag("--drain-window", "1s");
    let mut sidecar = before.flag("--shutdown-grace", "1h").start();
    let mut clients = [(); 5].map(|()| sidecar.session());
    sidecar.admin_json("POST", "/drain?window=1h", 202);
    sidecar.terminate();
    sidecar.wait_log("the shorter window", |line| line["message"] == "the drain's window is shortened");
    clients.iter_mut().for_each(Wire::part);
    assert_eq!(sidecar.wait_exit().code(), Some(0));
}

#[test]
fn a_window_that_was_off_begins_with_the_signal() {
    let app = App::echo();
    let before = Sidecar::before(app.addr()).http().flag("--drain-quiet", "0").flag("--drain-window", "100ms");
    let mut sidecar = before.flag("--shutdown-grace", "1h").start();
    let mut client = sidecar.session();
    assert_eq!(sidecar.admin_json("POST", "/drain?window=off", 202)["window_s"], Value::Null);
    client.echo("left alone");
    sidecar.terminate();
    client.part();
    assert_eq!(sidecar.wait_exit().code(), Some(0));
}

/// The texts that one connection brought to the app.
fn texts(seen: &Seen) -> Vec<String> {
    let behind = &seen.bytes[seen.requests[0].raw.len()..];
    let texts = frames(behind).into_iter().filter(|frame| frame.opcode == TEXT);
    texts.map(|frame| String::from_utf8(frame.payload).expect("a text")).collect()
}

/// Clients that send as fast as they can while the sidecar drains: whatever they sent before their Close arrives.
#[test]
fn the_last_message_under_load_reaches_the_app() {
    const CLIENTS: usize = 12;
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--drain-window", "1s").start();
    let senders: Vec<_> = (0..CLIENTS).map(|me| (me, sidecar.session())).collect();
    let sending: Vec<_> = senders
        .into_iter()
        .map(|(me, mut client)| {
            thread::spawn(move || {
                let mut sent = vec!["here".to_owned()];
                loop {
                    sent.push(format!("{me}/{}", sent.len()));
                    client.send(Frame::client(TEXT, sent.last().expect("just pushed")).bytes());
                    let frame = client.frame();
                    if frame.opcode == CLOSE {
                        assert_eq!(frame.close_code(), Some(1012));
                        sent.push(format!("the last of {me}"));
                        client.send(Frame::client(TEXT, sent.last().expect("just pushed")).bytes());
                        client.send(Frame::client(CLOSE, &frame.payload).bytes());
                        // Echoes may still be on their way, but nothing stands behind a Close.
                        client.expect_end();
                        return sent;
                    }
                }
            })
        })
        .collect();
    sidecar.admin_json("POST", "/drain", 202);
    let mut wanted: Vec<Vec<String>> =
        sending.into_iter().map(|thread| thread.join().expect("an orderly end")).collect();
    let mut arrived: Vec<Vec<String>> = app.wait_all_ended().iter().map(texts).collect();
    wanted.sort_unstable();
    arrived.sort_unstable();
    assert_eq!(arrived.iter().map(Vec::len).collect::<Vec<_>>(), wanted.iter().map(Vec::len).collect::<Vec<_>>());
    assert!(arrived == wanted, "every message arrives, in order and once");
    assert_eq!(drained(&sidecar)["ended"], json!({ "drain": CLIENTS }));
}

#[test]
fn quitquitquit_is_a_sigterm() {
    let app = App::echo();
    let mut sidecar = Sidecar::before(app.addr()).http().flag("--drain-window", "100ms").start();
    let mut client = sidecar.session();
    assert_eq!(sidecar.admin_json("POST", "/quitquitquit", 202), json!({ "status": "stopping" }));
    client.part();
    assert_eq!(sidecar.wait_exit().code(), Some(0));
    // One with nothing to do ends at once, and the answer still arrives.
    let mut idle = Sidecar::before(app.addr()).http().start();
    idle.admin_json("POST", "/quitquitquit", 202);
    assert_eq!(idle.wait_exit().code(), Some(0));
}

#[test]
fn the_admin_api_changes_hands_with_the_listeners() {
    let (app, scratch) = (App::echo(), Scratch::new());
    let launch = || {
        let before = Sidecar::before(app.addr()).http().flag("--handover", scratch.path("h.sock"));
        before.flag("--drain-window", "off").flag("--shutdown-grace", "1h")
    };
    let mut old = launch().start();
    let addr = old.addr("admin");
    let stays = old.session();
    let mut kept = old.admin();
    kept.ask("GET /live HTTP/1.1\r\nHost: x\r\n\r\n").expect(200);
    let new = launch().start();
    assert_eq!(new.addr("admin"), addr);
    // The old one still has its session, and is asked nothing any more.
    assert_eq!(kept.expect_end(), End::Clean);
    for _ in 0..20 {
        assert_eq!(new.admin_json("GET", "/healthz", 200)["sessions"], 0);
        new.admin_json("GET", "/ready", 200);
    }
    assert!(old.is_running());
    drop(stays);
    assert_eq!(old.wait_exit().code(), Some(0));
    let given = launch().flag("--admin", addr.to_string()).start();
    assert_eq!(given.addr("admin"), addr);
    let mut last = given;
    last.terminate();
    assert_eq!(last.wait_exit().code(), Some(0));
    assert!(TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_err());
}

#[test]
fn settings_and_the_app_are_shown() {
    let app = App::ok();
    let before = Sidecar::before(app.addr())
        .http()
        .flag("--add-header", "X-Key: secret-value")
        .env("OUTRIGGER_KEEPALIVE", "20s");
    let sidecar = before.start();
    let config = sidecar.admin_json("GET", "/config", 200);
    let settings = &config["settings"];
    assert_eq!(settings["keepalive"], json!({ "value": "20s", "source": "the variable OUTRIGGER_KEEPALIVE" }));
    assert_eq!(settings["upstream"], json!({ "value": app.addr().to_string(), "source": "the flag --upstream" }));
    assert_eq!(settings["write_buffer"], json!({ "value": "64k", "source": "the default" }));
    assert_eq!(settings["admin_token_file"], json!({ "value": null, "source": "the default" }));
    let toml = sidecar.admin().ask("GET /config?format=toml HTTP/1.1\r\nHost: x\r\n\r\n").expect(200).text();
    assert!(toml.contains("keepalive = \"20s\" # from the variable OUTRIGGER_KEEPALIVE"), "{toml}");
    assert!(!config.to_string().contains("secret-value") && !toml.contains("secret-value"));

    let upstream = || sidecar.admin_json("GET", "/upstreams", 200)["upstreams"][0].clone();
    let before = upstream();
    assert_eq!((&before["address"], &before["last_dial"]), (&json!(format!("http://{}", app.addr())), &Value::Null));
    sidecar.client().ask(&get("/", &[])).expect(200);
    let after = upstream();
    assert_eq!((&after["last_dial"]["ok"], &after["idle_connections"]), (&json!(true), &json!(1)), "{after}");
    let nobody = Reserved::new();
    let lonely = Sidecar::before(nobody.addr()).http().start();
    lonely.client().ask(&get("/", &[])).expect(502);
    let gone = lonely.admin_json("GET", "/upstreams", 200)["upstreams"][0].clone();
    assert_eq!(gone["last_dial"]["ok"], false, "{gone}");
    assert!(gone["last_dial"]["error"].as_str().is_some_and(|error| error.contains("cannot be reached")), "{gone}");
}

#[test]
fn the_log_gets_louder_and_quieter_while_it_is_written() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    assert_eq!(sidecar.admin_json("GET", "/log", 200), json!({ "level": "info" }));
    assert_eq!(sidecar.admin_json("PUT", "/log?level=debug", 200), json!({ "level": "debug" }));
    let client = sidecar.session();
    sidecar.wait_log("a line for debugging", |line| line["message"] == "session opened");
    assert_eq!(sidecar.admin_json("PUT", "/log?level=error", 200), json!({ "level": "error" }));
    drop(client);
    let quiet = sidecar.session();
    let addr = quiet.local_addr();
    drop(quiet);
    // The access log is there at any level.
    sidecar.session_of(addr);
    let addr = addr.to_string();
    let opened = sidecar.log().iter().any(|line| line.contains("session opened") && line.contains(&addr));
    assert!(!opened, "{:#?}", sidecar.log());
}

#[test]
fn a_reload_from_here_says_what_came_of_it() {
    let app = App::echo();
    let launch = Launch::new();
    let text = |more: &str| {
        format!("upstream = \"{}\"\nlisten = [\"http://127.0.0.1:0\"]\nwatch = \"off\"\n{more}\n", app.addr())
    };
    let file = launch.file("o.toml", &text("close_timeout = \"4s\""));
    let sidecar = launch.flag("--config", &file).start();
    let value = |key: &str| sidecar.admin_json("GET", "/config", 200)["settings"][key]["value"].clone();
    assert_eq!(value("close_timeout"), "4s");
    let mut stays = sidecar.session();
    std::fs::write(&file, text("close_timeout = \"3s\"\nworker_threads = 2")).expect("the file is ours");
    let said = sidecar.admin_json("POST", "/reload", 200);
    assert_eq!(said["needs_restart"], json!(["worker_threads"]), "{said}");
    assert_eq!((value("close_timeout"), value("worker_threads")), (json!("3s"), json!("1")));
    std::fs::write(&file, text("close_timeout = \"soon\"\nlissen = 1")).expect("the file is ours");
    let refused = sidecar.admin_json("POST", "/reload", 422);
    let why = refused["error"].as_str().expect("a text");
    assert!(why.contains("`soon` is not a duration") && why.contains("did you mean `listen`?"), "{why}");
    assert_eq!(value("close_timeout"), "3s");
    stays.echo("as if nothing had been");
}
