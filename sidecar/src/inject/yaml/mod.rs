//! YAML as it is written: values, and where in the text each of them stands, so that an edit touches nothing else.
//!
//! [`Stream`] reads a text, [`edit`] turns changes into splices of it. The syntax tree is `yaml-edit`'s, which keeps every byte.

pub(crate) mod edit;
pub(crate) mod emit;
mod value;

use std::ops::Range;

use rowan::ast::AstNode as _;
use rowan::{NodeOrToken, SyntaxNode};
use serde_json::Value;
use yaml_edit::validator::{Severity, Validator, Violation};
use yaml_edit::{CoreScalarType, Lang, Scalar, ScalarValue, SyntaxKind, YamlFile};

pub(crate) use self::value::value_of;

/// Largest text that is read, in bytes: a tree of it takes some fifty times as much.
pub(crate) const MAX_TEXT_BYTES: usize = 32 << 20;

/// What the validator says of a bracket that stands right below the key whose collection it closes. Strictly it is right,
/// but everybody else reads that.
const CLOSING_BRACKET: &str = "Flow collection continuation line must be indented";

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Both count from 1; a column is a character.
    pub line: usize,
    pub column: usize,
    pub problem: String,
}

/// A text that has been read: the roots of its documents. A document without content is none.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    pub text: &'a str,
    pub documents: Vec<Node>,
}

/// A value where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    /// From its first byte to the end of its last, without comments and line feeds around it; an anchor or tag in front
    /// is not part of it. Empty, at the place where it would stand, for a null that is not written.
    pub span: Range<usize>,
    pub anchor: Option<String>,
    pub shape: Shape,
}

#[derive(Debug)]
pub(crate) enum Shape {
    Mapping {
        flow: bool,
        entries: Vec<Entry>,
    },
    Sequence {
        flow: bool,
        items: Vec<Item>,
    },
    /// Never an array or object.
    Scalar(Value),
    Alias(String),
}

/// A key and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub key: String,
    /// Whether the key is `<<`, which takes in the entries of another mapping.
    pub merge: bool,
    pub start: usize,
    pub end: usize,
    pub value: Node,
}

/// An item of a sequence, with its dash if it has one.
#[derive(Debug)]
pub(crate) struct Item {
    pub start: usize,
    pub end: usize,
    pub value: Node,
}

impl<'a> Stream<'a> {
    /// Reads a text, or says what is wrong with it first.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Fault> {
        if text.len() > MAX_TEXT_BYTES {
            let problem = format!("is larger than {} MiB", MAX_TEXT_BYTES >> 20);
            return Err(Fault { line: 1, column: 1, problem });
        }
        let parse = YamlFile::parse(text);
        let mut faults: Vec<(usize, String)> = Vec::new();
        for error in parse.positioned_errors() {
            faults.push((error.range.start as usize, error.message.clone()));
        }
        let file = parse.tree();
        let mut documents = Vec::new();
        // What the parser gave up on is not worth the validator's time, of which it might take much.
        for document in file.documents().filter(|_| parse.ok()) {
            let violations = Validator::new().validate(&document);
            let counts =
                |violation: &Violation| violation.severity == Severity::Error && violation.message != CLOSING_BRACKET;
            for violation in violations.into_iter().filter(counts) {
                let at = violation.text_range.map_or(0, |range| range.start as usize);
                faults.push((at, violation.message));
            }
            documents.extend(child(document.syntax(), 0));
        }
        match faults.into_iter().min_by_key(|(at, _)| *at) {
            Some((at, problem)) => {
                let (line, column) = position(text, at);
                let mut problem = problem.lines().collect::<Vec<_>>().join(" ");
                if text.contains("{{") {
                    problem.push_str("; if this is a template, render it first, as with `helm template`");
                }
                Err(Fault { line, column, problem })
            }
            None => Ok(Self { text, documents }),
        }
    }

    /// A fault at this byte.
    pub(crate) fn fault(&self, at: usize, problem: impl Into<String>) -> Fault {
        let (line, column) = position(self.text, at);
        Fault { line, column, problem: problem.into() }
    }
}

impl Node {
    /// Whether it is written at all.
    pub(crate) fn is_written(&self) -> bool {
        !self.span.is_empty()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.shape {
            Shape::Mapping { entries, .. } => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Item] {
        match &self.shape {
            Shape::Sequence { items, .. } => items,
            _ => &[],
        }
    }
}

/// Line and column of a byte, from 1. A byte order mark takes no column.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |feed| feed + 1);
    let column = before[start..].chars().filter(|&letter| letter != '\u{feff}').count() + 1;
    (before.matches('\n').count() + 1, column)
}

type Syntax = SyntaxNode<Lang>;

/// The one value among the children of a document, a value slot or a sequence entry. `at` is where it would stand.
fn child(parent: &Syntax, at: usize) -> Option<Node> {
    let mut anchor = None;
    for element in parent.children_with_tokens() {
        match element {
            NodeOrToken::Token(token) if token.kind() == SyntaxKind::ANCHOR => {
                anchor = Some(token.text().trim_start_matches('&').to_owned());
            }
            NodeOrToken::Token(_) => {}
            NodeOrToken::Node(node) => {
                let mut built = build(&node, at)?;
                built.anchor = anchor.or(built.anchor);
                return Some(built);
            }
        }
    }
    None
}

