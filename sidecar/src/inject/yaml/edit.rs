//! Changes to values, made as splices of the text: what a change does not name keeps its bytes.

use std::ops::Range;

use serde_json::Value;

use super::emit::{INDENT, block_entry, block_item, flow, scalar};
use super::{Entry, Fault, Node, Shape, Stream};
use crate::inject::change::{Change, Path, Step};

/// A piece of the text and what stands there instead.
#[derive(Debug)]
struct Splice {
    range: Range<usize>,
    with: String,
    /// Of several at one place, the innermost comes first.
    depth: usize,
}

/// The text after changes to some of its documents. Paths are those before any of the changes.
pub(crate) fn apply<'c>(
    stream: &Stream,
    changes: impl IntoIterator<Item = (usize, &'c Change)>,
) -> Result<String, Fault> {
    let splices = changes.into_iter().map(|(document, change)| splice(stream, &stream.documents[document], change));
    splice_all(stream, splices.collect::<Result<_, _>>()?)
}

/// The source text of the value at a path.
pub(crate) fn raw<'a>(stream: &Stream<'a>, document: &Node, path: &Path) -> Result<&'a str, Fault> {
    find(stream, document, path).map(|node| &stream.text[node.span.clone()])
}

fn splice(stream: &Stream, document: &Node, change: &Change) -> Result<Splice, Fault> {
    match change {
        Change::Add { to, key, value } => {
            let node = find(stream, document, to)?;
            let flowing = format!("{}: {}", Value::from(key.as_str()), flow(value));
            add(stream, node, to.len(), &flowing, '{', |indent, feed| block_entry(key, value, indent, feed))
        }
        Change::Append { to, values } => {
            let node = find(stream, document, to)?;
            let flowing = values.iter().map(flow).collect::<Vec<_>>().join(", ");
            add(stream, node, to.len(), &flowing, '[', |indent, feed| {
                values.iter().map(|value| block_item(value, indent, feed)).collect()
            })
        }
        Change::Replace { at, with } => {
            let node = find(stream, document, at)?;
            let with = with.raw.clone().unwrap_or_else(|| scalar(&with.value));
            Ok(Splice { range: node.span.clone(), with, depth: at.len() })
        }
        Change::Remove { at } => {
            let (parent, step) = split(at);
            let range = removal(stream, find(stream, document, &parent)?, step)?;
            Ok(Splice { range, with: String::new(), depth: at.len() })
        }
    }
}

/// Adds an entry or item at the end of a collection: `flowing` in flow style, else a block that `block` makes.
fn add(
    stream: &Stream,
    node: &Node,
    depth: usize,
    flowing: &str,
    open: char,
    block: impl Fn(usize, &str) -> String,
) -> Result<Splice, Fault> {
    let text = stream.text;
    let at_end = |last: usize, indent| {
        let at = end_of_line(text, last);
        Splice { range: at..at, with: whole_lines(text, at, |feed| block(indent, feed)), depth }
    };
    let in_flow = |last: Option<usize>| match last {
        Some(end) => Splice { range: end..end, with: format!(", {flowing}"), depth },
        None => Splice { range: node.span.start + 1..node.span.start + 1, with: flowing.to_owned(), depth },
    };
    match &node.shape {
        Shape::Mapping { flow, entries } if open == '{' => Ok(match (flow, entries.first(), entries.last()) {
            (false, Some(first), Some(last)) => at_end(last.end, column(text, first.start)),
            (_, _, last) => in_flow(last.map(|last| last.end)),
        }),
        Shape::Sequence { flow, items } if open == '[' => Ok(match (flow, items.first(), items.last()) {
            (false, Some(first), Some(last)) => at_end(last.end, column(text, first.start)),
            (_, _, last) => in_flow(last.map(|last| last.end)),
        }),
        Shape::Scalar(Value::Null) if !node.is_written() => {
            Ok(at_end(node.span.start, key_column(text, node.span.start) + INDENT))
        }
        Shape::Scalar(Value::Null) => {
            let close = if open == '{' { '}' } else { ']' };
            Ok(Splice { range: node.span.clone(), with: format!("{open}{flowing}{close}"), depth })
        }
        _ => Err(stream.fault(node.span.start, "is not a collection that can be added to")),
    }
}

/// What has to go for an entry or item to be gone. In block style these are the lines after those of the one before.
fn removal(stream: &Stream, node: &Node, step: &Step) -> Result<Range<usize>, Fault> {
    let (flow, parts, index) = match (&node.shape, step) {
        (Shape::Mapping { flow, entries }, Step::Key(key)) => {
            let parts: Vec<_> = entries.iter().map(|entry| (entry.start, entry.end)).collect();
            (*flow, parts, entries.iter().position(|entry| entry.key == *key && !entry.merge))
        }
        (Shape::Sequence { flow, items }, Step::Index(index)) => {
            (*flow, items.iter().map(|item| (item.start, item.end)).collect(), Some(*index))
        }
        _ => (false, Vec::new(), None),
    };
    let missing = || stream.fault(node.span.start, format!("has no `{step}` that could be taken out"));
    let index = index.filter(|index| *index < parts.len()).ok_or_else(missing)?;
    let (start, end) = parts[index];
    let text = stream.text;
    Ok(match (index.checked_sub(1).map(|before| parts[before].1), parts.get(index + 1)) {
        (Some(before), _) if flow => before..end,
        (Some(before), _) => end_of_line(text, before)..end_of_line(text, end),
        (None, None) if flow => start..end,
        // Behind the dash of an item, the next entry takes the place of the first.
        (None, Some((next, _))) if flow || !text[start_of_line(text, start)..start].trim().is_empty() => start..*next,
        (None, _) => start_of_line(text, start)..end_of_line(text, end),
    })
}

