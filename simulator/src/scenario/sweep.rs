//! Sweeps: the same file, resolved once for each value of a key.

use outrigger::config::plain_text;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::fields::Reading;
use super::key::{Kind, Section, Shape, nearest, or};
use super::keys::{self, SECTIONS};
use super::model::Sweep;
use super::source::{Source, Value, entry, text_at};
use super::values;

/// More dimensions than these fit into no table.
const MAX_SWEEPS: usize = 2;

/// Most combinations of values.
const MAX_CELLS: usize = 400;

/// Sections that are about the run as a whole, and so cannot differ within one.
const FIXED: [&str; 3] = ["expect", "sweep", "prices"];

/// The sweeps that are right; whether their values are is found when they are put in.
pub(super) fn read(reading: &Reading) -> Vec<Sweep> {
    let list = reading.list(&keys::SWEEP);
    if let Some(third) = list.get(MAX_SWEEPS) {
        reading.fault(
            &third.place,
            format!("there are {} [[sweep]]", list.len()),
            format!("keep at most {MAX_SWEEPS}"),
        );
    }
    let mut sweeps: Vec<Sweep> = Vec::new();
    for fields in list.iter().take(MAX_SWEEPS) {
        let key = fields.found("key", values::text);
        let values = match fields.raw().and_then(|table| entry(table, "values")) {
            None => {
                // Only to report that there are none.
                let _: Option<Vec<_>> = fields.many("values", values::text);
                continue;
            }
            Some((_, value)) => match value.get_ref() {
                DeValue::Array(values) if !values.is_empty() => values.iter().cloned().collect(),
                DeValue::Array(_) => {
                    reading.fault(&fields.place("values"), "values is an empty list", "write at least one value");
                    continue;
                }
                _ => vec![value.clone()],
            },
        };
        let Some(key) = key else { continue };
        if let Err((problem, advice)) = set(&mut reading.source.table.clone(), &key.value, &values[0]) {
            reading.fault(&key.place, problem, advice);
        } else if sweeps.iter().any(|before| before.key == key.value) {
            reading.fault(&key.place, format!("`{}` has a sweep already", key.value), "put all its values into one");
        } else {
            sweeps.push(Sweep { key: key.value, values, place: fields.place.clone() });
        }
    }
    let cells: usize = sweeps.iter().map(|sweep| sweep.values.len()).product();
    if cells > MAX_CELLS {
        let problem = format!("this makes {cells} combinations");
        reading.fault(&sweeps[0].place, problem, format!("keep them at most {MAX_CELLS}"));
        sweeps.clear();
    }
    sweeps
}

/// The file as a run without sweep takes it: a key that is swept and not written has its first value.
pub(super) fn base(source: &Source) -> Source {
    let mut base = source.clone();
    let Some((_, list)) = entry(&source.table, "sweep") else { return base };
    let DeValue::Array(list) = list.get_ref() else { return base };
    for sweep in list.iter().filter_map(|sweep| table_of(sweep.get_ref())) {
        let first = entry(sweep, "values").and_then(|(_, values)| match values.get_ref() {
            DeValue::Array(values) => values.iter().next(),
            _ => Some(values),
        });
        let mut with = base.table.clone();
        // A way that leads nowhere is reported when the sweeps are read.
        if let (Some(key), Some(first)) = (text_at(sweep, "key"), first)
            && let Ok(Before::Unset) = set(&mut with, key, first)
        {
            base.table = with;
        }
    }
    base
}

/// For each combination of values, in the order of the file, what it is called and the file with these values.
pub(super) fn cells(source: &Source, sweeps: &[Sweep]) -> Vec<(String, Source)> {
    let mut cells = vec![(String::new(), source.clone())];
    for sweep in sweeps {
        let with = |(label, source): &(String, Source), value: &Value| {
            let mut source = source.clone();
            set(&mut source.table, &sweep.key, value).expect("the way was followed when the sweep was read");
            let comma = if label.is_empty() { "" } else { ", " };
            (format!("{label}{comma}{} = {}", sweep.key, show(value.get_ref())), source)
        };
        cells = cells.iter().flat_map(|cell| sweep.values.iter().map(move |value| with(cell, value))).collect();
    }
    cells
}

/// What is wrong with a way, and what to write instead.
type Lost = (String, String);

/// Whether the key at the end of a way was written.
enum Before {
    Set,
    Unset,
}

