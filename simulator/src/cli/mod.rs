//! The command line of `outrigger-sim`.

mod advise;
mod command;
mod compare;
mod export;
mod files;
mod history;
mod jobs;
mod merge;
mod new;
mod outcome;
mod pages;
mod prices;
mod run;
mod shrink;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::ArgMatches;

use self::files::{Loaded, Task};
use crate::report::failures;
use crate::scenario;
use crate::world::Run;

/// All that was asked for holds.
pub const OK: u8 = 0;
/// An expectation or an invariant does not hold, or two runs differ.
pub const FAILED: u8 = 1;
/// Wrong flags, or a wrong scenario.
pub const USAGE: u8 = 2;

/// Where scenarios are, if nobody says.
const DEFAULT_FOLDER: &str = "scenarios";

/// What there is to show things on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// The process's own standard error takes a progress bar: it is a terminal that a person looks at.
    pub bar: bool,
    pub color: bool,
    /// Standard input is a terminal: whoever sits there can be asked.
    pub asks: bool,
    /// Columns that a table may have.
    pub width: usize,
}

/// Does what `args` (the first is the program's name) say and returns the exit code.
pub fn main(
    args: impl IntoIterator<Item = OsString>,
    screen: &Screen,
    out: &mut dyn Write,
    err: &mut (dyn Write + Send),
) -> u8 {
    let matches = match command::command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are errors to clap, too.
            let text = error.render().to_string();
            let _ = if error.use_stderr() { err.write_all(text.as_bytes()) } else { out.write_all(text.as_bytes()) };
            return if error.use_stderr() { USAGE } else { OK };
        }
    };
    match matches.subcommand() {
        Some(("run", matches)) => run::run(matches, screen, out, err),
        Some(("merge", matches)) => merge::merge(matches, screen, out, err),
        Some(("compare", matches)) => compare::run(matches, out, err),
        Some(("new", matches)) => new::new(matches, screen, out, err),
        Some(("advise", matches)) => advise::advise(matches, screen, out, err),
        Some(("list", matches)) => list(matches, out, err),
        Some(("check", matches)) => check(matches, out, err),
        Some(("verify", matches)) => history::verify(matches, screen, out, err),
        Some(("replay", matches)) => history::replay(matches, out, err),
        Some(("shrink", matches)) => shrink::shrink(matches, out, err),
        Some(("diff", matches)) => history::diff(matches, out, err),
        Some(("digest", matches)) => history::digest(matches, out, err),
        Some(("schema", matches)) if matches.get_flag("report") => print(out, &crate::report::schema()),
        Some(("schema", _)) => print(out, &scenario::schema()),
        Some(("reference", _)) => print(out, &scenario::reference()),
        Some(("completions", matches)) => pages::completions(matches, out),
        Some(("man", matches)) => pages::man(matches, out, err),
        _ => unreachable!("clap insists on one of the subcommands"),
    }
}

fn print(out: &mut dyn Write, text: &str) -> u8 {
    // A closed pipe on the other end is no reason to fail.
    let _ = out.write_all(text.as_bytes());
    OK
}

fn list(matches: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut wanted = paths(matches, "files");
    if wanted.is_empty() {
        wanted.push(PathBuf::from(DEFAULT_FOLDER));
    }
    let Ok(loaded) = files::load(&wanted, err) else { return USAGE };
    for found in &loaded {
        let scenario = &found.scenario;
        let variants = found.variants.len();
        let _ = writeln!(out, "{}: {}", found.path.display(), scenario.name);
        if !scenario.description.is_empty() {
            let _ = writeln!(out, "  {}", scenario.description);
        }
        let _ = writeln!(out, "  {:?}, variants: {variants}, seeds: {}", scenario.duration, scenario.seeds);
    }
    OK
}

fn check(matches: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let Ok(loaded) = files::load(&paths(matches, "files"), err) else { return USAGE };
    for found in &loaded {
        let _ = writeln!(out, "{}: ok", found.path.display());
    }
    OK
}

fn paths(matches: &ArgMatches, name: &str) -> Vec<PathBuf> {
    matches.get_many::<PathBuf>(name).map(|paths| paths.cloned().collect()).unwrap_or_default()
}

/// The one run that `FILE --seed N --variant N` names; of several variants it is the first unless told.
fn single(matches: &ArgMatches, err: &mut dyn Write) -> Option<(Vec<Loaded>, Task)> {
    let loaded = files::load(&paths(matches, "file"), err).ok()?;
    let tasks = if loaded.len() == 1 {
        files::tasks(&loaded, matches)
    } else {
        Err("it takes one scenario, not a folder".to_owned())
    };
    match tasks {
        Ok(tasks) => {
            let tasks = files::playable(command::backend_of(matches), &loaded, vec![tasks[0]], err).ok()?;
            let task = *tasks.first().expect("what cannot be played is an error");
            Some((loaded, task))
        }
        Err(why) => {
            let _ = writeln!(err, "error: {why}");
            None
        }
    }
}

/// Everything that does not hold in a run, a line each.
fn wrong(run: &Run) -> Vec<String> {
    failures(run).into_iter().map(|failure| failure.text).collect()
}
