//! The admission webhook, asked over TLS as API servers ask: recorded reviews in `tests/reviews`, and what is no review.

mod answers;
mod certificate;
mod corpus;
mod exchange;
mod hostile;
mod manifests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outrigger_tests::tools::folder;
use outrigger_tests::{Response, Wire};
use serde_json::{Value, json};

/// A recorded review.
fn recorded(name: &str) -> Value {
    let path = folder().join("reviews").join(format!("{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}

/// The names of all recorded reviews, sorted.
fn all_recorded() -> Vec<String> {
    let files = std::fs::read_dir(folder().join("reviews")).expect("it is committed");
    let names = files.filter_map(|file| {
        let path = file.expect("it can be listed").path();
        let json = path.extension().is_some_and(|ending| ending == "json");
        json.then(|| path.file_stem().and_then(|stem| stem.to_str()).expect("names are ASCII").to_owned())
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// A review of an object that is to be created.
fn creation(uid: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": uid, "operation": "CREATE", "namespace": "chat", "object": object, "oldObject": null, "dryRun": false},
    })
}

/// The head of a request, as an API server writes it.
fn head(length: usize) -> String {
    format!(
        "POST /inject?timeout=10s HTTP/1.1\r\nHost: outrigger-webhook.outrigger.svc:443\r\nUser-Agent: kube-apiserver-admission\r\n\
         Accept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// What is answered to this body.
#[track_caller]
fn post(wire: &mut Wire, body: impl AsRef<[u8]>) -> Response {
    wire.send([head(body.as_ref().len()).as_bytes(), body.as_ref()].concat());
    wire.response("POST")
}

/// The response within the review that is answered to this one.
#[track_caller]
fn ask(wire: &mut Wire, review: &Value) -> Value {
    let answer = post(wire, review.to_string()).expect(200);
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    answer["response"].clone()
}

/// The patch in a response, as it is before it is written in base64.
#[track_caller]
fn patch(response: &Value) -> Value {
    assert_eq!(response["patchType"], "JSONPatch", "{response}");
    let patch = STANDARD.decode(response["patch"].as_str().expect("a patch")).expect("base64");
    serde_json::from_slice(&patch).expect("JSON")
}

/// The object of a review after the patch, as another implementation of RFC 6902 makes it.
#[track_caller]
fn patched(review: &Value, response: &Value) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(patch(response)).expect("a patch");
    let mut object = review["request"]["object"].clone();
    json_patch::patch(&mut object, &patch).expect("each step leads somewhere");
    object
}
