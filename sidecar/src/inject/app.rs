//! The app in a pod: which container it is, on which port it listens, and what has to change about it.

use serde_json::{Value, json};

use super::annotations::Wishes;
use super::change::{Change, Path, Step};
use super::plan::seconds;
use crate::config::Config;

/// Names of ports that are taken for the app's where there are several.
const USUAL_NAMES: [&str; 5] = ["http", "ws", "websocket", "web", "app"];
/// Says which container is meant, to kubectl and to us.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The container that the sidecar is for.
#[derive(Debug)]
pub(crate) struct App {
    pub index: usize,
    pub name: String,
    /// `None` if it is not reached by a port of the pod.
    pub port: Option<u16>,
    /// The name of the port, and where among the container's ports it is declared.
    pub port_name: Option<String>,
    pub port_index: Option<usize>,
}

impl App {
    /// Finds it, or says what to write so that it can be found.
    pub(crate) fn find(spec: &Value, wishes: &Wishes, pod: &Value) -> Result<Self, String> {
        let index = container(spec, wishes, pod)?;
        let container = &spec["containers"][index];
        let name = container["name"].as_str().unwrap_or_default().to_owned();
        let ports: Vec<Port> = ports(container);
        let given = match (&wishes.app_port, wishes.key("upstream")) {
            (Some(port), _) => Some(port.clone()),
            (None, Some(upstream)) => match local_port(upstream) {
                Some(port) => Some(port),
                None => return Ok(Self { index, name, port: None, port_name: None, port_index: None }),
            },
            (None, None) => None,
        };
        let found = match given {
            Some(given) => match given.parse::<u16>() {
                Ok(0) => return Err("outrigger.dev/app-port: `0` is not a port".into()),
                Ok(number) => {
                    let declared = ports.iter().find(|port| port.number == number).cloned();
                    declared.unwrap_or(Port { index: None, number, name: None })
                }
                Err(_) => ports.iter().find(|port| port.name.as_ref() == Some(&given)).cloned().ok_or_else(|| {
                    format!("outrigger.dev/app-port: the container `{name}` has no port `{given}`; {}", list(&ports))
                })?,
            },
            None => usual(&name, &ports)?,
        };
        Ok(Self { index, name, port: Some(found.number), port_name: found.name, port_index: found.index })
    }
}

/// The port of the one upstream that is in the pod. A Unix socket has none, several have no common one, and one elsewhere is no
/// port of the app.
fn local_port(upstream: &str) -> Option<String> {
    let address = upstream.split_once("://").map_or(upstream, |(_, address)| address).split(';').next()?;
    let (host, port) = address.rsplit_once(':')?;
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    (local && port.parse::<u16>().is_ok()).then(|| port.to_owned())
}

/// A TCP port of a container.
#[derive(Debug, Clone)]
struct Port {
    /// Where it is declared, if it is.
    index: Option<usize>,
    number: u16,
    name: Option<String>,
}

fn container(spec: &Value, wishes: &Wishes, pod: &Value) -> Result<usize, String> {
    let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let by_name = |name: &str| containers.iter().position(|container| container["name"] == name);
    let names = || containers.iter().filter_map(|container| container["name"].as_str()).collect::<Vec<_>>().join(", ");
    if let Some(name) = &wishes.container {
        return by_name(name)
            .ok_or_else(|| format!("outrigger.dev/container: there is no container `{name}`, but {}", names()));
    }
    if let [_] = containers {
        return Ok(0);
    }
    let default = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str();
    if let Some(index) = default.and_then(by_name) {
        return Ok(index);
    }
    let with_ports: Vec<_> = (0..containers.len()).filter(|index| !ports(&containers[*index]).is_empty()).collect();
    match with_ports[..] {
        [one] => Ok(one),
        [] => Err(format!(
            "no port found in any of its containers ({}); say which is the app with \
                           outrigger.dev/container, and its port with outrigger.dev/app-port",
            names()
        )),
        _ => Err(format!(
            "several of its containers have ports; say which is the app with outrigger.dev/container: {}",
            names()
        )),
    }
}

fn ports(container: &Value) -> Vec<Port> {
    let declared = container["ports"].as_array().into_iter().flatten().enumerate();
    let tcp = declared.filter(|(_, port)| port["protocol"].is_null() || port["protocol"] == "TCP");
    let ports = tcp.filter_map(|(index, port)| {
        let number = u16::try_from(port["containerPort"].as_u64()?).ok()?;
        Some(Port { index: Some(index), number, name: port["name"].as_str().map(str::to_owned) })
    });
    ports.collect()
}

/// The only port, or the only one with a usual name.
fn usual(container: &str, ports: &[Port]) -> Result<Port, String> {
    match ports {
        [] => Err(format!("no port found in the container `{container}`; say which with outrigger.dev/app-port")),
        [one] => Ok(one.clone()),
        several => {
            let usual = |port: &&Port| {
                let name = port.name.as_deref().unwrap_or_default();
                USUAL_NAMES
                    .iter()
                    .any(|usual| name == *usual || name.strip_prefix(usual).is_some_and(|rest| rest.starts_with('-')))
            };
            let mut found = several.iter().filter(usual);
            match (found.next(), found.next()) {
                (Some(one), None) => Ok(one.clone()),
                _ => Err(format!("which is the app's port? say so with outrigger.dev/app-port; {}", list(several))),
            }
        }
    }
}

