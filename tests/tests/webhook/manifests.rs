//! `deploy/webhook`: whether others find fault with the manifests, whether they fit together, and whether their selectors say what
//! the process says.

use std::path::{Path, PathBuf};

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, PodSpec, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use outrigger_tests::certs::TlsClient;
use outrigger_tests::kubernetes;
use outrigger_tests::sidecar::{command, run};
use outrigger_tests::tools::{folder, installed, python_package};
use outrigger_tests::{Launch, Scratch, Wire};
use serde_json::{Value, json};

use super::{ask, creation, recorded};

const YES: [&str; 4] = ["true", "enabled", "on", "yes"];
const NO: [&str; 4] = ["false", "disabled", "off", "no"];

fn deploy() -> PathBuf {
    folder().parent().expect("the repository").join("deploy/webhook")
}

/// The objects in these texts, and what is wrong with them; `None` where those who can tell are not installed.
fn judged(texts: &[(String, String)]) -> Option<(Vec<Value>, Value)> {
    let mut judge = python_package("check_manifests.py", "kubernetes_validate")?;
    let scratch = Scratch::new();
    for (name, text) in texts {
        scratch.write(name, text);
    }
    let judged: Value = serde_json::from_str(&run(judge.arg(scratch.dir())).expect(0).stdout).expect("JSON");
    let files = judged["files"].as_object().expect("a map");
    let objects = files.values().filter_map(Value::as_array).flatten().cloned().collect();
    Some((objects, judged["wrong"].clone()))
}

/// All that is applied where cert-manager is.
fn objects() -> Option<Vec<Value>> {
    let mut texts = Vec::new();
    for dir in ["base", "cert-manager"] {
        for file in std::fs::read_dir(deploy().join(dir)).expect("it is committed") {
            let file = file.expect("it can be listed").path();
            if file.file_name().is_some_and(|name| name != "kustomization.yaml") {
                texts.push((text(&file.file_name().expect("a file").to_string_lossy()), read_text(&file)));
            }
        }
    }
    let (objects, wrong) = judged(&texts)?;
    assert_eq!(wrong, json!([]));
    Some(objects)
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn read_text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The one object of this kind, as its type.
#[track_caller]
fn the<T: DeserializeOwned + Serialize>(objects: &[Value], kind: &str) -> T {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "two of the kind {kind}");
    kubernetes::read(kind, object)
}

/// The one pod spec, and its one container's variables.
fn pod(objects: &[Value]) -> PodSpec {
    the::<Deployment>(objects, "Deployment").spec.template.spec.expect("a pod has one")
}

#[test]
fn others_find_no_fault_and_there_are_no_rights() {
    let Some(objects) = objects() else { return };
    let namespace: Namespace = the(&objects, "Namespace");
    let name = namespace.metadata.name.expect("a name");
    for object in &objects {
        let kind = object["kind"].as_str().expect("a kind");
        let scoped = !["Namespace", "MutatingWebhookConfiguration"].contains(&kind);
        assert_eq!(object["metadata"]["namespace"], if scoped { json!(name) } else { Value::Null }, "{kind}");
        // It calls nobody, so nobody needs to let it.
        assert!(!kind.contains("Role"), "{kind}");
    }
    let account: ServiceAccount = the(&objects, "ServiceAccount");
    assert_eq!(account.automount_service_account_token, Some(false));
    let policy: NetworkPolicy = the(&objects, "NetworkPolicy");
    let policy = policy.spec.expect("one");
    assert_eq!(policy.policy_types, Some(vec!["Ingress".to_owned(), "Egress".to_owned()]));
    assert!(policy.egress.is_none_or(|rules| rules.is_empty()));
}

