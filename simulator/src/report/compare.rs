//! Two reports side by side: what got worse, what got better, and by how much. For two commits, or two configurations.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::broken;
use super::model::{Cell, Figure, Played, Report};
use super::table::shown;
use crate::scenario::metrics::{self, Unit};

/// Rows of each table; of others only the number.
const MAX_ROWS: usize = 40;
/// From so many seeds on that are in both reports it is known how much chance there is in a difference.
const MIN_SEEDS: usize = 5;
/// A mean that is further off than so many standard errors is no chance.
const STANDARD_ERRORS: f64 = 2.0;
/// Smaller differences of times and bytes are nobody's business.
const LEAST_TIME_US: f64 = 1_000.0;
const LEAST_BYTES: f64 = 100.0;

/// Figures of which more is worse. Of others, more is as it may be, but for [`MORE_IS_BETTER`].
const MORE_IS_WORSE: [&str; 24] = [
    "requests",
    "failed_requests",
    "connections",
    "failed_connects",
    "tls_handshakes",
    "bytes_up",
    "bytes_down",
    "updates_lost",
    "updates_duplicated",
    "update_delay_p50",
    "update_delay_p99",
    "update_delay_max",
    "staleness_p50",
    "staleness_p99",
    "staleness_max",
    "sessions_lost",
    "reconnects",
    "reconnect_peak_per_s",
    "time_to_recover_p50",
    "time_to_recover_p99",
    "time_to_recover_max",
    "close_1006",
    "hop_cuts",
    "handshakes",
];
const MORE_IS_BETTER: [&str; 1] = ["updates_delivered"];

/// By how much a figure may get worse, as a part of what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    pub all: f64,
    pub of: BTreeMap<String, f64>,
}

/// What two reports say of each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    pub worse: Vec<Change>,
    pub better: Vec<Change>,
    /// Things that fail in more runs than they did: scenario, what, runs before and now.
    pub broke: Vec<(String, String, usize, usize)>,
    /// Scenarios that only one of them has, with which.
    pub alone: Vec<(String, &'static str)>,
    /// Scenarios whose files are not the same in both.
    pub edited: Vec<String>,
    pub compared: usize,
}

/// A figure that is no longer what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub scenario: String,
    /// Swept values, and the group of clients.
    pub of: String,
    pub metric: String,
    pub before: f64,
    pub now: f64,
}

impl Comparison {
    pub fn is_good(&self) -> bool {
        self.worse.is_empty() && self.broke.is_empty()
    }
}

/// Holds `b` against `a`.
pub fn compare(a: &Report, b: &Report, thresholds: &Thresholds) -> Comparison {
    let mut found = Comparison::default();
    let mut paired = Vec::new();
    for one in &a.scenarios {
        match partner(one, a, b) {
            Some(other) => {
                paired.push(&other.file);
                if one.source != other.source {
                    found.edited.push(one.name.clone());
                }
                scenario(&mut found, one, other, thresholds);
            }
            None => found.alone.push((one.name.clone(), "A")),
        }
    }
    let only_b = b.scenarios.iter().filter(|other| !paired.contains(&&other.file));
    found.alone.extend(only_b.map(|other| (other.name.clone(), "B")));
    let severity = |change: &Change| change.now / change.before.max(f64::MIN_POSITIVE);
    found.worse.sort_by(|one, other| severity(other).total_cmp(&severity(one)));
    found.better.sort_by(|one, other| severity(one).total_cmp(&severity(other)));
    found
}

/// The same scenario in the other report: by file, by name, or the only one.
fn partner<'a>(one: &Played, a: &Report, b: &'a Report) -> Option<&'a Played> {
    let by = |is_it: &dyn Fn(&&Played) -> bool| b.scenarios.iter().find(|other| is_it(other));
    let only = || (a.scenarios.len() == 1 && b.scenarios.len() == 1).then(|| &b.scenarios[0]);
    by(&|other| other.file == one.file).or_else(|| by(&|other| other.name == one.name)).or_else(only)
}

fn scenario(found: &mut Comparison, one: &Played, other: &Played, thresholds: &Thresholds) {
    let failures = |played: &Played| -> BTreeMap<String, usize> {
        broken::of_scenario(played).into_iter().map(|broken| (broken.what.to_owned(), broken.runs)).collect()
    };
    let before = failures(one);
    for (what, runs) in failures(other) {
        let was = before.get(&what).copied().unwrap_or(0);
        if runs > was {
            found.broke.push((other.name.clone(), what, was, runs));
        }
    }
    for cell in &other.cells {
        let same = one.cells.iter().find(|before| before.values == cell.values);
        for figure in &cell.figures {
            let before = same.and_then(|same| Some((same, known(same, figure)?)));
            let Some((same, before)) = before.filter(|_| !figure.group.is_empty()) else { continue };
            found.compared += 1;
            let Some(change) = change(&one.name, (same, before), (cell, figure), thresholds) else { continue };
            if is_worse(&change.metric, change.before, change.now) { &mut found.worse } else { &mut found.better }
                .push(change);
        }
    }
}

fn known<'a>(cell: &'a Cell, figure: &Figure) -> Option<&'a Figure> {
    cell.figures.iter().find(|known| (&known.group, &known.metric) == (&figure.group, &figure.metric))
}

fn is_worse(metric: &str, before: f64, now: f64) -> bool {
    (now > before) != MORE_IS_BETTER.contains(&metric)
}

