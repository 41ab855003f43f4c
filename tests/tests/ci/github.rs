//! The action and its example workflow, played by a small runner: expressions, conditions, outputs, the cache and
//! artifacts as GitHub documents them, as far as the two files use them. What it does not know fails the test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use outrigger_tests::{Scratch, sidecar};
use serde_json::{Map, Value};

use crate::{
    Told, assert_same_report, assert_sound, copy, on_path, read, scenario, scenarios, shell, text, top, whole,
};

const ACTION: &str = "deploy/ci/github/action.yml";
const WORKFLOW: &str = "deploy/ci/github/workflow.yml";
/// How the example names the action.
const ITSELF: &str = "your-org/outrigger/deploy/ci/github@main";
/// Of `shell: bash` in an action.
const BASH: [&str; 6] = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"];

/// What GitHub keeps between jobs.
struct Runner {
    scratch: Scratch,
    action: Value,
    workflow: Value,
}

/// A machine for one job.
struct Job<'a> {
    runner: &'a Runner,
    folder: PathBuf,
    env: BTreeMap<String, String>,
    /// `matrix.part` and its like.
    names: BTreeMap<String, String>,
    failed: bool,
    told: String,
}

/// What became of a workflow.
struct Played {
    failed: Vec<String>,
    told: String,
    summary: String,
    /// How often the program was built.
    built: usize,
}

