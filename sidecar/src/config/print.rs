//! The effective settings as a TOML file that gives the same configuration again, secrets aside.

use super::key::{Key, Preset};
use super::keys::Group;
use super::report::{Place, Report};
use super::settings::Settings;
use super::{GROUPS, Sources, header};

/// The source of a value that nobody gave.
const DEFAULT: &str = "the default";

/// A key with what is in force for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub key: &'static str,
    /// The title of the group that the key belongs to.
    group: &'static str,
    pub value: Value,
    /// `the default`, `o.toml:3:1`, `the variable OUTRIGGER_LISTEN` or `the flag --listen`.
    pub source: String,
}

/// What holds, secrets aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    One(String),
    List(Vec<String>),
    /// Nothing; the text says what that means.
    Unset(&'static str),
}

/// Every key with the value that holds and, unless it is the default, where it came from. `None` if the file is not
/// TOML; the faults of that are what [`super::resolve`] reports.
pub fn effective(sources: &Sources) -> Option<String> {
    shown(sources).map(|shown| toml(&shown))
}

/// The same, key by key.
pub fn shown(sources: &Sources) -> Option<Vec<Shown>> {
    let settings = Settings::read(sources, &mut Report::default())?;
    let of = |group: &'static Group| group.keys.iter().map(|key| one(&settings, group.title, key)).collect::<Vec<_>>();
    Some(GROUPS.iter().flat_map(of).collect())
}

/// As a file that reads back as the same.
pub fn toml(shown: &[Shown]) -> String {
    let mut text = String::from("# The configuration in effect. Values without a comment are defaults.\n");
    let mut group = "";
    for shown in shown {
        if shown.group != group {
            group = shown.group;
            text.extend(["\n# ", group, "\n"]);
        }
        text += &line(shown);
    }
    text
}

fn one(settings: &Settings, group: &'static str, key: &Key) -> Shown {
    let Some(given) = settings.winner(key) else {
        let value = match key.default {
            Preset::Unset(meaning) => Value::Unset(meaning),
            Preset::Value(value) => Value::One(value.to_owned()),
            Preset::List(values) => Value::List(values.iter().map(|value| (*value).to_owned()).collect()),
        };
        return Shown { key: key.name, group, value, source: DEFAULT.to_owned() };
    };
    let value = match given.items.as_slice() {
        [item] if !key.list || key.mostly_one => Value::One(revealed(key, &item.text)),
        items => Value::List(items.iter().map(|item| revealed(key, &item.text)).collect()),
    };
    Shown { key: key.name, group, value, source: origin(&given.place) }
}

fn line(Shown { key, value, source, .. }: &Shown) -> String {
    let value = match value {
        Value::Unset(meaning) => return format!("# {key}: {meaning}\n"),
        Value::One(text) => scalar(text),
        Value::List(texts) => list(texts),
    };
    match source.as_str() {
        DEFAULT => format!("{key} = {value}\n"),
        source => format!("{key} = {value} # from {source}\n"),
    }
}

fn origin(place: &Place) -> String {
    match place {
        Place::File { .. } => place.to_string(),
        Place::Variable(name) => format!("the variable {name}"),
        Place::Flag(name) => format!("the flag {name}"),
        Place::Annotation(name) => format!("the annotation {name}"),
        Place::Unset(_) => DEFAULT.to_owned(),
    }
}

/// The text of a value, without what nobody should read over a shoulder.
fn revealed(key: &Key, text: &str) -> String {
    match key.name {
        "add_header" | "more_set_headers" => header::shown(text),
        "otlp_headers" | "otlp_traces_headers" | "otlp_metrics_headers" => header::hidden(text),
        "upstream" | "egress" if text.contains('@') => "…".to_owned(),
        _ => text.to_owned(),
    }
}

fn list(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", values.join(", "))
}

/// A bare integer, or a string.
fn scalar(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(number) => number.to_string(),
        Err(_) => quoted(text),
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => quoted.extend(["\\u", &format!("{:04X}", u32::from(letter))]),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}
