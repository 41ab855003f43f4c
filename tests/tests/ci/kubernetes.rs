//! The indexed Job, pod by pod, with its scenarios as a mounted `ConfigMap` lays them out.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use outrigger_tests::{Scratch, tools};
use serde_json::Value;

use crate::{Told, assert_same_report, assert_sound, installed, scenario, shell, text, top, whole};

const FILES: [&str; 3] = ["sweep.yaml", "merge.yaml", "fetch.yaml"];

struct Cluster {
    scratch: Scratch,
    path: String,
    /// By file and kind.
    objects: BTreeMap<(String, String), Value>,
}

impl Cluster {
    /// With the files under the eyes of kubernetes-validate; `None` where that is not to be had.
    fn new(second: &str) -> Option<Self> {
        let mut command = tools::python_package("check_manifests.py", "kubernetes_validate")?;
        let scratch = Scratch::new();
        let manifests = scratch.dir().join("manifests");
        fs::create_dir(&manifests).unwrap();
        for file in FILES {
            fs::copy(top().join("deploy/ci/kubernetes").join(file), manifests.join(file)).unwrap();
        }
        let done = command.arg(&manifests).output().unwrap();
        let told = String::from_utf8(done.stdout).unwrap();
        let found: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}"));
        assert_eq!(found["wrong"], Value::Array(Vec::new()));
        assert!(found["versions"].as_array().is_some_and(|versions| versions.len() > 3), "{}", found["versions"]);
        let mut objects = BTreeMap::new();
        for (file, documents) in found["files"].as_object().unwrap() {
            for object in documents.as_array().unwrap() {
                objects.insert((file.clone(), text(&object["kind"]).to_owned()), object.clone());
            }
        }
        let cluster = Self { path: installed(&scratch), objects, scratch };
        cluster.mount(second);
        fs::create_dir(cluster.scratch.dir().join("report")).unwrap();
        Some(cluster)
    }

    /// As the kubelet does: files in a hidden folder with the time in its name, and links to them.
    fn mount(&self, second: &str) {
        let mounted = self.scratch.dir().join("scenarios");
        let hidden = mounted.join("..2026_11_29_12_00_00.123456789");
        fs::create_dir_all(&hidden).unwrap();
        symlink(hidden.file_name().unwrap(), mounted.join("..data")).unwrap();
        for (name, text) in [("one.toml", scenario("one", "0").as_str()), ("two.toml", second)] {
            fs::write(hidden.join(name), text).unwrap();
            symlink(format!("..data/{name}"), mounted.join(name)).unwrap();
        }
    }

    fn pod(&self, file: &str, kind: &str) -> &Value {
        let object = &self.objects[&(file.to_owned(), kind.to_owned())];
        if kind == "Job" { &object["spec"]["template"]["spec"] } else { &object["spec"] }
    }

    /// Runs the one container of a Job's pod.
    fn run(&self, file: &str, index: Option<u64>) -> Told {
        let container = &self.pod(file, "Job")["containers"][0];
        let mut env = BTreeMap::new();
        for variable in container["env"].as_array().unwrap() {
            let (name, value) = (text(&variable["name"]), text(&variable["value"]));
            let value = match name {
                "SEEDS" => crate::SEEDS.to_owned(),
                // What is mounted there in the cluster is here.
                "SCENARIOS" | "REPORT" => {
                    let mounts = container["volumeMounts"].as_array().unwrap();
                    assert!(mounts.iter().any(|mount| mount["mountPath"] == value), "nothing is mounted at {value}");
                    value.trim_start_matches('/').to_owned()
                }
                _ => value.to_owned(),
            };
            env.insert(name.to_owned(), value);
        }
        env.insert("PATH".to_owned(), self.path.clone());
        env.extend(index.map(|index| ("JOB_COMPLETION_INDEX".to_owned(), index.to_string())));
        let command: Vec<&str> = container["command"].as_array().unwrap().iter().map(text).collect();
        let script = text(&container["args"][0]);
        assert_sound("sh", script);
        shell(&command, script, self.scratch.dir(), &env)
    }

    fn parts(&self) -> u64 {
        let spec = &self.objects[&("sweep.yaml".to_owned(), "Job".to_owned())]["spec"];
        assert_eq!(spec["completionMode"], "Indexed");
        spec["completions"].as_u64().unwrap()
    }

    /// Every pod of the sweep; their exit codes and what they told.
    fn sweep(&self) -> (Vec<i32>, String) {
        let all: Vec<Told> = (0..self.parts()).map(|index| self.run("sweep.yaml", Some(index))).collect();
        (all.iter().map(|told| told.code).collect(), all.iter().map(|told| told.text.as_str()).collect())
    }

    fn report(&self) -> PathBuf {
        self.scratch.dir().join("report/whole")
    }
}

