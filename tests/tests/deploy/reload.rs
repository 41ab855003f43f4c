//! Another configuration while sessions live: by SIGHUP, and by files that change.

use std::cell::Cell;
use std::fs::{File, Permissions, remove_file, rename, set_permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use outrigger_tests::app::Reserved;
use outrigger_tests::certs::Identity;
use outrigger_tests::http::get;
use outrigger_tests::sidecar::NAME;
use outrigger_tests::tools::{Tool, chromium, node};
use outrigger_tests::ws::Frame;
use outrigger_tests::{App, Authority, Launch, Sidecar, Wire};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use serde_json::{Value, json};

const FILE: &str = "outrigger.toml";
const RELOADED: &str = "reloaded: what begins from now on goes by the new configuration";
const REFUSED: &str = "not reloaded, the configuration before stays in force: ";

/// A sidecar that has its settings from a file, with `more` flags.
pub(crate) fn from_file(text: &str, more: impl FnOnce(Launch) -> Launch) -> Sidecar {
    let launch = Launch::new();
    let file = launch.file(FILE, text);
    more(launch.flag("--config", file)).start()
}

pub(crate) fn to_app(app: SocketAddr, more: &str) -> String {
    format!("upstream = \"{app}\"\nlisten = [\"http://127.0.0.1:0\"]\n{more}\n")
}

/// As often as it can be counted, so that each reload has a line of its own to wait for.
fn count(sidecar: &Sidecar, start: &str) -> usize {
    sidecar.log().iter().filter(|line| message(line).is_some_and(|message| message.starts_with(start))).count()
}

fn message(line: &str) -> Option<String> {
    serde_json::from_str::<Value>(line).ok()?["message"].as_str().map(str::to_owned)
}

/// Does what makes the sidecar read its configuration again, and waits for the line that starts so.
#[track_caller]
fn told(sidecar: &Sidecar, start: &str, cause: impl FnOnce()) -> Value {
    let before = Cell::new(count(sidecar, start));
    cause();
    sidecar.wait_log(start, |line| {
        let is = line["message"].as_str().is_some_and(|message| message.starts_with(start));
        is && before.replace(before.get().saturating_sub(1)) == 0
    })
}

/// Writes the file and sends SIGHUP.
#[track_caller]
pub(crate) fn reload(sidecar: &Sidecar, text: &str) {
    let line = told(sidecar, RELOADED, || {
        sidecar.folder().write(FILE, text);
        sidecar.signal(Signal::HUP);
    });
    assert_eq!(line["why"], "SIGHUP");
}

/// The same with a file that is not taken; gives the reason.
#[track_caller]
fn refused(sidecar: &Sidecar, cause: impl FnOnce()) -> String {
    let line = told(sidecar, REFUSED, || {
        cause();
        sidecar.signal(Signal::HUP);
    });
    assert_eq!(line["level"], "ERROR");
    line["message"].as_str().expect("a text").trim_start_matches(REFUSED).to_owned()
}

fn session(sidecar: &Sidecar) -> Wire {
    let mut client = sidecar.client();
    client.open("/", &[]);
    client
}

/// What the `https` listener shows.
fn leaf(sidecar: &Sidecar, authority: &Authority) -> Vec<u8> {
    let shown = Wire::tls_details(sidecar.addr("https"), authority.client().build(), NAME);
    shown.unwrap_or_else(|e| panic!("the TLS handshake failed: {e}")).1.leaf
}

#[test]
fn what_begins_goes_by_the_new_file_and_what_has_begun_by_the_old_one() {
    let (old, new) = (App::echo(), App::echo());
    let sidecar = from_file(&to_app(old.addr(), "max_message_size = \"1k\"\nwatch = \"off\""), |launch| launch);
    let mut before = session(&sidecar);
    before.echo("before");

    reload(&sidecar, &to_app(new.addr(), "max_message_size = \"4k\"\nwatch = \"off\""));
    let mut after = session(&sidecar);
    after.echo(&"x".repeat(2048));
    assert_eq!((old.seen().len(), new.seen().len()), (1, 1));

    before.echo("still there");
    before.send(Frame::client(1, "x".repeat(2048)).bytes());
    before.expect_close(1009);
    after.echo("untouched");
}

#[test]
fn a_kept_http_connection_goes_by_the_new_file_with_its_next_request() {
    let app = App::ok();
    let sidecar = from_file(&to_app(app.addr(), "add_header = [\"X-Version: 1\"]"), |launch| launch);
    let mut client = sidecar.client();
    assert_eq!(client.ask(&get("/", &[])).expect(200).head.get("x-version"), Some("1"));
    reload(&sidecar, &to_app(app.addr(), "add_header = [\"X-Version: 2\"]"));
    assert_eq!(client.ask(&get("/", &[])).expect(200).head.get("x-version"), Some("2"));
}

#[test]
fn connections_to_an_app_that_stays_are_kept_and_others_are_not_used() {
    let (app, other) = (App::ok(), App::ok());
    let kept = "upstream_keepalive_timeout = \"5m\"";
    let sidecar = from_file(&to_app(app.addr(), kept), |launch| launch.flag("--watch", "off"));
    let ask = || drop(sidecar.client().ask(&get("/", &[])).expect(200));
    ask();
    reload(&sidecar, &to_app(app.addr(), &format!("{kept}\nmax_message_size = \"1k\"")));
    ask();
    assert_eq!(app.seen().len(), 1, "connections");
    // A connection keeps the time limits that it was dialled with.
    reload(&sidecar, &to_app(app.addr(), &format!("{kept}\nproxy_send_timeout = \"30s\"")));
    ask();
    assert_eq!(app.seen().len(), 2, "connections");
    reload(&sidecar, &to_app(other.addr(), kept));
    ask();
    assert_eq!((app.seen().len(), other.seen().len()), (2, 1), "connections");
}

#[test]
fn max_connections_can_shrink_and_grow() {
    let app = App::echo();
    let sidecar = from_file(&to_app(app.addr(), "max_connections = 2"), |launch| launch);
    let (mut one, mut two) = (session(&sidecar), session(&sidecar));
    sidecar.client().ask(&get("/", &[])).expect(503);
    reload(&sidecar, &to_app(app.addr(), "max_connections = 1"));
    one.echo("one");
    two.echo("two");
    reload(&sidecar, &to_app(app.addr(), "max_connections = 3"));
    session(&sidecar).echo("three");
}

#[test]
fn a_faulty_file_is_refused_whole_and_the_old_one_stays() {
    let (app, other) = (App::echo(), App::echo());
    let sidecar = from_file(&to_app(app.addr(), ""), |launch| launch.flag("--watch", "off"));
    let mut before = session(&sidecar);
    let why = refused(&sidecar, || {
        let text = to_app(other.addr(), "keepalive = \"soon\"\nkeep_alive = \"5s\"");
        sidecar.folder().write(FILE, &text);
    });
    for part in
        [&format!("{FILE}:3:"), "keepalive", &format!("{FILE}:4:"), "keep_alive", "2 errors in the configuration"]
    {
        assert!(why.contains(part), "no {part:?} in {why}");
    }
    before.echo("untouched");
    session(&sidecar).echo("by the old file");
    assert_eq!((app.seen().len(), other.seen().len()), (2, 0));

    let gone = refused(&sidecar, || remove_file(sidecar.folder().dir().join(FILE)).expect("it is there"));
    assert!(gone.contains(FILE) && gone.contains("No such file"), "{gone}");
    reload(&sidecar, &to_app(other.addr(), ""));
    session(&sidecar).echo("by the new one");
    before.echo("still untouched");
}

#[test]
fn a_name_that_does_not_resolve_is_refused() {
    let app = App::echo();
    let sidecar = from_file(&to_app(app.addr(), "watch = \"off\""), |launch| launch);
    let why = refused(&sidecar, || {
        let text = "upstream = \"nowhere.invalid:80\"\nlisten = [\"http://127.0.0.1:0\"]\nwatch = \"off\"\n";
        sidecar.folder().write(FILE, text);
    });
    assert!(why.contains("nowhere.invalid") && why.contains("does not resolve"), "{why}");
    session(&sidecar).echo("by the old one");
}

#[test]
fn what_cannot_change_says_so_and_the_rest_does() {
    let app = App::echo();
    let sidecar = from_file(&to_app(app.addr(), "watch = \"off\""), |launch| launch);
    let elsewhere = Reserved::new();
    let text = format!(
        "upstream = \"{}\"\nlisten = [\"http://{}\"]\nworker_threads = 2\nmax_message_size = \"1k\"\nwatch = \"off\"\n",
        app.addr(),
        elsewhere.addr()
    );
    reload(&sidecar, &text);
    for key in ["listen", "worker_threads"] {
        let line = sidecar.wait_log("a warning", |line| line["key"] == key);
        assert_eq!(line["message"], format!("{key} stays as it is until the sidecar is started anew"));
    }
    let mut client = session(&sidecar);
    client.send(Frame::client(1, "x".repeat(2048)).bytes());
    client.expect_close(1009);
}

#[test]
fn the_level_of_the_log_changes() {
    let app = App::echo();
    let sidecar = from_file(&to_app(app.addr(), "watch = \"off\""), |launch| launch);
    session(&sidecar).echo("unheard");
    reload(&sidecar, &to_app(app.addr(), "log_level = \"debug\"\nwatch = \"off\""));
    session(&sidecar).echo("heard");
    sidecar.wait_log("a line for debugging", |line| line["message"] == "session opened");
    assert_eq!(count(&sidecar, "session opened"), 1);
}

#[test]
fn a_file_that_changes_is_read_again() {
    let (old, new) = (App::echo(), App::echo());
    let sidecar = from_file(&to_app(old.addr(), ""), |launch| launch);
    session(&sidecar).echo("old");
    let line = told(&sidecar, RELOADED, || drop(sidecar.folder().write(FILE, &to_app(new.addr(), ""))));
    assert_eq!(line["why"], "a file changed");
    session(&sidecar).echo("new");
    // As editors do it: another file takes its place.
    let beside = sidecar.folder().write("outrigger.toml.new", &to_app(old.addr(), "keepalive = \"off\""));
    told(&sidecar, RELOADED, || rename(beside, sidecar.folder().dir().join(FILE)).expect("the same folder"));
    session(&sidecar).echo("old again");
    assert_eq!((old.seen().len(), new.seen().len()), (2, 1));
}

#[test]
fn a_faulty_file_is_watched_until_it_is_mended() {
    let app = App::echo();
    let sidecar = from_file(&to_app(app.addr(), ""), |launch| launch);
    told(&sidecar, REFUSED, || drop(sidecar.folder().write(FILE, "upstream = [")));
    told(&sidecar, RELOADED, || drop(sidecar.folder().write(FILE, &to_app(app.addr(), "# mended"))));
    session(&sidecar).echo("here");
}

#[test]
fn a_folder_of_which_nothing_changes_is_no_reason() {
    let app = App::echo();
    let sidecar = from_file(&to_app(app.addr(), ""), |launch| launch.flag("--log-level", "debug"));
    sidecar.wait_log("the watch", |line| line["message"] == "files of the configuration are watched");
    for _ in 0..2 {
        sidecar.folder().write("unrelated", "noise");
        // Put in its place: one that is written in place is empty for a moment, which a busy machine can make long.
        let same = sidecar.folder().write("same.toml", &to_app(app.addr(), ""));
        told(&sidecar, "something was done to files", || {
            rename(same, sidecar.folder().dir().join(FILE)).expect("the same folder");
        });
    }
    assert_eq!((count(&sidecar, RELOADED), count(&sidecar, REFUSED)), (0, 0));
}

/// A volume as Kubernetes keeps it, `tls.crt` → `..data/tls.crt`, `..data` → `..0`; each turn has the link point to new
/// files, at once.
struct Volume<'a> {
    sidecar: &'a Sidecar,
    turns: Cell<u32>,
}