impl Runner {
    /// `None` where there is nothing to read YAML with.
    fn new() -> Option<Self> {
        let files = [("vendor.github-actions", ACTION), ("vendor.github-workflows", WORKFLOW)];
        let [action, workflow]: [Value; 2] = read(&files)?.try_into().unwrap();
        let runner = Self { scratch: Scratch::new(), action, workflow };
        // Nothing is compiled here once more: this stands for a build of the same sources.
        let bin = runner.scratch.dir().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let cargo = format!(
            "#!/bin/sh\nset -eu\ntest -f Cargo.lock\n\
             test \"$1 $2 $3 $4 $5 $6\" = 'build --locked --release --package outrigger-sim --target-dir'\n\
             mkdir -p \"$7/release\"\ncp '{}' \"$7/release/\"\necho built >>'{}'\n",
            sidecar::simulator().display(),
            runner.scratch.path("built"),
        );
        fs::write(bin.join("cargo"), cargo).unwrap();
        fs::set_permissions(bin.join("cargo"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Some(runner)
    }

    fn artifact(&self, name: &str) -> PathBuf {
        self.scratch.dir().join("artifacts").join(name)
    }

    /// All jobs of the workflow; `scenarios` is what a checkout brings. `with` is written over the example's own.
    fn play(&self, with: &[(&str, &str)]) -> Played {
        let mut played = Played { failed: Vec::new(), told: String::new(), summary: String::new(), built: 0 };
        let parts = self.workflow["jobs"]["simulate"]["strategy"]["matrix"]["part"].as_array().unwrap().clone();
        assert_eq!(self.workflow["jobs"]["simulate"]["strategy"]["fail-fast"], false);
        for part in &parts {
            let names = [("matrix.part", part.to_string()), ("strategy.job-total", parts.len().to_string())];
            self.job("simulate", &names, with, &mut played);
        }
        let report = &self.workflow["jobs"]["report"];
        assert_eq!((&report["needs"], &report["if"]), (&"simulate".into(), &"${{ !cancelled() }}".into()));
        self.job("report", &[], &[], &mut played);
        let told = |name: &str| fs::read_to_string(self.scratch.dir().join(name)).unwrap_or_default();
        (played.summary, played.built) = (told("summary"), told("built").lines().count());
        played
    }

    fn job(&self, name: &str, names: &[(&str, String)], with: &[(&str, &str)], played: &mut Played) {
        let folder = Scratch::new();
        let [work, home, temp] = ["work", "home", "temp"].map(|name| folder.dir().join(name));
        for made in [&work, &home, &temp] {
            fs::create_dir_all(made).unwrap();
        }
        let env = [
            ("PATH", on_path(&self.scratch.dir().join("bin"))),
            ("HOME", home.display().to_string()),
            ("RUNNER_TEMP", temp.display().to_string()),
            ("GITHUB_STEP_SUMMARY", self.scratch.path("summary")),
            ("GITHUB_OUTPUT", folder.path("output")),
            ("CI", "true".to_owned()),
        ];
        let own = [("runner.os", "Linux".to_owned()), ("runner.arch", "X64".to_owned())];
        let mut job = Job {
            runner: self,
            folder: work,
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            names: own.iter().chain(names).map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            failed: false,
            told: String::new(),
        };
        for step in self.workflow["jobs"][name]["steps"].as_array().unwrap() {
            job.step_of_workflow(step, with);
        }
        if job.failed {
            played
                .failed
                .push(format!("{name}{}", names.first().map_or(String::new(), |(_, part)| format!(" {part}"))));
        }
        played.told.push_str(&job.told);
    }
}

impl Job<'_> {
    fn step_of_workflow(&mut self, step: &Value, with: &[(&str, &str)]) {
        if self.failed {
            return;
        }
        match text(&step["uses"]) {
            "actions/checkout@v4" => copy(&self.runner.scratch.dir().join("scenarios"), &self.folder.join("scenarios")),
            "actions/download-artifact@v4" => self.download(&step["with"]),
            ITSELF => {
                let mut given = step["with"].as_object().unwrap().clone();
                given.extend(with.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
                self.action(&given);
            }
            other => panic!("{other}"),
        }
    }

    /// A folder for each artifact whose name fits.
    fn download(&self, with: &Value) {
        let start = text(&with["pattern"]).strip_suffix('*').expect("a pattern that ends with a star");
        let Ok(entries) = fs::read_dir(self.runner.artifact("")) else { return };
        for entry in entries.map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with(start) {
                copy(&entry.path(), &self.folder.join(text(&with["path"])).join(name));
            }
        }
    }

    fn action(&mut self, with: &Map<String, Value>) {
        let action = &self.runner.action;
        for name in with.keys() {
            assert!(action["inputs"].get(name).is_some(), "the action has no input `{name}`");
        }
        for (name, input) in action["inputs"].as_object().unwrap() {
            let value = with.get(name).unwrap_or(&input["default"]);
            let value = self.filled(text(value));
            self.names.insert(format!("inputs.{name}"), value);
        }
        let path = top().join("deploy/ci/github").display().to_string();
        self.names.insert("github.action_path".to_owned(), path);
        assert_eq!(action["runs"]["using"], "composite");
        let mut to_keep = None;
        for step in action["runs"]["steps"].as_array().unwrap() {
            if !self.is_wanted(step["if"].as_str().unwrap_or_default()) {
                continue;
            }
            match step["uses"].as_str() {
                Some("actions/cache@v4") => to_keep = self.cache(step),
                Some("actions/upload-artifact@v4") => self.upload(&step["with"]),
                Some(other) => panic!("{other}"),
                None => self.run(step),
            }
        }
        if let Some((from, to)) = to_keep.filter(|_| !self.failed) {
            copy(&from, &to);
        }
    }

    fn run(&mut self, step: &Value) {
        assert_eq!(step["shell"], "bash");
        let mut env = self.env.clone();
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            env.insert(name.clone(), self.filled(text(value)));
        }
        let output = PathBuf::from(&self.env["GITHUB_OUTPUT"]);
        fs::write(&output, "").unwrap();
        // Nothing that somebody writes into an input becomes a part of the script.
        let script = text(&step["run"]);
        assert!(!script.contains("${{"), "{script}");
        let Told { code, text: told } = shell(&BASH, script, &self.folder, &env);
        self.failed |= code != 0;
        self.told.push_str(&told);
        let Some(id) = step["id"].as_str() else { return };
        for line in fs::read_to_string(&output).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            self.names.insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
        }
    }

    /// Fills the folder from the cache; or says from where to where it is kept at the end.
    fn cache(&mut self, step: &Value) -> Option<(PathBuf, PathBuf)> {
        let home = Path::new(&self.env["HOME"]).to_owned();
        let path = home.join(text(&step["with"]["path"]).strip_prefix("~/").unwrap());
        let kept = self.runner.scratch.dir().join("cache").join(self.filled(text(&step["with"]["key"])));
        let hit = kept.is_dir();
        if hit {
            copy(&kept, &path);
        }
        self.names.insert(format!("steps.{}.outputs.cache-hit", text(&step["id"])), hit.to_string());
        (!hit).then_some((path, kept))
    }

    fn upload(&mut self, with: &Value) {
        let (name, path) = (self.filled(text(&with["name"])), self.folder.join(self.filled(text(&with["path"]))));
        let to = self.runner.artifact(&name);
        assert!(!to.exists(), "there are two artifacts {name}");
        if path.is_dir() {
            copy(&path, &to);
        }
    }

    /// `if`: comparisons of a name with a text, and `!cancelled()`; without that, nothing may have failed before.
    fn is_wanted(&self, condition: &str) -> bool {
        let inner = condition.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(condition).trim();
        let holds = |term: &str| {
            let (name, wanted, value) = match (term.split_once(" == "), term.split_once(" != ")) {
                (Some((name, value)), _) => (name, true, value),
                (_, Some((name, value))) => (name, false, value),
                _ => panic!("{term}"),
            };
            (self.value(name) == value.trim_matches('\'')) == wanted
        };
        let mut terms: Vec<&str> = inner.split(" && ").filter(|term| !term.is_empty()).collect();
        let always = terms.contains(&"!cancelled()");
        terms.retain(|term| *term != "!cancelled()");
        (always || !self.failed) && terms.into_iter().all(holds)
    }

    /// A text in which `${{ name }}` is filled in.
    fn filled(&self, text: &str) -> String {
        let mut parts = text.split("${{");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once("}}").unwrap_or_else(|| panic!("{text}"));
            filled.push_str(&self.value(name.trim()));
            filled.push_str(rest);
        }
        filled
    }

    /// What a step that did not run has not put out is empty, as with GitHub.
    fn value(&self, name: &str) -> String {
        let found = self.names.get(name).cloned();
        found.unwrap_or_else(|| if name.starts_with("steps.") { String::new() } else { panic!("what is {name}?") })
    }
}

