//! What is answered to recorded reviews, word for word: `tests/reviews/answers`, which `UPDATE_ANSWERS=1` writes anew.

use outrigger_tests::kubernetes::typed;
use outrigger_tests::sidecar::run;
use outrigger_tests::tools::{folder, python_package};
use outrigger_tests::{Launch, Scratch, Sidecar};
use serde_json::{Value, json};

use super::{all_recorded, ask, creation, patch, patched, post, recorded};

/// Fewer reviews than this, and somebody has lost some.
const AT_LEAST: usize = 30;

/// The version changes with every release, and what is answered does not change by that.
fn without_version(text: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    text.replace(&format!("outrigger:{version}"), "outrigger:VERSION")
        .replace(&format!("\\\"version\\\":\\\"{version}\\\""), "\\\"version\\\":\\\"VERSION\\\"")
}

#[test]
fn each_review_has_its_answer() {
    let webhook = Launch::webhook().start();
    let mut wire = webhook.connect("https");
    let names = all_recorded();
    assert!(names.len() >= AT_LEAST, "only {} reviews", names.len());
    for name in &names {
        let answer = post(&mut wire, recorded(name).to_string());
        let got = if answer.status == 200 {
            assert_eq!(answer.head.get("content-type"), Some("application/json"), "{name}");
            let mut review: Value = serde_json::from_slice(&answer.body).expect("JSON");
            if review["response"]["patch"].is_string() {
                review["response"]["patch"] = patch(&review["response"]);
            }
            json!({"status": 200, "answer": review})
        } else {
            assert_eq!(answer.head.get("content-type"), Some("text/plain; charset=utf-8"), "{name}");
            json!({"status": answer.status, "text": answer.text()})
        };
        let got = without_version(&format!("{got:#}\n"));
        let path = folder().join("reviews/answers").join(format!("{name}.json"));
        if std::env::var_os("UPDATE_ANSWERS").is_some() {
            std::fs::write(&path, &got).expect("it may be written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(got, expected, "{name}");
    }
    let answers = std::fs::read_dir(folder().join("reviews/answers")).expect("it is committed").count();
    assert_eq!(answers, names.len(), "each answer has its review");
}

#[test]
fn each_review_has_one_line_in_the_log_without_its_object() {
    let webhook = Launch::webhook().start();
    let mut wire = webhook.connect("https");
    for name in all_recorded() {
        let review = recorded(&name);
        if post(&mut wire, review.to_string()).status != 200 {
            continue;
        }
        let line =
            webhook.wait_log(&name, |line| line["message"] == "reviewed" && line["uid"] == review["request"]["uid"]);
        assert_eq!(line["operation"], review["request"]["operation"], "{name}");
        assert_eq!(line["namespace"], review["request"]["namespace"], "{name}");
        assert_eq!(line["dry_run"], review["request"]["dryRun"], "{name}");
        assert!(!line["name"].as_str().expect("text").is_empty(), "{name}: {line}");
        let text = line.to_string();
        for payload in ["registry.example", "userInfo", "kubernetes-admin", "containerPort", "managedFields"] {
            assert!(!text.contains(payload), "{name}: {payload} in {text}");
        }
    }
    let reviewed = webhook.log().iter().filter(|line| line.contains("\"message\":\"reviewed\"")).count();
    let answered = |name: &&String| std::fs::read_to_string(folder().join(format!("reviews/answers/{name}.json")));
    let names = all_recorded();
    let good = names.iter().filter(|name| answered(name).is_ok_and(|text| text.contains("\"status\": 200"))).count();
    assert_eq!(reviewed, good);
}

/// Every recorded object that gets a sidecar, after the patch.
fn injected(webhook: &Sidecar) -> Vec<(String, Value)> {
    let mut wire = webhook.connect("https");
    let mut objects = Vec::new();
    for name in all_recorded() {
        let review = recorded(&name);
        let answer = post(&mut wire, review.to_string());
        let Ok(answer) = serde_json::from_slice::<Value>(&answer.body) else { continue };
        if answer["response"]["patch"].is_string() {
            objects.push((name, patched(&review, &answer["response"])));
        }
    }
    assert!(objects.len() >= 10, "only {} objects", objects.len());
    objects
}

#[test]
fn others_read_the_patched_objects_and_find_no_fault() {
    let webhook = Launch::webhook().start();
    let objects = injected(&webhook);
    for (name, object) in &objects {
        assert_eq!(typed(name, object), 1, "{name}");
    }
    let Some(mut judge) = python_package("check_manifests.py", "kubernetes_validate") else { return };
    let scratch = Scratch::new();
    for (name, object) in &objects {
        scratch.write(&format!("{name}.json"), &object.to_string());
    }
    let judged: Value = serde_json::from_str(&run(judge.arg(scratch.dir())).expect(0).stdout).expect("JSON");
    assert_eq!(judged["wrong"], json!([]));
    assert_eq!(judged["files"].as_object().map(serde_json::Map::len), Some(objects.len()));
}

/// As when the API server asks again because another webhook has changed something, or about the pods of an injected Deployment.
#[test]
fn what_has_a_sidecar_stays_as_it_is() {
    let webhook = Launch::webhook().start();
    let mut wire = webhook.connect("https");
    for (name, object) in injected(&webhook) {
        let response = ask(&mut wire, &creation("again", &object));
        assert_eq!(response, json!({"uid": "again", "allowed": true}), "{name}");
    }
}

#[test]
fn what_cannot_have_a_sidecar_is_denied_or_goes_on_with_a_warning() {
    let (fail, ignore) = (Launch::webhook().start(), Launch::webhook().flag("--failure-policy", "ignore").start());
    for (name, word) in [
        ("pod-host-network", "hostNetwork"),
        ("pod-wrong-values", "`soon` is not a duration"),
        ("pod-without-port", "no port found"),
        ("deployment-misplaced-annotation", "annotation of the pod template"),
    ] {
        let review = recorded(name);
        let denied = ask(&mut fail.connect("https"), &review);
        assert_eq!((&denied["allowed"], &denied["status"]["code"]), (&json!(false), &json!(403)), "{name}");
        let message = denied["status"]["message"].as_str().expect("text");
        assert!(message.contains(word) && message.contains("outrigger.dev/inject: \"false\""), "{message}");

        let allowed = ask(&mut ignore.connect("https"), &review);
        assert_eq!(
            (&allowed["allowed"], &allowed["status"], &allowed["patch"]),
            (&json!(true), &Value::Null, &Value::Null)
        );
        let warnings = allowed["warnings"].as_array().expect("one at least");
        assert!(warnings.iter().any(|warning| warning.as_str().expect("text").contains(word)), "{warnings:?}");
        ignore.wait_log(name, |line| line["uid"] == review["request"]["uid"] && line["outcome"] == "ignored");
    }
}

#[test]
fn flags_and_variables_hold_where_a_pod_says_nothing() {
    let launch = Launch::webhook().flag("--image", "registry.example/outrigger:2").flag("--set", "keepalive=20s");
    let webhook = launch.flag("--exclude-namespace", "quiet").env("OUTRIGGER_WEBHOOK_LEGACY", "true").start();
    let mut wire = webhook.connect("https");
    let mut review = recorded("pod");
    let pod = patched(&review, &ask(&mut wire, &review));
    let sidecar = &pod["spec"]["containers"][1];
    assert_eq!(sidecar["image"], "registry.example/outrigger:2");
    assert!(
        sidecar["env"].as_array().expect("a list").contains(&json!({"name": "OUTRIGGER_KEEPALIVE", "value": "20s"}))
    );
    let annotated = recorded("pod-annotated");
    let pod = patched(&annotated, &ask(&mut wire, &annotated));
    assert_eq!(pod["spec"]["containers"][1]["image"], "registry.example/outrigger:1");
    // A plain container would keep a Job's pod from its end.
    assert_eq!(ask(&mut wire, &recorded("pod-of-job"))["allowed"], false);
    review["request"]["namespace"] = "quiet".into();
    assert!(ask(&mut wire, &review).get("patch").is_none());
    // What is given takes the place of the default.
    assert!(ask(&mut wire, &recorded("namespace-excluded")).get("patch").is_some());
}

#[test]
fn only_pods_that_ask_where_that_is_said() {
    let webhook = Launch::webhook().flag("--set", "inject=false").start();
    let mut wire = webhook.connect("https");
    for (name, injected) in
        [("pod", false), ("pod-host-network", false), ("pod-opt-in-label", true), ("pod-opt-out-label", false)]
    {
        let response = ask(&mut wire, &recorded(name));
        assert_eq!((&response["allowed"], response.get("patch").is_some()), (&json!(true), injected), "{name}");
    }
}
