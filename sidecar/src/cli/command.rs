//! What clap knows: subcommands by hand, one flag for each key of the table.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::ValueHint;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::config::{ANNOTATION_PREFIX, GROUPS, Key, all_keys};

const EXAMPLES: &str = "\
Examples:
  outrigger demo
      See it work: a sidecar, an app behind it and a client, in one process.

  outrigger run --upstream localhost:3000
      WebSocket and HTTP on port 8080, proxied to the app on port 3000.

  outrigger run --upstream localhost:3000 --listen https://0.0.0.0:8443 \\
      --tls-cert tls.crt --tls-key tls.key
      WSS and HTTPS; TLS ends here.

  OUTRIGGER_UPSTREAM=localhost:3000 OUTRIGGER_PROXY_READ_TIMEOUT=15m outrigger run
      The same settings as variables, as a container has them.

  outrigger check outrigger.toml
      Everything that is wrong with a file, at once, each with what to write instead.

Exit codes: 0 success, 1 failure while running, 2 wrong flags or configuration.";

const RUN_EXAMPLES: &str = "\
Examples:
  outrigger run --upstream localhost:3000
  outrigger run --upstream unix:/run/app.sock --listen http://127.0.0.1:8080 --listen http://[::1]:8080
  outrigger run --config outrigger.toml --log-level debug
  outrigger run --upstream localhost:3000 --keepalive 25s --max-lifetime 12h --shutdown-grace 1m

Flags win over variables, variables over the file, the file over defaults.
Times are written 500ms, 60s, 15m, 1h; sizes 4k, 60m, 1g. `outrigger config --reference` is the full reference.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  outrigger config --config outrigger.toml
  outrigger config --reference > CONFIG.md
  outrigger config --schema > outrigger.schema.json";

const INJECT_EXAMPLES: &str = "\
Examples:
  outrigger inject deploy.yaml | kubectl apply -f -
  outrigger inject --set keepalive=20s --set tls-secret=chat-tls k8s/ > injected.yaml
  helm template chat ./chart | outrigger inject - | kubectl apply -f -

Manifests go to standard output, the report to standard error. Nothing is printed unless all of it could be done.
Annotations outrigger.dev/... on a pod's template steer what it gets: docs/INJECT.md.
Exit codes: 0 done (or so already), 1 it cannot be done, 2 wrong flags or text that is not a manifest.";

const DRAIN_EXAMPLES: &str = "\
Examples:
  outrigger drain
  outrigger drain --admin 127.0.0.1:9901 --window 30s --timeout 40s

It takes `admin` and `admin_token_file` from where the sidecar does: flags, variables, file.
Exit codes: 0 no session is left, 1 it gave up or there is no sidecar, 2 wrong flags or configuration.";

const RELOAD_EXAMPLES: &str = "\
Examples:
  outrigger reload
  kubectl exec chat-0 -c outrigger -- /outrigger reload

As SIGHUP does, but everything that is wrong with the configuration is said here too.
It takes `admin` and `admin_token_file` from where the sidecar does: flags, variables, file.
Exit codes: 0 it is in force, 1 it was refused or there is no sidecar, 2 wrong flags or configuration.";

pub(super) fn command() -> Command {
    Command::new("outrigger")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A lightweight WebSocket sidecar: sessions that live, end with a cause, and can be seen")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("run")
                .about("Proxy HTTP and WebSocket to the app")
                .after_help(RUN_EXAMPLES)
                .arg(config_arg())
                .args(key_args()),
        )
        .subcommand(
            Command::new("check")
                .about("Say everything that is wrong with a configuration, without running it")
                .arg(file_arg())
                .arg(config_arg().conflicts_with("file"))
                .args(key_args()),
        )
        .subcommand(
            Command::new("config")
                .about("Print the configuration in effect as TOML, with where each value came from")
                .after_help(CONFIG_EXAMPLES)
                .arg(switch("reference", "Print the reference of all keys, as Markdown").conflicts_with("schema"))
                .arg(switch("schema", "Print a JSON schema of the file, for editors"))
                .arg(config_arg())
                .args(key_args()),
        )
        .subcommand(
            Command::new("drain")
                .about("Drain a sidecar that runs, and wait until no session is left")
                .after_help(DRAIN_EXAMPLES)
                .arg(config_arg())
                .args(["admin", "admin_token_file"].map(named_key_arg))
                .arg(time_arg("window", "Instead of the sidecar's drain_window; 0s to 1h, or off"))
                .arg(time_arg("timeout", "Give up after this [default: what the drain needs, and two minutes]"))
                .arg(switch("wait", "Wait until no session is left; this is the default").overrides_with("no-wait"))
                .arg(switch("no-wait", "Begin the drain and leave")),
        )
        .subcommand(
            Command::new("reload")
                .about("Have a sidecar that runs read its configuration again, and say what became of it")
                .after_help(RELOAD_EXAMPLES)
                .arg(config_arg())
                .args(["admin", "admin_token_file"].map(named_key_arg)),
        )
        .subcommand(
            Command::new("demo")
                .about("Run a sidecar with an app behind it and a client in front, to see it work")
                .arg(address_arg("http", "127.0.0.1:8080", "Where the demo takes HTTP and WS"))
                .arg(address_arg("https", "127.0.0.1:8443", "Where the demo takes HTTPS and WSS"))
                .arg(switch("no-color", "Print without colours, as the variable NO_COLOR does")),
        )
        .subcommand(
            Command::new("inject")
                .about("Put the sidecar into Kubernetes manifests")
                .after_help(INJECT_EXAMPLES)
                .arg(manifests_arg())
                .args([image_arg(), legacy_arg(), set_arg()]),
        )
        .subcommand(
            Command::new("uninject")
                .about("Take the sidecar out of manifests again, and restore what was before to the byte")
                .after_help(
                    "Example:\n  kubectl get deployment chat -o yaml | outrigger uninject - | kubectl apply -f -",
                )
                .arg(manifests_arg()),
        )
        .subcommand(super::webhook::command())
        .subcommand(
            Command::new("completions")
                .about("Print a completion script")
                .after_help("Example:\n  outrigger completions bash > /etc/bash_completion.d/outrigger")
                .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell))),
        )
        .subcommand(
            Command::new("man")
                .about("Print a manual page")
                .after_help("Example:\n  outrigger man run > /usr/local/share/man/man1/outrigger-run.1")
                .arg(Arg::new("command").value_name("COMMAND").help("The one to tell about, instead of all")),
        )
}

