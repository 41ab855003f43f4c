//! One object, as an API server asks about it: what [`inject`](super::inject) does to a manifest, on the value alone.

use serde_json::Value;

use super::annotations::{CONTROLS, Wishes, record};
use super::change::{Change, Path, Step, apply, at, at_mut};
use super::manifest::pod_path;
use super::patch::{Operation, difference};
use super::plan::{DEFAULT_TERMINATION_S, Plan, TERMINATION};
use super::record::sign;
use super::{Judgement, NAME, Options, judge};
use crate::config;

/// What becomes of an object that is about to be stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    Injected {
        /// As it is to be stored.
        object: Value,
        /// What makes it out of the one that came.
        patch: Vec<Operation>,
        summary: String,
        /// What a person has to know about it.
        notes: Vec<String>,
    },
    /// It stays as it is, for this reason.
    Untouched(String),
}

/// Puts the sidecar into the pod of an object, as `inject` would; or says everything that keeps it from being done. An object that has
/// a sidecar, of whatever version, stays as it is.
pub fn admit(object: &Value, options: &Options) -> Result<Admission, Vec<String>> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let path = known(object["apiVersion"].as_str().unwrap_or_default(), kind);
    let path = path.filter(|path| at(object, path).is_some());
    if let Some(record) = path.as_ref().and_then(|path| record(at(object, path)?)) {
        let version = record.map_err(|why| vec![why])?.version;
        return if has_sidecar(object, path.as_ref()) {
            Ok(Admission::Untouched(format!("version {version} of outrigger is in it already")))
        } else {
            Err(vec![format!(
                "it has the annotation outrigger.dev/injected and no container `{NAME}`; take the annotation out"
            )])
        };
    }
    let planned = match judge(&undefaulted(object, path.as_ref()), kind, path.as_ref(), options) {
        Judgement::Alone(why) => return Ok(Admission::Untouched(why.to_owned())),
        Judgement::Refused(why) => return Err(why),
        Judgement::Planned(plan) => *plan,
    };
    let Plan { mut changes, summary, mut notes, moved } = planned;
    let over_default = |change: Change| match change {
        Change::Add { to, key, value } if key == TERMINATION => {
            let at_key = [to.as_slice(), &[Step::Key(key.clone())]].concat();
            let is_there = at(object, &at_key).is_some();
            if is_there { Change::Replace { at: at_key, with: value.into() } } else { Change::Add { to, key, value } }
        }
        other => other,
    };
    changes = changes.into_iter().map(over_default).collect();
    sign(object, &path.unwrap_or_default(), &mut changes, None).map_err(|fault| vec![fault.problem])?;
    let mut injected = object.clone();
    if !apply(&changes, &mut injected) {
        return Err(vec!["a field of its pod is not of the type that the API has".to_owned()]);
    }
    notes.extend(moved.map(|moved| format!("of the Services before it, {}", moved.advice())));
    Ok(Admission::Injected { patch: difference(object, &injected), object: injected, summary, notes })
}

/// The object before an API server has written out what Kubernetes gives a pod to end. Nobody can tell it from the same number written by
/// a person, and far more pods have the one than the other: where the drain takes longer, it is raised.
fn undefaulted(object: &Value, path: Option<&Path>) -> Value {
    let mut object = object.clone();
    let spec = path.map(|path| [path.as_slice(), &[Step::Key("spec".into())]].concat());
    let spec = spec.and_then(|spec| at_mut(&mut object, &spec)).and_then(Value::as_object_mut);
    if let Some(spec) = spec.filter(|spec| spec.get(TERMINATION).is_some_and(|given| *given == DEFAULT_TERMINATION_S)) {
        spec.remove(TERMINATION);
    }
    object
}

/// What is wrong with options, whatever the pod.
pub fn check_options(options: &Options) -> Result<(), Vec<String>> {
    let wishes = Wishes::read(&Value::Null, options)?;
    let upstream =
        wishes.key("upstream").is_none().then(|| ("OUTRIGGER_UPSTREAM".to_owned(), "127.0.0.1:1".to_owned()));
    let controls: Vec<&str> = CONTROLS.iter().map(|(name, _)| *name).collect();
    let resolved = config::resolve_annotations(&wishes.keys, upstream.as_slice(), &controls);
    resolved.map(|_| ()).map_err(|report| report.faults.iter().map(ToString::to_string).collect())
}

