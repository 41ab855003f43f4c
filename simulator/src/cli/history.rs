//! `replay`, `diff`, `digest` and `verify`: runs as they happened, and whether they happen again.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use clap::ArgMatches;

use super::export::Exports;
use super::files::{self, Loaded, Task, replay_command};
use super::{FAILED, OK, Screen, USAGE, command, jobs, paths, single};
use crate::backend::Backend;
use crate::history::Entry;
use crate::world::{self, Options};

/// Lines before the first difference that are shown with it.
const CONTEXT: usize = 3;

pub(super) fn replay(matches: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let Some((loaded, task)) = single(matches, err) else { return USAGE };
    let backend = command::backend_of(matches);
    let exports = match Exports::new(matches) {
        Ok(exports) => exports,
        Err(why) => {
            let _ = writeln!(err, "error: {why}");
            return USAGE;
        }
    };
    let packets = matches.get_flag("packets");
    let (story, spans, readings) = (exports.story(), exports.spans(), exports.readings());
    let options = Options { backend, packets, story, spans, readings, ..Options::default() };
    let scenario = &loaded[0].variants[task.variant].1;
    match world::run(scenario, task.seed, &options) {
        Ok(run) => {
            let exported = exports.write(scenario, &run);
            let told = run.history.iter().try_for_each(|entry| writeln!(out, "{}", line(entry)));
            let _ = told.and_then(|()| writeln!(out, "digest {:016x} after {:?}", run.digest.total, run.virtual_time));
            let wrong = super::wrong(&run);
            for line in &wrong {
                let _ = writeln!(out, "failed: {line}");
            }
            for line in &run.not_judged {
                let _ = writeln!(out, "not judged: {line}");
            }
            if let Err(why) = &exported {
                let _ = writeln!(err, "error: {why}");
            }
            if wrong.is_empty() && exported.is_ok() { OK } else { FAILED }
        }
        Err(why) => {
            let _ = writeln!(out, "failed: {why}");
            FAILED
        }
    }
}

/// `12.000345 edge session 3 of 10.0.0.2:49152 opened`
fn line(entry: &Entry) -> String {
    let (seconds, micros) = (entry.at_us / 1_000_000, entry.at_us % 1_000_000);
    let host = if entry.host.is_empty() { "-" } else { &*entry.host };
    format!("{seconds}.{micros:06} {host} {}", entry.text)
}

pub(super) fn diff(matches: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut texts = Vec::new();
    for name in ["one", "other"] {
        let path = &paths(matches, name)[0];
        match fs::read_to_string(path) {
            Ok(text) => texts.push(text),
            Err(why) => {
                let _ = writeln!(err, "error: {}: {why}", path.display());
                return USAGE;
            }
        }
    }
    let (one, other): (Vec<&str>, Vec<&str>) = (texts[0].lines().collect(), texts[1].lines().collect());
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    if same == one.len() && same == other.len() {
        let _ = writeln!(out, "no difference in {same} lines");
        return OK;
    }
    let _ = writeln!(out, "they part at line {}", same + 1);
    for line in &one[same.saturating_sub(CONTEXT)..same] {
        let _ = writeln!(out, "  {line}");
    }
    let end = "(the end)";
    let _ = writeln!(out, "- {}", one.get(same).unwrap_or(&end));
    let _ = writeln!(out, "+ {}", other.get(same).unwrap_or(&end));
    FAILED
}

/// Total first, then each virtual second in which something happened.
pub(super) fn digest(matches: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let Some((loaded, task)) = single(matches, err) else { return USAGE };
    let options = Options { backend: command::backend_of(matches), ..Options::default() };
    match world::run(&loaded[0].variants[task.variant].1, task.seed, &options) {
        Ok(run) => {
            let _ = writeln!(out, "{:016x}", run.digest.total);
            for (second, digest) in &run.digest.seconds {
                let _ = writeln!(out, "{second} {digest:016x}");
            }
        }
        // Two runs that break alike are alike.
        Err(why) => {
            let _ = writeln!(out, "{why}");
        }
    }
    OK
}

pub(super) fn verify(matches: &ArgMatches, screen: &Screen, out: &mut dyn Write, err: &mut (dyn Write + Send)) -> u8 {
    let Ok(loaded) = files::load(&paths(matches, "files"), err) else { return USAGE };
    let found = files::tasks(&loaded, matches).and_then(|tasks| {
        let program = std::env::current_exe().map_err(|why| format!("the program cannot find itself: {why}"))?;
        Ok((tasks, program))
    });
    let (tasks, program) = match found {
        Ok(found) => found,
        Err(why) => {
            let _ = writeln!(err, "error: {why}");
            return USAGE;
        }
    };
    let backend = command::backend_of(matches);
    let Ok(tasks) = files::playable(backend, &loaded, tasks, err) else { return USAGE };
    let told = jobs::told(matches, screen);
    let compared = jobs::all(tasks.len(), &told, err, |index| compare(&program, backend, &loaded, tasks[index]));
    let mut code = OK;
    for (task, difference) in tasks.iter().zip(compared) {
        if let Some(difference) = difference {
            let _ = writeln!(out, "{}\n  {difference}", replay_command(backend, &loaded, *task));
            code = FAILED;
        }
    }
    if code == OK {
        let _ = writeln!(out, "{} runs, each twice in two processes: all alike", tasks.len());
    }
    code
}

/// How two processes differ, if they do.
fn compare(program: &Path, backend: Backend, loaded: &[Loaded], task: Task) -> Option<String> {
    let digests = || {
        let mut command = Command::new(program);
        command.arg("digest").arg(&loaded[task.file].path).args(["--seed", &task.seed.to_string()]);
        command.args(["--backend", backend.as_str()]);
        let output = command.args(["--variant", &(task.variant + 1).to_string()]).output();
        let output = output.map_err(|why| format!("cannot start a process: {why}"))?;
        if !output.status.success() {
            return Err(format!("a process failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    match (digests(), digests()) {
        (Ok(one), Ok(other)) if one == other => None,
        (Ok(one), Ok(other)) => {
            let lines = one.lines().skip(1).zip(other.lines().skip(1));
            let second = lines.into_iter().find(|(one, other)| one != other).map(|(one, _)| one);
            let second = second.and_then(|line| line.split(' ').next()).unwrap_or("the end");
            Some(format!("two runs differ, first in virtual second {second}"))
        }
        (Err(why), _) | (_, Err(why)) => Some(why),
    }
}