#[test]
fn they_fit_together() {
    let Some(objects) = objects() else { return };
    let deployment: Deployment = the(&objects, "Deployment");
    let labels = deployment.spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).expect("some");
    let service: Service = the(&objects, "Service");
    let (service_name, namespace) =
        (service.metadata.name.expect("a name"), service.metadata.namespace.expect("a name"));
    let service = service.spec.expect("one");
    assert_eq!(service.selector.as_ref(), Some(&labels));
    let budget: PodDisruptionBudget = the(&objects, "PodDisruptionBudget");
    let policy: NetworkPolicy = the(&objects, "NetworkPolicy");
    for selector in [budget.spec.and_then(|spec| spec.selector), policy.spec.and_then(|spec| spec.pod_selector)] {
        assert_eq!(selector.and_then(|selector| selector.match_labels).as_ref(), Some(&labels));
    }
    let pod = pod(&objects);
    let container = &pod.containers[0];
    let port = &container.ports.as_ref().expect("one")[0];
    let port_name = port.name.clone().expect("a name");
    let target = &service.ports.as_ref().expect("one")[0];
    assert_eq!(serde_json::to_value(&target.target_port).expect("text"), json!(port_name));

    // Where the process listens and looks for its certificate, if nobody says otherwise.
    let help = run(command().args(["webhook", "--help"])).expect(0).stdout;
    assert!(help.contains(&format!("[default: 0.0.0.0:{}]", port.container_port)), "{help}");
    let mount = &container.volume_mounts.as_ref().expect("one")[0];
    for file in ["tls.crt", "tls.key"] {
        assert!(help.contains(&format!("[default: {}/{file}]", mount.mount_path)), "{help}");
    }
    let volume = &pod.volumes.as_ref().expect("one")[0];
    assert_eq!(volume.name, mount.name);
    let secret = volume.secret.as_ref().and_then(|secret| secret.secret_name.clone()).expect("a name");

    // The certificate is for the name that API servers ask for, under the authority that the configuration is given.
    let certificates: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Certificate").collect();
    let leaf = certificates.iter().find(|object| object["spec"]["secretName"] == *secret).expect("one");
    assert_eq!(leaf["spec"]["dnsNames"][0], format!("{service_name}.{namespace}.svc"));
    let issuer = objects
        .iter()
        .find(|object| object["kind"] == "Issuer" && object["metadata"]["name"] == leaf["spec"]["issuerRef"]["name"]);
    let authority = certificates.iter().find(|object| object["spec"]["isCA"] == true).expect("one");
    assert_eq!(issuer.expect("one")["spec"]["ca"]["secretName"], authority["spec"]["secretName"]);

    let configuration: MutatingWebhookConfiguration = the(&objects, "MutatingWebhookConfiguration");
    let inject_from =
        configuration.metadata.annotations.and_then(|all| all.get("cert-manager.io/inject-ca-from").cloned());
    assert_eq!(inject_from, Some(format!("{namespace}/{}", leaf["metadata"]["name"].as_str().expect("a name"))));
    for webhook in configuration.webhooks.expect("two") {
        let MutatingWebhook { client_config, rules, .. } = &webhook;
        let service_reference = client_config.service.as_ref().expect("one");
        assert_eq!((&service_reference.name, &service_reference.namespace), (&service_name, &namespace));
        assert_eq!((service_reference.path.as_deref(), service_reference.port), (Some("/inject"), Some(target.port)));
        assert_eq!(webhook.side_effects, "None");
        assert_eq!(webhook.admission_review_versions, ["v1"]);
        let rules = rules.as_ref().expect("one");
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].operations, Some(vec!["CREATE".to_owned()]));
        assert_eq!(rules[0].resources, Some(vec!["pods".to_owned()]));
        // Both doors are closed, or both open.
        let policy =
            container.env.iter().flatten().find(|variable| variable.name == "OUTRIGGER_WEBHOOK_FAILURE_POLICY");
        let policy = policy.and_then(|variable| variable.value.clone()).expect("a value");
        assert_eq!(webhook.failure_policy.map(|policy| policy.to_ascii_lowercase()), Some(policy));
    }
}

