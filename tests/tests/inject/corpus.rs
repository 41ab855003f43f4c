//! Manifests of all kinds and styles: injected, injected again, and taken back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, Pod, PodSpec, PodTemplateSpec, ReplicationController, Service, ServiceAccount,
};
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use outrigger_tests::scratch::Scratch;
use outrigger_tests::sidecar::{command, run};
use outrigger_tests::tools::{folder, python_package};
use serde_json::{Value, json};

/// Fewer files than this, and somebody has lost some.
const AT_LEAST: usize = 40;

fn accepted() -> Vec<PathBuf> {
    let dir = std::fs::read_dir(folder().join("manifests/accepted")).expect("it is committed");
    let mut files: Vec<_> = dir.map(|entry| entry.expect("it can be listed").path()).collect();
    files.sort();
    assert!(files.len() >= AT_LEAST, "only {} manifests", files.len());
    files
}

fn name(file: &std::path::Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).expect("names are ASCII")
}

#[test]
fn once_is_as_twice_and_back_is_the_original_to_the_byte() {
    let scratch = Scratch::new();
    for file in accepted() {
        let original = std::fs::read_to_string(&file).expect("UTF-8");
        let injected = run(command().arg("inject").arg(&file)).expect(0);
        assert_ne!(injected.stdout, original, "{}", name(&file));
        assert!(injected.stderr.contains(": injected: "), "{}", injected.stderr);

        let once = scratch.write(name(&file), &injected.stdout);
        let twice = run(command().args(["inject", &once])).expect(0);
        assert_eq!(twice.stdout, injected.stdout, "{}", name(&file));
        assert!(twice.stderr.contains(": unchanged: "), "{}", twice.stderr);
        assert!(!twice.stderr.contains(": injected: "), "{}", twice.stderr);

        let back = run(command().args(["uninject", &once])).expect(0);
        assert_eq!(back.stdout, original, "{}", name(&file));
        let nothing = run(command().arg("uninject").arg(&file)).expect(0);
        assert_eq!(nothing.stdout, original, "{}", name(&file));
    }
}

/// Every line of the original is still there, in its order, but for those where a value had to change.
#[test]
fn what_is_not_changed_keeps_its_bytes() {
    for file in accepted() {
        let original = std::fs::read_to_string(&file).expect("UTF-8");
        let injected = run(command().arg("inject").arg(&file)).expect(0).stdout;
        let mut lines = injected.split('\n').map(|line| line.trim_end_matches('\r'));
        let changes = |line: &str| {
            let flow = line.contains(['{', '[']);
            flow || ["ort", "~", "null"].iter().any(|word| line.contains(word))
        };
        for line in original.split('\n').map(|line| line.trim_end_matches('\r')).filter(|line| !changes(line)) {
            assert!(lines.any(|kept| kept.starts_with(line)), "{}: {line:?} is gone", name(&file));
        }
        assert_eq!(original.contains("\r\n"), injected.contains("\r\n"), "{}", name(&file));
        let ends = original.ends_with('\n');
        assert_eq!(injected.ends_with('\n'), ends, "{}", name(&file));
    }
}

#[test]
fn others_read_the_same_and_find_no_fault() {
    let Some(checked) = injected() else { return };
    assert_eq!(checked["wrong"], json!([]));
    let versions: Vec<&str> =
        checked["versions"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(versions.first() == Some(&"1.29") && versions.contains(&"1.34"), "{versions:?}");
    let files: BTreeMap<String, Vec<Value>> = serde_json::from_value(checked["files"].clone()).expect("a map");
    assert!(files.len() >= AT_LEAST);
    let mut injected = 0;
    for (file, documents) in &files {
        for document in documents {
            injected += typed(file, document);
        }
    }
    assert!(injected >= AT_LEAST, "only {injected} pods with a sidecar");
}

/// The judges of the test above do find faults.
#[test]
fn others_would_find_a_fault() {
    let Some(mut judge) = python_package("check_manifests.py", "kubernetes_validate") else { return };
    let scratch = Scratch::new();
    scratch.write(
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, imag: b}]}\n",
    );
    let checked = check(judge.arg(scratch.dir()));
    assert!(checked["wrong"].to_string().contains("imag"), "{checked}");
}

/// What others say of all manifests with a sidecar; `None` where they are not installed.
fn injected() -> Option<&'static Value> {
    static JUDGED: LazyLock<Option<Value>> = LazyLock::new(|| {
        let mut judge = python_package("check_manifests.py", "kubernetes_validate")?;
        let scratch = Scratch::new();
        for file in accepted() {
            let injected = run(command().arg("inject").arg(&file)).expect(0);
            scratch.write(name(&file), &injected.stdout);
        }
        Some(check(judge.arg(scratch.dir())))
    });
    JUDGED.as_ref()
}

fn check(judge: &mut Command) -> Value {
    let checked = run(judge).expect(0);
    serde_json::from_str(&checked.stdout).expect("JSON")
}

