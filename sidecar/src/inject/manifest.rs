//! The objects in a text, and the text after changes to them.

use serde_json::Value;

use super::annotations::record;
use super::change::{Change, Path, Step, apply, at};
use super::record::{Record, Source, sign};
use super::yaml::{Fault, Stream, edit, position, value_of};
use super::{Line, Verdict};

/// Lists in lists that are looked into.
const MAX_LIST_DEPTH: usize = 4;

/// A text that has been read.
pub(crate) struct Manifest<'a> {
    pub name: String,
    stream: Stream<'a>,
    /// Of each document.
    values: Vec<Value>,
    pub objects: Vec<Object>,
}

/// One object of Kubernetes.
#[derive(Debug)]
pub(crate) struct Object {
    document: usize,
    /// From the document to the object: not empty within a List.
    prefix: Path,
    line: usize,
    pub kind: String,
    pub value: Value,
    /// From the object to its pod's metadata and spec, where it has one.
    pub pod: Option<Path>,
}

impl<'a> Manifest<'a> {
    pub(crate) fn read(name: &str, text: &'a str) -> Result<Self, Fault> {
        let stream = Stream::parse(text)?;
        let values =
            stream.documents.iter().map(|document| value_of(&stream, document)).collect::<Result<Vec<_>, _>>()?;
        let mut objects = Vec::new();
        for (document, value) in values.iter().enumerate() {
            find(&stream, document, Path::new(), value, &mut objects)?;
        }
        Ok(Self { name: name.to_owned(), stream, values, objects })
    }

    /// What is said about an object.
    pub(crate) fn line(&self, object: &Object, verdict: Verdict, text: String) -> Line {
        let name = object.value.pointer("/metadata/name").or_else(|| object.value.pointer("/metadata/generateName"));
        let name = name.and_then(Value::as_str).unwrap_or("without a name");
        Line {
            place: format!("{}:{}", self.name, object.line),
            object: format!("{} {name}", object.kind),
            verdict,
            text,
        }
    }

    /// The text after changes to its objects, each signed, read again and undone to see that all is well.
    pub(crate) fn inject<'o>(&self, planned: impl Iterator<Item = (&'o Object, Vec<Change>)>) -> Result<String, Fault> {
        let mut changes = Vec::new();
        for (object, mut planned) in planned {
            let document = &self.stream.documents[object.document];
            let source = Source { stream: &self.stream, document, prefix: &object.prefix };
            let root = object.pod.clone().unwrap_or_default();
            sign(&object.value, &root, &mut planned, Some(source))?;
            changes.extend(planned.into_iter().map(|change| (object.document, change.below(&object.prefix))));
        }
        let text = self.edited(&changes)?;
        let edited = Manifest::read(&self.name, &text)?;
        match edited.uninject() {
            Ok(undone) if undone.as_deref().unwrap_or(&text) == self.stream.text => {}
            Ok(_) => {
                let problem = "what has to be put in could not be taken out again without a trace; nothing was done";
                return Err(self.stream.fault(0, problem));
            }
            Err((_, why)) => {
                return Err(self.stream.fault(0, format!("what has to be put in could not be taken out again: {why}")));
            }
        }
        drop(edited);
        Ok(text)
    }

    /// The text without what was injected; `None` if nothing was. An object that has been changed too much is at fault.
    pub(crate) fn uninject(&self) -> Result<Option<String>, (&Object, String)> {
        let exact = self.undone(true)?;
        if exact.is_empty() {
            return Ok(None);
        }
        if let Ok(text) = self.edited(&exact) {
            return Ok(Some(text));
        }
        // Somebody has written the manifest anew, as kubectl does: what it means can still be restored.
        let text = self.edited(&self.undone(false)?);
        text.map(Some).map_err(|fault| {
            let object = self.objects.iter().find(|object| object.record().is_some()).expect("one is undone");
            (object, format!("it was changed too much since: line {}: {}", fault.line, fault.problem))
        })
    }

    fn undone(&self, exact: bool) -> Result<Vec<(usize, Change)>, (&Object, String)> {
        let mut changes = Vec::new();
        for object in &self.objects {
            let undo = match object.record() {
                None => continue,
                Some(record) => {
                    record.and_then(|record| record.undo(&object.value, exact)).map_err(|why| (object, why))?
                }
            };
            changes.extend(undo.into_iter().map(|change| (object.document, change.below(&object.prefix))));
        }
        Ok(changes)
    }

    /// The text after these changes, if it then means what they mean.
    fn edited(&self, changes: &[(usize, Change)]) -> Result<String, Fault> {
        let text = edit::apply(&self.stream, changes.iter().map(|(document, change)| (*document, change)))?;
        let mut meant = self.values.clone();
        for (document, value) in meant.iter_mut().enumerate() {
            let own: Vec<Change> =
                changes.iter().filter(|(of, _)| *of == document).map(|(_, change)| change.clone()).collect();
            if !apply(&own, value) {
                return Err(self.stream.fault(0, "a change leads nowhere"));
            }
        }
        let read = Stream::parse(&text).and_then(|stream| {
            stream.documents.iter().map(|document| value_of(&stream, document)).collect::<Result<Vec<_>, _>>()
        });
        match read {
            Ok(values) if values.len() == meant.len() && values.iter().zip(&meant).all(|(a, b)| same(a, b)) => Ok(text),
            Ok(values) => {
                let differs = values.iter().zip(&meant).position(|(value, meant)| !same(value, meant)).unwrap_or(0);
                let start = self.stream.documents.get(differs).map_or(0, |document| document.span.start);
                let problem = "cannot be edited in place: an edit would show in other places as well, as through an anchor; write \
                               out what its aliases stand for";
                Err(self.stream.fault(start, problem))
            }
            Err(fault) => Err(self.stream.fault(0, format!("cannot be edited in place: {}", fault.problem))),
        }
    }
}