/// The node at a path; not through aliases and merges, since an edit there would show in other places as well.
pub(crate) fn find<'n>(stream: &Stream, document: &'n Node, path: &Path) -> Result<&'n Node, Fault> {
    path.iter().try_fold(document, |node, step| {
        if let Shape::Alias(name) = &node.shape {
            let problem = format!("*{name} would have to be changed here alone; write out what it stands for");
            return Err(stream.fault(node.span.start, problem));
        }
        let next = match step {
            Step::Key(key) => {
                let own = node.entries().iter().rfind(|entry: &&Entry| entry.key == *key && !entry.merge);
                own.map(|entry| &entry.value)
            }
            Step::Index(index) => node.items().get(*index).map(|item| &item.value),
        };
        next.ok_or_else(|| {
            let problem = format!("`{step}` comes from elsewhere through `<<`; write it out here");
            stream.fault(node.span.start, problem)
        })
    })
}

fn split(path: &Path) -> (Path, &Step) {
    let (last, parent) = path.split_last().expect("the root is no entry");
    (parent.to_vec(), last)
}

/// Makes all splices at once.
fn splice_all(stream: &Stream, mut splices: Vec<Splice>) -> Result<String, Fault> {
    let text = stream.text;
    splices.sort_by_key(|splice| (splice.range.start, !splice.range.is_empty(), usize::MAX - splice.depth));
    let mut edited = String::with_capacity(text.len() + splices.iter().map(|splice| splice.with.len()).sum::<usize>());
    let mut done = 0;
    for splice in &splices {
        // What is taken out twice is taken out once, as by two neighbours that both take the comma between them.
        let start = if splice.with.is_empty() { splice.range.start.max(done) } else { splice.range.start };
        let Some(kept) = text.get(done..start) else {
            return Err(stream.fault(splice.range.start, "has two changes at one place"));
        };
        edited.push_str(kept);
        edited.push_str(&splice.with);
        done = done.max(splice.range.end);
    }
    if let Some(start) = last_lines_gone(text, &splices) {
        debug_assert!(is_line_start(text, start), "only whole lines count");
        let line = edited.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).len());
        edited.truncate(line.unwrap_or(edited.len()));
    }
    edited.push_str(&text[done..]);
    Ok(edited)
}

/// Where the lines begin that go from the end of a text whose last line has no line feed. That of the line before them goes as
/// well, since it came with them.
fn last_lines_gone(text: &str, splices: &[Splice]) -> Option<usize> {
    let mut start = text.len();
    for splice in splices.iter().rev() {
        if splice.range.end == start && !splice.range.is_empty() && splice.with.is_empty() {
            start = splice.range.start;
        }
    }
    (start < text.len() && !text.ends_with('\n') && is_line_start(text, start)).then_some(start)
}

/// Lines to put at `at`: the start of a line, or the end of a text whose last line has no line feed.
fn whole_lines(text: &str, at: usize, lines: impl Fn(&str) -> String) -> String {
    let first = text.find('\n').map_or("\n", |feed| if text[..feed].ends_with('\r') { "\r\n" } else { "\n" });
    let before = &text[..at];
    if before.ends_with('\n') || before.is_empty() {
        return lines(if before.ends_with("\r\n") { "\r\n" } else { "\n" });
    }
    let lines = lines(first);
    format!("{first}{}", lines.strip_suffix(first).unwrap_or(&lines))
}

fn is_line_start(text: &str, at: usize) -> bool {
    at == 0 || text[..at].ends_with('\n')
}

fn start_of_line(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |feed| feed + 1)
}

/// After the line feed of this line, or the end of the text. A place at the start of a line, where a block scalar ends, is one.
fn end_of_line(text: &str, at: usize) -> usize {
    if at > 0 && is_line_start(text, at) {
        return at;
    }
    text[at..].find('\n').map_or(text.len(), |feed| at + feed + 1)
}

fn column(text: &str, at: usize) -> usize {
    text[start_of_line(text, at)..at].chars().filter(|&letter| letter != '\u{feff}').count()
}

/// The column of the key that ends, with its colon, at `at`.
fn key_column(text: &str, at: usize) -> usize {
    let line = text[start_of_line(text, at)..at].trim_start_matches('\u{feff}');
    let key = line.trim_start_matches([' ', '-']);
    line.chars().count() - key.chars().count()
}
