//! Typed access to one table of the file. Each read reports what is wrong and goes on with the default, so that one run
//! finds all faults.

use std::cell::RefCell;

use outrigger::config::{Place, Report, plain_text};
use toml::de::{DeTable, DeValue};

use super::key::{Key, Kind, Preset, Section, Shape, nearest, or};
use super::source::{Source, entry, in_order};
use super::values::{self, Checked};

/// Most items in one list of the file.
const MAX_ITEMS: usize = 1_000;

/// The file and what was found in it so far.
pub(super) struct Reading<'a> {
    pub source: &'a Source,
    pub report: RefCell<Report>,
}

/// The fields under one heading. A name that the table of keys does not have is a bug and panics.
pub(super) struct Fields<'a> {
    pub reading: &'a Reading<'a>,
    section: &'static Section,
    table: Option<&'a DeTable<'static>>,
    /// Where the heading is.
    pub place: Place,
    /// The value of the key that decides which others apply.
    variant: Option<&'static str>,
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Found<T> {
    pub value: T,
    pub place: Place,
}

impl<'a> Reading<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, report: RefCell::default() }
    }

    pub(super) fn fault(&self, place: &Place, problem: impl Into<String>, advice: impl Into<String>) {
        self.report.borrow_mut().fault(place, problem, advice);
    }

    pub(super) fn warn(&self, place: &Place, problem: impl Into<String>, advice: impl Into<String>) {
        self.report.borrow_mut().warn(place, problem, advice);
    }

    /// The keys above all headings.
    pub(super) fn top(&'a self, section: &'static Section, others: &[&'static str]) -> Fields<'a> {
        let fields = Fields::new(self, section, Some(&self.source.table), self.source.place(0));
        fields.check_names(others);
        fields
    }

    /// The table of this section; without one, all its keys have their defaults.
    pub(super) fn table(&'a self, section: &'static Section) -> Fields<'a> {
        match entry(&self.source.table, section.name) {
            None => Fields::new(self, section, None, Place::Unset(section.name)),
            Some((name, value)) => {
                let place = self.source.place(name.span().start);
                let DeValue::Table(table) = value.get_ref() else {
                    let problem = format!("`{}` is not one table", section.name);
                    self.fault(&place, problem, format!("write it under the heading {}", section.heading()));
                    return Fields::new(self, section, None, place);
                };
                let fields = Fields::new(self, section, Some(table), place);
                if !section.keys.is_empty() {
                    fields.check_names(&[]);
                }
                fields
            }
        }
    }

    /// The items of this section.
    pub(super) fn list(&'a self, section: &'static Section) -> Vec<Fields<'a>> {
        let Some((name, value)) = entry(&self.source.table, section.name) else { return Vec::new() };
        let place = self.source.place(name.span().start);
        let not_a_list = || {
            let problem = format!("`{}` is not a list of tables", section.name);
            self.fault(&place, problem, format!("write each of them under a heading {} of its own", section.heading()));
        };
        let DeValue::Array(items) = value.get_ref() else {
            not_a_list();
            return Vec::new();
        };
        if items.len() > MAX_ITEMS {
            self.fault(
                &place,
                format!("there are {} {}", items.len(), section.heading()),
                format!("write at most {MAX_ITEMS}"),
            );
        }
        let mut list = Vec::new();
        for item in items.iter().take(MAX_ITEMS) {
            if let DeValue::Table(table) = item.get_ref() {
                let fields = Fields::new(self, section, Some(table), self.source.place(item.span().start));
                fields.check_names(&[]);
                list.push(fields);
            } else {
                not_a_list();
                break;
            }
        }
        list
    }
}

impl<'a> Fields<'a> {
    fn new(
        reading: &'a Reading<'a>,
        section: &'static Section,
        table: Option<&'a DeTable<'static>>,
        place: Place,
    ) -> Self {
        Self { reading, section, table, place, variant: None }
    }