impl Object {
    /// The labels of its pod.
    pub(crate) fn pod_labels(&self) -> Option<&Value> {
        at(&self.value, self.pod.as_ref()?)?.pointer("/metadata/labels")
    }

    pub(crate) fn namespace(&self) -> &str {
        self.value.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default")
    }

    pub(crate) fn is_service(&self) -> bool {
        self.kind == "Service"
    }

    /// What an earlier injection left, in the pod or in the Service.
    pub(crate) fn record(&self) -> Option<Result<Record, String>> {
        let place = self.pod.as_deref().unwrap_or_default();
        at(&self.value, place).and_then(record)
    }
}

/// Whether two values mean the same: a collection without entries is as good as none.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other || empty(one) && empty(other),
    }
}

/// Finds the objects in a value: itself, or the items of a List.
fn find(stream: &Stream, document: usize, prefix: Path, value: &Value, objects: &mut Vec<Object>) -> Result<(), Fault> {
    let start = edit::find(stream, &stream.documents[document], &prefix).map_or(0, |node| node.span.start);
    let (line, _) = position(stream.text, start);
    if value.is_null() {
        return Ok(());
    }
    let Some(kind) = value["kind"].as_str() else {
        return Err(stream.fault(start, "is not an object of Kubernetes: it has no `kind`"));
    };
    if let (true, Some(items)) =
        (kind.ends_with("List") && prefix.len() < MAX_LIST_DEPTH * 2, value["items"].as_array())
    {
        for (index, item) in items.iter().enumerate() {
            let below = [prefix.as_slice(), &[Step::Key("items".into()), Step::Index(index)]].concat();
            find(stream, document, below, item, objects)?;
        }
        return Ok(());
    }
    let pod = pod_path(kind).filter(|path| at(value, path).is_some());
    objects.push(Object { document, prefix, line, kind: kind.to_owned(), value: value.clone(), pod });
    Ok(())
}

/// From an object of this kind to its pod's metadata and spec.
pub(crate) fn pod_path(kind: &str) -> Option<Path> {
    let keys: &[&str] = match kind {
        "Pod" => &[],
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            &["spec", "template"]
        }
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        _ => return None,
    };
    Some(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
}
