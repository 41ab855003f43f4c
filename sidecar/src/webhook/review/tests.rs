//! Reviews as nobody sends them: whatever comes, the answer is well-formed, or says why there is none.

use proptest::prelude::*;

use super::*;

fn policy(failure: Failure) -> Policy {
    Policy { options: inject::Options::default(), failure, exclude: vec!["kube-system".into()] }
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "chat-", "labels": {"app": "chat"}, "annotations": {"outrigger.dev/keepalive": "20s"}},
        "spec": {
            "terminationGracePeriodSeconds": 60,
            "containers": [{
                "name": "chat",
                "image": "chat",
                "ports": [{"name": "http", "containerPort": 3000, "protocol": "TCP"}],
                "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
                "lifecycle": {"postStart": {"httpGet": {"path": "/", "port": 3000}}},
            }],
            "volumes": [{"name": "token", "projected": {"sources": []}}],
        },
    })
}

fn review() -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "chat",
            "operation": "CREATE",
            "userInfo": {"username": "admin"},
            "object": pod(),
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

fn answered(review: &Value, failure: Failure) -> Reviewed {
    answer(review.to_string().as_bytes(), &policy(failure)).expect("a review")
}

/// What has to be so of any answer to this request.
fn check(review: &Value, reviewed: &Reviewed) -> Result<(), TestCaseError> {
    let answer = &reviewed.answer;
    prop_assert_eq!(&answer["apiVersion"], API_VERSION);
    prop_assert_eq!(&answer["kind"], "AdmissionReview");
    let response = answer["response"].as_object().expect("there is one");
    prop_assert_eq!(response.get("uid"), review.pointer("/request/uid"));
    let known = ["uid", "allowed", "status", "patch", "patchType", "warnings", "auditAnnotations"];
    prop_assert!(response.keys().all(|field| known.contains(&field.as_str())), "{answer}");
    let allowed = response["allowed"].as_bool().expect("it says so");
    prop_assert_eq!(allowed, reviewed.account.outcome != Outcome::Denied);
    prop_assert_eq!(response.contains_key("status"), !allowed);
    prop_assert_eq!(response.contains_key("patch"), reviewed.account.outcome == Outcome::Injected);
    prop_assert_eq!(response.contains_key("patch"), response.contains_key("patchType"));
    let warnings = response.get("warnings").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    prop_assert!(warnings.len() <= MAX_WARNINGS);
    for warning in warnings {
        let text = warning.as_str().expect("text");
        prop_assert!(text.chars().count() <= MAX_WARNING_CHARS && !text.chars().any(char::is_control), "{text:?}");
    }
    if let Some(patch) = response.get("patch").and_then(Value::as_str) {
        let patch: json_patch::Patch =
            serde_json::from_slice(&STANDARD.decode(patch).expect("base64")).expect("a patch");
        let mut object = review["request"]["object"].clone();
        json_patch::patch(&mut object, &patch).expect("each step leads somewhere");
        let again = inject::admit(&object, &policy(Failure::Fail).options);
        prop_assert!(matches!(again, Ok(Admission::Untouched(_))), "{again:?}");
    }
    Ok(())
}

#[test]
fn a_pod_is_injected_and_named_by_what_its_name_begins_with() {
    let reviewed = answered(&review(), Failure::Fail);
    check(&review(), &reviewed).expect("well-formed");
    let Account { name, namespace, kind, outcome, dry_run, .. } = reviewed.account;
    assert_eq!((name.as_str(), namespace.as_str(), kind.as_str()), ("chat-", "chat", "Pod"));
    assert_eq!((outcome, dry_run), (Outcome::Injected, false));
}