/// From an object to its pod's metadata and spec. Other APIs than Kubernetes' own have kinds of these names as well.
fn known(api_version: &str, kind: &str) -> Option<Path> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let own = match kind {
        "Pod" | "ReplicationController" => "",
        "Job" | "CronJob" => "batch",
        _ => "apps",
    };
    (group == own).then(|| pod_path(kind)).flatten()
}

fn has_sidecar(object: &Value, path: Option<&Path>) -> bool {
    let containers = ["containers", "initContainers"].into_iter().filter_map(|list| {
        let below = [Step::Key("spec".into()), Step::Key(list.into())];
        at(object, &[path?.as_slice(), &below].concat())?.as_array()
    });
    containers.flatten().any(|container| container["name"] == NAME)
}

#[cfg(test)]
mod tests {
    use std::path::Path as File;

    use serde_json::{Map, json};

    use super::super::manifest::{Manifest, same};
    use super::super::record::Record;
    use super::super::{ANNOTATION_PREFIX, Input, Line, Outcome, Refusal, Verdict, inject};
    use super::*;

    /// The texts of a folder of the corpus, by name; those that are UTF-8.
    fn corpus(folder: &str) -> Vec<Input> {
        let folder = File::new(env!("CARGO_MANIFEST_DIR")).join("../tests/manifests").join(folder);
        let files = std::fs::read_dir(folder).expect("it is committed").map(|file| file.expect("listed").path());
        let read = files.filter_map(|file| {
            let name = file.file_name()?.to_str()?.to_owned();
            Some(Input { name, text: std::fs::read_to_string(&file).ok()? })
        });
        let mut inputs: Vec<Input> = read.collect();
        inputs.sort_by(|one, other| one.name.cmp(&other.name));
        inputs
    }

    /// Without the lines that ask for what every pod has that asks for nothing.
    fn without_default(text: &str) -> String {
        let lines = text.split_inclusive('\n');
        lines.filter(|line| line.trim() != format!("{TERMINATION}: {DEFAULT_TERMINATION_S}")).collect()
    }

    fn admitted(object: &Value, options: &Options) -> (Value, Vec<Operation>) {
        match admit(object, options) {
            Ok(Admission::Injected { object, patch, .. }) => (object, patch),
            other => panic!("{other:?}"),
        }
    }

    /// Takes the record out, which says of a text how it was written as well.
    fn unsigned(object: &Value) -> (Value, Record) {
        let path = pod_path(object["kind"].as_str().expect("text")).expect("a pod");
        let mut bare = object.clone();
        let pod = path.iter().fold(&mut bare, |value, step| &mut value[step.to_string()]);
        let annotations = pod["metadata"]["annotations"].as_object_mut().expect("one at least");
        let text = annotations.remove("outrigger.dev/injected").expect("it is signed");
        (bare, Record::parse(text.as_str().expect("text")).expect("ours"))
    }

    fn undone(object: &Value) -> Value {
        let mut value = object.clone();
        let (_, record) = unsigned(object);
        assert!(apply(&record.undo(object, false).expect("nothing is gone"), &mut value));
        value
    }

    /// Each object of the corpus becomes the same, whether it is a text or comes from an API server.
    #[test]
    fn it_does_what_inject_does() {
        let mut compared = 0;
        for mut input in corpus("accepted") {
            // What every API server writes is no wish to one, and one to a manifest.
            input.text = without_default(&input.text);
            let texts = inject(std::slice::from_ref(&input), &Options::default()).expect("accepted").texts;
            let before = Manifest::read(&input.name, &input.text).expect("accepted");
            let after = Manifest::read(&input.name, &texts[0]).expect("it was read before");
            for (object, text) in before.objects.iter().zip(&after.objects).filter(|(object, _)| !object.is_service()) {
                let name = &input.name;
                if object.value == text.value {
                    assert!(matches!(admit(&object.value, &Options::default()), Ok(Admission::Untouched(_))), "{name}");
                    continue;
                }
                let (injected, patch) = admitted(&object.value, &Options::default());
                assert!(
                    same(&unsigned(&injected).0, &unsigned(&text.value).0),
                    "{name}: {injected:#} {:#}",
                    text.value
                );
                assert!(same(&undone(&injected), &object.value), "{name}");
                assert!(same(&undone(&text.value), &object.value), "{name}");

                let patch = serde_json::to_value(patch).expect("values");
                let patch: json_patch::Patch = serde_json::from_value(patch).expect("a patch");
                let mut patched = object.value.clone();
                json_patch::patch(&mut patched, &patch).expect("each step leads somewhere");
                assert_eq!(patched, injected, "{name}");

                for done in [&injected, &text.value] {
                    let again = admit(done, &Options::default());
                    assert!(matches!(&again, Ok(Admission::Untouched(why)) if why.contains("already")), "{again:?}");
                }
                compared += 1;
            }
        }
        assert!(compared >= 40, "only {compared} objects");
    }

