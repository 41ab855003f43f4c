//! The command line: what to do and with which configuration. What only prints is done here, by returning an [`Exit`];
//! running and the demo are left to the caller.
//!
//! ```no_run
//! # use std::ffi::OsString;
//! # fn run(_: outrigger::cli::Command) {}
//! let args = std::env::args_os();
//! let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
//! match outrigger::cli::parse(args, std::env::vars_os().filter_map(text), &outrigger::files::read) {
//!     Ok(command) => run(command),
//!     Err(exit) => {
//!         print!("{}", exit.out);
//!         eprint!("{}", exit.err);
//!         std::process::exit(exit.code.into());
//!     }
//! }
//! ```

pub mod ask;
mod command;
pub mod drain;
pub mod reload;
mod webhook;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use clap_complete::Shell;

use self::ask::Running;
use self::drain::Drain;
use crate::config::units::parse_duration;
use crate::config::{self, Admin, Config, FILE_VARIABLE, FileSource, Finding, ReadFile, Report, Shown, Sources};
use crate::inject;
use crate::webhook::Settings;

/// Exit code for wrong flags and wrong configuration; what goes wrong later is 1.
pub const USAGE: u8 = 2;
/// The longest window and the longest wait of a drain.
const LONGEST_DRAIN: Duration = Duration::from_hours(1);

/// What the caller is to do.
#[derive(Debug, Clone)]
pub enum Command {
    /// Proxy. The warnings are for standard error or the log.
    Run {
        config: Box<Config>,
        warnings: Vec<Finding>,
        /// The configuration as people read it.
        shown: Vec<Shown>,
    },
    Demo(Demo),
    Drain(Drain),
    Reload(Running),
    Manifests(Manifests),
    Webhook(Box<Settings>),
}

/// What is to be done to Kubernetes manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifests {
    /// `None` takes the sidecar out.
    pub inject: Option<inject::Options>,
    /// Files, folders, and `-` for standard input.
    pub paths: Vec<PathBuf>,
}

/// The demo's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demo {
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// Not after `--no-color`, nor with a `NO_COLOR` variable that is not empty.
    pub color: bool,
}

/// There is nothing left to do but to print this and to leave, with success too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    pub code: u8,
    /// For standard output; ends with a line feed unless empty.
    pub out: String,
    /// For standard error; ends with a line feed unless empty.
    pub err: String,
}

/// Reads the command line (`args` begins with the program's name) and the configuration that it names.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (String, String)>,
    read_file: ReadFile,
) -> Result<Command, Exit> {
    let matches = command::command().try_get_matches_from(args).map_err(|error| usage(&error))?;
    let env = env.into_iter().collect();
    match matches.subcommand() {
        Some(("run", matches)) => run(matches, env, read_file),
        Some(("check", matches)) => Err(check(matches, env, read_file)),
        Some(("config", matches)) => Err(show_config(matches, env, read_file)),
        Some(("drain", matches)) => drain(matches, env, read_file),
        Some(("reload", matches)) => running(matches, env, read_file).map(Command::Reload),
        Some(("demo", matches)) => Ok(Command::Demo(demo(matches, &env))),
        Some((name @ ("inject" | "uninject"), matches)) => Ok(Command::Manifests(manifests(name, matches))),
        Some(("webhook", matches)) => Ok(Command::Webhook(Box::new(webhook::settings(matches, &env)?))),
        Some(("completions", matches)) => Err(completions(matches)),
        Some(("man", matches)) => Err(man(matches)),
        _ => unreachable!("clap insists on one of the subcommands"),
    }
}

impl Exit {
    fn ok(out: String) -> Self {
        Self { code: 0, out, err: String::new() }
    }

    fn faults(report: &Report) -> Self {
        let count = report.faults.len();
        let total = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
        Self { code: USAGE, out: String::new(), err: format!("{report}{total} in the configuration\n") }
    }
}

fn run(matches: &ArgMatches, env: Vec<(String, String)>, read_file: ReadFile) -> Result<Command, Exit> {
    let settings = Gathered::read(matches, env, read_file).map_err(|report| Exit::faults(&report))?;
    let resolved = config::resolve(&settings.sources(), Some(read_file));
    let (config, warnings) = resolved.map_err(|report| Exit::faults(&report))?;
    let shown = config::shown(&settings.sources()).unwrap_or_default();
    Ok(Command::Run { config: Box::new(config), warnings, shown })
}

fn check(matches: &ArgMatches, env: Vec<(String, String)>, read_file: ReadFile) -> Exit {
    match run(matches, env, read_file) {
        Ok(Command::Run { config, warnings, .. }) => {
            Exit { code: 0, out: summary(&config), err: Report { faults: Vec::new(), warnings }.to_string() }
        }
        Ok(_) => unreachable!("run gives Run"),
        Err(exit) => exit,
    }
}

/// `ok: 2 listeners, upstream http://localhost:3000`
fn summary(config: &Config) -> String {
    let listeners = match config.listeners.len() {
        1 => "1 listener".to_owned(),
        count => format!("{count} listeners"),
    };
    let upstreams: Vec<String> = config.upstreams.iter().chain(&config.egress).map(ToString::to_string).collect();
    let upstreams = match upstreams.as_slice() {
        [one] => format!("upstream {one}"),
        several => format!("{} upstreams: {}", several.len(), several.join(", ")),
    };
    format!("ok: {listeners}, {upstreams}\n")
}

