//! `deploy/systemd`: units that systemd understands, that fit each other, and that let the sidecar do what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use outrigger_tests::http::get;
use outrigger_tests::sidecar::{binary, run};
use outrigger_tests::tools::{Tool, folder, missing, on_path};
use outrigger_tests::ws::CLOSE;
use outrigger_tests::{App, Frame, Scratch, Wire};

use crate::host::must;
use crate::inside::Inside;

/// The worst that `systemd-analyze security` may say of the service: tenths, of 100.
const EXPOSURE: &str = "15";

fn unit(name: &str) -> String {
    let path = folder().with_file_name("deploy/systemd").join(name);
    fs::read_to_string(path).expect("it is committed")
}

/// What the lines of a unit give to this key.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn analyze() -> Option<Command> {
    let command = on_path("systemd-analyze").map(Command::new);
    command.or_else(|| missing("systemd-analyze is not installed"))
}

/// The units with the executable under test.
fn units() -> Scratch {
    let scratch = Scratch::new();
    let executable = binary();
    let service = unit("outrigger.service").replace("/usr/local/bin/outrigger", executable.to_str().expect("UTF-8"));
    scratch.write("outrigger.service", &service);
    scratch.write("outrigger.socket", &unit("outrigger.socket"));
    scratch
}

#[test]
fn systemd_understands_the_units_and_finds_the_service_confined() {
    let (Some(mut verify), Some(mut security)) = (analyze(), analyze()) else { return };
    let units = units();
    let paths = ["outrigger.service", "outrigger.socket"].map(|name| units.path(name));
    let verified = must(verify.arg("verify").args(&paths));
    assert_eq!((verified.stdout.as_str(), verified.stderr.as_str()), ("", ""));
    must(security.args(["security", "--offline=yes", "--threshold", EXPOSURE, &paths[0]]));
}

/// They would find a fault.
#[test]
fn systemd_would_not_understand_a_wrong_unit() {
    let Some(mut verify) = analyze() else { return };
    let units = units();
    let wrong = units.write("wrong.service", "[Service]\nExecStart=/bin/true\nProtectSystm=strict\n");
    let verified = run(verify.args(["verify", &wrong]));
    assert!(verified.stderr.contains("ProtectSystm"), "{verified:?}");
}

/// As systemd starts it: sockets first, the process at the first connection.
#[test]
fn the_sidecar_takes_every_socket_of_the_unit() {
    let Some(inside) = Inside::new() else { return };
    let Some(activate) = on_path("systemd-socket-activate") else {
        return missing("systemd-socket-activate is not installed").unwrap_or_default();
    };
    let app = App::on(std::net::TcpListener::bind("127.0.0.1:3000").expect("an empty network"), None, |conn| {
        conn.serve(|_, _| outrigger_tests::app::response(200, &[], "ok"));
    });
    let (socket, service, scratch) = (unit("outrigger.socket"), unit("outrigger.service"), Scratch::new());
    let config = scratch.write("outrigger.toml", &unit("outrigger.toml"));
    let start = values(&service, "ExecStart")[0];
    assert_eq!(start, "/usr/local/bin/outrigger run --config /etc/outrigger/outrigger.toml");
    // As BindIPv6Only= of the unit, for all sockets of this network.
    assert_eq!(values(&socket, "BindIPv6Only"), ["ipv6-only"]);
    fs::write("/proc/sys/net/ipv6/bindv6only", "1").expect("root may");
    let mut activated = Command::new("sh");
    let addresses = values(&socket, "ListenStream");
    assert_eq!(addresses, ["0.0.0.0:8080", "[::]:8080"]);
    activated.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(activate);
    for addr in &addresses {
        activated.args(["--listen", addr]);
    }
    activated.arg(binary()).args(["run", "--config", &config, "--log-format", "json"]);
    let process = Tool::start(activated);
    process.word("Listening");
    // Both sockets, of which only one begins it.
    for addr in ["127.0.0.1:8080", "[::1]:8080"] {
        let addr = addr.parse().expect("an address");
        assert_eq!(Wire::plain(addr).ask(&get("/", &[])).expect(200).text(), "ok", "{addr}");
    }
    drop((process, app, inside));
}

/// What the process calls is within the service's filter.
#[test]
fn the_filter_of_system_calls_lets_it_work() {
    let (Some(strace), Some(mut analyze)) = (on_path("strace"), analyze()) else {
        return missing("strace is not installed").unwrap_or_default();
    };
    let listed = must(analyze.arg("syscall-filter")).stdout;
    let service = unit("outrigger.service");
    let mut allowed = BTreeSet::new();
    for line in values(&service, "SystemCallFilter") {
        let (denies, names) = line.strip_prefix('~').map_or((false, line), |names| (true, names));
        for name in names.split_whitespace() {
            let calls = expand(&listed, name);
            if denies {
                allowed = &allowed - &calls;
            } else {
                allowed.extend(calls);
            }
        }
    }
    assert!(allowed.contains("accept4") && !allowed.contains("chroot"), "{allowed:?}");
    let app = App::echo();
    let scratch = Scratch::new();
    let mut traced = Command::new("sh");
    traced.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(strace);
    traced.args(["--follow-forks", "--quiet=all", "--output", &scratch.path("trace")]);
    // Or the process would outlive a strace that is killed.
    traced.args(["setpriv", "--pdeathsig", "KILL"]).arg(binary());
    traced.args(["run", "--listen", "http://127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"]);
    traced.args(["--upstream", &app.addr().to_string()]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OUTRIGGER_")) {
        traced.env_remove(name);
    }
    let process = Tool::start(traced);
    let mut addresses = BTreeMap::new();
    loop {
        let line = process.json();
        match line["message"].as_str() {
            Some("listening") => {
                let addr: SocketAddr = line["addr"].as_str().and_then(|addr| addr.parse().ok()).expect("an address");
                addresses.insert(line["scheme"].as_str().unwrap_or_default().to_owned(), addr);
            }
            Some("ready") => break,
            _ => {}
        }
    }
    let mut client = Wire::session(addresses["http"]);
    client.echo("through the sidecar");
    client.send(Frame::client(CLOSE, Frame::close_payload(1000, "")).bytes());
    client.expect_close(1000);
    let admin = addresses["admin"];
    let stop = format!("POST /quitquitquit HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    Wire::plain(admin).ask(&stop).expect(202);
    process.wait_end();
    let trace = fs::read_to_string(scratch.path("trace")).expect("strace writes it");
    let begins = format!("execve(\"{}\"", binary().display());
    let called: BTreeSet<&str> = trace.lines().skip_while(|line| !line.contains(&begins)).filter_map(call).collect();
    assert!(called.contains("accept4"), "{called:?}");
    let denied: Vec<_> = called.iter().filter(|name| !allowed.contains(**name)).collect();
    assert!(denied.is_empty(), "the filter would deny {denied:?}");
}

/// The calls of a set as `systemd-analyze syscall-filter` lists it, sets in it included; a call is a set of one.
fn expand<'a>(listed: &'a str, name: &'a str) -> BTreeSet<&'a str> {
    if !name.starts_with('@') {
        return BTreeSet::from([name]);
    }
    let mut lines = listed.lines().skip_while(|line| line.trim_end() != name);
    assert!(lines.next().is_some(), "systemd knows no {name}");
    let of_set = lines.take_while(|line| line.starts_with(' ')).map(str::trim);
    of_set.filter(|line| !line.starts_with('#') && !line.is_empty()).flat_map(|name| expand(listed, name)).collect()
}

/// The call in a line of strace: `1234 accept4(5, …`.
fn call(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}
