//! Figures that must hold, against figures that a run yielded.

use std::collections::BTreeMap;
use std::fmt;

use outrigger::config::Place;
use outrigger::config::units::{parse_size, parse_whole};

use super::metrics::Unit;
use super::model::{Expect, Expectation, Versus};
use super::units::parse_time;

/// What a run yielded: (group, metric) to a number in the metric's unit. The group of all clients is the empty text.
pub type Metrics = BTreeMap<(String, String), f64>;

/// What a figure is compared with; both ends belong to a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    Less(f64),
    AtMost(f64),
    More(f64),
    AtLeast(f64),
    Exactly(f64),
    Between(f64, f64),
}

/// A figure that does not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Where the expectation is written.
    pub place: Place,
    /// The group of clients, empty for all.
    pub group: String,
    pub metric: String,
    /// As in `< 150ms`.
    pub expected: String,
    /// As in `182ms`; `None` if the run did not yield the figure.
    pub got: Option<String>,
}

impl fmt::Display for Failure {
    /// One line, as `place: web: update_delay_p99 is 182ms, expected < 150ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.group.is_empty() {
            write!(f, "{}: ", self.group)?;
        }
        match &self.got {
            Some(got) => write!(f, "{} is {got}, expected {}", self.metric, self.expected),
            None => write!(f, "{} was not measured, expected {}", self.metric, self.expected),
        }
    }
}

/// Every expectation that the figures of a run do not meet, in the order of the file.
///
/// A figure that is missing meets nothing. Figures in relation to another group are worked out here, from those of both
/// groups; when the other one is 0, a figure above 0 is infinitely more and 0 is as much (1).
pub fn check(expect: &Expect, metrics: &Metrics) -> Vec<Failure> {
    let failure = |expected: &Expectation| {
        let got = measured(expected, metrics);
        let holds = got.is_some_and(|got| expected.bound.holds(got));
        (!holds).then(|| Failure {
            place: expected.place.clone(),
            group: expected.group_name.clone(),
            metric: expected.metric.clone(),
            expected: expected.bound.show(expected.unit),
            got: got.map(|got| expected.unit.show(got)),
        })
    };
    expect.all.iter().filter_map(failure).collect()
}

fn measured(expected: &Expectation, metrics: &Metrics) -> Option<f64> {
    let get = |group: &str, metric: &str| metrics.get(&(group.to_owned(), metric.to_owned())).copied();
    let Some(Versus { group_name: other, counts }) = &expected.versus else {
        return get(&expected.group_name, &expected.metric);
    };
    let (own, other) = match expected.metric.split_once('.')?.0 {
        "bytes_vs" => {
            let bytes = |group: &str, count: u32| {
                Some((get(group, "bytes_up")? + get(group, "bytes_down")?) / f64::from(count))
            };
            (bytes(&expected.group_name, counts.0)?, bytes(other, counts.1)?)
        }
        "requests_vs" => {
            let requests = |group: &str, count: u32| Some(get(group, "requests")? / f64::from(count));
            (requests(&expected.group_name, counts.0)?, requests(other, counts.1)?)
        }
        relation => {
            let metric = relation.strip_suffix("_vs")?;
            (get(&expected.group_name, metric)?, get(other, metric)?)
        }
    };
    Some(if own == 0.0 && other == 0.0 { 1.0 } else { own / other })
}

impl Bound {
    /// Reads a number of this unit, alone, after a comparison or as a range.
    pub(super) fn parse(text: &str, unit: Unit) -> Option<Self> {
        let text = text.trim();
        if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (unit.parse(from.trim())?, unit.parse(to.trim())?);
            return (from <= to).then_some(Self::Between(from, to));
        }
        let after = |sign| text.strip_prefix(sign).map(|number| unit.parse(str::trim_start(number)));
        // The longer sign of two that begin alike comes first.
        if let Some(number) = after("<=") {
            return number.map(Self::AtMost);
        }
        if let Some(number) = after("<") {
            return number.map(Self::Less);
        }
        if let Some(number) = after(">=") {
            return number.map(Self::AtLeast);
        }
        if let Some(number) = after(">") {
            return number.map(Self::More);
        }
        if let Some(number) = after("=") {
            return number.map(Self::Exactly);
        }
        unit.parse(text).map(Self::Exactly)
    }

    /// Whether a figure keeps to it.
    pub fn holds(self, got: f64) -> bool {
        match self {
            Self::Less(bound) => got < bound,
            Self::AtMost(bound) => got <= bound,
            Self::More(bound) => got > bound,
            Self::AtLeast(bound) => got >= bound,
            Self::Exactly(bound) => (got - bound).abs() <= f64::EPSILON * bound.abs(),
            Self::Between(from, to) => (from..=to).contains(&got),
        }
    }

    /// As people read it: `< 150ms`.
    pub fn show(self, unit: Unit) -> String {
        let show = |value| unit.show(value);
        match self {
            Self::Less(bound) => format!("< {}", show(bound)),
            Self::AtMost(bound) => format!("<= {}", show(bound)),
            Self::More(bound) => format!("> {}", show(bound)),
            Self::AtLeast(bound) => format!(">= {}", show(bound)),
            Self::Exactly(bound) => format!("= {}", show(bound)),
            Self::Between(from, to) => format!("{}..{}", show(from), show(to)),
        }
    }
}

impl Unit {
    fn parse(self, text: &str) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "figures above 2^53 are beyond any run")]
        let float = |number: u64| number as f64;
        match self {
            Self::Count => parse_whole(text).map(float),
            Self::Time => parse_time(text).map(|time| float(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))),
            Self::Bytes => parse_size(text).map(float),
            Self::PerSecond => parse_number(text.strip_suffix("/s").unwrap_or(text)),
            Self::Ratio => parse_number(text),
        }
    }

    /// A figure as people read it, to three or more digits.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Count | Self::Ratio => short(value),
            Self::PerSecond => format!("{}/s", short(value)),
            Self::Bytes if value < 10_240.0 => format!("{} bytes", short(value)),
            Self::Bytes if value < 10_485_760.0 => format!("{}k", short(value / 1_024.0)),
            Self::Bytes => format!("{}m", short(value / 1_048_576.0)),
            Self::Time if value < 1_000.0 => format!("{}us", short(value)),
            Self::Time if value < 1_000_000.0 => format!("{}ms", short(value / 1_000.0)),
            Self::Time => format!("{}s", short(value / 1_000_000.0)),
        }
    }

    /// What may be written, as a phrase.
    pub(super) fn accepts(self) -> &'static str {
        match self {
            Self::Count => "a whole number",
            Self::Time => "a time",
            Self::Bytes => "a size",
            Self::PerSecond => "a number per second",
            Self::Ratio => "a number",
        }
    }

    /// As it is written in TOML.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Count => "0",
            Self::Time => "\"< 150ms\"",
            Self::Bytes => "\"< 10m\"",
            Self::PerSecond => "\"<= 20/s\"",
            Self::Ratio => "\"> 5\"",
        }
    }
}

fn parse_number(text: &str) -> Option<f64> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain { text.parse().ok() } else { None }
}

/// Whole numbers as they are, others with three places at most.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
