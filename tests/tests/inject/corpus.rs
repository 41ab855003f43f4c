//! Manifests of all kinds and styles: injected, injected again, and taken back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use outrigger_tests::kubernetes::typed;
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
