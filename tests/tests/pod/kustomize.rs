//! `deploy/kustomize`: what kubectl makes of the example, beside what `outrigger inject` makes of the same app.

use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::serde::de::DeserializeOwned;
use outrigger_tests::Scratch;
use outrigger_tests::sidecar::{command, run};
use outrigger_tests::tools::{folder, on_path, python_package};
use serde_json::Value;

use crate::host::must;

#[test]
fn the_component_is_what_inject_writes() {
    let Some(kubectl) = on_path("kubectl") else {
        // Debian 12 has none that knows components, so not even CI can insist on one.
        println!("skipped: there is no kubectl here");
        return;
    };
    let Some(mut judge) = python_package("check_manifests.py", "kubernetes_validate") else { return };
    let deploy = folder().with_file_name("deploy/kustomize/example");
    let made = must(Command::new(kubectl).arg("kustomize").arg(&deploy)).stdout;
    let app = std::fs::read_to_string(deploy.join("chat.yaml")).expect("it is committed");
    // What the component cannot see and the example says in another place.
    let app = app.replace(
        "labels: {app: chat}\n",
        "labels: {app: chat}\n      annotations: {outrigger.dev/app-port: '3000', outrigger.dev/config-map: outrigger}\n",
    );
    let scratch = Scratch::new();
    let original = scratch.write("app.txt", &app);
    let injected = run(command().args(["inject", &original])).expect(0).stdout;
    let manifests = Scratch::new();
    manifests.write("kustomize.yaml", &made);
    manifests.write("inject.yaml", &injected);
    let checked = must(judge.arg(manifests.dir()));
    let checked: Value = serde_json::from_str(&checked.stdout).expect("JSON");
    assert_eq!(checked["wrong"], Value::Array(Vec::new()));

    let by_component = sidecar(&checked["files"]["kustomize.yaml"]);
    let by_inject = sidecar(&checked["files"]["inject.yaml"]);
    let bare = |container: &Container| Container { env: None, ..container.clone() };
    assert_eq!(bare(&by_component), bare(&by_inject));
    let variables = by_component.env.expect("one variable");
    assert_eq!((variables.len(), variables[0].name.as_str()), (1, "OUTRIGGER_CONFIG"));
    let wanted = by_inject.env.unwrap_or_default();
    assert!(wanted.contains(&variables[0]), "{variables:?} is not among {wanted:?}");

    // The file says what the variables would.
    let config: ConfigMap = object(&checked["files"]["kustomize.yaml"], "ConfigMap");
    let file = config.data.as_ref().and_then(|data| data.get("outrigger.toml")).expect("the configuration");
    let file = scratch.write("outrigger.toml", file);
    let by_file = run(command().args(["config", "--config", &file])).expect(0).stdout;
    let mut by_variables = command();
    for variable in wanted.iter().filter(|variable| variable.name != "OUTRIGGER_CONFIG") {
        by_variables.env(&variable.name, variable.value.as_deref().unwrap_or_default());
    }
    let by_variables = run(by_variables.arg("config")).expect(0).stdout;
    assert_eq!(values(&by_file), values(&by_variables));

    let service: Service = object(&checked["files"]["kustomize.yaml"], "Service");
    let ports = service.spec.and_then(|spec| spec.ports).expect("ports");
    assert_eq!(ports[0].target_port, Some(IntOrString::Int(8080)));
    let deployment: Deployment = object(&checked["files"]["kustomize.yaml"], "Deployment");
    let volumes = deployment.spec.template.spec.and_then(|spec| spec.volumes).expect("volumes");
    let mounted = volumes.iter().find_map(|volume| volume.config_map.as_ref());
    assert_eq!(
        mounted.map(|map| Some(map.name.clone())),
        Some(config.metadata.name),
        "the name has the hash of what is in it"
    );
}

fn object<T: DeserializeOwned>(documents: &Value, kind: &str) -> T {
    let mut of_kind = documents.as_array().expect("documents").iter().filter(|object| object["kind"] == kind);
    let object = of_kind.next().unwrap_or_else(|| panic!("a {kind} expected in {documents}"));
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

fn sidecar(documents: &Value) -> Container {
    let deployment: Deployment = object(documents, "Deployment");
    let spec = deployment.spec.template.spec.expect("a pod");
    assert_eq!(spec.termination_grace_period_seconds, Some(40));
    let mut sidecars = spec.init_containers.into_iter().flatten().filter(|container| container.name == "outrigger");
    sidecars.next().expect("a sidecar")
}

/// The lines of `outrigger config` without where a value came from.
fn values(config: &str) -> Vec<&str> {
    let lines = config.lines().map(|line| line.split_once(" #").map_or(line, |(value, _)| value).trim_end());
    lines.filter(|line| !line.is_empty()).collect()
}
