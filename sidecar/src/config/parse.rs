//! From the text of one value to its type, within the range that the key's kind states.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ReadFile;
use super::key::{CLOSE_CODES, Key, Kind};
use super::report::Place;
use super::units::{parse_duration, parse_size, parse_whole};

/// What is wrong with a text, and what to write instead if that is more than what the key accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub what: String,
    pub advice: Option<String>,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), advice: None }
    }

    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// What to write instead at this place.
    pub(crate) fn advice_for(&self, key: &Key, place: &Place) -> String {
        match &self.advice {
            Some(advice) => advice.clone(),
            None => format!("write {}, such as {}", key.accepts(), place.spell(key, key.example)),
        }
    }
}

/// Makes a parser that answers `None` for one of the key's words.
pub(crate) fn or_word<T>(
    parse: impl Fn(&Key, &str) -> Result<T, Problem>,
) -> impl Fn(&Key, &str) -> Result<Option<T>, Problem> {
    move |key, text| if key.words.contains(&text) { Ok(None) } else { parse(key, text).map(Some) }
}

pub(crate) fn duration(key: &Key, text: &str) -> Result<Duration, Problem> {
    let Kind::Duration { from, to } = key.kind else { wrong_kind(key) };
    let value = parse_duration(text).ok_or_else(|| Problem::new(format!("`{text}` is not a duration")))?;
    if (Duration::from_millis(from)..=Duration::from_millis(to)).contains(&value) {
        Ok(value)
    } else {
        Err(out_of_range(text))
    }
}

pub(crate) fn size(key: &Key, text: &str) -> Result<u64, Problem> {
    let (Kind::Size { from, to } | Kind::ByteRate { from, to }) = key.kind else { wrong_kind(key) };
    let amount = if matches!(key.kind, Kind::ByteRate { .. }) { text.strip_suffix("/s").unwrap_or(text) } else { text };
    let value = parse_size(amount).ok_or_else(|| Problem::new(format!("`{text}` is not a size")))?;
    if (from..=to).contains(&value) { Ok(value) } else { Err(out_of_range(text)) }
}

/// A count, a message rate or a percentage.
pub(crate) fn number(key: &Key, text: &str) -> Result<u64, Problem> {
    let (from, to, suffix) = match key.kind {
        Kind::Count { from, to } => (from, to, ""),
        Kind::MessageRate { from, to } => (from, to, "/s"),
        Kind::Percent { to } => (0, to, "%"),
        _ => wrong_kind(key),
    };
    let digits = text.strip_suffix(suffix).unwrap_or(text);
    let value = parse_whole(digits).ok_or_else(|| Problem::new(format!("`{text}` is not a whole number")))?;
    if (from..=to).contains(&value) { Ok(value) } else { Err(out_of_range(text)) }
}

pub(crate) fn choice(key: &Key, text: &str) -> Result<&'static str, Problem> {
    let Kind::Choice(words) = key.kind else { wrong_kind(key) };
    let word = words.iter().find(|word| **word == text);
    word.copied().ok_or_else(|| Problem::new(format!("`{text}` is not one of the words for {}", key.name)))
}

pub(crate) fn switch(_: &Key, text: &str) -> Result<bool, Problem> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(Problem::new(format!("`{text}` is neither `on` nor `off`"))),
    }
}

/// A code that an endpoint may send (RFC 6455 section 7.4) and that fits an end which the sidecar brings about.
pub(crate) fn close_code(_: &Key, text: &str) -> Result<u16, Problem> {
    let code = parse_whole(text).and_then(|code| u16::try_from(code).ok());
    code.filter(|code| CLOSE_CODES.iter().any(|(from, to)| (from..=to).contains(&code)))
        .ok_or_else(|| Problem::new(format!("`{text}` is not a close code that may be sent here")))
}

/// A path; with a reader, the file is read to see whether it can be. Relative ones start at the working directory.
pub(crate) fn path(text: &str, read_file: Option<ReadFile>) -> Result<PathBuf, Problem> {
    if text.is_empty() {
        return Err(Problem::new("is empty"));
    }
    let path = Path::new(text);
    if let Some(read_file) = read_file {
        read_file(path).map_err(|error| unreadable(path, &error))?;
    }
    Ok(path.to_owned())
}

/// What is wrong with a file that cannot be read, in words that name the remedy.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "check the path; a relative one starts at the working directory",
        io::ErrorKind::PermissionDenied => "let the user that outrigger runs as read it",
        io::ErrorKind::IsADirectory => "name the file in that directory",
        io::ErrorKind::InvalidInput => "save what is meant as a file of its own",
        io::ErrorKind::FileTooLarge => "check the path; what is needed is smaller by far",
        _ => "name a file that can be read",
    };
    Problem::new(format!("cannot read {}: {error}", path.display())).advise(advice)
}

fn out_of_range(text: &str) -> Problem {
    Problem::new(format!("`{text}` is out of range"))
}

fn wrong_kind(key: &Key) -> ! {
    panic!("{} is read as what the table says it is, not as another kind than {:?}", key.name, key.kind)
}
