//! Services in front of injected pods: their target has to be the sidecar.

use serde_json::Value;

use super::change::{Change, Path, Step};
use super::manifest::{Manifest, Object};
use super::plan::{Moved, Plan};
use super::{Line, Verdict};

/// Plans the Services among the objects, and says what is to be done to others. `plans` are those of the objects.
pub(crate) fn plan(
    objects: &[(usize, &Object)],
    plans: &mut [Option<Plan>],
    manifests: &[Manifest],
    lines: &mut Vec<Line>,
) {
    let mut met = vec![false; objects.len()];
    let mut planned = Vec::new();
    for (number, (file, service)) in objects.iter().enumerate().filter(|(_, (_, object))| object.is_service()) {
        let selected: Vec<usize> = (0..objects.len()).filter(|other| selects(service, objects[*other].1)).collect();
        for other in &selected {
            met[*other] = true;
        }
        let line = |verdict, text| manifests[*file].line(service, verdict, text);
        match retarget(service, &selected, plans) {
            Ok((changes, _)) if changes.is_empty() => {
                let behind = selected.iter().any(|other| plans[*other].is_some());
                let text = if behind { "its ports lead where they should" } else { "no injected pod is behind it" };
                lines.push(line(Verdict::LeftAlone, text.to_owned()));
            }
            Ok((changes, to)) => {
                let summary = format!("targets port {to}, the sidecar's");
                lines.push(line(Verdict::Injected, summary.clone()));
                planned.push((number, Plan { changes, summary, notes: Vec::new(), moved: None }));
            }
            Err(why) => lines.push(line(Verdict::Refused, why)),
        }
    }
    for ((plan, (file, object)), _) in plans.iter().zip(objects).zip(&met).filter(|(_, met)| !**met) {
        let Some(moved) = plan.as_ref().and_then(|plan| plan.moved.as_ref()) else { continue };
        let text = format!("no Service here selects it: {}", moved.advice());
        lines.push(manifests[*file].line(object, Verdict::Note, text));
    }
    for (number, plan) in planned {
        plans[number] = Some(plan);
    }
}

/// Whether a Service's selector fits a pod.
fn selects(service: &Object, other: &Object) -> bool {
    let selector = service.value.pointer("/spec/selector").and_then(Value::as_object);
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else { return false };
    let Some(labels) = other.pod_labels() else { return false };
    service.namespace() == other.namespace() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Changes to those ports of a Service that target by number what has moved, and where they lead then. A name moves by itself.
fn retarget(service: &Object, selected: &[usize], plans: &[Option<Plan>]) -> Result<(Vec<Change>, u16), String> {
    let moved: Vec<&Moved> = selected.iter().filter_map(|other| plans[*other].as_ref()?.moved.as_ref()).collect();
    let (mut changes, mut target) = (Vec::new(), 0);
    for (index, port) in service.value["spec"]["ports"].as_array().into_iter().flatten().enumerate() {
        if !(port["protocol"].is_null() || port["protocol"] == "TCP") {
            continue;
        }
        let number = port.get("targetPort").filter(|target| !target.is_null()).unwrap_or(&port["port"]);
        let here: Vec<&&Moved> = moved.iter().filter(|moved| *number == moved.from).collect();
        let Some(first) = here.first() else { continue };
        if here.len() < selected.len() || here.iter().any(|other| other.to != first.to) {
            return Err(format!(
                "targets port {number} of pods of which not all have the sidecar at port {}; let it target a name that their ports have",
                first.to
            ));
        }
        target = first.to;
        let key = |key: &str| Step::Key(key.to_owned());
        let path: Path = vec![key("spec"), key("ports"), Step::Index(index)];
        let value = Value::from(first.to);
        changes.push(if port.get("targetPort").is_some() {
            Change::Replace { at: [path, vec![key("targetPort")]].concat(), with: value.into() }
        } else {
            Change::Add { to: path, key: "targetPort".into(), value }
        });
    }
    Ok((changes, target))
}
