//! What a key of a scenario file is made of. The table of them is in [`super::keys`].

use super::units::{show_percent, show_rate, show_time};
use outrigger::config::did_you_mean;
use outrigger::config::units::show_size;
use std::time::Duration;

/// A heading of the file and what is written under it.
#[derive(Debug)]
pub(super) struct Section {
    /// As in the heading; empty for the top of the file.
    pub name: &'static str,
    pub shape: Shape,
    /// What it is for, as Markdown.
    pub about: &'static str,
    pub keys: &'static [Key],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The keys above all headings.
    Top,
    /// `[name]`, at most once.
    Table,
    /// `[[name]]`, any number of times.
    List,
    /// A table within an item of another section: inline, or under a heading of its own.
    Nested,
}

/// One key: everything that is said about it anywhere comes from here.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether it takes a list; a single value stands for a list of one.
    pub list: bool,
    /// Words besides what `kind` accepts.
    pub words: &'static [&'static str],
    pub default: Preset,
    /// As it is written in TOML.
    pub example: &'static str,
    /// Kinds (values of the section's deciding key) that have this key; empty for all.
    pub only: &'static [&'static str],
    /// One or two sentences.
    pub about: &'static str,
}

/// The value of a key that is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preset {
    /// As a text that the key's kind accepts.
    Value(&'static str),
    /// None; the text says what that means.
    Unset(&'static str),
    Required,
}

/// What a value looks like, ranges inclusive.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Any text with a character in it.
    Text,
    /// Letters, digits, `-` and `_`; with `slash`, `/` as well.
    Name {
        slash: bool,
    },
    /// The name of something else in the file; the text says of what.
    Ref(&'static str),
    Choice(&'static [&'static str]),
    Switch,
    /// Bounds in microseconds.
    Time {
        from: u64,
        to: u64,
    },
    /// One time, or two with `..` between them; bounds in microseconds.
    Times {
        from: u64,
        to: u64,
    },
    /// One size, or two with `..` between them; bounds in bytes.
    Sizes {
        from: u64,
        to: u64,
    },
    /// Bytes.
    Size {
        from: u64,
        to: u64,
    },
    Count {
        from: u64,
        to: u64,
    },
    /// So many a second, minute or hour; bounds as microseconds from one to the next.
    Rate {
        from: u64,
        to: u64,
    },
    /// Bytes per second.
    ByteRate {
        from: u64,
        to: u64,
    },
    /// Bits per second, powers of 1000.
    Bandwidth {
        from: u64,
        to: u64,
    },
    /// Bounds in parts per million.
    Percent {
        from: u64,
        to: u64,
    },
    /// A decimal number.
    Number {
        from: f64,
        to: f64,
    },
    /// Values for another key.
    Any,
    Table(&'static Section),
    /// The sidecar's own configuration.
    Config,
}

impl Section {
    /// The heading as it is written.
    pub(super) fn heading(&self) -> String {
        match self.shape {
            Shape::Top => "the top of the file".to_owned(),
            Shape::Table => format!("[{}]", self.name),
            Shape::List => format!("[[{}]]", self.name),
            Shape::Nested => self.name.to_owned(),
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The key of this name; that it is in the table is the reader's promise.
    pub(super) fn key(&self, name: &str) -> &'static Key {
        self.find(name).unwrap_or_else(|| panic!("`{name}` is in the table of keys of {}", self.heading()))
    }
}

impl Key {
    pub(super) const fn new(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Self {
        Self { name, kind, list: false, words: &[], default: Preset::Value(default), example: "", only: &[], about }
    }

    /// A key that must be written, with an example in TOML.
    pub(super) const fn required(name: &'static str, kind: Kind, example: &'static str, about: &'static str) -> Self {
        Self { default: Preset::Required, example, ..Self::new(name, kind, "", about) }
    }

    /// A key without default: `meaning` says what its absence means; with an example in TOML.
    pub(super) const fn unset(
        name: &'static str,
        kind: Kind,
        meaning: &'static str,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        Self { default: Preset::Unset(meaning), example, ..Self::new(name, kind, "", about) }
    }

    pub(super) const fn list(self) -> Self {
        Self { list: true, ..self }
    }

    pub(super) const fn words(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    /// A better example than the default.
    pub(super) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    pub(super) const fn only(self, only: &'static [&'static str]) -> Self {
        Self { only, ..self }
    }

    /// The key with a value worth showing, as in TOML.
    pub(super) fn spell(&self) -> String {
        match self.default {
            Preset::Value(text) if self.example.is_empty() => format!("{} = {}", self.name, self.toml(text)),
            _ => format!("{} = {}", self.name, self.example),
        }
    }

    /// What may be written, as a phrase.
    pub(super) fn accepts(&self) -> String {
        let kind = self.kind.accepts();
        self.words.iter().rev().fold(kind, |text, word| format!("`{word}`, or {text}"))
    }

    pub(super) fn default_text(&self) -> &'static str {
        match self.default {
            Preset::Value(text) | Preset::Unset(text) => text,
            Preset::Required => "required",
        }
    }

    /// Whether something with this deciding value has this key.
    pub(super) fn applies(&self, variant: Option<&str>) -> bool {
        self.only.is_empty() || variant.is_some_and(|variant| self.only.contains(&variant))
    }

    fn toml(&self, text: &str) -> String {
        match self.kind {
            Kind::Switch => if text == "on" { "true" } else { "false" }.to_owned(),
            Kind::Count { .. } | Kind::Number { .. } => text.to_owned(),
            _ => format!("{text:?}"),
        }
    }
}

impl Kind {
    fn accepts(self) -> String {
        let time = |micros| show_time(Duration::from_micros(micros));
        match self {
            Self::Text => "text".to_owned(),
            Self::Name { slash: false } => "a name of letters, digits, `-` and `_`".to_owned(),
            Self::Name { slash: true } => "a name of letters, digits, `-`, `_` and `/`".to_owned(),
            Self::Ref(what) => format!("the name of {what}"),
            Self::Choice(words) => or(words),
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Time { from, to } => format!("a time from {} to {}", time(from), time(to)),
            Self::Times { from, to } => {
                format!("a time from {} to {}, or a range of them as `1s..5s`", time(from), time(to))
            }
            Self::Size { from, to } => format!("a size from {from} to {}", show_size(to)),
            Self::Sizes { from, to } => {
                format!("a size from {from} to {}, or a range of them as `100..4k`", show_size(to))
            }
            Self::Count { from, to } => format!("a whole number from {from} to {to}"),
            Self::Rate { from, to } => {
                format!(
                    "a rate from {} to {}",
                    show_rate(Duration::from_micros(to)),
                    show_rate(Duration::from_micros(from))
                )
            }
            Self::ByteRate { from, to } => format!("a size per second from {from}/s to {}/s", show_size(to)),
            Self::Bandwidth { .. } => "a bandwidth from 8kbit to 100gbit".to_owned(),
            Self::Percent { from, to } => {
                format!("a percentage from {} to {}", show_percent(from), show_percent(to))
            }
            Self::Number { from, to } => format!("a number from {from} to {to}"),
            Self::Any => "what the key accepts".to_owned(),
            Self::Table(section) => {
                let keys: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
                format!("a table with {}", and(&keys))
            }
            Self::Config => "keys of the sidecar's own configuration".to_owned(),
        }
    }
}

/// Words in quotes, the last two joined by "or".
pub(super) fn or(words: &[&str]) -> String {
    joined(words, "or")
}

/// Words in quotes, the last two joined by "and".
pub(super) fn and(words: &[&str]) -> String {
    joined(words, "and")
}

/// The word that was probably meant, or all there are.
pub(super) fn nearest(word: &str, known: &[&str]) -> String {
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", and(known)),
    }
}

fn joined(words: &[&str], by: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {by} {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