impl Volume<'_> {
    fn lay_out(launch: &Launch, folder: &Path, identity: &Identity) -> [String; 2] {
        std::fs::create_dir_all(folder.join("..0")).expect("a folder of the test's own");
        launch.file("volume/..0/tls.crt", &identity.certificate);
        launch.file("volume/..0/tls.key", &identity.key);
        symlink("..0", folder.join("..data")).expect("nothing is there");
        ["tls.crt", "tls.key"].map(|name| {
            symlink(format!("..data/{name}"), folder.join(name)).expect("nothing is there");
            folder.join(name).to_str().expect("UTF-8").to_owned()
        })
    }

    fn turn(&self, identity: &Identity) {
        let turn = self.turns.get() + 1;
        self.turns.set(turn);
        let volume = self.sidecar.folder().dir().join("volume");
        std::fs::create_dir(volume.join(format!("..{turn}"))).expect("a new folder");
        self.sidecar.folder().write(&format!("volume/..{turn}/tls.crt"), &identity.certificate);
        self.sidecar.folder().write(&format!("volume/..{turn}/tls.key"), &identity.key);
        symlink(format!("..{turn}"), volume.join("..data_tmp")).expect("nothing is there");
        rename(volume.join("..data_tmp"), volume.join("..data")).expect("the same folder");
        std::fs::remove_dir_all(volume.join(format!("..{}", turn - 1))).expect("the folder before");
    }
}