/// What is missing is no fault here: the point is to see what there is.
fn show_config(matches: &ArgMatches, env: Vec<(String, String)>, read_file: ReadFile) -> Exit {
    if matches.get_flag("reference") {
        return Exit::ok(config::reference());
    }
    if matches.get_flag("schema") {
        return Exit::ok(config::schema());
    }
    let settings = match Gathered::read(matches, env, read_file) {
        Ok(settings) => settings,
        Err(report) => return Exit::faults(&report),
    };
    let mut report = match config::resolve(&settings.sources(), None) {
        Ok((_, warnings)) => Report { faults: Vec::new(), warnings },
        Err(report) => report,
    };
    report.faults.retain(|fault| !matches!(fault.place, config::Place::Unset(_)));
    match config::effective(&settings.sources()) {
        Some(out) if report.faults.is_empty() => Exit { code: 0, out, err: report.to_string() },
        _ => Exit::faults(&report),
    }
}

/// The sidecar that is meant, from where it has its own settings.
fn running(matches: &ArgMatches, env: Vec<(String, String)>, read_file: ReadFile) -> Result<Running, Exit> {
    let settings = Gathered::read(matches, env, read_file).map_err(|report| Exit::faults(&report))?;
    let admin = config::resolve_admin(&settings.sources(), Some(read_file)).map_err(|report| Exit::faults(&report))?;
    let Some(Admin { addr, token_file }) = admin else {
        return Err(wrong("admin is off, so there is nobody to ask; give the sidecar's address with --admin"));
    };
    if addr.port() == 0 {
        return Err(wrong("admin has port 0, and only the sidecar's log has the real one; give it with --admin"));
    }
    Ok(Running::new(addr, token_file))
}

fn wrong(why: &str) -> Exit {
    Exit { code: USAGE, out: String::new(), err: format!("error: {why}\n") }
}

fn drain(matches: &ArgMatches, env: Vec<(String, String)>, read_file: ReadFile) -> Result<Command, Exit> {
    let sidecar = running(matches, env, read_file)?;
    let time = |name: &str, also: &[&str]| {
        let Some(text) = matches.get_one::<String>(name) else { return Ok(None) };
        if !also.contains(&text.as_str()) && parse_duration(text).is_none_or(|time| time > LONGEST_DRAIN) {
            return Err(wrong(&format!("--{name}: `{text}` is not a duration from 0s to 1h; write --{name} 30s")));
        }
        Ok(Some(text.clone()))
    };
    let window = time("window", &["off"])?;
    let timeout = time("timeout", &[])?.and_then(|text| parse_duration(&text));
    let wait = !matches.get_flag("no-wait");
    Ok(Command::Drain(Drain { sidecar, window, timeout, wait }))
}

fn demo(matches: &ArgMatches, env: &[(String, String)]) -> Demo {
    let addr = |name| *matches.get_one::<SocketAddr>(name).expect("it has a default");
    let no_color =
        matches.get_flag("no-color") || env.iter().any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
    Demo { http: addr("http"), https: addr("https"), color: !no_color }
}

fn manifests(name: &str, matches: &ArgMatches) -> Manifests {
    let options = || inject::Options {
        image: matches.get_one::<String>("image").expect("it has a default").clone(),
        legacy: matches.get_flag("legacy"),
        set: matches.get_many::<(String, String)>("set").into_iter().flatten().cloned().collect(),
    };
    let paths = matches.get_many::<PathBuf>("manifests").into_iter().flatten().cloned().collect();
    Manifests { inject: (name == "inject").then(options), paths }
}

fn completions(matches: &ArgMatches) -> Exit {
    let shell = *matches.get_one::<Shell>("shell").expect("clap insists on it");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command::command(), "outrigger", &mut script);
    Exit::ok(String::from_utf8(script).expect("a script of names in ASCII"))
}

fn man(matches: &ArgMatches) -> Exit {
    let mut all = command::command();
    // Subcommands learn their full names.
    all.build();
    let page = match matches.get_one::<String>("command") {
        None => all,
        Some(name) => match all.find_subcommand(name) {
            Some(found) => found.clone(),
            None => {
                return Exit { code: USAGE, out: String::new(), err: format!("error: there is no command `{name}`\n") };
            }
        },
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).expect("memory takes what is written");
    Exit::ok(String::from_utf8(text).expect("a page of text"))
}

/// Help and version are errors to clap, with code 0 and for standard output.
fn usage(error: &clap::Error) -> Exit {
    let text = error.render().to_string();
    if error.use_stderr() { Exit { code: USAGE, out: String::new(), err: text } } else { Exit::ok(text) }
}

/// Sources with the file's text, so that [`Sources`] can borrow it.
struct Gathered {
    file: Option<(String, String)>,
    env: Vec<(String, String)>,
    flags: Vec<(String, String)>,
}

impl Gathered {
    fn read(matches: &ArgMatches, env: Vec<(String, String)>, read_file: ReadFile) -> Result<Self, Report> {
        let argument = |id, place: &str| {
            let path = matches.try_get_one::<PathBuf>(id).ok().flatten()?;
            Some((path.as_path(), config::Place::Flag(place.to_owned())))
        };
        let variable = env.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
        let file = argument("config", "--config")
            .or_else(|| argument("file", "FILE"))
            .or_else(|| variable.map(|(name, path)| (Path::new(path), config::Place::Variable(name.clone()))));
        let file = file.map(|(path, place)| config::read_text(path, &place, read_file)).transpose()?;
        Ok(Self { file, env, flags: command::flags(matches) })
    }

    fn sources(&self) -> Sources<'_> {
        let file = self.file.as_ref().map(|(name, text)| FileSource { name, text });
        Sources { file, env: self.env.clone(), flags: self.flags.clone() }
    }
}

#[cfg(test)]
mod tests;
