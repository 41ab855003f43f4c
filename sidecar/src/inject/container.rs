//! The sidecar's own container and volumes.

use serde_json::{Map, Value, json};

use super::NAME;
use super::annotations::Wishes;
use super::app::App;
use super::change::{Change, Path, Step};
use super::plan::{named, port_name};
use crate::config::Config;

pub(crate) const TLS_FOLDER: &str = "/etc/outrigger/tls";
pub(crate) const CONFIG_FOLDER: &str = "/etc/outrigger/config";
pub(crate) const CONFIG_FILE: &str = "outrigger.toml";

/// Who runs it; the same number as in the image.
const USER: u32 = 65532;
/// How often, in seconds, a sidecar that starts is asked, and how often it may fail to answer.
const STARTUP: (u32, u32) = (1, 60);

/// What the sidecar's container is made of.
pub(crate) struct Sidecar<'a> {
    pub wishes: &'a Wishes,
    pub variables: &'a [(String, String)],
    pub config: &'a Config,
    /// The port of the admin API; without one there are no probes and no drain before SIGTERM.
    pub admin: Option<u16>,
    pub app: &'a App,
}

/// The container and the volumes that it needs.
pub(crate) fn changes(spec: &Value, spec_path: &Path, sidecar: &Sidecar) -> Vec<Change> {
    let list = if sidecar.wishes.legacy { "containers" } else { "initContainers" };
    let mut volumes = Vec::new();
    if let Some(secret) = &sidecar.wishes.tls_secret {
        volumes.push(json!({"name": format!("{NAME}-tls"), "secret": {"secretName": secret}}));
    }
    if let Some(map) = &sidecar.wishes.config_map {
        volumes.push(json!({"name": format!("{NAME}-config"), "configMap": {"name": map}}));
    }
    let container = append(spec, spec_path, list, vec![container(sidecar)]);
    container.into_iter().chain(append(spec, spec_path, "volumes", volumes)).collect()
}

/// Items at the end of a list of the pod, which may not be there yet.
fn append(spec: &Value, spec_path: &Path, list: &str, items: Vec<Value>) -> Option<Change> {
    let key = list.to_owned();
    if items.is_empty() {
        return None;
    }
    if spec.get(list).is_none() {
        return Some(Change::Add { to: spec_path.clone(), key, value: items.into() });
    }
    let to = [spec_path.as_slice(), &[Step::Key(key)]].concat();
    Some(Change::Append { to, values: items })
}

fn container(sidecar: &Sidecar) -> Value {
    let wishes = sidecar.wishes;
    let mut container = Map::new();
    let mut put = |key: &str, value: Value| container.insert(key.to_owned(), value);
    put("name", NAME.into());
    put("image", wishes.image.as_str().into());
    put("command", json!(["/outrigger", "run"]));
    if !wishes.legacy {
        put("restartPolicy", "Always".into());
    }
    let ports = ports(sidecar);
    if !ports.is_empty() {
        put("ports", ports.into());
    }
    put("env", sidecar.variables.iter().map(|(name, value)| named(name, value)).collect());
    if let Some(port) = sidecar.admin {
        let get = |path: &str| json!({"path": path, "port": port});
        let (period, failures) = STARTUP;
        put("startupProbe", json!({"httpGet": get("/live"), "periodSeconds": period, "failureThreshold": failures}));
        put("livenessProbe", json!({"httpGet": get("/live")}));
        put("readinessProbe", json!({"httpGet": get("/ready")}));
        put("lifecycle", json!({"preStop": {"exec": {"command": ["/outrigger", "drain"]}}}));
    }
    let requests = json!({"cpu": wishes.cpu_request, "memory": wishes.memory_request});
    put("resources", json!({"requests": requests, "limits": {"memory": wishes.memory_limit}}));
    put(
        "securityContext",
        json!({
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }),
    );
    let mounts = mounts(wishes);
    if !mounts.is_empty() {
        put("volumeMounts", mounts.into());
    }
    Value::Object(container)
}

/// Ports that the app's container does not declare. The first listener's is declared there, under the name that the app's had: before
/// Kubernetes 1.33, Services do not find named ports of native sidecars.
fn ports(sidecar: &Sidecar) -> Vec<Value> {
    let declared = usize::from(sidecar.app.port_index.is_some());
    let mut ports = Vec::new();
    for (number, listener) in sidecar.config.listeners.iter().enumerate().skip(declared) {
        let name = if number == 0 { NAME.to_owned() } else { port_name(listener.scheme) };
        let again = ports.iter().any(|port: &Value| port["name"] == *name);
        let mut port = json!({"containerPort": listener.addr.port()});
        if !again {
            port["name"] = name.into();
        }
        ports.push(port);
    }
    if let Some(admin) = sidecar.admin {
        ports.push(json!({"name": format!("{NAME}-admin"), "containerPort": admin}));
    }
    ports
}

fn mounts(wishes: &Wishes) -> Vec<Value> {
    let mount = |volume: &str, folder: &str| json!({"name": volume, "mountPath": folder, "readOnly": true});
    let tls = wishes.tls_secret.as_ref().map(|_| mount("outrigger-tls", TLS_FOLDER));
    let config = wishes.config_map.as_ref().map(|_| mount("outrigger-config", CONFIG_FOLDER));
    tls.into_iter().chain(config).collect()
}
