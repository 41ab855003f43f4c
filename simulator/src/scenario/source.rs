//! The file of a scenario as it was written, to be resolved again with other values or written with other faults.

use std::fmt;

use outrigger::config::{FileSource, Place, plain_text};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

pub(super) type Value = Spanned<DeValue<'static>>;
pub(super) type Name = Spanned<DeString<'static>>;

/// A parsed file.
#[derive(Clone)]
pub(super) struct Source {
    /// As it shall appear in messages.
    pub name: String,
    pub text: String,
    pub table: DeTable<'static>,
}

impl fmt::Debug for Source {
    /// Its name alone: two scenarios that say the same look the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

impl Source {
    /// The place of a byte offset.
    pub(super) fn place(&self, offset: usize) -> Place {
        self.file().place(offset)
    }

    pub(super) fn file(&self) -> FileSource<'_> {
        FileSource { name: &self.name, text: &self.text }
    }
}

/// A table that borrows nothing. Numbers become texts: every key takes either, and TOML's numbers cannot be had without
/// the text that they borrow.
pub(super) fn owned(table: DeTable) -> DeTable<'static> {
    let entry = |(name, value): (Spanned<DeString>, Spanned<DeValue>)| {
        let owned_name = name.get_ref().to_string().into();
        (Spanned::new(name.span(), owned_name), owned_value(value))
    };
    table.into_iter().map(entry).collect()
}

fn owned_value(value: Spanned<DeValue>) -> Value {
    let span = value.span();
    let owned = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(owned(table)),
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(owned_value).collect()),
        DeValue::Boolean(on) => DeValue::Boolean(on),
        DeValue::Datetime(when) => DeValue::Datetime(when),
        plain => DeValue::String(plain_text(&plain).expect("texts and numbers are plain").into()),
    };
    Spanned::new(span, owned)
}

/// The entries of a table in the order of the file.
pub(super) fn in_order<'a>(table: &'a DeTable<'static>) -> Vec<(&'a Name, &'a Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// The entry of this name.
pub(super) fn entry<'a>(table: &'a DeTable<'static>, name: &str) -> Option<(&'a Name, &'a Value)> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

/// The text of an entry, if it is one.
pub(super) fn text_at<'a>(table: &'a DeTable<'static>, name: &str) -> Option<&'a str> {
    entry(table, name).and_then(|(_, value)| value.get_ref().as_str())
}
