//! The template, job by job: variables, `parallel`, artifacts and `needs` as GitLab documents them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use outrigger_tests::Scratch;
use serde_json::Value;

use crate::{Told, assert_same_report, assert_sound, copy, installed, read, scenario, scenarios, shell, text, whole};

const FILE: &str = "deploy/ci/gitlab/outrigger.gitlab-ci.yml";
/// Each line of a script, in an image that has no bash.
const SHELL: [&str; 2] = ["sh", "-euc"];

struct Project {
    scratch: Scratch,
    template: Value,
    path: String,
    /// Of the project that includes the template.
    variables: BTreeMap<String, String>,
}

impl Project {
    fn new(variables: &[(&str, &str)]) -> Option<Self> {
        let template = read(&[("vendor.gitlab-ci", FILE)])?.remove(0);
        let scratch = Scratch::new();
        let path = installed(&scratch);
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Some(Self { scratch, template, path, variables })
    }

    /// Runs a job in a folder of its own, with what the jobs that it needs have left.
    fn job(&self, name: &str, own: &[(&str, String)]) -> (Told, PathBuf) {
        let job = &self.template[name];
        let folder = self.scratch.dir().join(format!("{name}{}", own.first().map_or("", |(_, value)| value)));
        copy(&self.scratch.dir().join("scenarios"), &folder.join("scenarios"));
        if !job["needs"].is_null() {
            copy(&self.artifacts(), &folder);
        }
        let mut env: BTreeMap<String, String> = self.template["variables"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), text(value).to_owned()))
            .collect();
        env.extend(self.variables.clone());
        env.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        env.insert("PATH".to_owned(), self.path.clone());
        env.insert("CI".to_owned(), "true".to_owned());
        let lines: Vec<&str> = job["script"].as_array().unwrap().iter().map(text).collect();
        let script = lines.join("\n");
        assert_sound("sh", &script);
        let told = shell(&SHELL, &script, &folder, &env);
        assert_eq!(job["artifacts"]["when"].as_str().unwrap_or("on_success") == "always", name != "pages");
        self.keep(&folder, &job["artifacts"]["paths"]);
        (told, folder)
    }

    fn artifacts(&self) -> PathBuf {
        let path = self.scratch.dir().join("artifacts");
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// `paths`: folders, the last characters of whose names may be open.
    fn keep(&self, folder: &Path, paths: &Value) {
        for path in paths.as_array().unwrap().iter().map(|path| text(path).trim_end_matches('/')) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let name = entry.file_name().into_string().unwrap();
                if path.strip_suffix('*').map_or(name == path, |start| name.starts_with(start)) {
                    copy(&entry.path(), &self.artifacts().join(name));
                }
            }
        }
    }

    /// All parts, then the job that joins them: their exit codes, and what was told.
    fn play(&self) -> (Vec<i32>, String) {
        let parts = self.template["outrigger:simulate"]["parallel"].as_u64().unwrap();
        let mut all = Vec::new();
        for part in 1..=parts {
            all.push(
                self.job(
                    "outrigger:simulate",
                    &[("CI_NODE_INDEX", part.to_string()), ("CI_NODE_TOTAL", parts.to_string())],
                )
                .0,
            );
        }
        let report = &self.template["outrigger:report"];
        assert_eq!((&report["needs"][0]["job"], &report["when"]), (&"outrigger:simulate".into(), &"always".into()));
        all.push(self.job("outrigger:report", &[]).0);
        (all.iter().map(|told| told.code).collect(), all.iter().map(|told| told.text.as_str()).collect())
    }
}

#[test]
fn parallel_jobs_and_one_more_make_the_report_of_a_single_run_and_a_page_of_it() {
    let Some(project) = Project::new(&[("OUTRIGGER_SEEDS", crate::SEEDS)]) else { return };
    scenarios(project.scratch.dir(), &scenario("two", "0"));
    let (codes, told) = project.play();
    assert_eq!(codes, [0, 0, 0, 0], "{told}");
    let report = project.artifacts().join("outrigger-report");
    assert_same_report(&report, &whole(project.scratch.dir(), "scenarios"));
    let junit = text(&project.template["outrigger:report"]["artifacts"]["reports"]["junit"]);
    assert!(project.artifacts().join(junit).is_file(), "{junit}");

    let (told, folder) = project.job("pages", &[]);
    assert_eq!(told.code, 0, "{}", told.text);
    assert!(fs::read(folder.join("public/index.html")).unwrap() == fs::read(report.join("report.html")).unwrap());
}

#[test]
fn a_part_that_fails_is_red_and_in_the_report() {
    let variables = [("OUTRIGGER_SEEDS", crate::SEEDS), ("OUTRIGGER_ARGUMENTS", "--no-progress --variant 1")];
    let Some(project) = Project::new(&variables) else { return };
    scenarios(project.scratch.dir(), &scenario("two", "'> 5'"));
    let (codes, told) = project.play();
    assert_eq!(codes, [1, 1, 1, 1], "{told}");
    assert!(told.contains("14 runs, 7 failed"), "{told}");
    assert_same_report(&project.artifacts().join("outrigger-report"), &whole(project.scratch.dir(), "scenarios"));
}

#[test]
fn a_single_job_is_the_whole() {
    let Some(project) = Project::new(&[("OUTRIGGER_SCENARIOS", "scenarios/one.toml scenarios/two.toml")]) else {
        return;
    };
    scenarios(project.scratch.dir(), &scenario("two", "0"));
    let (told, folder) = project.job("outrigger:simulate", &[("CI_NODE_TOTAL", "1".to_owned())]);
    assert_eq!(told.code, 0, "{}", told.text);
    assert!(folder.join("outrigger-part-1/report.json").is_file());
    let (told, _) = project.job("outrigger:report", &[]);
    assert_eq!(told.code, 0, "{}", told.text);
}
