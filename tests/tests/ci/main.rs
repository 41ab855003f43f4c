//! What `deploy/ci` holds for the CI systems of others: each file is read and judged by somebody else's schema, and its
//! shell is run as that system would run it, part by part, against the built program.

mod github;
mod gitlab;
mod kubernetes;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use outrigger_tests::{Scratch, sidecar, tools};
use serde_json::Value;

/// One job of a CI system is over in seconds; two folders of a report that differ are one failure.
const REPORT: [&str; 4] = ["report.json", "report.html", "report.md", "junit.xml"];
/// So that every part has runs and no two have as many.
const SEEDS: &str = "1..7";

/// The top of the repository.
fn top() -> PathBuf {
    tools::folder().parent().expect("tests/ has a parent").to_owned()
}

/// A scenario that is over at once, in which no session is lost: with this bound on their number it holds or not.
fn scenario(name: &str, sessions_lost: &str) -> String {
    format!(
        "name = '{name}'\nduration = '20s'\nheal = '10s'\n[[apps]]\nname = 'feed'\n[[sidecars]]\nname = 'edge'\n\
         [[clients]]\nname = 'web'\nkind = 'push'\n[expect]\nsessions_lost = {sessions_lost}\n"
    )
}

/// A folder `scenarios` with two files, of which the second one holds or not.
fn scenarios(folder: &Path, second: &str) -> PathBuf {
    let scenarios = folder.join("scenarios");
    fs::create_dir_all(&scenarios).unwrap();
    fs::write(scenarios.join("one.toml"), scenario("one", "0")).unwrap();
    fs::write(scenarios.join("two.toml"), second).unwrap();
    scenarios
}

/// The report of a single run of all seeds, in a folder where `scenarios` is.
fn whole(folder: &Path, scenarios: &str) -> PathBuf {
    let report = folder.join("single");
    let mut command = Command::new(sidecar::simulator());
    command.current_dir(folder).args(["run", scenarios, "--seeds", SEEDS, "--no-progress", "--report"]).arg(&report);
    assert!(command.stdout(Stdio::null()).status().unwrap().code().is_some_and(|code| code < 2));
    report
}

/// As `cmp` does.
#[track_caller]
fn assert_same_report(one: &Path, other: &Path) {
    for name in REPORT {
        let read = |folder: &Path| {
            let path = folder.join(name);
            fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
        };
        assert!(read(one) == read(other), "{name} of the parts is not that of a single run");
    }
}

/// A folder in which `outrigger-sim` is, as it would be on the `PATH` of an image; and the `PATH` with it.
fn installed(scratch: &Scratch) -> String {
    let folder = scratch.dir().join("bin");
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(sidecar::simulator(), folder.join("outrigger-sim")).unwrap();
    on_path(&folder)
}

fn on_path(folder: &Path) -> String {
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// How a job ended, and what it told.
struct Told {
    code: i32,
    text: String,
}

/// Runs a script in a folder with just this environment and a `PATH`.
fn shell(shell: &[&str], script: &str, folder: &Path, env: &BTreeMap<String, String>) -> Told {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(script).current_dir(folder).env_clear().envs(env).stdin(Stdio::null());
    let done = command.output().unwrap_or_else(|why| panic!("{shell:?}: {why}"));
    let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    Told { code: done.status.code().unwrap(), text }
}

/// `ShellCheck` has nothing to say of a script, which stops at the first failure.
#[track_caller]
fn assert_sound(dialect: &str, script: &str) {
    let Some(mut command) = tools::shellcheck() else { return };
    command.args(["--shell", dialect, "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("set -e\n{script}\n").as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}\n{script}", String::from_utf8_lossy(&done.stdout));
}

/// The documents of files that fit their schemas, in the order of the arguments. `None` skips.
#[track_caller]
fn read(files: &[(&str, &str)]) -> Option<Vec<Value>> {
    let mut command = tools::python_package("check_ci.py", "check_jsonschema")?;
    let paths: Vec<String> = files.iter().map(|(_, file)| top().join(file).display().to_string()).collect();
    for ((schema, _), path) in files.iter().zip(&paths) {
        command.args([schema, path.as_str()]);
    }
    let done = command.output().unwrap();
    let told = String::from_utf8(done.stdout).unwrap();
    let found: Value =
        serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}{}", String::from_utf8_lossy(&done.stderr)));
    assert_eq!(found["wrong"], Value::Array(Vec::new()));
    Some(paths.iter().map(|path| found["files"][path][0].clone()).collect())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text expected, not {value}"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
