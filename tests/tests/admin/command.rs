//! `outrigger drain` and `outrigger reload`: for `preStop` and `kubectl exec`, where there is no shell and no curl.

use std::net::SocketAddr;
use std::thread;

use outrigger_tests::sidecar::{Finished, command, run};
use outrigger_tests::{App, Scratch, Sidecar, Wire};

const EXIT_FAILURE: i32 = 1;
const EXIT_USAGE: i32 = 2;
const FILE: &str = "outrigger.toml";

fn drain(admin: SocketAddr, more: &[&str]) -> Finished {
    run(command().args(["drain", "--admin", &admin.to_string()]).args(more))
}

/// As Kubernetes does with a sidecar: `preStop` drains and waits, the app stops, and SIGTERM comes last.
#[test]
fn prestop_waits_for_the_last_session_and_sigterm_ends_at_once() {
    let app = App::echo();
    let mut sidecar = Sidecar::before(app.addr()).http().flag("--drain-window", "500ms").start();
    let admin = sidecar.addr("admin");
    let mut clients: Vec<Wire> = (0..6).map(|_| sidecar.session()).collect();
    let waiting = thread::spawn(move || drain(admin, &[]));
    clients.iter_mut().skip(1).for_each(Wire::part);
    sidecar.wait_log("one that is left", |line| line["message"] == "session ended");
    assert!(!waiting.is_finished(), "a session is left");
    clients[0].part();
    let said = waiting.join().expect("no panic").expect(0).stderr;
    assert!(said.contains("of 6 sessions left") && said.contains("0 of 6 sessions left"), "{said}");
    assert!(sidecar.is_running());
    sidecar.admin_json("GET", "/ready", 503);
    // Once more is no new drain, and has nothing to wait for.
    drain(admin, &["--window", "1h"]).expect(0);
    sidecar.terminate();
    assert_eq!(sidecar.wait_exit().code(), Some(0));
    assert_eq!(sidecar.log().iter().filter(|line| line.contains("drain begins")).count(), 1);
}

#[test]
fn it_gives_up_in_time_or_does_not_wait() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let admin = sidecar.addr("admin");
    let mut client = sidecar.session();
    drain(admin, &["--window", "off", "--no-wait"]).expect(0);
    let said = drain(admin, &["--timeout", "300ms"]).expect(EXIT_FAILURE).stderr;
    assert!(said.contains("gave up") && said.contains("1 sessions left"), "{said}");
    client.echo("left alone");
}

#[test]
fn a_sidecar_that_is_not_there_or_goes_away_is_a_failure() {
    let nobody = outrigger_tests::app::Reserved::new();
    let said = drain(nobody.addr(), &[]).expect(EXIT_FAILURE).stderr;
    assert!(said.contains("no sidecar answers") && said.contains("--admin"), "{said}");
    let app = App::ok();
    let said = drain(app.addr(), &[]).expect(EXIT_FAILURE).stderr;
    assert!(said.contains("no admin API"), "{said}");

    let app = App::echo();
    let mut sidecar = Sidecar::before(app.addr()).http().start();
    let admin = sidecar.addr("admin");
    let _client = sidecar.session();
    let waiting = thread::spawn(move || drain(admin, &["--window", "off"]));
    // Seconds after it began: who asked for it has the answer, and asks how far it is.
    sidecar.wait_log("how far the drain is", |line| line["message"] == "draining");
    sidecar.signal(rustix::process::Signal::KILL);
    sidecar.wait_exit();
    let said = waiting.join().expect("no panic").expect(EXIT_FAILURE).stderr;
    assert!(said.contains("answers no more, with 1 sessions left"), "{said}");
}

#[test]
fn it_finds_the_sidecar_where_the_sidecar_finds_its_settings() {
    let app = App::echo();
    let scratch = Scratch::new();
    let token = scratch.write("token", "correct-horse-battery-staple");
    let sidecar = Sidecar::before(app.addr()).http().flag("--admin-token-file", &token).start();
    let port = sidecar.addr("admin").port();
    // Everything in the file is the sidecar's business, but these two.
    let file = scratch.write(
        "o.toml",
        &format!("admin = \"0.0.0.0:{port}\"\nadmin_token_file = \"{token}\"\nupstream = \"localhost:3000\"\n"),
    );
    run(command().args(["drain", "--config", &file])).expect(0);
    run(command().arg("drain").env("OUTRIGGER_ADMIN", format!("[::ffff:127.0.0.1]:{port}"))).expect(0);
    let wrong = scratch.write("wrong", "another-token-altogether");
    let said = run(command().args(["drain", "--config", &file, "--admin-token-file", &wrong])).expect(EXIT_FAILURE);
    assert!(said.stderr.contains("refuses to drain (401") && said.stderr.contains("not the token"), "{said:?}");
}

#[test]
fn wrong_usage_is_2() {
    for (words, says) in [
        (&["--admin", "off"][..], "admin is off"),
        (&["--admin", "127.0.0.1:0"], "port 0"),
        (&["--admin", "nonsense"], "not an IP address with a port"),
        (&["--window", "soon"], "--window"),
        (&["--window", "2h"], "from 0s to 1h"),
        (&["--timeout", "off"], "--timeout"),
        (&["--upstream", "app:80"], "unexpected argument"),
    ] {
        let said = run(command().arg("drain").args(words)).expect(EXIT_USAGE);
        assert!(said.stderr.contains(says), "{says:?} expected in {}", said.stderr);
    }
}

#[test]
fn a_reload_says_what_is_in_force_what_needs_a_restart_and_what_is_wrong() {
    let app = App::echo();
    let launch = Sidecar::before(app.addr()).http().flag("--watch", "off");
    let file = launch.file(FILE, "");
    let sidecar = launch.flag("--config", file).start();
    let admin = sidecar.addr("admin").to_string();
    let reload = |text: &str| {
        sidecar.folder().write(FILE, text);
        run(command().args(["reload", "--admin", &admin]))
    };
    let mut before = sidecar.session();

    let said = reload("max_message_size = \"1k\"\nworker_threads = 3\n").expect(0);
    assert_eq!(said.stdout, "reloaded: what begins from now on goes by the new configuration\n");
    assert_eq!(said.stderr, "worker_threads keeps its old value until the sidecar starts anew\n");

    let said = reload("keepalive = \"soon\"\n").expect(EXIT_FAILURE);
    assert_eq!(said.stdout, "");
    let expected = format!("error: the sidecar at {admin} refuses to reload (422 Unprocessable Entity): ");
    assert!(said.stderr.starts_with(&expected) && said.stderr.contains(&format!("{FILE}:1:")), "{}", said.stderr);
    before.echo("untouched");
}

#[test]
fn a_reload_that_cannot_be_asked_for_says_why() {
    let nobody = outrigger_tests::app::Reserved::new();
    let said = run(command().args(["reload", "--admin", &nobody.addr().to_string()])).expect(EXIT_FAILURE).stderr;
    assert!(said.contains("no sidecar answers") && said.contains("--admin"), "{said}");
    for (words, says) in [(["--admin", "off"], "admin is off"), (["--timeout", "1s"], "unexpected argument")] {
        let said = run(command().arg("reload").args(words)).expect(EXIT_USAGE);
        assert!(said.stderr.contains(says), "{says:?} expected in {}", said.stderr);
    }
}