    /// What is wrong with an object and not with its text is wrong here too, for the same reasons.
    #[test]
    fn it_refuses_what_inject_refuses() {
        let mut compared = 0;
        for input in corpus("refused") {
            let Err(Refusal::Refused(lines)) = inject(std::slice::from_ref(&input), &Options::default()) else {
                continue;
            };
            let manifest = Manifest::read(&input.name, &input.text).expect("it was read before");
            for object in manifest.objects.iter().filter(|object| object.pod.is_some()) {
                let place = manifest.line(object, Verdict::Note, String::new()).place;
                let refused = |line: &&Line| line.verdict == Verdict::Refused && line.place == place;
                let why: Vec<&str> = lines.iter().filter(refused).map(|line| line.text.as_str()).collect();
                let admission = admit(&object.value, &Options::default());
                match why[..] {
                    // A version that was there before the webhook was must not keep pods from starting.
                    [one] if one.starts_with("version 0.0.9 ") => {
                        assert!(matches!(admission, Ok(Admission::Untouched(_)) | Err(_)), "{admission:?}");
                    }
                    [] => assert!(admission.is_ok(), "{}: {admission:?}", input.name),
                    _ => {
                        assert_eq!(admission.expect_err(&input.name), why, "{}", input.name);
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared >= 20, "only {compared} objects");
    }

    fn pod(more: Value) -> Value {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "chat-"},
            "spec": {"containers": [{"name": "chat", "image": "chat", "ports": [{"containerPort": 3000}]}]},
        });
        let Value::Object(more) = more else { panic!("a map of pointers") };
        for (pointer, value) in more {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            pod.pointer_mut(parent).expect("it is there")[key.replace("~1", "/")] = value;
        }
        pod
    }

    fn said(annotation: Option<&str>, label: Option<&str>) -> Value {
        let map = |said: Option<&str>| -> Map<String, Value> {
            said.iter().map(|word| (format!("{ANNOTATION_PREFIX}inject"), Value::from(*word))).collect()
        };
        pod(json!({"/metadata/annotations": map(annotation), "/metadata/labels": map(label)}))
    }

    #[test]
    fn annotation_and_label_decide_and_one_no_is_enough() {
        let all = Options::default();
        let chosen = Options { set: vec![("inject".into(), "false".into())], ..Options::default() };
        for (annotation, label, by_default, chosen_alone) in [
            (None, None, true, false),
            (Some("true"), None, true, true),
            (None, Some("enabled"), true, true),
            (Some("true"), Some("false"), false, false),
            (Some("off"), Some("yes"), false, false),
            (Some("no"), None, false, false),
            (None, Some("disabled"), false, false),
        ] {
            let pod = said(annotation, label);
            for (options, injected) in [(&all, by_default), (&chosen, chosen_alone)] {
                let admission = admit(&pod, options).expect("it can be injected");
                assert_eq!(matches!(admission, Admission::Injected { .. }), injected, "{annotation:?} {label:?}");
            }
        }
        for pod in [said(Some("maybe"), None), said(None, Some("maybe"))] {
            let why = admit(&pod, &all).expect_err("no such word");
            assert!(why[0].contains("`maybe` is neither `true` nor `false`"), "{why:?}");
        }
        // A manifest on its way to the cluster is judged alike.
        let text = said(None, Some("false")).to_string();
        let Outcome { texts, lines } =
            inject(&[Input { name: "-".into(), text: text.clone() }], &all).expect("declined");
        assert_eq!((texts, lines[0].verdict), (vec![text], Verdict::LeftAlone));
    }

