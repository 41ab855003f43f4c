//! What `report.json` holds. The [schema](super::schema()) says the same for other people's programs.

use serde::{Deserialize, Serialize, Serializer};

use crate::scenario::Prices;

/// Of `report.json`; another number means that fields have gone or mean something else.
pub const FORMAT: u32 = 1;

/// All that came of a `run`. Same scenarios, same seeds, same program: the same report, byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    pub format: u32,
    /// Of the program that ran the scenarios.
    pub version: String,
    /// The network under them.
    pub network: String,
    /// Which part of all runs it is; without it, it is the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    pub runs: usize,
    pub failed: usize,
    pub scenarios: Vec<Played>,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.failed == 0
    }
}

/// One part of several, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    pub part: usize,
    pub of: usize,
}

/// A scenario and what its runs yielded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Played {
    /// As it was named on the command line.
    pub file: String,
    pub name: String,
    pub description: String,
    /// In which updates are made and faults happen.
    pub duration_us: u64,
    pub runs: usize,
    pub failed: usize,
    pub groups: Vec<Group>,
    pub axes: Vec<Swept>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<PriceList>,
    /// What the file expects, and in how many runs it does not hold.
    pub expected: Vec<Expected>,
    pub break_even: Vec<BreakEven>,
    /// One for each combination of swept values; those without a run are left out.
    pub cells: Vec<Cell>,
    /// Of the first runs that failed, what a diagram of them is drawn from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stories: Vec<Story>,
    /// The file itself.
    pub source: String,
}

/// Clients that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub name: String,
    pub kind: String,
    pub clients: u32,
}

/// A key whose values were tried one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swept {
    pub key: String,
    pub values: Vec<String>,
}

impl Swept {
    /// The last part of the key.
    pub fn name(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or(&self.key)
    }
}

/// As in `[prices]` and on the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    pub currency: String,
    pub million_requests: Option<f64>,
    pub connection_hour: Option<f64>,
    pub gib: Option<f64>,
}

impl From<&Prices> for PriceList {
    fn from(prices: &Prices) -> Self {
        let Prices { currency, million_requests, connection_hour, gib } = prices.clone();
        Self { currency, million_requests, connection_hour, gib }
    }
}

impl From<&PriceList> for Prices {
    fn from(prices: &PriceList) -> Self {
        let PriceList { currency, million_requests, connection_hour, gib } = prices.clone();
        Self { currency, million_requests, connection_hour, gib }
    }
}

/// A figure that must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Where it is written: file, line, column.
    pub place: String,
    /// Empty for all clients together.
    pub group: String,
    pub metric: String,
    /// As in `< 150ms`.
    pub bound: String,
    /// Runs in which it does not hold.
    pub failed: usize,
}

/// Where two ways of getting updates cost the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakEven {
    /// What is compared: `bytes`, or the currency.
    pub measure: String,
    pub groups: [String; 2],
    /// The swept key along which it was looked for.
    pub along: String,
    /// The other one and its value, as in `rate = 1/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// As in `poll from 17.2s`, in the order of the values.
    pub cheaper: Vec<String>,
}

/// One combination of swept values, or the only one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Its number, from 1, as `--variant` takes it.
    pub variant: usize,
    /// One for each axis.
    pub values: Vec<String>,
    pub failed: usize,
    /// Expectations that the network has no say in, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<String>,
    /// In the order of their seeds.
    pub runs: Vec<RunOf>,
    pub figures: Vec<Figure>,
    pub costs: Vec<Cost>,
    /// Delays over time in the run of the lowest seed; where there are faults or several regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
}

/// One seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOf {
    pub seed: u64,
    /// Over all that happened, in hexadecimal.
    pub digest: String,
    /// How long it was.
    pub virtual_us: u64,
    /// For how long figures were counted.
    pub measured_us: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failed>,
    /// The command that runs it again and tells all; of runs that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
}

/// Something that does not hold in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// `invariant NAME`, `GROUP: METRIC`, or `METRIC` for all clients: the same for the same failure of another seed.
    pub what: String,
    /// What was seen.
    pub text: String,
}

/// One figure of one group over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Empty for all clients together.
    pub group: String,
    pub metric: String,
    /// `count`, `time` (microseconds), `bytes`, `per second` or `ratio`.
    pub unit: String,
    /// Over seeds; of what ends in `_max`, the greatest.
    pub mean: f64,
    /// One for each run of the cell, in the same order; null where a run did not yield it. Whole, but for rates and ratios.
    #[serde(serialize_with = "counted")]
    pub values: Vec<Option<f64>>,
}

/// Writes what is whole without a decimal point: most figures are counted, and a report has many of them.
fn counted<S: Serializer>(values: &[Option<f64>], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Number {
        Counted(u64),
        Other(f64),
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, and from 0 up")]
    let number = |value: f64| {
        if value.fract() == 0.0 { Number::Counted(value as u64) } else { Number::Other(value) }
    };
    to.collect_seq(values.iter().map(|value| value.map(number)))
}

/// What one client of a group costs in 30 days that go on as the runs did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    pub group: String,
    pub requests: Option<f64>,
    pub connections: Option<f64>,
    pub traffic: Option<f64>,
    pub together: f64,
}

/// Delays of one run by the time at which updates were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    pub seed: u64,
    /// Length of a step.
    pub step_us: u64,
    pub groups: Vec<Pace>,
}

/// One group's delays, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    pub group: String,
    /// How many updates reached a client, of those that were made in the step.
    pub updates: Vec<u64>,
    /// Null where there was none.
    pub mean_us: Vec<Option<u64>>,
    pub max_us: Vec<Option<u64>>,
}

/// A run in hosts, sessions and messages. Lanes are named by their place in `lanes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// From 1.
    pub variant: usize,
    pub seed: u64,
    pub end_us: u64,
    pub lanes: Vec<Lane>,
    pub clients_left_out: usize,
    pub faults: Vec<FaultSpan>,
    pub sessions: Vec<SessionSpan>,
    pub messages: Vec<Message>,
    pub messages_left_out: usize,
    pub events: Vec<EventAt>,
    pub events_left_out: usize,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    pub name: String,
    /// `app`, `sidecar` or `client`.
    pub kind: String,
    pub region: String,
}

/// A fault from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpan {
    pub label: String,
    pub kind: String,
    /// As in `nothing between hk and sg`.
    pub about: String,
    pub from_us: u64,
    pub to_us: u64,
    /// Whom it touches.
    pub lanes: Vec<usize>,
}

/// A session as its client saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionSpan {
    pub lane: usize,
    /// The lane of the sidecar that it went through, if that is known.
    pub sidecar: Option<usize>,
    pub from_us: u64,
    /// Null if it was open at the end.
    pub to_us: Option<u64>,
    /// How its client saw it end.
    pub end: Option<String>,
    /// As the sidecar says it: the cause, and by whom.
    pub cause: Option<String>,
    /// It ended without a Close.
    pub lost: bool,
}

/// An update on its way to a client, or a client's message on its way to an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub from: usize,
    pub to: usize,
    pub sent_us: u64,
    /// Null if it never arrived.
    pub got_us: Option<u64>,
    pub text: String,
}

/// A line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventAt {
    pub at_us: u64,
    /// Null is the network.
    pub lane: Option<usize>,
    pub text: String,
}
