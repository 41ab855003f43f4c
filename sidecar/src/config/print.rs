//! The effective settings as a TOML file that gives the same configuration again, secrets aside.

use super::key::{Key, Preset};
use super::report::{Place, Report};
use super::settings::Settings;
use super::{GROUPS, Sources, header};

/// Every key with the value that holds and, unless it is the default, where it came from. `None` if the file is not
/// TOML; the faults of that are what [`super::resolve`] reports.
pub fn effective(sources: &Sources) -> Option<String> {
    let settings = Settings::read(sources, &mut Report::default())?;
    let mut text = String::from("# The configuration in effect. Values without a comment are defaults.\n");
    for group in &GROUPS {
        text.extend(["\n# ", group.title, "\n"]);
        for key in group.keys {
            text += &line(&settings, key);
        }
    }
    Some(text)
}

fn line(settings: &Settings, key: &Key) -> String {
    let Some(given) = settings.winner(key) else {
        return match key.default {
            Preset::Unset(meaning) => format!("# {}: {meaning}\n", key.name),
            Preset::Value(value) => format!("{} = {}\n", key.name, scalar(value)),
            Preset::List(values) => format!("{} = {}\n", key.name, list(values.iter().copied())),
        };
    };
    let value = match given.items.as_slice() {
        [item] if !key.list || key.mostly_one => scalar(&shown(key, &item.text)),
        items => list(items.iter().map(|item| shown(key, &item.text))),
    };
    format!("{} = {value} # {}\n", key.name, origin(&given.place))
}

fn origin(place: &Place) -> String {
    match place {
        Place::File { .. } => format!("from {place}"),
        Place::Variable(name) => format!("from the variable {name}"),
        Place::Flag(name) => format!("from the flag {name}"),
        Place::Annotation(name) => format!("from the annotation {name}"),
        Place::Unset(_) => "the default".to_owned(),
    }
}

/// The text of a value, without what nobody should read over a shoulder.
fn shown(key: &Key, text: &str) -> String {
    match key.name {
        "add_header" | "more_set_headers" => header::shown(text),
        "upstream" if text.contains('@') => "…".to_owned(),
        _ => text.to_owned(),
    }
}

fn list<T: AsRef<str>>(values: impl Iterator<Item = T>) -> String {
    let values: Vec<String> = values.map(|value| quoted(value.as_ref())).collect();
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