/// Reads an object as the types of its API, which have to know all that is in it, and gives the number of its sidecars.
fn typed(file: &str, object: &Value) -> usize {
    let Some(kind) = object["kind"].as_str() else { return 0 };
    let template = |template: Option<PodTemplateSpec>| template.and_then(|template| template.spec);
    let spec: Option<PodSpec> = match kind {
        "List" => return object["items"].as_array().expect("a list").iter().map(|item| typed(file, item)).sum(),
        "Pod" => read::<Pod>(file, object).spec,
        "Deployment" => template(Some(read::<Deployment>(file, object).spec.template)),
        "StatefulSet" => template(Some(read::<StatefulSet>(file, object).spec.template)),
        "DaemonSet" => template(Some(read::<DaemonSet>(file, object).spec.template)),
        "ReplicaSet" => template(read::<ReplicaSet>(file, object).spec.template),
        "ReplicationController" => {
            template(read::<ReplicationController>(file, object).spec.and_then(|spec| spec.template))
        }
        "Job" => template(read::<Job>(file, object).spec.map(|spec| spec.template)),
        "CronJob" => template(read::<CronJob>(file, object).spec.job_template.spec.map(|job| job.template)),
        "Service" => return drop_typed(read::<Service>(file, object)),
        "ServiceAccount" => return drop_typed(read::<ServiceAccount>(file, object)),
        "ConfigMap" => return drop_typed(read::<ConfigMap>(file, object)),
        other => panic!("{file}: nobody reads a {other}"),
    };
    let spec = spec.expect("a pod has a spec");
    let ours = |container: &&Container| container.name == "outrigger";
    let mut sidecars = spec.init_containers.iter().flatten().chain(&spec.containers).filter(ours);
    let Some(sidecar) = sidecars.next() else { return 0 };
    assert!(sidecars.next().is_none(), "{file}: two sidecars");
    check_sidecar(file, &spec, sidecar);
    1
}

fn drop_typed<T>(_: T) -> usize {
    0
}

fn read<T: DeserializeOwned + Serialize>(file: &str, object: &Value) -> T {
    let typed: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{file}: {error}"));
    let again = serde_json::to_value(&typed).expect("it can be written");
    assert_eq!(bare(&again), bare(object), "{file}: something is lost");
    typed
}

/// Without nulls and empty collections, which types keep or leave out as they like.
fn bare(value: &Value) -> Value {
    let empty = |value: &Value| *value == json!({}) || *value == json!([]) || value.is_null();
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), bare(value))).filter(|(_, value)| !empty(value)).collect()
        }
        Value::Array(items) => items.iter().map(bare).collect(),
        scalar => scalar.clone(),
    }
}

/// What every sidecar has to have.
fn check_sidecar(file: &str, spec: &PodSpec, sidecar: &Container) {
    let context = sidecar.security_context.as_ref().expect("a security context");
    assert_eq!((context.run_as_non_root, context.read_only_root_filesystem), (Some(true), Some(true)), "{file}");
    assert_eq!(context.allow_privilege_escalation, Some(false), "{file}");
    assert_eq!(context.run_as_user, Some(65532), "{file}");
    let dropped = context.capabilities.as_ref().and_then(|capabilities| capabilities.drop.clone());
    assert_eq!(dropped, Some(vec!["ALL".to_owned()]), "{file}");
    assert_eq!(
        context.seccomp_profile.as_ref().map(|profile| profile.type_.as_str()),
        Some("RuntimeDefault"),
        "{file}"
    );
    let resources = sidecar.resources.as_ref().expect("resources");
    assert!(resources.requests.as_ref().is_some_and(|requests| requests.len() == 2), "{file}");
    assert!(resources.limits.as_ref().is_some_and(|limits| limits.contains_key("memory")), "{file}");
    for probe in [&sidecar.startup_probe, &sidecar.liveness_probe, &sidecar.readiness_probe] {
        assert!(probe.as_ref().is_some_and(|probe| probe.http_get.is_some()), "{file}");
    }
    let hook =
        sidecar.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()?.exec.as_ref()?.command.clone());
    assert_eq!(hook, Some(vec!["/outrigger".to_owned(), "drain".to_owned()]), "{file}");
    let native = spec.init_containers.iter().flatten().any(|container| container.name == "outrigger");
    assert_eq!(sidecar.restart_policy.as_deref(), native.then_some("Always"), "{file}");
    let variable = |name: &str| {
        let variable = sidecar.env.iter().flatten().find(|variable| variable.name == name);
        variable.and_then(|variable| variable.value.clone()).unwrap_or_else(|| panic!("{file}: no {name}"))
    };
    let listen = variable("OUTRIGGER_LISTEN");
    assert!(listen.starts_with("http://"), "{file}: {listen}");
    assert!(!variable("OUTRIGGER_UPSTREAM").is_empty(), "{file}");
    assert!(variable("OUTRIGGER_ADMIN").ends_with(":9900") || file == "listen.yaml", "{file}");
    assert!(spec.termination_grace_period_seconds.is_some_and(|seconds| seconds >= 30), "{file}");
}

/// The configuration that a sidecar is given is one that it takes.
#[test]
fn the_sidecar_takes_what_it_is_given() {
    let Some(checked) = injected() else { return };
    let mut found = Vec::new();
    sidecars(&checked["files"], &mut found);
    assert!(found.len() >= AT_LEAST);
    for sidecar in found {
        let mut check = command();
        check.arg("check");
        for variable in sidecar["env"].as_array().expect("a list") {
            let (name, value) = (variable["name"].as_str().expect("text"), variable["value"].as_str().expect("text"));
            // The files are in the pod.
            if !value.starts_with("/etc/outrigger/") && !value.contains("https://0.0.0.0") {
                check.env(name, value);
            }
        }
        run(&mut check).expect(0);
    }
}

fn sidecars<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(map) if map.get("name") == Some(&json!("outrigger")) && map.contains_key("env") => {
            found.push(value);
        }
        Value::Object(map) => map.values().for_each(|value| sidecars(value, found)),
        Value::Array(items) => items.iter().for_each(|value| sidecars(value, found)),
        _ => {}
    }
}
