//! What a configuration key is made of. The table of them is in [`super::keys`].

use std::time::Duration;

use super::units::{show_duration, show_size};

/// Prefix of every environment variable.
pub(crate) const VARIABLE_PREFIX: &str = "OUTRIGGER_";

/// Prefix of every annotation on a pod.
pub(crate) const ANNOTATION_PREFIX: &str = "outrigger.dev/";

/// One key: everything that is said about it anywhere comes from here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// In `snake_case`; the variable and the flag follow from it.
    pub name: &'static str,
    /// Other names, as of nginx and CLB, with the same meaning.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    /// Whether several values may be given.
    pub list: bool,
    /// Whether a list is mostly of one value, and that is then written without brackets.
    pub mostly_one: bool,
    /// Words besides what `kind` accepts: `off`, `auto`, and `0` where it means "no limit".
    pub words: &'static [&'static str],
    pub default: Preset,
    /// A value worth showing; shown in advice when the default is not one.
    pub example: &'static str,
    /// One or two sentences.
    pub about: &'static str,
    /// The variable of OpenTelemetry's that means the same.
    pub standard: Option<Standard>,
}

/// A variable that OpenTelemetry defines for all programs ("Environment Variable Specification"). What it says holds where
/// nothing of ours says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standard {
    pub variable: &'static str,
    pub form: StandardForm,
}

/// How a value of such a variable becomes one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StandardForm {
    /// As it is.
    Same,
    /// A whole number of milliseconds.
    Milliseconds,
    /// `name=value` pairs between commas, values percent-encoded; ours have this between name and value.
    Pairs(&'static str),
    /// `true` means `off`.
    Disabled,
}

/// The value of a key that nobody set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preset {
    Value(&'static str),
    List(&'static [&'static str]),
    /// None; the text says what that means, as in "any" or "as keepalive".
    Unset(&'static str),
}

/// What a value looks like, ranges inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bounds in milliseconds.
    Duration {
        from: u64,
        to: u64,
    },
    /// Bounds in bytes.
    Size {
        from: u64,
        to: u64,
    },
    /// Bytes per second, written as a size with or without `/s`.
    ByteRate {
        from: u64,
        to: u64,
    },
    Count {
        from: u64,
        to: u64,
    },
    /// Per second, written with or without `/s`.
    MessageRate {
        from: u64,
        to: u64,
    },
    /// Written with or without `%`.
    Percent {
        to: u64,
    },
    CloseCode,
    Choice(&'static [&'static str]),
    /// `on` or `off`, in TOML also `true` or `false`.
    Switch,
    Path,
    /// An address with options behind it, or in the file a table of both.
    Upstream,
    /// Text with a form of its own, described, and what stands for it in `--help`.
    Text(&'static str, &'static str),
}

/// The forms of an upstream's address.
const UPSTREAM: &str = "`HOST:PORT`, `http(s)://HOST:PORT`, `ws(s)://HOST:PORT` or `unix:/PATH`";

/// What can be said of an upstream besides its address.
pub(crate) const UPSTREAM_OPTIONS: [&str; 7] =
    ["name", "region", "priority", "weight", "host", "path", "proxy_protocol"];

/// The address in an upstream's table.
pub(crate) const UPSTREAM_ADDRESS: &str = "address";

/// Close codes that may be configured, as ranges.
pub(crate) const CLOSE_CODES: [(u16, u16); 4] = [(1000, 1001), (1008, 1008), (1011, 1014), (3000, 4999)];

