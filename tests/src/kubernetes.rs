//! Objects of Kubernetes, as the types of its API read them.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, Pod, PodSpec, PodTemplateSpec, ReplicationController, Service, ServiceAccount,
};
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads an object as the types of its API, which have to know all that is in it, and gives the number of its sidecars.
#[track_caller]
pub fn typed(file: &str, object: &Value) -> usize {
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

/// An object as this type, which has to know all that is in it.
#[track_caller]
pub fn read<T: DeserializeOwned + Serialize>(file: &str, object: &Value) -> T {
    let typed: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{file}: {error}"));
    let again = serde_json::to_value(&typed).expect("it can be written");
    assert_eq!(bare(&again), bare(object), "{file}: something is lost");
    typed
}

/// Without nulls and empty collections, which types keep or leave out as they like.
pub fn bare(value: &Value) -> Value {
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
