//! The corpus of manifests, object by object: what the webhook makes of each is what `outrigger inject` makes of its text.

use std::path::Path;

use outrigger_tests::kubernetes::bare;
use outrigger_tests::sidecar::{command, run};
use outrigger_tests::tools::{folder, python_package};
use outrigger_tests::{Launch, Scratch};
use serde_json::Value;

use super::{ask, creation, patched};

/// What `PyYAML` reads in the files of a folder; `None` where it is not installed.
fn read(dir: &Path) -> Option<Value> {
    let mut reader = python_package("check_manifests.py", "kubernetes_validate")?;
    let read: Value = serde_json::from_str(&run(reader.arg(dir).arg("read")).expect(0).stdout).expect("JSON");
    Some(read["files"].clone())
}

/// Objects with pods, those in Lists too.
fn objects<'v>(documents: &'v Value, found: &mut Vec<&'v Value>) {
    for object in documents.as_array().into_iter().flatten() {
        match object["kind"].as_str() {
            Some(list) if list.ends_with("List") => objects(&object["items"], found),
            Some("Service" | "ConfigMap" | "ServiceAccount") | None => {}
            Some(_) => found.push(object),
        }
    }
}

/// Without what undoes the injection: of a text it says how it was written as well.
fn unsigned(mut object: Value) -> Value {
    fn remove(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("outrigger.dev/injected");
                map.values_mut().for_each(remove);
            }
            Value::Array(items) => items.iter_mut().for_each(remove),
            _ => {}
        }
    }
    remove(&mut object);
    bare(&object)
}

#[test]
fn the_webhook_does_what_inject_does() {
    let (originals, injected) = (Scratch::new(), Scratch::new());
    for file in std::fs::read_dir(folder().join("manifests/accepted")).expect("it is committed") {
        let file = file.expect("it can be listed").path();
        let name = file.file_name().and_then(|name| name.to_str()).expect("ASCII");
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        // What every API server writes is no wish to one, and one to a manifest.
        let lines = text.split_inclusive('\n').filter(|line| line.trim() != "terminationGracePeriodSeconds: 30");
        let original = originals.write(name, &lines.collect::<String>());
        injected.write(name, &run(command().arg("inject").arg(&original)).expect(0).stdout);
    }
    let (Some(before), Some(after)) = (read(originals.dir()), read(injected.dir())) else { return };
    let webhook = Launch::webhook().start();
    let mut wire = webhook.connect("https");
    let mut compared = 0;
    for (file, documents) in before.as_object().expect("a map") {
        let (mut originals, mut expected) = (Vec::new(), Vec::new());
        objects(documents, &mut originals);
        objects(&after[file], &mut expected);
        assert_eq!(originals.len(), expected.len(), "{file}");
        for (original, expected) in originals.into_iter().zip(expected) {
            // An API server knows no nulls.
            let review = creation(file, &bare(original));
            let response = ask(&mut wire, &review);
            assert_eq!(response["allowed"], true, "{file}: {response}");
            if original == expected {
                assert!(response.get("patch").is_none(), "{file}: {response}");
                continue;
            }
            assert_eq!(unsigned(patched(&review, &response)), unsigned(expected.clone()), "{file}");
            compared += 1;
        }
    }
    assert!(compared >= 40, "only {compared} objects");
}