fn list(ports: &[Port]) -> String {
    let show = |port: &Port| match &port.name {
        Some(name) => format!("{} ({name})", port.number),
        None => port.number.to_string(),
    };
    match ports {
        [] => "it declares none".to_owned(),
        ports => format!("it has {}", ports.iter().map(show).collect::<Vec<_>>().join(" and ")),
    }
}

/// What changes in the app's container: its port is declared where the sidecar listens, probes still find the app, and it outlives the
/// drain.
pub(crate) fn changes(
    spec: &Value,
    spec_path: &Path,
    app: &App,
    listen: u16,
    config: &Config,
    wishes: &Wishes,
    notes: &mut Vec<String>,
) -> Result<Vec<Change>, String> {
    let key = |key: &str| Step::Key(key.to_owned());
    let path = [spec_path.as_slice(), &[key("containers"), Step::Index(app.index)]].concat();
    let container = &spec["containers"][app.index];
    let mut changes = Vec::new();
    if let Some(index) = app.port_index {
        let at = [path.as_slice(), &[key("ports"), Step::Index(index), key("containerPort")]].concat();
        changes.push(Change::Replace { at, with: Value::from(listen).into() });
    }
    if let Some(port) = app.port {
        for (within, handler) in handlers(container) {
            changes.extend(probe(&path, &within, handler, app, port, listen, wishes)?);
        }
    }
    changes.extend(outlive(container, &path, config, notes));
    Ok(changes)
}

/// Everything by which the kubelet asks the app something.
fn handlers(container: &Value) -> impl Iterator<Item = (Vec<&'static str>, &Value)> {
    const PLACES: [&[&str]; 5] = [
        &["livenessProbe"],
        &["readinessProbe"],
        &["startupProbe"],
        &["lifecycle", "postStart"],
        &["lifecycle", "preStop"],
    ];
    const KINDS: [&str; 3] = ["httpGet", "tcpSocket", "grpc"];
    let all = PLACES.iter().flat_map(|place| KINDS.iter().map(move |kind| [place, &[*kind][..]].concat()));
    all.filter_map(move |within| {
        let handler = within.iter().try_fold(container, |value, key| value.get(key))?;
        Some((within, handler))
    })
}

/// A probe of the app's port by its name would find the sidecar from now on.
fn probe(
    path: &Path,
    within: &[&str],
    handler: &Value,
    app: &App,
    port: u16,
    listen: u16,
    wishes: &Wishes,
) -> Result<Option<Change>, String> {
    let target = &handler["port"];
    let by_name = target.as_str().is_some_and(|name| app.port_name.as_deref() == Some(name));
    let by_number = *target == port || target.as_str().is_some_and(|text| text == port.to_string());
    let replace = |value: u16| {
        let steps = within.iter().chain(&["port"]).map(|key| Step::Key((*key).to_owned()));
        Some(Change::Replace { at: path.iter().cloned().chain(steps).collect(), with: Value::from(value).into() })
    };
    match (wishes.through_sidecar, by_name, by_number) {
        (false, true, _) => Ok(replace(port)),
        (true, true, _) | (true, _, true) if within.last() != Some(&"httpGet") => Err(format!(
            "{} of port {port} cannot go through the sidecar, which would answer it alone; make it an httpGet or exec probe, or \
             leave out outrigger.dev/app-probes",
            within.join(".")
        )),
        (true, _, true) => Ok(replace(listen)),
        _ => Ok(None),
    }
}

/// Both containers are asked to stop at once: an app that stops at once cuts the sessions that are still to be drained.
fn outlive(container: &Value, path: &Path, config: &Config, notes: &mut Vec<String>) -> Option<Change> {
    let window = config.drain.window?;
    let needed = seconds((window + config.drain.quiet).min(config.shutdown_grace));
    let lifecycle = container.get("lifecycle").filter(|lifecycle| !lifecycle.is_null());
    if let Some(hook) = lifecycle.and_then(|lifecycle| lifecycle.get("preStop")).filter(|hook| !hook.is_null()) {
        if hook["sleep"]["seconds"].as_u64().is_none_or(|sleep| sleep < needed) {
            notes.push(format!(
                "the app's own preStop stays; if it takes less than {needed} s, the app stops before all are drained"
            ));
        }
        return None;
    }
    let sleep = json!({"sleep": {"seconds": needed}});
    let key = |key: &str| Step::Key(key.to_owned());
    Some(if container.get("lifecycle").is_some() {
        Change::Add { to: [path.as_slice(), &[key("lifecycle")]].concat(), key: "preStop".into(), value: sleep }
    } else {
        Change::Add { to: path.clone(), key: "lifecycle".into(), value: json!({"preStop": sleep}) }
    })
}