impl Key {
    pub(crate) const fn new(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            list: false,
            mostly_one: false,
            words: &[],
            default: Preset::Value(default),
            example: default,
            about,
            standard: None,
        }
    }

    pub(crate) const fn list(name: &'static str, kind: Kind, example: &'static str, about: &'static str) -> Self {
        Self { list: true, default: Preset::Unset("none"), ..Self::new(name, kind, example, about) }
    }

    pub(crate) const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    pub(crate) const fn words(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    pub(crate) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// Takes the default away: `meaning` says what the key's absence means.
    pub(crate) const fn unset(self, meaning: &'static str) -> Self {
        Self { default: Preset::Unset(meaning), ..self }
    }

    /// Gives it a variable of OpenTelemetry's besides its own.
    pub(crate) const fn standard(self, variable: &'static str, form: StandardForm) -> Self {
        Self { standard: Some(Standard { variable, form }), ..self }
    }

    pub(crate) const fn preset(self, values: &'static [&'static str]) -> Self {
        Self { default: Preset::List(values), ..self }
    }

    /// Makes one value the usual thing, though there may be more.
    pub(crate) const fn mostly_one(self) -> Self {
        Self { mostly_one: true, ..self }
    }

    /// The name and its aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    pub(crate) fn variable(&self) -> String {
        variable(self.name)
    }

    pub(crate) fn flag(&self) -> String {
        flag(self.name)
    }

    pub(crate) fn annotation(&self) -> String {
        annotation(self.name)
    }

    /// The default as people read it.
    pub(crate) fn default_text(&self) -> String {
        match self.default {
            Preset::Value(value) => value.to_owned(),
            Preset::List(values) => values.join(", "),
            Preset::Unset(meaning) => meaning.to_owned(),
        }
    }

    /// The default as `--help` shows it.
    pub(crate) fn default_note(&self) -> String {
        match self.default {
            Preset::Unset("required") => "[required]".to_owned(),
            Preset::Value(_) | Preset::List(_) | Preset::Unset(_) => format!("[default: {}]", self.default_text()),
        }
    }

    /// What may be written, as a phrase.
    pub(crate) fn accepts(&self) -> String {
        let kind = self.kind.accepts();
        self.words.iter().rev().fold(kind, |text, word| format!("`{word}`, or {text}"))
    }
}

/// The flag of a key or alias.
pub(crate) fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// The annotation of a key or alias.
pub(crate) fn annotation(name: &str) -> String {
    format!("{ANNOTATION_PREFIX}{}", name.replace('_', "-"))
}

/// The environment variable of a key or alias.
pub(crate) fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.to_ascii_uppercase())
}

impl Kind {
    /// What may be written, as a phrase.
    pub(crate) fn accepts(self) -> String {
        match self {
            Self::Duration { from, to } => {
                let show = |milliseconds| show_duration(Duration::from_millis(milliseconds));
                format!("a duration from {} to {}", show(from), show(to))
            }
            Self::Size { from, to } => format!("a size from {} to {}", show_bytes(from), show_bytes(to)),
            Self::ByteRate { from, to } => {
                format!("a size per second from {}/s to {}/s", show_size(from), show_size(to))
            }
            Self::Count { from, to } => format!("a whole number from {from} to {to}"),
            Self::MessageRate { from, to } => format!("messages per second from {from}/s to {to}/s"),
            Self::Percent { to } => format!("0% to {to}%"),
            Self::CloseCode => {
                let ranges =
                    CLOSE_CODES.map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
                format!("a close code: {}", ranges.join(", "))
            }
            Self::Choice(words) => or(words),
            Self::Switch => or(&["on", "off"]),
            Self::Path => "the path of a file".to_owned(),
            Self::Upstream => {
                let options: Vec<String> = UPSTREAM_OPTIONS.iter().map(|name| format!("`;{name}=`")).collect();
                format!("{UPSTREAM}, and {} behind it", options.join(", "))
            }
            Self::Text(form, _) => form.to_owned(),
        }
    }

    pub(crate) fn is_path(self) -> bool {
        matches!(self, Self::Path)
    }

    /// What stands for the value in `--help`.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Duration { .. } => "TIME",
            Self::Size { .. } => "SIZE",
            Self::ByteRate { .. } => "SIZE/s",
            Self::Count { .. } => "N",
            Self::MessageRate { .. } => "N/s",
            Self::Percent { .. } => "PERCENT",
            Self::CloseCode => "CODE",
            Self::Choice(_) => "WORD",
            Self::Switch => "on|off",
            Self::Path => "FILE",
            Self::Upstream => "ADDRESS",
            Self::Text(_, placeholder) => placeholder,
        }
    }
}

/// A size that is clearly one: a bare number gets its unit.
fn show_bytes(bytes: u64) -> String {
    let text = show_size(bytes);
    if text.bytes().all(|b| b.is_ascii_digit()) { format!("{text} bytes") } else { text }
}

fn or(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
