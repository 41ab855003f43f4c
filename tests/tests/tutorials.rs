//! The tutorials, as a reader would go through them: each `sh` block of each page is run, in order and in one shell, in a
//! copy of the files that git tracks, with the built programs on the `PATH`. A `text` block after it is what it has to
//! tell: these lines, in this order, with `…` for anything.
//!
//! What a page cannot show is in comments before a block:
//!
//! - `<!-- run: terminal NAME until TEXT -->`: it goes on in a terminal of its own; the rest follows when it has said that;
//! - `<!-- run: stop NAME -->`: Ctrl-C in that terminal (no block follows);
//! - `<!-- run: exit N -->`: it ends with this code;
//! - `<!-- run: not, for REASON -->`: it cannot be run here.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use outrigger_tests::{Scratch, sidecar, tools};

/// A whole page, with a debug build on a busy machine.
const MAX_SECONDS: u32 = 300;
/// Tenths of a second until a program in a terminal has said what is waited for.
const MAX_TENTHS: u32 = 600;
/// Pages use the ports that people use, so where none has a network of its own there is one at a time.
static PORTS: Mutex<()> = Mutex::new(());

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Run { script: String, code: u8, tells: Vec<String> },
    Terminal { name: String, until: String, script: String },
    Stop(String),
}

/// The steps of a page. A comment that means nothing, or has nothing to be about, fails.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut comment: Option<String> = None;
    let mut may_tell = false;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("<!-- run: ").and_then(|text| text.strip_suffix(" -->")) {
            if let Some(name) = text.strip_prefix("stop ") {
                steps.push(Step::Stop(name.to_owned()));
            } else {
                assert!(comment.replace(text.to_owned()).is_none(), "two comments before {text}");
            }
            continue;
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
        match language {
            "sh" => {
                let step = step(block.join("\n"), comment.take());
                may_tell = matches!(step, Some(Step::Run { .. }));
                steps.extend(step);
                continue;
            }
            "text" if may_tell => {
                let Some(Step::Run { tells, .. }) = steps.last_mut() else { panic!("{block:?} is told by nothing") };
                tells.extend(block.iter().map(|line| (*line).to_owned()));
            }
            "text" => panic!("{block:?} is told by nothing"),
            _ => {}
        }
        may_tell = false;
    }
    assert_eq!(comment, None, "there is no block after it");
    steps
}

fn step(script: String, comment: Option<String>) -> Option<Step> {
    let Some(comment) = comment else { return Some(Step::Run { script, code: 0, tells: Vec::new() }) };
    if comment.starts_with("not, for ") {
        return None;
    }
    if let Some(code) = comment.strip_prefix("exit ") {
        let code = code.parse().unwrap_or_else(|_| panic!("{comment}"));
        return Some(Step::Run { script, code, tells: Vec::new() });
    }
    let (name, until) = comment
        .strip_prefix("terminal ")
        .and_then(|rest| rest.split_once(" until "))
        .unwrap_or_else(|| panic!("what is `{comment}`?"));
    Some(Step::Terminal { name: name.to_owned(), until: until.to_owned(), script })
}

/// One script for bash; what the block of step N says is in the file `told/N`.
fn script(steps: &[Step], told: &Path) -> String {
    let mut text = format!(
        "set -eum\ntold='{}'\ndeclare -A terminal\nstop() {{ kill -INT -- \"-${{terminal[$1]}}\" 2>/dev/null || true; \
         wait \"${{terminal[$1]}}\" || true; unset \"terminal[$1]\"; }}\n\
         trap 'for name in \"${{!terminal[@]}}\"; do stop \"$name\"; done' EXIT\n",
        told.display()
    );
    for (number, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "echo {number} >\"$told/at\"");
        let _ = match step {
            Step::Run { script, code: 0, .. } => writeln!(text, "{{\n{script}\n}} >\"$told/{number}\" 2>&1"),
            Step::Run { script, code, .. } => writeln!(
                text,
                "code=0\n{{\n{script}\n}} >\"$told/{number}\" 2>&1 || code=$?\n\
                 [ \"$code\" -eq {code} ] || {{ echo \"exit code $code instead of {code}\"; exit 1; }}"
            ),
            Step::Terminal { name, until, script } => writeln!(
                text,
                "( {script}\n) >\"$told/{number}\" 2>&1 &\nterminal[{name}]=$!\ntenths=0\n\
                 until grep -qF -- '{until}' \"$told/{number}\"; do\n\
                 kill -0 \"${{terminal[{name}]}}\" || {{ echo 'it has ended'; exit 1; }}\n\
                 [ \"$((tenths += 1))\" -lt {MAX_TENTHS} ] || {{ echo 'it does not say: {until}'; exit 1; }}\n\
                 sleep 0.1\ndone"
            ),
            Step::Stop(name) => writeln!(text, "stop {name}"),
        };
    }
    text
}

