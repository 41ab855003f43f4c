//! From the text of one value to its type, within the range that the key's kind states.

use std::time::Duration;

use outrigger::config::units::{parse_size, parse_whole};

use super::key::{Key, Kind};
use super::model::{SizeRange, TimeRange};
use super::units::{parse_bandwidth, parse_percent, parse_range, parse_rate, parse_time};

/// What is wrong with a text, as a clause; what to write instead follows from the key.
pub(super) type Checked<T> = Result<T, String>;

/// Makes a parser that answers `None` for one of the key's words.
pub(super) fn or_word<T>(parse: impl Fn(&Key, &str) -> Checked<T>) -> impl Fn(&Key, &str) -> Checked<Option<T>> {
    move |key, text| if key.words.contains(&text) { Ok(None) } else { parse(key, text).map(Some) }
}

pub(super) fn text(_: &Key, text: &str) -> Checked<String> {
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn name(key: &Key, text: &str) -> Checked<String> {
    let Kind::Name { slash } = key.kind else { wrong_kind(key) };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c) || (slash && c == '/');
    if !text.is_empty() && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a name"))
    }
}

pub(super) fn choice(key: &Key, text: &str) -> Checked<&'static str> {
    let Kind::Choice(words) = key.kind else { wrong_kind(key) };
    words.iter().find(|word| **word == text).copied().ok_or_else(|| format!("`{text}` is not a word for {}", key.name))
}

pub(super) fn switch(_: &Key, text: &str) -> Checked<bool> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

pub(super) fn time(key: &Key, text: &str) -> Checked<Duration> {
    let Kind::Time { from, to } = key.kind else { wrong_kind(key) };
    let time = parse_time(text).ok_or_else(|| format!("`{text}` is not a time"))?;
    within(micros(time), (from, to), text).map(|_| time)
}

pub(super) fn times(key: &Key, text: &str) -> Checked<TimeRange> {
    let Kind::Times { from, to } = key.kind else { wrong_kind(key) };
    let ends =
        parse_range(text, parse_time).ok_or_else(|| format!("`{text}` is neither a time nor a range of times"))?;
    within(micros(ends.0), (from, to), text)?;
    within(micros(ends.1), (from, to), text)?;
    Ok(TimeRange { from: ends.0, to: ends.1 })
}

pub(super) fn sizes(key: &Key, text: &str) -> Checked<SizeRange> {
    let Kind::Sizes { from, to } = key.kind else { wrong_kind(key) };
    let ends =
        parse_range(text, parse_size).ok_or_else(|| format!("`{text}` is neither a size nor a range of sizes"))?;
    Ok(SizeRange { from: within(ends.0, (from, to), text)?, to: within(ends.1, (from, to), text)? })
}

/// The time from one to the next.
pub(super) fn rate(key: &Key, text: &str) -> Checked<Duration> {
    let Kind::Rate { from, to } = key.kind else { wrong_kind(key) };
    let every = parse_rate(text).ok_or_else(|| format!("`{text}` is not a rate"))?;
    within(micros(every), (from, to), text).map(|_| every)
}

/// A size, a size per second, a bandwidth, a share in parts per million, or a count.
pub(super) fn number(key: &Key, text: &str) -> Checked<u64> {
    let (parsed, bounds, what) = match key.kind {
        Kind::Size { from, to } => (parse_size(text), (from, to), "a size"),
        Kind::ByteRate { from, to } => {
            (parse_size(text.strip_suffix("/s").unwrap_or(text)), (from, to), "a size per second")
        }
        Kind::Bandwidth { from, to } => (parse_bandwidth(text), (from, to), "a bandwidth"),
        Kind::Percent { from, to } => (parse_percent(text), (from, to), "a percentage with at most four places"),
        Kind::Count { from, to } => (parse_whole(text), (from, to), "a whole number"),
        _ => wrong_kind(key),
    };
    within(parsed.ok_or_else(|| format!("`{text}` is not {what}"))?, bounds, text)
}

/// As [`number`], where the range of the key ends below 2^32.
pub(super) fn small(key: &Key, text: &str) -> Checked<u32> {
    number(key, text).map(|value| u32::try_from(value).expect("the range of the key ends below 2^32"))
}

pub(super) fn decimal(key: &Key, text: &str) -> Checked<f64> {
    let Kind::Number { from, to } = key.kind else { wrong_kind(key) };
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (from..=to).contains(&value) { Ok(value) } else { Err(out_of_range(text)) }
}

fn within(value: u64, (from, to): (u64, u64), text: &str) -> Checked<u64> {
    if (from..=to).contains(&value) { Ok(value) } else { Err(out_of_range(text)) }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn out_of_range(text: &str) -> String {
    format!("`{text}` is out of range")
}

fn wrong_kind(key: &Key) -> ! {
    panic!("{} is read as what the table says it is, not as another kind than {:?}", key.name, key.kind)
}
