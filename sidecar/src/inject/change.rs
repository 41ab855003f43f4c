//! Changes to a manifest: what they do to its value, and paths that outlast them.

use std::fmt;

use serde_json::{Value, json};

/// From the root of an object to one of its values.
pub(crate) type Path = Vec<Step>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Index(usize),
    Key(String),
}

/// One change. Several are made at once: the paths of all are those before the first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// A new entry, last in the mapping.
    Add { to: Path, key: String, value: Value },
    /// New items, last in the sequence.
    Append { to: Path, values: Vec<Value> },
    /// Another value in place of a scalar.
    Replace { at: Path, with: Written },
    /// An entry or item less.
    Remove { at: Path },
}

/// A value, and how it is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    pub value: Value,
    /// Its source text; `None` leaves it to us.
    pub raw: Option<String>,
}

impl From<Value> for Written {
    fn from(value: Value) -> Self {
        Self { value, raw: None }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

/// Makes all changes to a value; `false` if a path leads nowhere.
pub(crate) fn apply(changes: &[Change], root: &mut Value) -> bool {
    let removes = |change: &&Change| matches!(change, Change::Remove { .. });
    let (mut gone, rest): (Vec<_>, Vec<_>) = changes.iter().partition(removes);
    // Later items first, so that the others keep their numbers.
    gone.sort_by_key(|change| std::cmp::Reverse(change.place()));
    rest.into_iter().chain(gone).all(|change| change.apply(root))
}

impl Change {
    fn place(&self) -> &Path {
        match self {
            Self::Add { to, .. } | Self::Append { to, .. } => to,
            Self::Replace { at, .. } | Self::Remove { at } => at,
        }
    }

    /// The same change where the object is a part of another value.
    pub(crate) fn below(mut self, prefix: &[Step]) -> Self {
        match &mut self {
            Self::Add { to: path, .. }
            | Self::Append { to: path, .. }
            | Self::Replace { at: path, .. }
            | Self::Remove { at: path } => {
                *path = [prefix, path.as_slice()].concat();
            }
        }
        self
    }

    /// Makes the change to a value; `false` if its path leads nowhere.
    fn apply(&self, root: &mut Value) -> bool {
        match self {
            Self::Add { to, key, value } => {
                let Some(place) = at_mut(root, to) else { return false };
                if place.is_null() {
                    *place = json!({});
                }
                place.as_object_mut().map(|map| map.insert(key.clone(), value.clone())).is_some()
            }
            Self::Append { to, values } => {
                let Some(place) = at_mut(root, to) else { return false };
                if place.is_null() {
                    *place = json!([]);
                }
                place.as_array_mut().map(|items| items.extend_from_slice(values)).is_some()
            }
            Self::Replace { at, with } => at_mut(root, at).map(|place| *place = with.value.clone()).is_some(),
            Self::Remove { at } => {
                let Some((last, parent)) = at.split_last() else { return false };
                match (at_mut(root, parent), last) {
                    (Some(Value::Object(map)), Step::Key(key)) => map.remove(key).is_some(),
                    (Some(Value::Array(items)), Step::Index(index)) if *index < items.len() => {
                        items.remove(*index);
                        true
                    }
                    _ => false,
                }
            }
        }
    }
}

/// The value at a path.
pub(crate) fn at<'v>(root: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

pub(crate) fn at_mut<'v>(root: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

/// As a pointer that still leads there when items have come or gone: one that has a name is `=name`.
pub(crate) fn lasting_pointer(root: &Value, path: &[Step]) -> String {
    let steps = path.iter().enumerate().map(|(depth, step)| match step {
        Step::Key(key) => format!("/{}", escape(key)),
        Step::Index(index) => match at(root, &path[..=depth]).and_then(|item| item.get("name")).and_then(Value::as_str)
        {
            // The name of a port is what an injection changes.
            Some(name) if path[depth.saturating_sub(1)] != Step::Key("ports".to_owned()) => {
                format!("/={}", escape(name))
            }
            _ => format!("/{index}"),
        },
    });
    steps.collect()
}

/// Reads what [`lasting_pointer`] wrote, against the value as it is now. `None` if it leads nowhere.
pub(crate) fn resolve(root: &Value, pointer: &str) -> Option<Path> {
    let mut path = Path::new();
    let mut value = root;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let step = match (value, token.strip_prefix('=')) {
            (Value::Array(items), Some(name)) => {
                Step::Index(items.iter().position(|item| item.get("name").and_then(Value::as_str) == Some(name))?)
            }
            (Value::Array(_), None) => Step::Index(token.parse().ok()?),
            _ => Step::Key(token),
        };
        value = match &step {
            Step::Key(key) => value.get(key)?,
            Step::Index(index) => value.get(index)?,
        };
        path.push(step);
    }
    Some(path)
}

/// A token of a pointer (RFC 6901 §3).
pub(crate) fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