    /// The default is on every pod that comes from an API server, and is no wish.
    #[test]
    fn the_time_to_end_is_raised_where_it_is_the_default() {
        for (given, grace, expected) in
            [(30, None, Ok(40)), (30, Some("1m"), Ok(75)), (60, None, Ok(60)), (31, Some("1m"), Err(()))]
        {
            let annotations: Map<_, _> =
                grace.iter().map(|grace| (format!("{ANNOTATION_PREFIX}shutdown-grace"), Value::from(*grace))).collect();
            let pod = pod(json!({"/spec/terminationGracePeriodSeconds": given, "/metadata/annotations": annotations}));
            let Ok(expected) = expected else {
                admit(&pod, &Options::default()).expect_err("more is asked for than fits");
                continue;
            };
            let (injected, _) = admitted(&pod, &Options::default());
            assert_eq!(injected["spec"]["terminationGracePeriodSeconds"], expected, "{given} {grace:?}");
            assert_eq!(undone(&injected), pod);
        }
    }

    #[test]
    fn the_pod_of_a_job_is_known_by_its_owner() {
        let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "migrate", "controller": true}]);
        let pod = pod(json!({"/metadata/ownerReferences": owner}));
        admitted(&pod, &Options::default());
        let why = admit(&pod, &Options { legacy: true, ..Options::default() }).expect_err("it would never end");
        assert!(why[0].contains("a Job does not end"), "{why:?}");
    }

    #[test]
    fn other_apis_are_left_alone() {
        let job = |api: &str| json!({"apiVersion": api, "kind": "Job", "spec": {"template": pod(json!({}))}});
        admitted(&job("batch/v1"), &Options::default());
        for other in [job("batch.volcano.sh/v1"), job("v1"), json!({"apiVersion": "v1", "kind": "Pod"}), json!(null)] {
            let admission = admit(&other, &Options::default());
            let alone = matches!(&admission, Ok(Admission::Untouched(why)) if why == "it has no pods");
            // A Pod without a spec is no pod of any API server.
            assert!(alone || other["kind"] == "Pod" && admission.is_err(), "{other}: {admission:?}");
        }
    }

    #[test]
    fn a_record_without_its_sidecar_is_no_way_around() {
        let (injected, _) = admitted(&pod(json!({})), &Options::default());
        let mut without = injected.clone();
        without["spec"]["initContainers"] = json!([]);
        let why = admit(&without, &Options::default()).expect_err("the sidecar is gone");
        assert!(why[0].contains("no container `outrigger`"), "{why:?}");
        without["metadata"]["annotations"]["outrigger.dev/injected"] = json!("?");
        assert!(admit(&without, &Options::default()).expect_err("unreadable")[0].contains("cannot be read"));
    }

    #[test]
    fn a_field_of_another_type_is_refused() {
        for (pointer, value) in [
            ("/spec/initContainers", json!({})),
            ("/spec/containers/0/lifecycle", json!("x")),
            ("/metadata", json!([])),
            ("/metadata", json!("x")),
        ] {
            let admission = admit(&pod(json!({pointer: value})), &Options::default());
            assert!(admission.is_err(), "{pointer}: {admission:?}");
        }
    }

    #[test]
    fn options_are_checked_before_there_is_a_pod() {
        let with = |key: &str, value: &str| Options { set: vec![(key.into(), value.into())], ..Options::default() };
        for good in [with("keepalive", "20s"), with("upstream", "unix:/run/app.sock"), with("inject", "false")] {
            check_options(&good).expect("it can be done");
        }
        check_options(&Options::default()).expect("the default");
        for (key, value, word) in [
            ("keepalive", "soon", "`soon` is not a duration"),
            ("keep-alive", "20s", "`outrigger.dev/keepalive`"),
            ("inject", "maybe", "neither `true` nor `false`"),
            ("cpu-request", "much", "not a quantity"),
        ] {
            let why = check_options(&with(key, value)).expect_err(value);
            assert!(why[0].contains(word), "{why:?}");
        }
    }
}
