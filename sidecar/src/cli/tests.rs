use std::io;

use clap_complete::Shell;

use super::*;
use crate::config::{Key, all_keys};

const FILE: &str = "upstream = 'localhost:3000'\nproxy_read_timeout = '20m'\n";

/// A disk with one good file, one bad one, one that is not text, and one certificate.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("good.toml") => Ok(FILE.into()),
        Some("bad.toml") => Ok(b"upstream = 'localhost:3000'\nkeepalive = 'x'\nlissen = 1".into()),
        Some("broken.toml") => Ok(b"upstream = ".into()),
        Some("latin1.toml") => Ok(vec![0xe9]),
        Some("tls.pem") => Ok(Vec::new()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn parse_in(env: &[(&str, &str)], line: &str) -> Result<Command, Exit> {
    let args = std::iter::once("outrigger").chain(line.split_ascii_whitespace()).map(OsString::from);
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    parse(args, env, &read_file)
}

fn exit(line: &str) -> Exit {
    parse_in(&[], line).unwrap_err()
}

fn run(env: &[(&str, &str)], line: &str) -> (Config, Vec<Finding>) {
    match parse_in(env, line) {
        Ok(Command::Run { config, warnings, .. }) => (*config, warnings),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn run_takes_its_file_from_flag_or_variable() {
    for (env, line) in [
        (&[][..], "run --config good.toml"),
        (&[("OUTRIGGER_CONFIG", "good.toml")], "run"),
        (&[("OUTRIGGER_CONFIG", "bad.toml")], "run --config good.toml"),
    ] {
        let (config, warnings) = run(env, line);
        assert_eq!(config.dial.read_timeout.as_secs(), 1200);
        assert_eq!(warnings.len(), 1);
    }
    let (config, warnings) = run(&[("OUTRIGGER_CONFIG", ""), ("OUTRIGGER_UPSTREAM", "app:80")], "run");
    assert_eq!((config.dial.read_timeout.as_secs(), warnings), (60, vec![]));
}

#[test]
fn every_key_and_alias_is_a_flag() {
    let command = command::command();
    for name in ["run", "check", "config"] {
        let subcommand = command.find_subcommand(name).unwrap();
        for key in all_keys() {
            for alias in key.names() {
                let arg = subcommand.get_arguments().find(|arg| arg.get_id() == alias).unwrap();
                assert_eq!(arg.get_long().unwrap(), alias.replace('_', "-"));
                assert_eq!(arg.is_hide_set(), alias != key.name);
                assert!(arg.get_help_heading().is_some());
                assert!(arg.get_long_help().unwrap().to_string().contains(&key.variable()));
            }
        }
    }
    command.debug_assert();
}

#[test]
fn flags_add_up_and_win() {
    let env = [("OUTRIGGER_KEEPALIVE", "10s"), ("OUTRIGGER_LISTEN", "http://127.0.0.1:9")];
    let line = "run --config good.toml --listen http://127.0.0.1:1 --listen http://[::1]:2 --ssl-verify-client off";
    let (config, _) = run(&env, line);
    let ports: Vec<u16> = config.listeners.iter().map(|listener| listener.addr.port()).collect();
    assert_eq!(ports, [1, 2]);
    assert_eq!(config.session.keepalive.client.unwrap().as_secs(), 10);
}

#[test]
fn check_says_ok_or_everything_that_is_wrong() {
    let ok = exit("check good.toml --listen http://127.0.0.1:1 --listen http://127.0.0.1:2");
    assert_eq!((ok.code, ok.out.as_str()), (0, "ok: 2 listeners, upstream http://localhost:3000\n"));
    assert!(ok.err.starts_with("warning: good.toml:2:1: ") && ok.err.ends_with('\n'), "{}", ok.err);
    for (upstream, summary) in [
        ("wss://[::1]:1", "ok: 1 listener, upstream https://[::1]:1\n"),
        ("unix:/run/app.sock", "ok: 1 listener, upstream unix:/run/app.sock\n"),
    ] {
        assert_eq!(exit(&format!("check --upstream {upstream}")).out, summary);
    }
    let faulty = exit("check bad.toml --worker-threads 0");
    assert_eq!((faulty.code, faulty.out.as_str()), (2, ""));
    let expected = "\
error: bad.toml:2:1: `x` is not a duration; write `off`, or a duration from 1s to 1h, such as keepalive = \"25s\"
error: bad.toml:3:1: `lissen` is not a key; did you mean `listen`?
error: --worker-threads: `0` is out of range; write a whole number from 1 to 64, such as --worker-threads 1
3 errors in the configuration
";
    assert_eq!(faulty.err, expected);
    assert_eq!(parse_in(&[], "run --config bad.toml --worker-threads 0").unwrap_err(), faulty);
}

#[test]
fn check_reads_the_files_that_are_named() {
    let line = "check --upstream app:80 --listen https://0.0.0.0:1 --tls-key tls.pem --tls-cert";
    assert_eq!(exit(&format!("{line} tls.pem")).code, 0);
    let missing = exit(&format!("{line} gone.pem"));
    assert_eq!(missing.code, 2);
    assert!(missing.err.starts_with("error: --tls-cert: cannot read gone.pem: "), "{}", missing.err);
}

#[test]
fn a_configuration_file_that_cannot_be_read() {
    for (env, line, start) in [
        (&[][..], "check gone.toml", "error: FILE: cannot read gone.toml: "),
        (&[], "run --config gone.toml", "error: --config: cannot read gone.toml: "),
        (&[("OUTRIGGER_CONFIG", "gone.toml")], "config", "error: OUTRIGGER_CONFIG: cannot read gone.toml: "),
        (&[], "run --config latin1.toml", "error: --config: latin1.toml is not UTF-8, as TOML is; "),
        (&[], "config --config broken.toml", "error: broken.toml:1:"),
    ] {
        let exit = parse_in(env, line).unwrap_err();
        assert_eq!((exit.code, exit.out.as_str()), (2, ""));
        assert!(exit.err.starts_with(start), "{}", exit.err);
    }
}

#[test]
fn config_tells_where_values_came_from() {
    let env = [("OUTRIGGER_CONFIG", "good.toml"), ("OUTRIGGER_LOG_LEVEL", "warn")];
    let exit = parse_in(&env, "config --keepalive 10s").unwrap_err();
    assert_eq!(exit.code, 0);
    for line in [
        "upstream = \"localhost:3000\" # from good.toml:1:1",
        "proxy_read_timeout = \"20m\" # from good.toml:2:1",
        "keepalive = \"10s\" # from the flag --keepalive",
        "log_level = \"warn\" # from the variable OUTRIGGER_LOG_LEVEL",
        "worker_threads = 1",
        "listen = [\"http://0.0.0.0:8080\"]",
        "# keepalive_app: as `keepalive`",
    ] {
        assert!(exit.out.lines().any(|shown| shown == line), "{line}");
    }
    let nothing_set = parse_in(&[], "config").unwrap_err();
    assert_eq!((nothing_set.code, nothing_set.err.as_str()), (0, ""));
    assert!(nothing_set.out.contains("\n# upstream: required\n"));
    assert_eq!(parse_in(&[], "config --keepalive x").unwrap_err().code, 2);
}

#[test]
fn reference_and_schema_are_printed() {
    assert_eq!(exit("config --reference"), Exit::ok(config::reference()));
    assert_eq!(exit("config --schema"), Exit::ok(config::schema()));
    assert_eq!(exit("config --schema --reference").code, 2);
}

#[test]
fn completions_know_every_key() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let exit = exit(&format!("completions {shell}"));
        assert_eq!((exit.code, exit.err.as_str()), (0, ""));
        for flag in all_keys().map(Key::flag) {
            let flag = if shell == Shell::Fish { flag.replace("--", "-l ") } else { flag };
            assert!(exit.out.contains(&flag), "{shell}: {flag}");
        }
    }
}

#[test]
fn manual_pages_know_commands_and_keys() {
    let all = exit("man");
    assert_eq!((all.code, all.err.as_str()), (0, ""));
    for told in [".TH outrigger 1", "outrigger\\-run(1)", "outrigger\\-check(1)", "Exit codes: 0 success"] {
        assert!(all.out.contains(told), "{told}\n{}", all.out);
    }
    let run = exit("man run").out;
    assert!(run.contains(".TH outrigger-run 1"), "{run}");
    for key in all_keys() {
        let flag = key.flag().replace('-', "\\-");
        assert!(run.contains(&flag), "{flag}");
    }
    assert_eq!(exit("man walk").code, 2);
}

#[test]
fn the_demo_has_addresses_and_colours() {
    let demo = |env: &[(&str, &str)], line: &str| match parse_in(env, line) {
        Ok(Command::Demo(demo)) => demo,
        other => panic!("{other:?}"),
    };
    let default =
        Demo { http: "127.0.0.1:8080".parse().unwrap(), https: "127.0.0.1:8443".parse().unwrap(), color: true };
    assert_eq!(demo(&[("NO_COLOR", "")], "demo"), default);
    assert_eq!(demo(&[("NO_COLOR", "1")], "demo"), Demo { color: false, ..default });
    let given = Demo { http: "[::1]:0".parse().unwrap(), color: false, ..default };
    assert_eq!(demo(&[], "demo --http [::1]:0 --no-color"), given);
    assert_eq!(exit("demo --http localhost:80").code, 2);
}

#[test]
fn help_and_version_go_to_standard_output() {
    let version = exit("--version");
    assert_eq!(version, Exit::ok(format!("outrigger {}\n", env!("CARGO_PKG_VERSION"))));
    for (line, part) in [
        ("--help", "Examples:\n  outrigger demo\n"),
        ("run --help", "[env: OUTRIGGER_PROXY_READ_TIMEOUT]"),
        ("run -h", "\nWebSocket sessions:\n"),
        ("check --help", "The TOML file to check"),
        ("config --help", "--reference"),
    ] {
        let help = exit(line);
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{line}");
        assert!(help.out.contains(part), "{line}: {}", help.out);
    }
}

#[test]
fn wrong_usage_is_2() {
    for (line, part) in [
        ("", "Usage: outrigger <COMMAND>"),
        ("runn", "similar subcommands exist: 'uninject', 'run'"),
        ("run --upstrem app:80", "a similar argument exists: '--upstream'"),
        ("run --upstream", "a value is required"),
        ("check good.toml --config good.toml", "cannot be used with"),
        ("completions tcsh", "invalid value 'tcsh'"),
    ] {
        let exit = exit(line);
        assert_eq!((exit.code, exit.out.as_str()), (USAGE, ""), "{line}");
        assert!(exit.err.contains(part), "{line}: {}", exit.err);
    }
}