fn manifests_arg() -> Arg {
    Arg::new("manifests")
        .value_name("PATH")
        .help("A file, a folder with .yaml, .yml and .json files, or - for standard input")
        .required(true)
        .num_args(1..)
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::AnyPath)
}

pub(super) fn image_arg() -> Arg {
    Arg::new("image")
        .long("image")
        .value_name("IMAGE")
        .help("The sidecar's image")
        .default_value(concat!("outrigger:", env!("CARGO_PKG_VERSION")))
}

pub(super) fn legacy_arg() -> Arg {
    switch("legacy", "Add a plain container, for Kubernetes before 1.29, in place of a native sidecar")
}

pub(super) fn set_arg() -> Arg {
    Arg::new("set")
        .long("set")
        .value_name("KEY=VALUE")
        .action(ArgAction::Append)
        .value_parser(key_and_value)
        .help("What outrigger.dev/KEY shall be for pods that don't say so themselves; repeat for more")
}

pub(super) fn log_args() -> [Arg; 2] {
    ["log_format", "log_level"].map(named_key_arg)
}

fn named_key_arg(name: &'static str) -> Arg {
    key_arg(all_keys().find(|key| key.name == name).expect("the name is in the table of keys"), name)
}

/// `KEY=VALUE`, the key with or without the prefix of an annotation, with dashes or as in a file.
pub(super) fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it takes KEY=VALUE, such as keepalive=20s")?;
    let key = key.strip_prefix(ANNOTATION_PREFIX).unwrap_or(key);
    Ok((key.replace('_', "-"), value.to_owned()))
}

/// The keys that were given as flags, by the name that was used, each value in order.
pub(super) fn flags(matches: &ArgMatches) -> Vec<(String, String)> {
    let names = all_keys().flat_map(Key::names);
    let values = |name| {
        matches
            .try_get_many::<String>(name)
            .ok()
            .flatten()
            .into_iter()
            .flatten()
            .map(move |value: &String| (name.to_owned(), value.clone()))
    };
    names.flat_map(values).collect()
}

/// One flag for each name of each key. Aliases are flags of their own, so that messages repeat what was written.
fn key_args() -> impl Iterator<Item = Arg> {
    GROUPS.iter().flat_map(|group| {
        group.keys.iter().flat_map(move |key| {
            let canonical = key.name;
            key.names().map(move |name| key_arg(key, name).help_heading(group.title).hide(name != canonical))
        })
    })
}

fn key_arg(key: &'static Key, name: &'static str) -> Arg {
    let default = key.default_note();
    let again = if key.list { " Repeat the flag for more than one." } else { "" };
    let also: Vec<String> = key.aliases.iter().map(|alias| format!("\nAlso --{}", alias.replace('_', "-"))).collect();
    let also = also.concat();
    let long = format!("{}{again}\n\nAccepts {}\n{default}\n[env: {}]{also}", key.about, key.accepts(), key.variable());
    let first_sentence = key.about.split_once(". ").map_or(key.about, |(first, _)| first).trim_end_matches('.');
    Arg::new(name)
        .long(name.replace('_', "-"))
        .value_name(key.kind.placeholder())
        .value_hint(if key.kind.is_path() { ValueHint::FilePath } else { ValueHint::Other })
        .action(ArgAction::Append)
        .help(format!("{first_sentence} {default}"))
        .long_help(long)
}

fn time_arg(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("TIME").help(help)
}

fn config_arg() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .help("The TOML file to read [env: OUTRIGGER_CONFIG]")
}

fn file_arg() -> Arg {
    Arg::new("file")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .help("The TOML file to check [env: OUTRIGGER_CONFIG]")
}

fn address_arg(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("ADDR")
        .default_value(default)
        .value_parser(value_parser!(SocketAddr))
        .help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}
