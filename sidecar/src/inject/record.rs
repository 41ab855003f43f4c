//! What an injection leaves in the manifest so that it can be undone: one annotation.

use serde_json::{Value, json};

use super::change::{Change, Path, Step, Written, lasting_pointer, resolve};
use super::yaml::edit::{find, raw};
use super::yaml::{Fault, Node, Shape, Stream};
use super::{ANNOTATION_PREFIX, NAME};

/// The annotation, without the prefix.
pub(crate) const INJECTED: &str = "injected";

/// An object's text, to take what is written there from. A request of an API server has none.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub stream: &'a Stream<'a>,
    pub document: &'a Node,
    /// From the document to the object, where that is an item of a list.
    pub prefix: &'a [Step],
}

/// What was done to an object, as read from its annotation.
#[derive(Debug)]
pub(crate) struct Record {
    pub version: String,
    undo: Vec<Value>,
}

/// Adds the annotation to the changes: `to` is the path of the metadata's parent in the object.
pub(crate) fn sign(root: &Value, to: &Path, changes: &mut Vec<Change>, source: Option<Source>) -> Result<(), Fault> {
    let mut undo = Vec::new();
    for change in changes.iter() {
        undo.extend(inverse(root, change, source)?);
    }
    // The annotation undoes itself last; what it says cannot depend on what it says.
    let own = annotation(root, to, &Value::Null);
    undo.extend(inverse(root, &own, source)?);
    let record = json!({"undo": undo, "version": env!("CARGO_PKG_VERSION")});
    changes.push(annotation(root, to, &Value::from(record.to_string())));
    Ok(())
}

/// The addition of the annotation, with the mappings that it needs.
fn annotation(root: &Value, to: &Path, value: &Value) -> Change {
    let name = format!("{ANNOTATION_PREFIX}{INJECTED}");
    let metadata = [to.as_slice(), &[Step::Key("metadata".into())]].concat();
    let annotations = [metadata.as_slice(), &[Step::Key("annotations".into())]].concat();
    let has = |path: &Path| super::change::at(root, path).is_some();
    if has(&annotations) {
        Change::Add { to: annotations, key: name, value: value.clone() }
    } else if has(&metadata) {
        Change::Add { to: metadata, key: "annotations".into(), value: json!({name: value}) }
    } else {
        Change::Add { to: to.clone(), key: "metadata".into(), value: json!({"annotations": {name: value}}) }
    }
}

fn inverse(root: &Value, change: &Change, source: Option<Source>) -> Result<Vec<Value>, Fault> {
    let whole = |path: &[Step]| source.map(|source| [source.prefix, path].concat());
    match change {
        Change::Add { to, key, .. } => {
            if let Some(put) = replaced_null(to, source)? {
                return Ok(vec![json!({"put": lasting_pointer(root, to), "raw": put, "value": null})]);
            }
            let place = format!("{}/{}", lasting_pointer(root, to), key.replace('~', "~0").replace('/', "~1"));
            Ok(vec![json!({"remove": place})])
        }
        Change::Append { to, values } => {
            if let Some(put) = replaced_null(to, source)? {
                return Ok(vec![json!({"put": lasting_pointer(root, to), "raw": put, "value": null})]);
            }
            let name = |value: &Value| value["name"].as_str().expect("all that is appended has a name").to_owned();
            let remove = |value| json!({"remove": format!("{}/={}", lasting_pointer(root, to), name(value))});
            Ok(values.iter().map(remove).collect())
        }
        Change::Replace { at, .. } => {
            let before = super::change::at(root, at).cloned().unwrap_or_default();
            let mut put = json!({"put": lasting_pointer(root, at), "value": before});
            if let (Some(source), Some(path)) = (source, whole(at)) {
                put["raw"] = raw(source.stream, source.document, &path)?.into();
            }
            Ok(vec![put])
        }
        Change::Remove { .. } => unreachable!("an injection takes nothing out"),
    }
}

/// The text of a null that is written out and that an addition has to replace.
fn replaced_null(to: &Path, source: Option<Source>) -> Result<Option<String>, Fault> {
    let Some(source) = source else { return Ok(None) };
    let path = [source.prefix, to.as_slice()].concat();
    let node = find(source.stream, source.document, &path)?;
    let is_null = node.is_written() && matches!(node.shape, Shape::Scalar(Value::Null));
    Ok(is_null.then(|| source.stream.text[node.span.clone()].to_owned()))
}

impl Record {
    /// Reads the annotation's value.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(text).ok()?;
        let version = record.get("version")?.as_str()?.to_owned();
        Some(Self { version, undo: record.get("undo")?.as_array()?.clone() })
    }

    /// The changes that undo it, or what has gone since. With `exact`, as it was written.
    pub(crate) fn undo(&self, root: &Value, exact: bool) -> Result<Vec<Change>, String> {
        let mut changes = Vec::new();
        for step in &self.undo {
            changes.extend(undo(root, step, exact)?);
        }
        Ok(changes)
    }
}

fn undo(root: &Value, step: &Value, exact: bool) -> Result<Vec<Change>, String> {
    let text = |name: &str| step.get(name).and_then(Value::as_str);
    let path = |pointer: &str| resolve(root, pointer).ok_or_else(|| format!("{pointer} is gone"));
    let raw = text("raw").filter(|_| exact).map(str::to_owned);
    let value = step.get("value").cloned().unwrap_or_default();
    if let Some(pointer) = text("remove") {
        return Ok(removals(root, path(pointer)?));
    }
    if let Some(pointer) = text("put") {
        return Ok(vec![Change::Replace { at: path(pointer)?, with: Written { value, raw } }]);
    }
    Err(format!("{step} is not understood"))
}

/// Removes what is at a path, or only that part of it which is ours, where others have added to a collection that we made.
fn removals(root: &Value, path: Path) -> Vec<Change> {
    let below = |step| [path.as_slice(), &[step]].concat();
    match super::change::at(root, &path) {
        Some(Value::Array(items)) => {
            let ours = |item: &Value| item.get("name").and_then(Value::as_str).is_some_and(is_ours);
            if items.iter().all(ours) {
                return vec![Change::Remove { at: path }];
            }
            let indexes = (0..items.len()).filter(|index| ours(&items[*index]));
            indexes.map(|index| Change::Remove { at: below(Step::Index(index)) }).collect()
        }
        Some(Value::Object(map)) if ends_in(&path, "annotations") && map.len() > 1 => {
            vec![Change::Remove { at: below(Step::Key(format!("{ANNOTATION_PREFIX}{INJECTED}"))) }]
        }
        Some(Value::Object(map)) if ends_in(&path, "metadata") => {
            let inner = removals(root, below(Step::Key("annotations".into())));
            let whole = matches!(&inner[..], [Change::Remove { at }] if at.len() == path.len() + 1);
            if map.len() == 1 && whole { vec![Change::Remove { at: path }] } else { inner }
        }
        _ => vec![Change::Remove { at: path }],
    }
}

fn ends_in(path: &Path, key: &str) -> bool {
    matches!(path.last(), Some(Step::Key(last)) if last == key)
}

/// Whether a container or volume of this name is one that we add.
pub(crate) fn is_ours(name: &str) -> bool {
    name.strip_prefix(NAME).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
