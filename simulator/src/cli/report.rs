//! What a person reads after a run: one line per group of clients and variant.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::scenario::metrics::{self, Unit};
use crate::scenario::{Metrics, Prices, Scenario};

/// Metric and heading.
const COLUMNS: [(&str, &str); 13] = [
    ("requests", "requests"),
    ("handshakes", "handshakes"),
    ("bytes_up", "up"),
    ("bytes_down", "down"),
    (PER_UPDATE, "per update"),
    ("update_delay_p50", "delay p50"),
    ("update_delay_p99", "delay p99"),
    ("staleness_p99", "stale p99"),
    ("sessions_lost", "cut"),
    ("reconnects", "reconnects"),
    ("hop_cuts", "by hops"),
    ("updates_lost", "lost"),
    ("close_1006", "1006"),
];
/// Worked out here: bytes on the wire for each update that arrived.
const PER_UPDATE: &str = "bytes per update";
const GIB: f64 = 1_073_741_824.0;
const HOUR_US: f64 = 3_600_000_000.0;

/// The mean of each figure over seeds; of a figure that is a maximum, the greatest.
pub(super) fn mean(runs: &[&Metrics]) -> Metrics {
    let mut sums: BTreeMap<(String, String), (f64, f64)> = BTreeMap::new();
    for metrics in runs {
        for (key, value) in *metrics {
            let (sum, count) = sums.entry(key.clone()).or_default();
            if key.1.ends_with("_max") {
                (*sum, *count) = (sum.max(*value), 1.0);
            } else {
                (*sum, *count) = (*sum + value, *count + 1.0);
            }
        }
    }
    sums.into_iter().map(|(key, (sum, count))| (key, sum / count)).collect()
}

/// A table of all variants and groups; costs where there are prices.
pub(super) fn table(scenario: &Scenario, rows: &[(String, Metrics)]) -> String {
    let mut headings = vec!["clients".to_owned()];
    headings.extend(COLUMNS.iter().map(|(_, heading)| (*heading).to_owned()));
    if let Some(prices) = &scenario.prices {
        headings.push(format!("costs {}", prices.currency));
    }
    let mut lines = vec![Line::Cells(headings)];
    for (label, metrics) in rows {
        if !label.is_empty() {
            lines.push(Line::Title(label.clone()));
        }
        for group in &scenario.clients {
            lines.push(Line::Cells(row(scenario, &group.name, metrics)));
        }
    }
    aligned(&lines)
}

enum Line {
    Title(String),
    Cells(Vec<String>),
}

fn row(scenario: &Scenario, group: &str, metrics: &Metrics) -> Vec<String> {
    let get = |metric: &str| metrics.get(&(group.to_owned(), metric.to_owned())).copied();
    let mut cells = vec![group.to_owned()];
    for (metric, _) in COLUMNS {
        let (value, unit) = if metric == PER_UPDATE {
            let bytes = get("bytes_up").zip(get("bytes_down")).map(|(up, down)| up + down);
            let delivered = get("updates_delivered").filter(|delivered| *delivered > 0.0);
            (bytes.zip(delivered).map(|(bytes, delivered)| (bytes / delivered).round()), Unit::Bytes)
        } else {
            (get(metric), metrics::find(metric).map_or(Unit::Count, |metric| metric.unit))
        };
        cells.push(value.map_or_else(|| "-".to_owned(), |value| unit.show(rounded(value))));
    }
    if let Some(prices) = &scenario.prices {
        // Without its bytes, what it costs would be too little.
        let known = prices.gib.is_none() || get("bytes_down").is_some();
        cells.push(if known { format!("{:.4}", costs(prices, &get)) } else { "-".to_owned() });
    }
    cells
}

/// Three significant places are what a person compares; whole numbers stay whole.
fn rounded(value: f64) -> f64 {
    if value >= 1000.0 { value.round() } else { (value * 100.0).round() / 100.0 }
}

fn costs(prices: &Prices, get: &dyn Fn(&str) -> Option<f64>) -> f64 {
    let of = |price: Option<f64>, metric: &str, unit: f64| price.unwrap_or(0.0) * get(metric).unwrap_or(0.0) / unit;
    of(prices.million_requests, "requests", 1_000_000.0)
        + of(prices.connection_hour, "connection_time", HOUR_US)
        + of(prices.gib, "bytes_down", GIB)
}

fn aligned(lines: &[Line]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        let Line::Cells(cells) = line else { continue };
        widths.resize(widths.len().max(cells.len()), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        match line {
            Line::Title(title) => text.push_str(title),
            Line::Cells(cells) => {
                for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                    let _ =
                        if index == 0 { write!(text, "  {cell:<width$}") } else { write!(text, "  {cell:>width$}") };
                }
            }
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}