    /// Reads the key that decides which others apply, and reports those that do not. `None` after a fault; then all
    /// keys are taken as if they applied and none were required.
    pub(super) fn decide(&mut self, name: &'static str) -> Option<&'static str> {
        let variant = self.one(name, values::choice)?;
        self.variant = Some(variant);
        for (key, place) in self.written() {
            if !key.applies(self.variant) {
                let problem = format!("`{}` does nothing here: it is for {}", key.name, or(key.only));
                self.reading.fault(&place, problem, format!("remove it, or write another `{name}` than `{variant}`"));
            }
        }
        Some(variant)
    }

    /// Where a key is written, or where it would be.
    pub(super) fn place(&self, name: &str) -> Place {
        self.written_at(name).unwrap_or_else(|| self.place.clone())
    }

    /// Where a key is written, if it is.
    pub(super) fn written_at(&self, name: &str) -> Option<Place> {
        let (key, _) = entry(self.table?, name)?;
        Some(self.reading.source.place(key.span().start))
    }

    /// The value of a key that takes one; `None` if it is not written and has no default, or is wrong and has none.
    pub(super) fn one<T>(&self, name: &'static str, parse: impl Fn(&Key, &str) -> Checked<T>) -> Option<T> {
        self.found(name, parse).map(|found| found.value)
    }

    /// The value of a key that has a default.
    pub(super) fn value<T>(&self, name: &'static str, parse: impl Fn(&Key, &str) -> Checked<T>) -> T {
        self.one(name, parse).expect("a key that is read this way has a default")
    }

    /// As [`Self::one`], with the place of the value.
    pub(super) fn found<T>(&self, name: &'static str, parse: impl Fn(&Key, &str) -> Checked<T>) -> Option<Found<T>> {
        let key = self.section.key(name);
        let value = match self.texts(key) {
            None => None,
            Some(texts) => {
                if let [text] = texts.as_slice() {
                    self.check(key, text, &parse)
                } else {
                    self.wrong(key, &self.place(name), &format!("{name} takes one value, not a list"));
                    None
                }
            }
        };
        value.or_else(|| match key.default {
            Preset::Value(text) => {
                let value = parse(key, text).unwrap_or_else(|what| panic!("the default of {name} {what}"));
                Some(Found { value, place: self.place.clone() })
            }
            Preset::Unset(_) | Preset::Required => None,
        })
    }

    /// The values of a list that are right; `None` if it is not written.
    pub(super) fn many<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&Key, &str) -> Checked<T>,
    ) -> Option<Vec<Found<T>>> {
        let key = self.section.key(name);
        let texts = self.texts(key)?;
        if texts.is_empty() {
            self.wrong(key, &self.place(name), &format!("{name} is an empty list"));
        }
        Some(texts.iter().filter_map(|text| self.check(key, text, &parse)).collect())
    }

    /// The fields of a table within this one; without it, all have their defaults.
    pub(super) fn nested(&self, name: &'static str) -> Fields<'a> {
        let key = self.section.key(name);
        let Kind::Table(section) = key.kind else { panic!("{name} is a table") };
        let place = self.place(name);
        let fields = Fields::new(self.reading, section, self.raw_table(name), place);
        fields.check_names(&[]);
        fields
    }

    /// The table under this key, as it is written.
    pub(super) fn raw_table(&self, name: &'static str) -> Option<&'a DeTable<'static>> {
        let (_, value) = entry(self.table?, name)?;
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        self.wrong(self.section.key(name), &self.place(name), &format!("{name} is not a table"));
        None
    }

    /// The table of this heading, as it is written.
    pub(super) fn raw(&self) -> Option<&'a DeTable<'static>> {
        self.table
    }

    /// What a key that is a reference refers to, as a phrase.
    pub(super) fn refers_to(&self, name: &str) -> &'static str {
        match self.section.key(name).kind {
            Kind::Ref(what) => what,
            _ => panic!("{name} is a reference"),
        }
    }

    /// Reports a value that is wrong, with what the key accepts.
    pub(super) fn wrong(&self, key: &Key, place: &Place, problem: &str) {
        self.reading.fault(place, problem, format!("write {}, such as {}", key.accepts(), key.spell()));
    }

    fn check<T>(&self, key: &Key, text: &Found<String>, parse: &impl Fn(&Key, &str) -> Checked<T>) -> Option<Found<T>> {
        match parse(key, &text.value) {
            Ok(value) => Some(Found { value, place: text.place.clone() }),
            Err(problem) => {
                self.wrong(key, &text.place, &problem);
                None
            }
        }
    }

    /// The texts of a key, each with its place; `None` if it is not written, which is reported where it must be.
    fn texts(&self, key: &'static Key) -> Option<Vec<Found<String>>> {
        let Some((name, value)) = self.table.and_then(|table| entry(table, key.name)) else {
            let undecided = !key.only.is_empty() && self.variant.is_none();
            if key.default == Preset::Required && !undecided && key.applies(self.variant) {
                self.missing(key);
            }
            return None;
        };
        let place = self.reading.source.place(name.span().start);
        let DeValue::Array(items) = value.get_ref() else {
            return self.plain(key, &place, value.get_ref()).map(|text| vec![text]);
        };
        if !key.list {
            self.wrong(key, &place, &format!("{} takes one value, not a list", key.name));
            return None;
        }
        if items.len() > MAX_ITEMS {
            self.reading.fault(
                &place,
                format!("{} has {} values", key.name, items.len()),
                format!("write at most {MAX_ITEMS}"),
            );
        }
        let place = |offset| self.reading.source.place(offset);
        let items = items.iter().take(MAX_ITEMS);
        Some(items.filter_map(|item| self.plain(key, &place(item.span().start), item.get_ref())).collect())
    }

    fn plain(&self, key: &Key, place: &Place, value: &DeValue) -> Option<Found<String>> {
        match plain_text(value) {
            Ok(value) => Some(Found { value, place: place.clone() }),
            Err(what) => {
                self.wrong(key, place, &format!("{} cannot be {what}", key.name));
                None
            }
        }
    }

    fn missing(&self, key: &Key) {
        let whose = match self.section.shape {
            Shape::Top => "the scenario".to_owned(),
            _ => format!("this {}", self.section.heading()),
        };
        let which = self
            .variant
            .filter(|_| !key.only.is_empty())
            .map_or(String::new(), |variant| format!(" of kind `{variant}`"));
        self.reading.fault(
            &self.place,
            format!("{whose}{which} has no `{}`", key.name),
            format!("add {}", key.spell()),
        );
    }

    /// Reports names that the section does not have.
    fn check_names(&self, others: &[&'static str]) {
        let Some(table) = self.table else { return };
        let known = || self.section.keys.iter().map(|key| key.name).chain(others.iter().copied());
        for (name, _) in in_order(table) {
            if known().any(|known| known == name.get_ref()) {
                continue;
            }
            let known: Vec<&str> = known().collect();
            let advice = nearest(&name.get_ref().replace('-', "_"), &known);
            let problem = format!("`{}` is not a key of {}", name.get_ref(), self.section.heading());
            self.reading.fault(&self.reading.source.place(name.span().start), problem, advice);
        }
    }

    /// The keys that are written, each with its place, in the order of the file.
    fn written(&self) -> Vec<(&'static Key, Place)> {
        let entries = self.table.map(in_order).unwrap_or_default();
        let place = |offset| self.reading.source.place(offset);
        let keyed =
            |(name, _): (&super::source::Name, _)| Some((self.section.find(name.get_ref())?, place(name.span().start)));
        entries.into_iter().filter_map(keyed).collect()
    }
}