#[test]
fn three_jobs_and_a_fourth_make_the_report_of_a_single_run() {
    let Some(runner) = Runner::new() else { return };
    scenarios(runner.scratch.dir(), &scenario("two", "0"));
    let played = runner.play(&[("seeds", crate::SEEDS)]);
    assert_eq!(played.failed, Vec::<String>::new(), "{}", played.told);
    assert_eq!(played.built, 1, "the others have it from the cache");
    assert_same_report(&runner.artifact("outrigger-report"), &whole(runner.scratch.dir(), "scenarios"));
    assert!(played.summary.starts_with("# Simulations: all 14 runs hold\n"), "{}", played.summary);
    assert_eq!(played.summary.matches("# Simulations:").count(), 1, "parts have no summary of their own");
}

#[test]
fn a_part_that_fails_is_red_and_in_the_report() {
    let Some(runner) = Runner::new() else { return };
    scenarios(runner.scratch.dir(), &scenario("two", "'> 5'"));
    let more = [("seeds", crate::SEEDS), ("arguments", "--no-progress --variant 1"), ("jobs", "1")];
    let played = runner.play(&more);
    assert_eq!(played.failed, ["simulate 1", "simulate 2", "simulate 3", "report"], "{}", played.told);
    assert!(played.summary.starts_with("# Simulations: 7 of 14 runs failed\n\n## What broke\n"), "{}", played.summary);
    assert!(played.summary.contains("outrigger-sim replay scenarios/two.toml --seed 1"), "{}", played.summary);
    assert_same_report(&runner.artifact("outrigger-report"), &whole(runner.scratch.dir(), "scenarios"));
}

#[test]
fn a_scenario_that_is_wrong_is_red_and_leaves_no_report() {
    let Some(runner) = Runner::new() else { return };
    scenarios(runner.scratch.dir(), "name = 'two'\n");
    let played = runner.play(&[("seeds", crate::SEEDS)]);
    assert_eq!(played.failed, ["simulate 1", "simulate 2", "simulate 3", "report"]);
    assert!(played.told.contains("scenarios/two.toml:"), "{}", played.told);
    assert!(!runner.artifact("outrigger-report").exists() && played.summary.is_empty());
}

#[test]
fn a_single_job_takes_several_paths_and_a_program_that_is_there() {
    let Some(runner) = Runner::new() else { return };
    scenarios(runner.scratch.dir(), &scenario("two", "0"));
    let program = sidecar::simulator().display().to_string();
    let with = [
        ("scenarios", "scenarios/two.toml\nscenarios/one.toml"),
        ("seeds", "1..2"),
        ("shard", ""),
        ("artifact", "${{ matrix.part }}"),
        ("binary", &program),
    ];
    let mut played = Played { failed: Vec::new(), told: String::new(), summary: String::new(), built: 0 };
    runner.job(
        "simulate",
        &[("matrix.part", "1".to_owned()), ("strategy.job-total", "1".to_owned())],
        &with,
        &mut played,
    );
    assert_eq!(played.failed, Vec::<String>::new(), "{}", played.told);
    let summary = fs::read_to_string(runner.scratch.path("summary")).unwrap();
    assert!(summary.starts_with("# Simulations: all 4 runs hold\n"), "{summary}");
    assert!(summary.find("two.toml") < summary.find("one.toml"), "{summary}");
    assert!(!runner.scratch.dir().join("built").exists(), "nothing is to be built");
}

#[test]
fn the_shell_of_the_action_is_sound() {
    let Some(runner) = Runner::new() else { return };
    let steps = runner.action["runs"]["steps"].as_array().unwrap();
    let scripts: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    assert_eq!(scripts.len(), 5);
    for script in scripts {
        assert_sound("bash", script);
    }
}