#[test]
fn sessions_of_ws_and_of_chromium_live_through_twenty_reloads_and_twenty_certificates() {
    const TURNS: usize = 20;
    const SESSIONS: usize = 5;
    let (Some(mut client), Some(mut page), Some(chromium)) =
        (node("ws-steady.mjs"), node("browser-steady.mjs"), chromium())
    else {
        return;
    };
    let app = App::echo();
    let authority = Authority::new();
    let identities: Vec<Identity> = (0..=TURNS).map(|_| authority.issue(&[NAME, "127.0.0.1"])).collect();
    let launch = Launch::new();
    let folder = launch.dir().join("volume");
    let [cert, key] = Volume::lay_out(&launch, &folder, &identities[0]);
    let text = |n: usize| {
        format!(
            "upstream = \"{}\"\nlisten = [\"http://127.0.0.1:0\", \"https://127.0.0.1:0\"]\ntls_cert = [\"{cert}\"]\n\
             tls_key = [\"{key}\"]\nmax_message_size = {}\n",
            app.addr(),
            1000 + n
        )
    };
    let file = launch.file(FILE, &text(0));
    let sidecar = launch.flag("--config", file).start();
    let volume = Volume { sidecar: &sidecar, turns: Cell::new(0) };

    let ca = sidecar.folder().write("authority.pem", &authority.pem());
    let https = sidecar.addr("https");
    client.args([&format!("wss://{https}/"), &ca, &SESSIONS.to_string()]);
    page.args([&format!("https://{https}/"), &format!("wss://{https}/"), &chromium]);
    let mut client = Tool::start_until_told(client);
    assert_eq!(client.json(), json!({"open": SESSIONS}));
    let mut page = Tool::start_until_told(page);
    assert_eq!(page.json(), json!({"open": 1}));

    for (n, identity) in identities.iter().enumerate().skip(1) {
        told(&sidecar, RELOADED, || volume.turn(identity));
        assert_eq!(leaf(&sidecar, &authority), identity.der(), "turn {n}");
        told(&sidecar, RELOADED, || drop(sidecar.folder().write(FILE, &text(n))));
        let mut new = Wire::tls(https, authority.client().build(), NAME).expect("a handshake");
        new.open("/", &[]);
        new.echo(&"x".repeat(1000 + n));
        new.send(Frame::client(1, "x".repeat(1001 + n)).bytes());
        new.expect_close(1009);
    }
    assert_eq!(count(&sidecar, RELOADED), 2 * TURNS);
    for (who, tool) in [("ws", &mut client), ("Chromium", &mut page)] {
        tool.finish();
        let result = tool.json();
        assert_eq!((&result["closed"], &result["wrong"]), (&json!([]), &json!(0)), "{who}: {result}");
        assert!(result["sent"].as_u64().is_some_and(|sent| sent >= 2 * TURNS as u64), "{who}: {result}");
    }
}

