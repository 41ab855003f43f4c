//! Values with aliases and merge keys resolved.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Entry, Node, Shape, Stream};
use crate::inject::yaml::Fault;

/// Nodes that one document may come to once its aliases are written out: a few lines could ask for billions.
const MAX_NODES: usize = 1 << 20;

/// The value of a document.
pub(crate) fn value_of(stream: &Stream, document: &Node) -> Result<Value, Fault> {
    let mut resolver = Resolver { stream, anchors: BTreeMap::new(), open: Vec::new(), left: MAX_NODES };
    resolver.value(document)
}

struct Resolver<'a> {
    stream: &'a Stream<'a>,
    /// The nodes that the anchors read so far stand for.
    anchors: BTreeMap<&'a str, &'a Node>,
    /// Anchors inside whose own node we are.
    open: Vec<&'a str>,
    left: usize,
}

impl<'a> Resolver<'a> {
    fn value(&mut self, node: &'a Node) -> Result<Value, Fault> {
        let Some(left) = self.left.checked_sub(1) else {
            return Err(self.stream.fault(node.span.start, "has aliases that come to too much"));
        };
        self.left = left;
        if let Some(anchor) = &node.anchor {
            self.anchors.insert(anchor, node);
            self.open.push(anchor);
        }
        let value = match &node.shape {
            Shape::Scalar(value) => value.clone(),
            Shape::Sequence { items, .. } => {
                Value::Array(items.iter().map(|item| self.value(&item.value)).collect::<Result<_, _>>()?)
            }
            Shape::Mapping { entries, .. } => self.mapping(entries)?,
            Shape::Alias(name) => self.alias(name, node)?,
        };
        if node.anchor.is_some() {
            self.open.pop();
        }
        Ok(value)
    }

    fn alias(&mut self, name: &str, node: &Node) -> Result<Value, Fault> {
        match self.anchors.get(name) {
            Some(target) if !self.open.contains(&name) => self.value(target),
            Some(_) => Err(self.stream.fault(node.span.start, format!("the alias *{name} is inside its own anchor"))),
            None => Err(self.stream.fault(node.span.start, format!("no anchor &{name} before this alias"))),
        }
    }

    /// Keys that are written win over merged ones, and of those the first.
    fn mapping(&mut self, entries: &'a [Entry]) -> Result<Value, Fault> {
        let (mut own, mut merged) = (Map::new(), Map::new());
        for entry in entries {
            let value = self.value(&entry.value)?;
            if !entry.merge {
                own.insert(entry.key.clone(), value);
                continue;
            }
            let sources = match value {
                Value::Array(sources) => sources,
                single => vec![single],
            };
            for source in sources {
                let Value::Object(source) = source else {
                    return Err(self.stream.fault(entry.start, "`<<` merges mappings alone"));
                };
                source.into_iter().for_each(|(key, value)| _ = merged.entry(key).or_insert(value));
            }
        }
        merged.extend(own);
        Ok(Value::Object(merged))
    }
}
