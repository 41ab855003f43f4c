//! `outrigger webhook`'s flags, each of which is a variable as well, and what they come to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueHint;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::command::{image_arg, key_and_value, legacy_arg, log_args, set_arg};
use super::{Exit, USAGE, command};
use crate::config::units::parse_duration;
use crate::config::{self, CertPair, Sources, is_service_link, split_at_commas};
use crate::inject::{self, check_options};
use crate::webhook::Settings;
use crate::webhook::review::{Failure, Policy};

/// Variables are called like flags, behind this.
const PREFIX: &str = "OUTRIGGER_WEBHOOK_";
/// The longest time that it goes on after it is told to stop.
const LONGEST_DELAY: Duration = Duration::from_mins(5);
/// Namespaces of Kubernetes' own, in which a pod that is kept from starting may be one that the cluster needs.
const EXCLUDED: &str = "kube-system,kube-public,kube-node-lease";
/// The flags that are also variables.
const NAMES: [&str; 9] = [
    "listen",
    "tls-cert",
    "tls-key",
    "failure-policy",
    "exclude-namespace",
    "shutdown-delay",
    "image",
    "legacy",
    "set",
];

const EXAMPLES: &str = "\
Examples:
  outrigger webhook
  outrigger webhook --image registry.example/outrigger:1 --set keepalive=20s --failure-policy ignore
  OUTRIGGER_WEBHOOK_SET=keepalive=20s,inject=false outrigger webhook
      Only pods that ask by outrigger.dev/inject: \"true\", as label or annotation, get a sidecar.

It answers POST /inject with what `outrigger inject` would do, and the probes at /healthz and /readyz, all over TLS. Flags win
over variables. It never calls the API server, and so needs no rights in the cluster. The certificate is read again when its
files change, and on SIGHUP. Manifests for the cluster are in deploy/webhook: docs/WEBHOOK.md.
Exit codes: 0 told to stop, 1 failure while running, 2 wrong flags, variables or certificate.";

pub(super) fn command() -> Command {
    let arg = |name: &'static str, placeholder: &'static str, default: &'static str, help: &str| {
        Arg::new(name)
            .long(name)
            .value_name(placeholder)
            .default_value(default)
            .help(format!("{help} [env: {}]", variable(name)))
    };
    let file = |name, default, help| arg(name, "FILE", default, help).value_hint(ValueHint::FilePath);
    let also_variable = |arg: Arg| {
        let help = format!("{} [env: {}]", arg.get_help().expect("it has one"), variable(arg.get_id().as_str()));
        arg.help(help)
    };
    Command::new("webhook")
        .about("Serve as a mutating admission webhook that puts the sidecar into pods")
        .after_help(EXAMPLES)
        .arg(arg("listen", "ADDR", "0.0.0.0:9443", "Where it takes HTTPS"))
        .arg(file("tls-cert", "/etc/outrigger/webhook/tls.crt", "Its certificate: a PEM chain, leaf first"))
        .arg(file("tls-key", "/etc/outrigger/webhook/tls.key", "The certificate's key, PEM"))
        .arg(arg(
            "failure-policy",
            "POLICY",
            "fail",
            "What becomes of a pod that cannot have a sidecar: fail denies it, ignore lets it go on with a warning",
        ))
        .arg(
            arg("exclude-namespace", "NAME", EXCLUDED, "A namespace in which nothing is injected; repeat for more")
                .action(ArgAction::Append),
        )
        .arg(arg(
            "shutdown-delay",
            "TIME",
            "5s",
            "How long it goes on once it is told to stop, until nobody sends anything any more; 0s to 5m",
        ))
        .args([image_arg(), legacy_arg(), set_arg()].map(also_variable))
        .args(log_args())
}

fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('-', "_").to_ascii_uppercase())
}

