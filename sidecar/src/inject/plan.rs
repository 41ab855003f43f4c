//! What has to change in one pod: pure, from its value to a list of changes.

use std::time::Duration;

use serde_json::{Value, json};

use super::annotations::{CONTROLS, Wishes};
use super::app::{self, App};
use super::change::{Change, Path, Step};
use super::container::{self, Sidecar};
use super::record::is_ours;
use super::{NAME, Options};
use crate::config::{self, Config, Scheme};

/// Where the admin API listens in a pod: the kubelet's probes come from outside.
const ADMIN: &str = "0.0.0.0:9900";
/// Ports that are tried for a listener, until one is free in the pod.
const PORTS_TRIED: u16 = 100;
/// What Kubernetes gives a pod to end if it says nothing.
pub(crate) const DEFAULT_TERMINATION_S: u64 = 30;
pub(crate) const TERMINATION: &str = "terminationGracePeriodSeconds";
/// Between the longest drain and the kill.
const TERMINATION_MARGIN_S: u64 = 5;
/// The shortest grace that a pod's termination may leave the drain.
const MIN_GRACE_S: u64 = 5;
/// The kernel lets only privileged processes bind ports below this one.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// What is to be done to a pod, and what a person has to know about it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub changes: Vec<Change>,
    pub summary: String,
    pub notes: Vec<String>,
    pub moved: Option<Moved>,
}

/// The app's port, which clients reach at the sidecar's from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    pub name: Option<String>,
    pub from: u16,
    pub to: u16,
}

impl Moved {
    /// What to do about Services that nobody changes.
    pub(crate) fn advice(&self) -> String {
        let Self { name, from, to } = self;
        let by_name =
            name.as_ref().map_or_else(String::new, |name| format!("; one that targets `{name}` finds it by itself"));
        format!("one that targets port {from} by number has to target {to}{by_name}")
    }
}

/// Plans the injection of the pod whose metadata and spec are at `path` of `root`; or says why there can be none.
pub(crate) fn plan(root: &Value, path: &Path, kind: &str, options: &Options) -> Result<Plan, Vec<String>> {
    let pod = super::change::at(root, path).unwrap_or(&Value::Null);
    let spec = &pod["spec"];
    refuse(spec).map_err(|why| vec![why])?;
    let wishes = Wishes::read(pod, options)?;
    if wishes.legacy && is_of_a_job(kind, pod) {
        let why =
            "a Job does not end as long as a plain sidecar container runs; leave out --legacy and outrigger.dev/legacy";
        return Err(vec![why.to_owned()]);
    }
    let app = App::find(spec, &wishes, pod).map_err(|why| vec![why])?;
    let mut variables = derived(spec, &app, &wishes)?;
    let controls: Vec<&str> = CONTROLS.iter().map(|(name, _)| *name).collect();
    let (config, warnings) = config::resolve_annotations(&wishes.keys, &variables, &controls)
        .map_err(|report| report.faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    check_ports(spec, &config).map_err(|why| vec![why])?;
    let mut notes: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let spec_path = [path.as_slice(), &[Step::Key("spec".into())]].concat();
    let mut changes = Vec::new();
    let fitted = termination(spec, &spec_path, &config, &wishes, &mut changes, &mut notes).map_err(|why| vec![why])?;
    variables.extend(fitted);
    let listen = config.listeners[0].addr.port();
    let moved = app.port.map(|from| Moved { name: app.port_name.clone(), from, to: listen });
    changes
        .extend(app::changes(spec, &spec_path, &app, listen, &config, &wishes, &mut notes).map_err(|why| vec![why])?);
    let admin = admin(&wishes);
    if admin.is_some() && wishes.key("admin").is_none() {
        variables.push(("OUTRIGGER_ADMIN".into(), ADMIN.into()));
    }
    variables.extend(wishes.variables());
    let sidecar = Sidecar { wishes: &wishes, variables: &variables, config: &config, admin, app: &app };
    changes.extend(container::changes(spec, &spec_path, &sidecar));
    let upstream = wishes.key("upstream").map_or_else(|| format!("port {}", app.port.unwrap_or(0)), str::to_owned);
    let summary = format!("the app `{}` at {upstream} is behind port {listen}", app.name);
    Ok(Plan { changes, summary, notes, moved })
}

/// Whether the pod is to end by itself. An API server asks about the pods of a Job, too, one by one.
fn is_of_a_job(kind: &str, pod: &Value) -> bool {
    let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    matches!(kind, "Job" | "CronJob") || owners.into_iter().any(|owner| owner["kind"] == "Job")
}

/// Pods that a sidecar cannot be put into.
fn refuse(spec: &Value) -> Result<(), String> {
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        return Err("it has no containers".into());
    }
    if spec["hostNetwork"] == true {
        return Err("it uses the host's network (hostNetwork: true), where the app's port is everybody's; \
                    run outrigger on the host, or give the pod a network of its own"
            .into());
    }
    if spec["os"]["name"] == "windows" {
        return Err("it is a Windows pod, and there is no outrigger for Windows".into());
    }
    for list in ["containers", "initContainers", "volumes"] {
        let items = spec[list].as_array().into_iter().flatten();
        let mut names = items.filter_map(|item| item["name"].as_str());
        if let Some(name) = names.find(|name| if list == "volumes" { is_ours(name) } else { *name == NAME }) {
            return Err(format!(
                "{list} has `{name}` already, put there by hand; take it out, or give it another name"
            ));
        }
    }
    Ok(())
}

