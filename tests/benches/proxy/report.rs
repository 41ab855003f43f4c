//! Samples, and what to say of them: medians, spans, and ratios between neighbours.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cells::{CELLS, Cell, Extra, Target};
use crate::proxies::Kind;

pub(crate) struct Sample {
    pub(crate) cell: &'static Cell,
    pub(crate) kind: Kind,
    pub(crate) round: usize,
    pub(crate) value: f64,
}

pub(crate) struct Report {
    rounds: usize,
    /// In the order of [`Kind::ALL`].
    versions: [Option<String>; 5],
    samples: Vec<Sample>,
}

impl Report {
    pub(crate) fn new(rounds: usize, versions: [Option<String>; 5]) -> Report {
        Report { rounds, versions, samples: Vec::new() }
    }

    pub(crate) fn extend(&mut self, samples: impl IntoIterator<Item = Sample>) {
        self.samples.extend(samples);
    }

    /// Aligned text: medians with their least and greatest sample, then Outrigger against each of the others.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![header()];
        rows.extend(CELLS.iter().filter_map(|cell| self.row(cell)));
        let columns = rows[0].len();
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &rows {
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width - cell.chars().count());
                // Names to the left, figures to the right.
                let padded =
                    if at == 0 || at == columns - 1 { format!("{cell}{padding}") } else { format!("{padding}{cell}") };
                text.push_str(&padded);
                text.push_str("  ");
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "\nCPU of the proxy per operation or GiB; resident memory per session. {} rounds: median (least–greatest);",
            self.rounds
        );
        text.push_str("ratios are outrigger's figure by the other's, the median over the rounds; telemetry × is the figure with\n");
        text.push_str("telemetry on by outrigger's.\n");
        for (kind, version) in Kind::ALL.into_iter().zip(&self.versions) {
            let _ = writeln!(text, "{}: {}", kind.name(), version.as_deref().unwrap_or("not installed"));
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let cells = CELLS.iter().filter(|cell| self.has(cell)).map(|cell| {
            let proxies: serde_json::Map<_, _> =
                Kind::ALL.iter().map(|kind| (kind.name().to_owned(), json!(self.values(cell, *kind)))).collect();
            json!({ "cell": cell.key, "title": cell.title, "unit": cell.unit, "samples": Value::Object(proxies) })
        });
        let versions: serde_json::Map<_, _> =
            Kind::ALL.iter().zip(&self.versions).map(|(kind, v)| (kind.name().to_owned(), json!(v))).collect();
        let report = json!({ "rounds": self.rounds, "versions": versions, "cells": cells.collect::<Vec<_>>() });
        format!("{report:#}\n")
    }

    fn row(&self, cell: &Cell) -> Option<Vec<String>> {
        if !self.has(cell) {
            return None;
        }
        let mut row = vec![cell.title.to_owned(), cell.unit.to_owned()];
        for (kind, version) in Kind::ALL.into_iter().zip(&self.versions) {
            let values = self.values(cell, kind);
            row.push(match (median(&values), version) {
                (Some(median), _) => span(median, &values),
                (None, None) => "not installed".to_owned(),
                (None, Some(_)) => "–".to_owned(),
            });
        }
        let figure = |figure: Option<f64>| figure.map_or("–".to_owned(), |figure| format!("{figure:.3}"));
        row.push(figure(self.ratio(cell, Kind::Observed, Kind::Frames)));
        let others = [Kind::Blind, Kind::Nginx, Kind::Haproxy];
        row.extend(others.map(|other| figure(self.ratio(cell, Kind::Frames, other))));
        row.push(self.verdict(cell));
        Some(row)
    }

    fn verdict(&self, cell: &Cell) -> String {
        let met = |figure: Option<f64>, limit: f64| match figure {
            None => "not measured",
            Some(figure) if figure <= limit => "met",
            Some(_) => "missed",
        };
        let mut verdicts = Vec::new();
        match cell.target {
            None => {}
            Some(Target::Absolute(most)) => {
                let own = median(&self.values(cell, Kind::Frames));
                verdicts.push(format!("≤ {most} {}: {}", cell.unit, met(own, most)));
            }
            Some(Target::Ratios { blind, nginx }) => {
                verdicts.push(format!("≤ {blind} × off: {}", met(self.ratio(cell, Kind::Frames, Kind::Blind), blind)));
                let nginx = nginx.map(|most| (most, self.ratio(cell, Kind::Frames, Kind::Nginx)));
                verdicts.extend(nginx.map(|(most, ratio)| format!("≤ {most} × nginx: {}", met(ratio, most))));
            }
        }
        match cell.extra() {
            None => {}
            Some(Extra::Times(most)) => {
                let ratio = self.ratio(cell, Kind::Observed, Kind::Frames);
                verdicts.push(format!("telemetry ≤ {most} ×: {}", met(ratio, most)));
            }
            Some(Extra::Plus(most)) => {
                let of = |kind| median(&self.values(cell, kind));
                let more = of(Kind::Observed).zip(of(Kind::Frames)).map(|(with, without)| with - without);
                verdicts.push(format!("telemetry ≤ {most} {} more: {}", cell.unit, met(more, most)));
            }
        }
        verdicts.join(", ")
    }

    fn has(&self, cell: &Cell) -> bool {
        self.samples.iter().any(|sample| sample.cell.key == cell.key)
    }

    /// In the order of the rounds.
    fn values(&self, cell: &Cell, kind: Kind) -> Vec<f64> {
        let of_cell = self.samples.iter().filter(|sample| sample.cell.key == cell.key && sample.kind == kind);
        of_cell.map(|sample| sample.value).collect()
    }

    /// The median over the rounds of one's figure by the other's of the same round.
    fn ratio(&self, cell: &Cell, one: Kind, other: Kind) -> Option<f64> {
        let of = |kind: Kind, round: usize| {
            let mut samples = self.samples.iter().filter(|s| s.cell.key == cell.key && s.kind == kind);
            samples.find(|sample| sample.round == round).map(|sample| sample.value)
        };
        let rounds = (0..self.rounds).filter_map(|round| Some(of(one, round)? / of(other, round)?));
        median(&rounds.collect::<Vec<_>>())
    }
}

fn header() -> Vec<String> {
    let mut header = vec![String::new(), "unit".to_owned()];
    header.extend(Kind::ALL.map(|kind| kind.name().to_owned()));
    header.extend(["telemetry ×", "by off", "by nginx", "by HAProxy", "target"].map(str::to_owned));
    header
}

fn span(median: f64, values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(0.0, f64::max);
    format!("{} ({}–{})", digits(median), digits(least), digits(greatest))
}

/// Three significant digits, no exponent.
fn digits(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}