/// A sidecar with a certificate, and the paths of certificate and key.
fn with_certificate(authority: &Authority, launch: Launch) -> (App, Sidecar) {
    let app = App::echo();
    let identity = authority.issue(&[NAME]);
    let launch = launch.upstream(app.addr()).http().flag("--listen", "https://127.0.0.1:0").flag("--watch", "off");
    let sidecar = launch.identity("server", &identity).start();
    (app, sidecar)
}

fn put(sidecar: &Sidecar, identity: &Identity) {
    sidecar.folder().write("server.pem", &identity.certificate);
    sidecar.folder().write("server-key.pem", &identity.key);
}

#[test]
fn a_certificate_that_no_client_would_take_is_refused() {
    let authority = Authority::new();
    let (_app, sidecar) = with_certificate(&authority, Launch::new());
    let mut before = session(&sidecar);
    let shown = leaf(&sidecar, &authority);

    let expired = refused(&sidecar, || put(&sidecar, &authority.issue_for(&[NAME], 2019, 2020)));
    assert!(expired.contains("server.pem: the certificate expired on Wed, 01 Jan 2020 00:00:00 GMT"), "{expired}");
    let early = refused(&sidecar, || put(&sidecar, &authority.issue_for(&[NAME], 2124, 2125)));
    assert!(early.contains("server.pem: the certificate is not valid before Sat, 01 Jan 2124 00:00:00 GMT"), "{early}");
    let other = refused(&sidecar, || {
        put(&sidecar, &Identity { key: authority.issue(&[NAME]).key, ..authority.issue(&[NAME]) });
    });
    assert!(other.contains("server-key.pem does not belong to") && other.contains("server.pem"), "{other}");
    let broken = refused(&sidecar, || drop(sidecar.folder().write("server.pem", "-----BEGIN CERTIFICATE-----\nAAA")));
    assert!(broken.contains("server.pem: "), "{broken}");

    assert_eq!(leaf(&sidecar, &authority), shown);
    before.echo("untouched");
    let renewed = authority.issue(&[NAME]);
    told(&sidecar, RELOADED, || {
        put(&sidecar, &renewed);
        sidecar.signal(Signal::HUP);
    });
    assert_eq!(leaf(&sidecar, &authority), renewed.der());
    before.echo("still untouched");
}