/// The variables that follow from the pod; those of a key that an annotation sets are left to it.
fn derived(spec: &Value, app: &App, wishes: &Wishes) -> Result<Vec<(String, String)>, Vec<String>> {
    let mut variables = Vec::new();
    let mut put = |key: &str, value: String| {
        if wishes.key(key).is_none() {
            variables.push((format!("OUTRIGGER_{}", key.to_ascii_uppercase()), value));
        }
    };
    let mut taken = declared_ports(spec);
    taken.extend(app.port);
    let mut listen = Vec::new();
    for (scheme, first) in [("http", 8080), ("https", 8443)] {
        if scheme == "https" && wishes.tls_secret.is_none() {
            continue;
        }
        let Some(port) = (first..first + PORTS_TRIED).find(|port| !taken.contains(port)) else {
            return Err(vec![format!(
                "ports {first} to {} are all taken; say `listen` by annotation",
                first + PORTS_TRIED - 1
            )]);
        };
        taken.push(port);
        listen.push(format!("{scheme}://0.0.0.0:{port}"));
    }
    put("listen", listen.join(","));
    if let Some(port) = app.port {
        put("upstream", format!("127.0.0.1:{port}"));
    }
    if wishes.tls_secret.is_some() {
        put("tls_cert", format!("{}/tls.crt", container::TLS_FOLDER));
        put("tls_key", format!("{}/tls.key", container::TLS_FOLDER));
    }
    if wishes.config_map.is_some() {
        variables.push(("OUTRIGGER_CONFIG".into(), format!("{}/{}", container::CONFIG_FOLDER, container::CONFIG_FILE)));
    }
    Ok(variables)
}

/// All ports that containers of the pod declare.
fn declared_ports(spec: &Value) -> Vec<u16> {
    let containers = ["containers", "initContainers"].into_iter().filter_map(|list| spec[list].as_array()).flatten();
    let ports = containers.filter_map(|container| container["ports"].as_array()).flatten();
    ports.filter_map(|port| u16::try_from(port["containerPort"].as_u64()?).ok()).collect()
}

fn check_ports(spec: &Value, config: &Config) -> Result<(), String> {
    let declared = declared_ports(spec);
    for listener in &config.listeners {
        let port = listener.addr.port();
        if declared.contains(&port) {
            return Err(format!("a container of the pod has port {port} already; let the sidecar `listen` on another"));
        }
        if port == 0 {
            return Err("`listen` on port 0 takes any port, and nobody could be sent there".into());
        }
        if port < FIRST_UNPRIVILEGED_PORT {
            return Err(format!(
                "`listen` on port {port} needs a privilege that the sidecar is not given; take one from \
                 {FIRST_UNPRIVILEGED_PORT} on, and let the Service have port {port}"
            ));
        }
    }
    Ok(())
}

/// Makes the pod's termination last longer than the drain, or the drain fit into it. Gives the variable for that.
fn termination(
    spec: &Value,
    spec_path: &Path,
    config: &Config,
    wishes: &Wishes,
    changes: &mut Vec<Change>,
    notes: &mut Vec<String>,
) -> Result<Option<(String, String)>, String> {
    let closing = seconds(config.session.close_timeout * 2) + TERMINATION_MARGIN_S;
    let needed = seconds(config.shutdown_grace) + closing;
    let Some(given) = spec.get(TERMINATION).filter(|given| !given.is_null()) else {
        if needed > DEFAULT_TERMINATION_S {
            let key = TERMINATION.to_owned();
            changes.push(Change::Add { to: spec_path.clone(), key, value: needed.into() });
        }
        return Ok(None);
    };
    let given = given.as_u64().ok_or("terminationGracePeriodSeconds is not a number of seconds")?;
    if given >= needed {
        return Ok(None);
    }
    let left = given.saturating_sub(closing);
    if wishes.key("shutdown_grace").is_some() || left < MIN_GRACE_S {
        return Err(format!(
            "terminationGracePeriodSeconds: {given} is too short for the drain; make it {needed} or more (shutdown_grace, \
             twice close_timeout and {TERMINATION_MARGIN_S} s), or shorten outrigger.dev/shutdown-grace"
        ));
    }
    notes.push(format!(
        "terminationGracePeriodSeconds: {given} leaves the drain {left} s instead of {} s; {needed} would be enough for all of it",
        seconds(config.shutdown_grace)
    ));
    Ok(Some(("OUTRIGGER_SHUTDOWN_GRACE".into(), format!("{left}s"))))
}

/// The port of the admin API; `None` if it is off.
fn admin(wishes: &Wishes) -> Option<u16> {
    match wishes.key("admin") {
        Some("off") => None,
        given => given.unwrap_or(ADMIN).rsplit_once(':').and_then(|(_, port)| port.parse().ok()),
    }
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// The name of the port of a listener besides the first.
pub(crate) fn port_name(scheme: Scheme) -> String {
    format!("{NAME}-{}", scheme.as_str())
}

/// A variable of a container.
pub(crate) fn named(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}