#[test]
fn what_is_too_long_is_cut_at_a_letter_and_stays_in_its_line() {
    assert_eq!(short("a\r\nb\u{7f}c", 9), "a  b c");
    assert_eq!(short("äöü", 3), "äöü");
    assert_eq!(short("äöüß", 3), "äö…");
    let mut long = review();
    long["request"]["object"]["metadata"]["annotations"]["outrigger.dev/keepalive"] = "ü\n".repeat(9_000).into();
    for failure in [Failure::Fail, Failure::Ignore] {
        let reviewed = answered(&long, failure);
        check(&long, &reviewed).expect("well-formed");
        assert!(reviewed.answer.to_string().len() < 4 * MAX_MESSAGE_CHARS, "{}", reviewed.answer);
        assert!(reviewed.account.why.chars().count() <= MAX_WARNING_CHARS);
    }
}

/// Puts `value` in the place of a node of a review, or takes the node out.
fn change(review: &mut Value, place: prop::sample::Index, value: Option<Value>) {
    fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
        let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                all.push(format!("{at}/{}", escaped(key)));
                pointers(value, &format!("{at}/{}", escaped(key)), all);
            }),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| {
                all.push(format!("{at}/{index}"));
                pointers(value, &format!("{at}/{index}"), all);
            }),
            _ => {}
        }
    }
    let mut all = Vec::new();
    pointers(review, "", &mut all);
    let Some(pointer) = all.get(place.index(all.len().max(1))) else { return };
    if let Some(value) = value {
        *review.pointer_mut(pointer).expect("it is there") = value;
        return;
    }
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match review.pointer_mut(parent).expect("it is there") {
        Value::Object(map) => _ = map.remove(&key.replace("~1", "/").replace("~0", "~")),
        Value::Array(items) => _ = items.remove(key.parse().expect("an index")),
        _ => unreachable!("nothing else has children"),
    }
}

/// Values that may stand anywhere in an object, and some that mean something somewhere.
fn values() -> impl Strategy<Value = Value> {
    let words =
        ["", "outrigger", "outrigger-tls", "http", "false", "true", "3000", "Job", "UPDATE", "windows", "~/\n\"", "\0"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0_i64), Just(-1), Just(8080), Just(3000), Just(70_000), any::<i64>()].prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!({"name": "outrigger", "ports": [{"containerPort": 8080}]})),
        Just(
            json!({"outrigger.dev/injected": "{\"version\":\"0.0.1\",\"undo\":[]}", "outrigger.dev/app-port": "http"})
        ),
        Just(
            json!({"outrigger.dev/tls-secret": "a", "outrigger.dev/config-map": "b", "outrigger.dev/app-probes": "sidecar"})
        ),
        Just(pod()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            prop::sample::select(vec![
                "name",
                "containers",
                "ports",
                "metadata",
                "spec",
                "annotations",
                "lifecycle",
                "a/b~c"
            ])
            .prop_map(str::to_owned),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn failures() -> impl Strategy<Value = Failure> {
    prop_oneof![Just(Failure::Fail), Just(Failure::Ignore)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_review_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(matches!(answer(&bytes, &policy(Failure::Fail)), Err(Malformed::NotAReview(_))));
    }

    #[test]
    fn a_review_with_bytes_changed_is_answered_or_malformed(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any::<u8>())), 1..6),
        failure in failures(),
    ) {
        let mut bytes = review().to_string().into_bytes();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            match byte {
                Some(byte) => bytes[at] = byte,
                None => _ = bytes.remove(at),
            }
        }
        if let Ok(reviewed) = answer(&bytes, &policy(failure)) {
            // Half a surrogate in a part that is skipped is no fault, and no text.
            let Ok(review) = serde_json::from_slice(&bytes) else { return Ok(()) };
            check(&review, &reviewed)?;
        }
    }

    #[test]
    fn a_review_with_parts_changed_is_answered_or_malformed(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(values())), 1..6),
        failure in failures(),
    ) {
        let mut review = review();
        for (place, value) in changes {
            change(&mut review, place, value);
        }
        if let Ok(reviewed) = answer(review.to_string().as_bytes(), &policy(failure)) {
            check(&review, &reviewed)?;
        }
    }
}