/// The lines are there, in this order.
fn is_told(told: &str, wanted: &[String]) -> Result<(), String> {
    let mut lines = told.lines();
    for line in wanted.iter().filter(|line| line.trim() != "…") {
        if !lines.any(|found| fits(found.trim_end(), line.trim_end())) {
            return Err(format!("it does not tell, or not in this order: {line}"));
        }
    }
    Ok(())
}

fn fits(found: &str, wanted: &str) -> bool {
    let mut parts = wanted.split('…');
    let Some(mut rest) = found.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("") || last.is_some_and(|last| found.ends_with(last))
}

/// A copy of what git tracks, as it is on the disk. `None` where that is no clone.
fn copy_of_tracked_files() -> Option<Scratch> {
    let top = tools::folder().parent().expect("tests/ has a parent");
    let listed = Command::new("git").arg("-C").arg(top).args(["ls-files", "-z"]).output();
    let listed = listed.ok().filter(|done| done.status.success());
    let Some(listed) = listed else { return tools::missing("this is no clone with git") };
    let copy = Scratch::new();
    for name in String::from_utf8(listed.stdout).unwrap().split_terminator('\0') {
        let (from, to) = (top.join(name), copy.dir().join(name));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // One that is deleted and not yet committed.
        if from.is_file() {
            fs::copy(from, to).unwrap();
        }
    }
    Some(copy)
}