/// Everything that it is told, or everything that is wrong with that.
pub(super) fn settings(matches: &ArgMatches, env: &[(String, String)]) -> Result<Settings, Exit> {
    let mut told = Told { matches, env, faults: Vec::new() };
    told.unknown_variables();
    let listen = told.one("listen", |text| {
        text.parse::<SocketAddr>().map_err(|_| format!("`{text}` is not an address and a port; write 0.0.0.0:9443"))
    });
    let file = |text: &str| if text.is_empty() { Err("is empty".to_owned()) } else { Ok(PathBuf::from(text)) };
    let certificate = (told.one("tls-cert", file), told.one("tls-key", file));
    let failure = told.one("failure-policy", |text| match text.to_ascii_lowercase().as_str() {
        "fail" => Ok(Failure::Fail),
        "ignore" => Ok(Failure::Ignore),
        _ => Err(format!("`{text}` is neither `fail` nor `ignore`")),
    });
    let exclude = told.many("exclude-namespace");
    let exclude: Vec<String> = exclude.iter().flat_map(|(_, text)| split_at_commas(text)).collect();
    let shutdown_delay = told.one("shutdown-delay", |text| {
        let time = parse_duration(text).filter(|time| *time <= LONGEST_DELAY);
        time.ok_or_else(|| format!("`{text}` is not a duration from 0s to 5m"))
    });
    let options = told.options();
    let sources = Sources { file: None, flags: command::flags(matches), env: env.to_vec() };
    let log = match config::resolve_log(&sources) {
        Ok(log) => Some(log),
        Err(report) => {
            told.faults.extend(report.faults.iter().map(ToString::to_string));
            None
        }
    };
    if let (
        Some(listen),
        (Some(cert), Some(key)),
        Some(failure),
        Some(shutdown_delay),
        Some(options),
        Some(log),
        true,
    ) = (listen, certificate, failure, shutdown_delay, options, log, told.faults.is_empty())
    {
        let exclude = exclude.into_iter().filter(|name| !name.is_empty()).collect();
        let policy = Policy { options, failure, exclude };
        return Ok(Settings { listen, certificate: CertPair { cert, key }, policy, shutdown_delay, log });
    }
    let faults: Vec<String> = told.faults.iter().map(|fault| format!("error: {fault}\n")).collect();
    Err(Exit { code: USAGE, out: String::new(), err: faults.concat() })
}

/// Flags and variables, and what is wrong with them so far.
struct Told<'a> {
    matches: &'a ArgMatches,
    env: &'a [(String, String)],
    faults: Vec<String>,
}