#[test]
fn its_pod_is_hardened_and_its_variables_are_known() {
    let Some(objects) = objects() else { return };
    let pod = pod(&objects);
    let [container] = &pod.containers[..] else { panic!("one container expected") };
    assert_eq!((pod.automount_service_account_token, pod.enable_service_links), (Some(false), Some(false)));
    let context = pod.security_context.as_ref().expect("one");
    assert_eq!((context.run_as_non_root, context.run_as_user), (Some(true), Some(65532)));
    assert_eq!(context.seccomp_profile.as_ref().map(|profile| profile.type_.as_str()), Some("RuntimeDefault"));
    let context = container.security_context.as_ref().expect("one");
    assert_eq!((context.allow_privilege_escalation, context.read_only_root_filesystem), (Some(false), Some(true)));
    let dropped = context.capabilities.as_ref().and_then(|capabilities| capabilities.drop.clone());
    assert_eq!(dropped, Some(vec!["ALL".to_owned()]));
    let memory = container.resources.as_ref().and_then(|resources| resources.limits.as_ref()?.get("memory").cloned());
    // As much as the test of large reviews lets it have.
    assert_eq!(memory.map(|memory| memory.0), Some("256Mi".to_owned()));
    // The shutdown delay of 5 s, and 10 s for what is underway.
    assert!(pod.termination_grace_period_seconds.is_some_and(|seconds| seconds > 15));
    let image = format!("outrigger:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(container.image.as_ref(), Some(&image));
    assert_eq!(container.command, Some(vec!["/outrigger".to_owned(), "webhook".to_owned()]));

    let mut launch = Launch::webhook();
    for variable in container.env.iter().flatten() {
        launch = launch.env(&variable.name, variable.value.as_deref().expect("a value"));
    }
    let webhook = launch.start();
    let response = ask(&mut webhook.connect("https"), &recorded("pod"));
    assert!(super::patch(&response).to_string().contains(&format!("\"image\":\"{image}\"")), "{response}");
    for probe in [&container.startup_probe, &container.liveness_probe, &container.readiness_probe] {
        let get = probe.as_ref().and_then(|probe| probe.http_get.as_ref()).expect("one");
        assert_eq!(get.scheme.as_deref(), Some("HTTPS"));
        let path = get.path.as_deref().expect("a path");
        webhook.connect("https").ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).expect(200);
    }
}

/// Whether a selector with expressions alone selects these labels (labels-and-selectors, set-based requirements).
fn selects(selector: Option<&LabelSelector>, labels: &[(&str, &str)]) -> bool {
    let Some(selector) = selector else { return true };
    assert!(selector.match_labels.is_none(), "only expressions are read here");
    selector.match_expressions.iter().flatten().all(|requirement| {
        let value = labels.iter().find(|(key, _)| *key == requirement.key).map(|(_, value)| (*value).to_owned());
        let among = value.is_some_and(|value| requirement.values.iter().flatten().any(|known| *known == value));
        match requirement.operator.as_str() {
            "In" => among,
            "NotIn" => !among,
            other => panic!("nobody reads {other} here"),
        }
    })
}

/// Each namespace's word against each pod's: who is asked about, and what the process says of who is.
#[test]
fn selectors_say_what_the_process_says() {
    let Some(objects) = objects() else { return };
    let configuration: MutatingWebhookConfiguration = the(&objects, "MutatingWebhookConfiguration");
    let webhooks = configuration.webhooks.expect("two");
    let webhook = Launch::webhook().start();
    let mut wire = webhook.connect("https");
    let words: Vec<Option<&str>> =
        [None, Some("perhaps")].into_iter().chain(YES.map(Some)).chain(NO.map(Some)).collect();
    let (yes, no) = (
        |word: Option<&str>| word.is_some_and(|word| YES.contains(&word)),
        |word: Option<&str>| word.is_some_and(|word| NO.contains(&word)),
    );
    for (name, own) in
        [("chat", false), ("kube-system", true), ("kube-public", true), ("kube-node-lease", true), ("outrigger", true)]
    {
        for namespace in &words {
            for pod in &words {
                let mut namespace_labels = vec![("kubernetes.io/metadata.name", name)];
                namespace_labels.extend(namespace.map(|word| ("outrigger.dev/inject", word)));
                let pod_labels: Vec<_> = pod.iter().map(|word| ("outrigger.dev/inject", *word)).collect();
                let asked = webhooks.iter().filter(|webhook| {
                    selects(webhook.namespace_selector.as_ref(), &namespace_labels)
                        && selects(webhook.object_selector.as_ref(), &pod_labels)
                });
                let asked = asked.count();
                let at_stake = format!("{name}: {namespace:?}, pod {pod:?}");
                // As the table of docs/WEBHOOK.md has it. A pod's word that is none is asked about, to be told so.
                let wanted = !own && !no(*namespace) && (yes(*pod) || yes(*namespace) && !no(*pod));
                assert_eq!(asked, usize::from(wanted), "{at_stake}");
                if asked == 0 && !no(*pod) || own || name != "chat" {
                    continue;
                }
                let mut object = recorded("pod")["request"]["object"].clone();
                if let Some(word) = pod {
                    object["metadata"]["labels"]["outrigger.dev/inject"] = json!(word);
                }
                let response = ask(&mut wire, &creation("a", &object));
                let expected = if no(*pod) {
                    "untouched"
                } else if *pod == Some("perhaps") {
                    "denied"
                } else {
                    "injected"
                };
                let got = match (response["allowed"].as_bool(), response.get("patch")) {
                    (Some(true), Some(_)) => "injected",
                    (Some(true), None) => "untouched",
                    _ => "denied",
                };
                assert_eq!(got, expected, "{at_stake}");
            }
        }
    }
    // Whoever asks about Kubernetes' own namespaces all the same is told that they are left alone.
    for name in ["kube-system", "kube-public", "kube-node-lease"] {
        let mut review = recorded("pod");
        review["request"]["namespace"] = json!(name);
        assert!(ask(&mut wire, &review).get("patch").is_none(), "{name}");
    }
}