/// A difference that matters: of a figure with a better and a worse, beyond the threshold, and beyond chance.
fn change(
    scenario: &str,
    (one, before): (&Cell, &Figure),
    (other, now): (&Cell, &Figure),
    thresholds: &Thresholds,
) -> Option<Change> {
    let metric = now.metric.as_str();
    if !MORE_IS_WORSE.contains(&metric) && !MORE_IS_BETTER.contains(&metric) {
        return None;
    }
    let pairs = pairs((one, before), (other, now));
    let count = precise(pairs.len());
    let (was, is) = if pairs.is_empty() {
        (before.mean, now.mean)
    } else {
        (pairs.iter().map(|pair| pair.0).sum::<f64>() / count, pairs.iter().map(|pair| pair.1).sum::<f64>() / count)
    };
    let differs = (is - was).abs();
    let least = match metrics::find(metric).map(|metric| metric.unit) {
        Some(Unit::Time) => LEAST_TIME_US,
        Some(Unit::Bytes) => LEAST_BYTES,
        _ => 0.0,
    };
    let allowed = thresholds.of.get(metric).copied().unwrap_or(thresholds.all) * was;
    if differs <= allowed || differs <= least || (pairs.len() >= MIN_SEEDS && differs <= chance(&pairs)) {
        return None;
    }
    let of: Vec<&str> = other.values.iter().map(String::as_str).chain([now.group.as_str()]).collect();
    let (scenario, of, metric) = (scenario.to_owned(), of.join(", "), metric.to_owned());
    Some(Change { scenario, of, metric, before: was, now: is })
}

/// The values of seeds that both have.
fn pairs((one, before): (&Cell, &Figure), (other, now): (&Cell, &Figure)) -> Vec<(f64, f64)> {
    let values = |cell: &Cell, figure: &Figure| -> BTreeMap<u64, f64> {
        let of_run = cell.runs.iter().zip(&figure.values);
        of_run.filter_map(|(run, value)| Some((run.seed, (*value)?))).collect()
    };
    let (before, now) = (values(one, before), values(other, now));
    let pair = |(seed, was): (&u64, &f64)| Some((*was, *now.get(seed)?));
    before.iter().filter_map(pair).collect()
}

/// How far the mean of the differences may be off by chance.
fn chance(pairs: &[(f64, f64)]) -> f64 {
    let count = precise(pairs.len());
    let mean = pairs.iter().map(|(was, is)| is - was).sum::<f64>() / count;
    let squares = pairs.iter().map(|(was, is)| (is - was - mean).powi(2)).sum::<f64>();
    STANDARD_ERRORS * (squares / (count - 1.0) / count).sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "seeds are few")]
fn precise(count: usize) -> f64 {
    count as f64
}

/// A page of Markdown, for a terminal or a pull request. `names` are those of the two reports.
pub fn show(found: &Comparison, names: [&str; 2]) -> String {
    let verdict = match (found.broke.len(), found.worse.len()) {
        (0, 0) => "nothing got worse".to_owned(),
        (0, worse) => format!("{} got worse", super::counted(worse, "figure")),
        (broke, worse) => {
            format!("{}, {} got worse", super::counted(broke, "new failure"), super::counted(worse, "figure"))
        }
    };
    let mut text = format!("# Comparison: {verdict}\n\nA is `{}`, B is `{}`. ", names[0], names[1]);
    let _ = writeln!(
        text,
        "{} were compared, {} got better.",
        super::counted(found.compared, "figure"),
        found.better.len()
    );
    for name in &found.edited {
        let _ = writeln!(text, "\nThe file of \"{name}\" is not the same in both.");
    }
    for (name, report) in &found.alone {
        let _ = writeln!(text, "\nOnly {report} has \"{name}\".");
    }
    if !found.broke.is_empty() {
        text.push_str("\n## Fails in more runs\n\n| Scenario | what | A | B |\n|---|---|---:|---:|\n");
        for (scenario, what, was, is) in found.broke.iter().take(MAX_ROWS) {
            let _ = writeln!(text, "| {scenario} | {what} | {was} | {is} |");
        }
    }
    for (heading, changes) in [("Worse", &found.worse), ("Better", &found.better)] {
        if changes.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## {heading}\n\n| Scenario | of | figure | A | B | |\n|---|---|---|---:|---:|---:|\n");
        for change in changes.iter().take(MAX_ROWS) {
            let unit = metrics::find(&change.metric).map_or(Unit::Count, |metric| metric.unit);
            let Change { scenario, of, metric, before, now } = change;
            let by = if *before > 0.0 { format!("{:+.1}%", (now / before - 1.0) * 100.0) } else { "new".to_owned() };
            let _ = writeln!(
                text,
                "| {scenario} | {of} | {metric} | {} | {} | {by} |",
                shown(unit, *before),
                shown(unit, *now)
            );
        }
        if changes.len() > MAX_ROWS {
            let _ = writeln!(text, "\nAnd {} more.", changes.len() - MAX_ROWS);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_within_chance_is_none() {
        // Of twenty seeds one lost a session, or all did.
        let one_of = |count: u32| (0..20).map(|n| (0.0, f64::from(u8::from(n < count)))).collect::<Vec<_>>();
        assert!(chance(&one_of(1)) > 1.0 / 20.0);
        assert!(chance(&one_of(10)) < 10.0 / 20.0);
        assert!(chance(&one_of(20)) < f64::EPSILON);
    }
}
