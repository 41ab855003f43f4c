//! The TOML file: its keys, with line and column.

use std::collections::BTreeSet;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::{Key, Kind, UPSTREAM_ADDRESS};
use super::parse::unreadable;
use super::report::{Place, Report};
use super::settings::{Given, Item, Layer, Settings, unknown};
use super::{FileSource, ReadFile, address, keys};

/// One slip makes the parser stumble over what follows; more faults than these, or two on a line, only hide the first.
const MAX_SYNTAX_FAULTS: usize = 20;

/// The name and the text of the configuration file, or why there is none; `place` is where it was named.
pub(crate) fn read_text(path: &Path, place: &Place, read_file: ReadFile) -> Result<(String, String), Report> {
    let mut report = Report::default();
    let bytes = read_file(path).map_err(|error| {
        let problem = unreadable(path, &error);
        report.fault(place, problem.what, problem.advice.unwrap_or_default());
        report.clone()
    })?;
    String::from_utf8(bytes).map(|text| (path.display().to_string(), text)).map_err(|_| {
        report.fault(place, format!("{} is not UTF-8, as TOML is", path.display()), "save it as UTF-8");
        report.clone()
    })
}

/// Adds what the file says to `settings`. `false` if it is not TOML; then every syntax error is in the report.
pub(crate) fn read(source: &FileSource, settings: &mut Settings, report: &mut Report) -> bool {
    let table = parse_toml(source, report);
    if let Some(table) = &table {
        read_table(source, table, settings, report);
    }
    table.is_some()
}

/// The root table of a file. `None` if it is not TOML; then every syntax error is in the report.
pub fn parse_toml<'a>(source: &FileSource<'a>, report: &mut Report) -> Option<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(source.text);
    let mut lines = BTreeSet::new();
    for error in errors.iter().take(MAX_SYNTAX_FAULTS) {
        let place = source.place(error.span().map_or(source.text.len(), |span| span.start));
        let Place::File { line, .. } = place else { continue };
        if lines.insert(line) {
            report.fault(&place, format!("is not TOML: {}", error.message()), advice(error.message()));
        }
    }
    errors.is_empty().then(|| table.into_inner())
}

/// Adds what a table of the file says to `settings`.
pub(crate) fn read_table(source: &FileSource, table: &DeTable, settings: &mut Settings, report: &mut Report) {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in entries {
        let place = source.place(name.span().start);
        match keys::find(name.get_ref()) {
            Some(key) => {
                if let Some(given) = given(source, key, place, value, report) {
                    settings.put(Layer::File, key, given, report);
                }
            }
            None if matches!(value.get_ref(), DeValue::Table(_)) => report.fault(
                &place,
                format!("`{}` is a table, and there are none", name.get_ref()),
                "write its keys at the top of the file, without a heading",
            ),
            None => {
                unknown(&place, name.get_ref(), keys::all().flat_map(Key::names), str::to_owned, report);
            }
        }
    }
}

impl FileSource<'_> {
    /// The place of a byte offset.
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File {
            name: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

fn advice(message: &str) -> &'static str {
    if message.starts_with("duplicate key") {
        "give each key once"
    } else {
        "write `key = \"text\"`, `key = 60`, `key = true` or `key = [\"text\", \"text\"]`, one key on a line"
    }
}

fn given(source: &FileSource, key: &Key, place: Place, value: &Spanned<DeValue>, report: &mut Report) -> Option<Given> {
    if let (Kind::Upstream, DeValue::Table(table)) = (key.kind, value.get_ref()) {
        let text = upstream_text(source, table, &place, report)?;
        return Some(Given::single(&text, place));
    }
    let DeValue::Array(values) = value.get_ref() else {
        return match plain_text(value.get_ref()) {
            Ok(text) => Some(Given::single(&text, place)),
            Err(what) => {
                report.fault(&place, format!("{} cannot be {what}", key.name), advice_for(key, &place));
                None
            }
        };
    };
    if !key.list {
        report.fault(&place, format!("{} takes one value, not a list", key.name), advice_for(key, &place));
        return None;
    }
    let mut items = Vec::new();
    for value in values {
        let place = source.place(value.span().start);
        if let (Kind::Upstream, DeValue::Table(table)) = (key.kind, value.get_ref()) {
            items.extend(upstream_text(source, table, &place, report).map(|text| Item { text, place }));
            continue;
        }
        match plain_text(value.get_ref()) {
            Ok(text) => items.push(Item { text, place }),
            Err(what) => {
                report.fault(&place, format!("{} cannot hold {what}", key.name), advice_for(key, &place));
            }
        }
    }
    Some(Given { place, items })
}

/// The table of an upstream as it would be written in a variable. `None` with a fault in it; all are in the report.
fn upstream_text(source: &FileSource, table: &DeTable, at: &Place, report: &mut Report) -> Option<String> {
    let before = report.faults.len();
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let (mut address, mut options) = (None, String::new());
    for (name, value) in entries {
        let place = source.place(name.span().start);
        let name = name.get_ref().as_ref();
        let text = match plain_text(value.get_ref()) {
            Ok(text) => text,
            Err(what) => {
                report.fault(&place, format!("{name} cannot be {what}"), "write a text or a number");
                continue;
            }
        };
        if name == UPSTREAM_ADDRESS {
            address = Some(text);
            continue;
        }
        // Each option is looked at here, where its own place is known.
        let sample = format!("localhost:1;{name}={text}");
        match address::upstream(&sample, &place) {
            Ok(_) => options.extend([";", name, "=", &text]),
            Err(problem) => report.fault(&place, problem.what, problem.advice.unwrap_or_default()),
        }
    }
    if address.is_none() {
        let advice = "add address = \"HOST:PORT\", or a URL such as \"wss://a.example\"";
        report.fault(at, "this upstream has no address", advice);
    }
    (report.faults.len() == before).then(|| address.unwrap_or_default() + &options)
}

fn advice_for(key: &Key, place: &Place) -> String {
    format!("write {}, such as {}", key.accepts(), place.spell(key, key.example))
}

/// The text of a plain value as it would be written in a variable, or what else it is.
pub fn plain_text(value: &DeValue) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => {
            Ok(u64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.to_string(), |n| n.to_string()))
        }
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(true) => Ok("on".to_owned()),
        DeValue::Boolean(false) => Ok("off".to_owned()),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list"),
        DeValue::Table(_) => Err("a table"),
    }
}