impl Told<'_> {
    /// What is said about a flag, and where: by the flag, else by the variable, else by the default.
    fn many(&self, name: &str) -> Vec<(String, String)> {
        let flag = format!("--{name}");
        let given = self.matches.value_source(name) == Some(ValueSource::CommandLine);
        let variable = variable(name);
        if let (false, Some((_, value))) = (given, self.env.iter().find(|(known, _)| *known == variable)) {
            return vec![(variable, value.clone())];
        }
        let values = self.matches.get_many::<String>(name).into_iter().flatten();
        values.map(|value| (flag.clone(), value.clone())).collect()
    }

    fn one<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (place, text) = self.many(name).pop().expect("it has a default");
        parse(&text).map_err(|problem| self.faults.push(format!("{place}: {problem}"))).ok()
    }

    fn options(&mut self) -> Option<inject::Options> {
        let image =
            self.one("image", |text| if text.trim().is_empty() { Err("is empty".into()) } else { Ok(text.into()) });
        let spoken = |name: &str| self.env.iter().find(|(known, _)| *known == variable(name)).map(|(_, value)| value);
        let legacy = match spoken("legacy").map(String::as_str) {
            _ if self.matches.get_flag("legacy") => Ok(true),
            Some("true") => Ok(true),
            None | Some("" | "false") => Ok(false),
            Some(other) => Err(format!("{}: `{other}` is neither `true` nor `false`", variable("legacy"))),
        };
        let flags = self.matches.get_many::<(String, String)>("set").map(|set| set.cloned().collect::<Vec<_>>());
        let set = match (flags, spoken("set")) {
            (Some(set), _) => Ok(set),
            (None, Some(text)) => {
                let pairs = split_at_commas(text).into_iter().filter(|pair| !pair.is_empty());
                let pairs: Result<_, _> = pairs.map(|pair| key_and_value(&pair)).collect();
                pairs.map_err(|problem| format!("{}: {problem}", variable("set")))
            }
            (None, None) => Ok(Vec::new()),
        };
        let (legacy, set) = match (legacy, set) {
            (Ok(legacy), Ok(set)) => (legacy, set),
            (legacy, set) => {
                self.faults.extend([legacy.err(), set.err()].into_iter().flatten());
                return None;
            }
        };
        let options = inject::Options { image: image?, legacy, set };
        if let Err(faults) = check_options(&options) {
            self.faults.extend(faults.iter().map(|fault| format!("--set: {fault}")));
        }
        Some(options)
    }

    fn unknown_variables(&mut self) {
        for (name, _) in self.env {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            if !is_service_link(rest) && NAMES.iter().all(|known| variable(known) != *name) {
                let all: Vec<String> = NAMES.iter().map(|name| variable(name)).collect();
                self.faults.push(format!("{name}: there is no such variable; there are {}", all.join(", ")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(env: &[(&str, &str)], line: &str) -> Result<Settings, Exit> {
        let args = std::iter::once("webhook").chain(line.split_ascii_whitespace());
        let matches = command().try_get_matches_from(args).expect("flags that there are");
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        settings(&matches, &env)
    }

    #[test]
    fn the_defaults_are_those_of_the_manifests() {
        let settings = told(&[], "").expect("nothing is wrong with nothing");
        assert_eq!(settings.listen, "0.0.0.0:9443".parse().expect("an address"));
        assert_eq!(settings.certificate.cert, PathBuf::from("/etc/outrigger/webhook/tls.crt"));
        assert_eq!(settings.policy.options, inject::Options::default());
        assert_eq!(settings.policy.failure, Failure::Fail);
        assert_eq!(settings.policy.exclude, ["kube-system", "kube-public", "kube-node-lease"]);
        assert_eq!(settings.shutdown_delay, Duration::from_secs(5));
    }

    #[test]
    fn flags_win_over_variables() {
        let env = [
            ("OUTRIGGER_WEBHOOK_LISTEN", "127.0.0.1:1"),
            ("OUTRIGGER_WEBHOOK_FAILURE_POLICY", "Ignore"),
            ("OUTRIGGER_WEBHOOK_EXCLUDE_NAMESPACE", "a,b"),
            ("OUTRIGGER_WEBHOOK_SET", "keepalive=20s,upstream=localhost:1\\,localhost:2"),
            ("OUTRIGGER_WEBHOOK_LEGACY", "true"),
            ("OUTRIGGER_WEBHOOK_IMAGE", "registry.example/outrigger:1"),
            ("OUTRIGGER_LOG_LEVEL", "debug"),
            // Kubernetes makes such ones for a Service called outrigger-webhook.
            ("OUTRIGGER_WEBHOOK_SERVICE_HOST", "10.0.0.1"),
            ("OUTRIGGER_WEBHOOK_PORT_443_TCP_ADDR", "10.0.0.1"),
        ];
        let settings = told(&env, "--listen 127.0.0.1:2 --shutdown-delay 0s").expect("all is right");
        assert_eq!((settings.listen.port(), settings.shutdown_delay), (2, Duration::ZERO));
        assert_eq!((settings.policy.failure, settings.log.level), (Failure::Ignore, tracing::Level::DEBUG));
        assert_eq!(settings.policy.exclude, ["a", "b"]);
        let inject::Options { image, legacy, set } = settings.policy.options;
        assert_eq!((image.as_str(), legacy), ("registry.example/outrigger:1", true));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(set, [pair("keepalive", "20s"), pair("upstream", "localhost:1,localhost:2")]);
        let given =
            told(&env, "--set log_level=warn --exclude-namespace c --exclude-namespace d").expect("all is right");
        assert_eq!(given.policy.options.set, [pair("log-level", "warn")]);
        assert_eq!(given.policy.exclude, ["c", "d"]);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let env = [
            ("OUTRIGGER_WEBHOOK_LISTEN", "9443"),
            ("OUTRIGGER_WEBHOOK_LEGACY", "perhaps"),
            ("OUTRIGGER_WEBHOOK_SETS", "a=b"),
            ("OUTRIGGER_LOG_LEVEL", "loud"),
        ];
        let exit = told(&env, "--failure-policy retry --shutdown-delay 1h").expect_err("much is wrong");
        assert_eq!((exit.code, exit.out.as_str()), (2, ""));
        for word in [
            "error: OUTRIGGER_WEBHOOK_LISTEN: `9443` is not an address",
            "error: OUTRIGGER_WEBHOOK_LEGACY: `perhaps`",
            "error: OUTRIGGER_WEBHOOK_SETS: there is no such variable",
            "error: OUTRIGGER_LOG_LEVEL: ",
            "error: --failure-policy: `retry` is neither `fail` nor `ignore`",
            "error: --shutdown-delay: `1h` is not a duration from 0s to 5m",
        ] {
            assert!(exit.err.contains(word), "{word} in {}", exit.err);
        }
        let exit = told(&[], "--set keepalive=soon").expect_err("it is no time");
        assert!(exit.err.starts_with("error: --set: outrigger.dev/keepalive: `soon`"), "{}", exit.err);
    }

    #[test]
    fn every_flag_is_a_variable() {
        for arg in command().get_arguments().filter(|arg| !arg.get_id().as_str().starts_with("log_")) {
            let name = arg.get_id().as_str();
            assert!(NAMES.contains(&name), "{name}");
            assert!(arg.get_help().is_some_and(|help| help.to_string().contains(&variable(name))), "{name}");
        }
    }
}