#[test]
fn kustomize_builds_what_the_files_say() {
    let Some(mut objects) = objects() else { return };
    let Some(mut kubectl) = installed("kubectl") else { return };
    let built = run(kubectl.arg("kustomize").arg(deploy().join("cert-manager"))).expect(0).stdout;
    let Some((mut built, wrong)) = judged(&[("built.yaml".to_owned(), built)]) else { return };
    assert_eq!(wrong, json!([]));
    let key = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    built.sort_by_key(key);
    objects.sort_by_key(key);
    assert_eq!(built, objects);
}

#[test]
fn the_script_makes_a_certificate_that_api_servers_trust() {
    let Some(_) = installed("openssl") else { return };
    let scratch = Scratch::new();
    let mut trusted = scratch.write("trusted.pem", "");
    let mut bundles = Vec::new();
    for round in 1..=3_usize {
        let mut script = std::process::Command::new(deploy().join("self-signed"));
        let printed = run(script.arg("30").env("OUTRIGGER_TRUSTED", &trusted)).expect(0).stdout;
        let Some((objects, wrong)) = judged(&[("printed.yaml".to_owned(), printed)]) else { return };
        assert_eq!(wrong, json!([]));
        assert_eq!(objects.len(), 2);
        let secret: Secret = the(&objects, "Secret");
        assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
        let data = secret.data.expect("some");
        let configuration: MutatingWebhookConfiguration = the(&objects, "MutatingWebhookConfiguration");
        assert_eq!(configuration.metadata.annotations, None);
        let webhooks = configuration.webhooks.expect("two");
        let bundle = webhooks[0].client_config.ca_bundle.clone().expect("one").0;
        assert!(
            webhooks.iter().all(|webhook| webhook
                .client_config
                .ca_bundle
                .as_ref()
                .is_some_and(|other| other.0 == bundle))
        );
        let bundle = String::from_utf8(bundle).expect("PEM");
        // The one before is trusted as well, and no older one.
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), round.min(2));

        let launch = Launch::webhook();
        launch.file("server.pem", std::str::from_utf8(&data["tls.crt"].0).expect("PEM"));
        launch.file("server-key.pem", std::str::from_utf8(&data["tls.key"].0).expect("PEM"));
        let webhook = launch.start();
        trusted = scratch.write("trusted.pem", &bundle);
        bundles.push(bundle);
        let connect = |pem: &str, name: &str| Wire::tls(webhook.addr("https"), TlsClient::trusting(pem).build(), name);
        let name = "outrigger-webhook.outrigger.svc";
        let mut wire = connect(bundles.last().expect("one"), name).expect("it is trusted");
        assert!(ask(&mut wire, &recorded("pod")).get("patch").is_some());
        assert!(connect(bundles.last().expect("one"), "localhost").is_err());
        if round > 1 {
            assert!(connect(&bundles[round - 2], name).is_err(), "the authority is a new one");
        }
    }
}