fn build(node: &Syntax, at: usize) -> Option<Node> {
    let shape = match node.kind() {
        SyntaxKind::MAPPING => {
            let entries = node.children().filter(|child| child.kind() == SyntaxKind::MAPPING_ENTRY);
            Shape::Mapping { flow: is_flow(node), entries: entries.filter_map(|child| entry(&child)).collect() }
        }
        SyntaxKind::SEQUENCE => {
            let items = node.children().filter(|child| child.kind() == SyntaxKind::SEQUENCE_ENTRY);
            Shape::Sequence { flow: is_flow(node), items: items.map(|child| item(&child)).collect() }
        }
        SyntaxKind::SCALAR => Shape::Scalar(scalar(node, None)),
        SyntaxKind::ALIAS => Shape::Alias(node.text().to_string().trim_start_matches('*').to_owned()),
        SyntaxKind::TAGGED_NODE => return tagged(node, at),
        _ => return None,
    };
    let span = extent(node).unwrap_or(at..at);
    Some(Node { span, anchor: None, shape })
}

fn tagged(node: &Syntax, at: usize) -> Option<Node> {
    let tag = node.children_with_tokens().filter_map(NodeOrToken::into_token).find(|t| t.kind() == SyntaxKind::TAG);
    let mut inner = child(node, at)?;
    if let (Some(tag), Some(text)) = (tag, node.children().find(|child| child.kind() == SyntaxKind::SCALAR)) {
        inner.shape = Shape::Scalar(scalar(&text, Some(tag.text())));
    }
    Some(inner)
}

fn entry(node: &Syntax) -> Option<Entry> {
    let part = |kind| node.children().find(|child| child.kind() == kind);
    let key = part(SyntaxKind::KEY)?;
    let span = extent(node)?;
    let name = match child(&key, span.start)?.shape {
        Shape::Scalar(Value::String(text)) => text,
        Shape::Scalar(Value::Null) => String::new(),
        Shape::Scalar(other) => other.to_string(),
        Shape::Mapping { .. } | Shape::Sequence { .. } | Shape::Alias(_) => key.text().to_string(),
    };
    let merge = key.descendants_with_tokens().any(|element| element.kind() == SyntaxKind::MERGE_KEY);
    let value = part(SyntaxKind::VALUE).and_then(|slot| child(&slot, span.end));
    let null = || Node { span: span.end..span.end, anchor: None, shape: Shape::Scalar(Value::Null) };
    let value = value.unwrap_or_else(null);
    Some(Entry { key: name, merge, start: span.start, end: span.end.max(value.span.end), value })
}

fn item(node: &Syntax) -> Item {
    let at = node.text_range().start().into();
    let span = extent(node).unwrap_or(at..at);
    let null = || Node { span: span.end..span.end, anchor: None, shape: Shape::Scalar(Value::Null) };
    let value = child(node, span.end).unwrap_or_else(null);
    // The comma belongs to the collection.
    let end = if is_dashed(node) { span.end } else { value.span.end };
    Item { start: span.start, end, value }
}

fn is_dashed(node: &Syntax) -> bool {
    node.children_with_tokens().any(|element| element.kind() == SyntaxKind::DASH)
}

fn is_flow(node: &Syntax) -> bool {
    let first = node.first_child_or_token().map(|element| element.kind());
    matches!(first, Some(SyntaxKind::LEFT_BRACE | SyntaxKind::LEFT_BRACKET))
}

/// From the first to the last byte that is neither space, line feed, comment nor comma. A block scalar extends to the end of its
/// last line, its line feed included, since that is part of its value.
fn extent(node: &Syntax) -> Option<Range<usize>> {
    let mut extent: Option<Range<usize>> = None;
    for token in node.descendants_with_tokens().filter_map(NodeOrToken::into_token) {
        let kind = token.kind();
        let block = kind == SyntaxKind::PIPE || kind == SyntaxKind::GREATER;
        let scalar = token.parent().filter(|parent| block && parent.kind() == SyntaxKind::SCALAR);
        let range = scalar.map_or_else(|| token.text_range(), |scalar| scalar.text_range());
        let (start, end) = (usize::from(range.start()), usize::from(range.end()));
        if start == end || is_trivia(kind) {
            continue;
        }
        let from = extent.as_ref().map_or(start, |extent| extent.start);
        let to = extent.as_ref().map_or(end, |extent| extent.end.max(end));
        extent = Some(from..to);
    }
    extent
}

fn is_trivia(kind: SyntaxKind) -> bool {
    matches!(
        kind,
        SyntaxKind::WHITESPACE
            | SyntaxKind::NEWLINE
            | SyntaxKind::INDENT
            | SyntaxKind::COMMENT
            | SyntaxKind::COMMA
            | SyntaxKind::BOM
    )
}

/// The value of a scalar as the core schema of YAML 1.2 has it; a tag `!!str` makes it text.
fn scalar(node: &Syntax, tag: Option<&str>) -> Value {
    let scalar = Scalar::cast(node.clone()).expect("only scalars come here");
    let text = scalar.as_string();
    if scalar.is_quoted() || scalar.is_block() || tag == Some("!!str") || tag == Some("!") {
        return Value::String(text);
    }
    match ScalarValue::classify_plain(&text) {
        CoreScalarType::Null => Value::Null,
        CoreScalarType::Boolean => Value::Bool(text.eq_ignore_ascii_case("true")),
        CoreScalarType::Integer | CoreScalarType::Float => number(&text),
        CoreScalarType::String => Value::String(text),
    }
}

/// Numbers that JSON cannot hold stay text: none of them means anything to the fields that are read here.
fn number(text: &str) -> Value {
    let whole = text.parse::<i64>().ok().or_else(|| {
        let digits = |prefix, radix| text.strip_prefix(prefix).and_then(|rest| i64::from_str_radix(rest, radix).ok());
        digits("0x", 16).or_else(|| digits("0o", 8))
    });
    match whole {
        Some(whole) => Value::from(whole),
        None => text.parse::<f64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

#[cfg(test)]
mod tests;