#[test]
fn ten_pods_and_one_more_make_the_report_of_a_single_run() {
    let Some(cluster) = Cluster::new(&scenario("two", "0")) else { return };
    let (codes, told) = cluster.sweep();
    assert_eq!(codes, vec![0; 10], "{told}");
    let merged = cluster.run("merge.yaml", None);
    assert_eq!(merged.code, 0, "{}", merged.text);
    assert!(merged.text.contains("14 runs, all hold"), "{}", merged.text);
    assert_same_report(&cluster.report(), &whole(cluster.scratch.dir(), "scenarios"));

    // A second sweep over the first one's parts.
    let (codes, told) = cluster.sweep();
    assert_eq!(codes, vec![0; 10], "{told}");
}

#[test]
fn a_part_in_which_something_does_not_hold_is_done_and_the_whole_fails() {
    let Some(cluster) = Cluster::new(&scenario("two", "'> 5'")) else { return };
    let (codes, told) = cluster.sweep();
    assert_eq!(codes, vec![0; 10], "a pod is not tried again for what it found: {told}");
    let merged = cluster.run("merge.yaml", None);
    assert_eq!(merged.code, 1, "{}", merged.text);
    assert!(merged.text.contains("14 runs, 7 failed"), "{}", merged.text);
    assert_same_report(&cluster.report(), &whole(cluster.scratch.dir(), "scenarios"));
    // What could not be written is no report, even if an older one is there.
    fs::remove_dir_all(cluster.scratch.dir().join("report")).unwrap();
    fs::write(cluster.scratch.dir().join("report"), "in the way").unwrap();
    assert_eq!(cluster.run("sweep.yaml", Some(0)).code, 1);
}

#[test]
fn a_wrong_scenario_ends_the_whole_job() {
    let Some(cluster) = Cluster::new("name = 'two'\n") else { return };
    let told = cluster.run("sweep.yaml", Some(0));
    let rule = &cluster.objects[&("sweep.yaml".to_owned(), "Job".to_owned())]["spec"]["podFailurePolicy"]["rules"][0];
    assert_eq!((&rule["action"], &rule["onExitCodes"]["operator"]), (&"FailJob".into(), &"In".into()));
    assert_eq!(rule["onExitCodes"]["values"], Value::from(vec![told.code]), "{}", told.text);
    assert_eq!(rule["onExitCodes"]["containerName"], cluster.pod("sweep.yaml", "Job")["containers"][0]["name"]);
    let merged = cluster.run("merge.yaml", None);
    assert_eq!(merged.code, 2, "there is no part: {}", merged.text);
}

#[test]
fn what_several_files_say_is_the_same_in_each() {
    let Some(cluster) = Cluster::new(&scenario("two", "0")) else { return };
    let claim = cluster.objects[&("sweep.yaml".to_owned(), "PersistentVolumeClaim".to_owned())].clone();
    assert_eq!(claim["spec"]["accessModes"][0], "ReadWriteMany");
    let sweep = &cluster.pod("sweep.yaml", "Job")["containers"][0];
    let parts = sweep["env"].as_array().unwrap().iter().find(|variable| variable["name"] == "PARTS").unwrap();
    assert_eq!(text(&parts["value"]), cluster.parts().to_string());
    for (file, kind) in [("sweep.yaml", "Job"), ("merge.yaml", "Job"), ("fetch.yaml", "Pod")] {
        let pod = cluster.pod(file, kind);
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == "report").unwrap();
        assert_eq!(volume["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"], "{file}");
        let container = &pod["containers"][0];
        assert_eq!(container["image"], sweep["image"], "{file}");
        // What a restricted namespace insists on.
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{file}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{file}");
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{file}");
        assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL", "{file}");
    }
}