/// Puts a value where a way leads; it keeps its own place in the file.
fn set(table: &mut DeTable<'static>, way: &str, value: &Value) -> Result<Before, Lost> {
    let (section, mut rest) = split(way)?;
    let span = value.span();
    let new_table = || Spanned::new(span.clone(), DeValue::Table(DeTable::default()));
    let mut table = table;
    if section.shape == Shape::List && entry(table, section.name).is_none() {
        return Err((format!("`{way}` leads nowhere: there is no {}", section.heading()), "add one".to_owned()));
    }
    if section.shape != Shape::Top {
        let inner = table.entry(name(section.name, value)).or_insert_with(new_table).get_mut();
        table = match inner {
            DeValue::Table(table) => table,
            DeValue::Array(items) => {
                let (item, below) = pick(section, items, &rest, way)?;
                rest = below;
                item
            }
            _ => return Err((format!("`{way}` leads nowhere"), format!("write {} as tables", section.heading()))),
        };
    }
    let (key_name, below) = rest.split_first().ok_or_else(|| ends_early(section, way))?;
    let Some(key) = section.find(key_name) else {
        let known: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
        let problem = format!("`{way}` leads nowhere: {} has no key `{key_name}`", section.heading());
        return Err((problem, nearest(key_name, &known)));
    };
    if section.shape == Shape::List && identity(section, table).contains(key_name) {
        let problem = format!("`{way}` would change what it goes by itself");
        return Err((problem, "sweep another key, or give this one a name".to_owned()));
    }
    let last = match (key.kind, below) {
        (Kind::Table(_) | Kind::Config, [inner]) => {
            let inner_table = table.entry(name(key.name, value)).or_insert_with(new_table).get_mut();
            let DeValue::Table(inner_table) = inner_table else {
                return Err((format!("`{way}` leads nowhere"), format!("write {} as a table", key.name)));
            };
            table = inner_table;
            inner
        }
        (Kind::Table(_) | Kind::Config, []) => return Err(ends_early(section, way)),
        (_, []) => key_name,
        (_, [more, ..]) => {
            return Err((format!("`{way}` goes on after a key: `{more}`"), "end it with the key".to_owned()));
        }
    };
    let before = if table.remove(*last).is_some() { Before::Set } else { Before::Unset };
    table.insert(name(last, value), value.clone());
    Ok(before)
}

/// What the key at the end of a way takes, where it is a key of a scenario.
pub(super) fn kind(way: &str) -> Option<Kind> {
    let (section, rest) = split(way).ok()?;
    let item = match (section.shape, section.name) {
        (Shape::List, "links") => 2,
        (Shape::List, _) => 1,
        _ => 0,
    };
    match rest.get(item..)? {
        [key] => section.find(key).map(|key| key.kind),
        [key, inner] => match section.find(key)?.kind {
            Kind::Table(table) => table.find(inner).map(|key| key.kind),
            _ => None,
        },
        _ => None,
    }
}

/// The section that a way begins with, and what follows.
fn split(way: &str) -> Result<(&'static Section, Vec<&str>), Lost> {
    let parts: Vec<&str> = way.split('.').collect();
    if keys::TOP.find(parts[0]).is_some() {
        return Ok((&keys::TOP, parts));
    }
    let sweepable = || SECTIONS.iter().filter(|section| section.shape != Shape::Top && !FIXED.contains(&section.name));
    if let Some(section) = sweepable().find(|section| section.name == parts[0]) {
        return Ok((section, parts[1..].to_vec()));
    }
    let known: Vec<&str> = sweepable().map(|section| section.name).collect();
    let problem = format!("`{way}` leads nowhere: there is no section `{}` to sweep", parts[0]);
    Err((problem, format!("begin with {}, or with a key of the top", or(&known))))
}

/// The item of a list that the first parts of a way name, and what follows.
fn pick<'a, 'w>(
    section: &'static Section,
    items: &'a mut DeArray<'static>,
    rest: &[&'w str],
    way: &str,
) -> Result<(&'a mut DeTable<'static>, Vec<&'w str>), Lost> {
    let parts = if section.name == "links" { 2 } else { 1 };
    if rest.len() <= parts {
        return Err(ends_early(section, way));
    }
    let (wanted, below) = rest.split_at(parts);
    let called = |table: &DeTable<'static>| {
        let names: Vec<&str> = identity(section, table).iter().filter_map(|key| text_at(table, key)).collect();
        names.join(".")
    };
    let wanted = wanted.join(".");
    let known: Vec<String> = items.iter().filter_map(|item| table_of(item.get_ref())).map(called).collect();
    let item = items.iter_mut().find_map(|item| match item.get_mut() {
        DeValue::Table(table) if called(table) == wanted => Some(table),
        _ => None,
    });
    item.map(|item| (item, below.to_vec())).ok_or_else(|| {
        let problem = format!("`{way}` leads nowhere: no {} is called `{wanted}`", section.heading());
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        (problem, nearest(&wanted, &known))
    })
}

/// The keys that an item of a list goes by in ways.
fn identity(section: &Section, item: &DeTable<'static>) -> &'static [&'static str] {
    match section.name {
        "links" => &["from", "to"],
        "hops" if entry(item, "name").is_none() => &["preset"],
        _ => &["name"],
    }
}

fn ends_early(section: &Section, way: &str) -> Lost {
    let form = match (section.shape, section.name) {
        (Shape::List, "links") => "links.FROM.TO.KEY".to_owned(),
        (Shape::List, name) => format!("{name}.NAME.KEY"),
        (_, name) => format!("{name}.KEY"),
    };
    (format!("`{way}` ends before a key"), format!("write {form}"))
}

/// A key that stands where the value stands, so that findings about either point there.
fn name(text: &str, value: &Value) -> super::source::Name {
    Spanned::new(value.span(), text.to_owned().into())
}

fn table_of<'a>(value: &'a DeValue<'static>) -> Option<&'a DeTable<'static>> {
    if let DeValue::Table(table) = value { Some(table) } else { None }
}

/// A value as it is read in a label.
pub(super) fn show(value: &DeValue) -> String {
    match value {
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| show(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        other => plain_text(other).unwrap_or_else(|_| super::write::toml(other)),
    }
}