/// The programs, and a `cargo` that stands for builds of what is built already.
fn programs(folder: &Path) {
    let built = [("outrigger", sidecar::binary()), ("outrigger-sim", sidecar::simulator())];
    for (name, path) in &built {
        std::os::unix::fs::symlink(path, folder.join(name)).unwrap();
    }
    let cargo = r#"#!/bin/sh
set -eu
test -f Cargo.lock
case "$*" in
"install --locked --path sidecar") grep -q '^name = "outrigger"' sidecar/Cargo.toml ;;
"install --locked --path simulator") grep -q '^name = "outrigger-sim"' simulator/Cargo.toml ;;
"run --locked -p outrigger -- "*) shift 5; exec outrigger "$@" ;;
"run --locked --release -p outrigger-sim -- "*) shift 6; exec outrigger-sim "$@" ;;
*) echo "cargo $*: what is that?"; exit 1 ;;
esac
"#;
    fs::write(folder.join("cargo"), cargo).unwrap();
    fs::set_permissions(folder.join("cargo"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// What gives a command a network of its own, where this machine allows it.
fn own_network() -> Vec<&'static str> {
    let unshare = ["unshare", "--user", "--map-root-user", "--net"];
    let mut tried = Command::new(unshare[0]);
    tried.args(&unshare[1..]).args(["ip", "link", "set", "lo", "up"]).stdout(Stdio::null()).stderr(Stdio::null());
    if tried.status().is_ok_and(|status| status.success()) {
        [&unshare[..], &["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]].concat()
    } else {
        Vec::new()
    }
}

#[track_caller]
fn goes_through(page: &str) {
    let alone = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(copy) = copy_of_tracked_files() else { return };
    let path = copy.dir().join(page);
    let steps = steps(&fs::read_to_string(&path).unwrap_or_else(|why| panic!("{page}: {why}")));
    assert!(steps.iter().any(|step| matches!(step, Step::Run { .. })), "{page} has no command");
    let outside = Scratch::new();
    let [bin, told, home] = ["bin", "told", "home"].map(|name| outside.dir().join(name));
    for made in [&bin, &told, &home] {
        fs::create_dir(made).unwrap();
    }
    programs(&bin);
    let file = outside.write("page.sh", &script(&steps, &told));
    let limit = MAX_SECONDS.to_string();
    let argv = [own_network(), vec!["timeout", "--kill-after=10", &limit, "bash", &file]].concat();
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).current_dir(copy.dir()).env_clear().stdin(Stdio::null());
    let search = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    command.env("PATH", search).env("HOME", home).env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8");
    let done = command.output().unwrap_or_else(|why| panic!("{argv:?}: {why}"));
    drop(alone);
    let said = |number: usize| fs::read_to_string(told.join(number.to_string())).unwrap_or_default();
    if !done.status.success() {
        let at = fs::read_to_string(told.join("at")).ok().and_then(|at| at.trim().parse::<usize>().ok()).unwrap_or(0);
        let why = String::from_utf8_lossy(&done.stdout);
        panic!("{page}: {} at {:?}: {why}\n{}", done.status, steps[at], said(at));
    }
    for (number, step) in steps.iter().enumerate() {
        let Step::Run { script, tells, .. } = step else { continue };
        if let Err(why) = is_told(&said(number), tells) {
            panic!("{page}: {script}\n{why}\n--- it tells\n{}", said(number));
        }
    }
}

/// Every page of `docs/tutorials`.
fn pages() -> Vec<String> {
    let folder = tools::folder().parent().expect("tests/ has a parent").join("docs/tutorials");
    let mut pages: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| PathBuf::from(name).extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages
}

#[test]
fn a_page_is_read_as_it_is_meant() {
    let page = "Text.\n```sh\none\n```\nIt says:\n```text\na\n…\nb … c\n```\n<!-- run: terminal t until ready -->\n```sh\ntwo\n```\n\
                ```yaml\nx: 1\n```\n<!-- run: exit 1 -->\n```sh\nthree\n```\n<!-- run: stop t -->\n\
                <!-- run: not, for want of a cluster -->\n```sh\nfour\n```\n";
    let run = |script: &str, code, tells: &[&str]| Step::Run {
        script: script.to_owned(),
        code,
        tells: tells.iter().map(|line| (*line).to_owned()).collect(),
    };
    let terminal = Step::Terminal { name: "t".to_owned(), until: "ready".to_owned(), script: "two".to_owned() };
    assert_eq!(
        steps(page),
        [run("one", 0, &["a", "…", "b … c"]), terminal, run("three", 1, &[]), Step::Stop("t".to_owned())]
    );
    let wanted = ["a", "…", "b … c"].map(str::to_owned);
    assert_eq!(is_told("x\na\ny\nb 1 2 c\n", &wanted), Ok(()));
    assert!(is_told("b 1 c\na\n", &wanted).is_err(), "another order");
    assert!(is_told("a\nb 1 d\n", &wanted).is_err());
    assert!(!fits("ab", "a") && !fits("a", "ab") && fits("a", "a") && fits("abc", "a…") && !fits("xa", "a…"));
}

#[test]
fn the_sidecar_beside_an_app_and_in_a_pod() {
    goes_through("docs/tutorials/SIDECAR.md");
}

#[test]
fn the_simulator_in_ci() {
    goes_through("docs/tutorials/SIMULATOR-IN-CI.md");
}

#[test]
fn traces_and_metrics() {
    goes_through("docs/tutorials/TRACES-AND-METRICS.md");
}

#[test]
fn every_tutorial_has_a_test() {
    assert_eq!(pages(), ["SIDECAR.md", "SIMULATOR-IN-CI.md", "TRACES-AND-METRICS.md"]);
}