#[test]
fn a_key_that_may_not_be_read_is_refused() {
    let authority = Authority::new();
    let (_app, sidecar) = with_certificate(&authority, Launch::new().without_override());
    let shown = leaf(&sidecar, &authority);
    let key = sidecar.folder().dir().join("server-key.pem");
    let why = refused(&sidecar, || {
        put(&sidecar, &authority.issue(&[NAME]));
        set_permissions(&key, Permissions::from_mode(0o0)).expect("a file of the test's own");
    });
    assert!(why.contains("server-key.pem") && why.contains("Permission denied"), "{why}");
    assert_eq!(leaf(&sidecar, &authority), shown);
    set_permissions(&key, Permissions::from_mode(0o600)).expect("a file of the test's own");
    told(&sidecar, RELOADED, || sidecar.signal(Signal::HUP));
    assert_ne!(leaf(&sidecar, &authority), shown);
}

#[test]
fn what_is_no_file_of_a_sensible_size_is_refused_at_the_start_and_on_a_reload() {
    let authority = Authority::new();
    let app = App::echo();
    let identity = authority.issue(&[NAME]);
    let odd = |name: &str, path: &Path| match name {
        "a FIFO" => mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).expect("nothing is there"),
        "zeros without end" => symlink("/dev/zero", path).expect("nothing is there"),
        _ => File::create(path).and_then(|file| file.set_len(1 << 33)).expect("a sparse file"),
    };
    let cases = [
        ("a FIFO", "not a regular file"),
        ("zeros without end", "not a regular file"),
        ("a huge file", "larger than 4 MiB"),
    ];
    for file in [FILE, "server.pem", "server-key.pem"] {
        for (name, why) in cases {
            let launch = Launch::new();
            let text =
                format!("{}tls_cert = [\"server.pem\"]\ntls_key = [\"server-key.pem\"]\n", to_app(app.addr(), ""));
            for (other, content) in
                [(FILE, &text), ("server.pem", &identity.certificate), ("server-key.pem", &identity.key)]
            {
                if other == file {
                    odd(name, &launch.dir().join(file));
                } else {
                    launch.file(other, content);
                }
            }
            let failed = launch.flag("--config", FILE).flag("--listen", "https://127.0.0.1:0").fail().expect(2);
            assert!(failed.stderr.contains(file) && failed.stderr.contains(why), "{file}, {name}: {failed:?}");
        }
    }

    let (_app, sidecar) = with_certificate(&authority, Launch::new());
    let (mut before, shown) = (session(&sidecar), leaf(&sidecar, &authority));
    let key = sidecar.folder().dir().join("server-key.pem");
    for (name, why) in cases {
        let refusal = refused(&sidecar, || {
            remove_file(&key).expect("it is there");
            odd(name, &key);
        });
        assert!(refusal.contains("server-key.pem") && refusal.contains(why), "{name}: {refusal}");
        before.echo("untouched");
        assert_eq!(leaf(&sidecar, &authority), shown);
    }
    remove_file(&key).expect("it is there");
    let renewed = authority.issue(&[NAME]);
    told(&sidecar, RELOADED, || {
        put(&sidecar, &renewed);
        sidecar.signal(Signal::HUP);
    });
    assert_eq!(leaf(&sidecar, &authority), renewed.der());
}

#[test]
fn an_expired_certificate_is_warned_of_at_the_start_and_is_no_reason_against_other_changes() {
    let app = App::echo();
    let expired = Authority::new().issue_for(&[NAME], 2019, 2020);
    let launch = Launch::new().upstream(app.addr()).http().flag("--listen", "https://127.0.0.1:0");
    let sidecar = launch.identity("server", &expired).start();
    let warning = sidecar.wait_log("a warning", |line| line["level"] == "WARN");
    assert!(warning["message"].as_str().is_some_and(|message| message.contains("expired on")), "{warning}");
    told(&sidecar, RELOADED, || sidecar.signal(Signal::HUP));
}

#[test]
fn a_drain_is_not_reloaded() {
    let app = App::echo();
    let sidecar = from_file(&to_app(app.addr(), "watch = \"off\"\nclose_code_drain = 3100"), |launch| launch);
    let mut client = session(&sidecar);
    sidecar.terminate();
    sidecar.wait_log("the drain", |line| line["message"] == "stopping");
    let why = refused(&sidecar, || {});
    assert!(why.contains("on its way out"), "{why}");
    client.expect_close(3100);
}
