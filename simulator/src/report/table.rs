//! What a person reads after a run: tables of all variants and groups of clients, side by side.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::breakeven::{self, BreakEven};
use super::costs::Costs;
use crate::scenario::metrics::{self, Unit};
use crate::scenario::{Axis, Metrics, Prices, Scenario, Sweep};

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
/// What a cell says where a figure is 0, and where there is none.
const NOTHING: &str = "0";
const UNKNOWN: &str = "-";
/// A space on each side of a cell, and the line behind it.
const AROUND_CELL: usize = 3;

/// One variant's figures: means over its seeds.
pub struct Row {
    /// Its place among the scenario's variants.
    pub variant: usize,
    pub metrics: Metrics,
    /// For how long they were counted.
    pub measured_us: f64,
}

impl Row {
    pub fn get(&self, group: &str, metric: &str) -> Option<f64> {
        self.metrics.get(&(group.to_owned(), metric.to_owned())).copied()
    }
}

/// The mean of each figure over seeds; of a figure that is a maximum, the greatest.
pub fn mean<'a>(runs: impl Iterator<Item = &'a Metrics>) -> Metrics {
    let mut sums: BTreeMap<(String, String), (f64, f64)> = BTreeMap::new();
    for metrics in runs {
        for (key, value) in metrics {
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

/// All that is told of a scenario: figures, costs where there are prices, and where the ways of getting updates break
/// even. No line is longer than `width` if each column fits beside the names.
pub fn tables(scenario: &Scenario, rows: &[Row], width: usize) -> String {
    let mut text = figures(scenario, rows, width);
    if let Some(prices) = &scenario.prices {
        let currency = &prices.currency;
        let _ = write!(text, "\n{currency} for one client and 30 days, if all goes on like this:\n");
        text.push_str(&costs(scenario, prices, rows, width));
    }
    let found = breakeven::all(scenario, rows);
    let mut rest = &found[..];
    while let Some(first) = rest.first() {
        let same = |line: &&BreakEven| (&line.pair, &line.measure) == (&first.pair, &first.measure);
        let count = rest.iter().take_while(same).count();
        let less = if first.measure == "bytes" { "Fewer bytes" } else { "Cheaper" };
        let [one, other] = &first.pair;
        let _ = write!(text, "\n{less}, {one} or {other}, along {}:\n", first.along);
        text.push_str(&break_even(&rest[..count], width));
        rest = &rest[count..];
    }
    text
}

fn figures(scenario: &Scenario, rows: &[Row], width: usize) -> String {
    let mut grid = Grid::new(scenario, COLUMNS.map(|(_, heading)| heading.to_owned()).to_vec());
    for row in rows {
        for group in &scenario.clients {
            let get = |metric: &str| row.get(&group.name, metric);
            let cell = |(metric, _): &(&str, &str)| {
                let (value, unit) = if *metric == PER_UPDATE {
                    let bytes = get("bytes_up").zip(get("bytes_down")).map(|(up, down)| up + down);
                    let delivered = get("updates_delivered").filter(|delivered| *delivered > 0.0);
                    (bytes.zip(delivered).map(|(bytes, delivered)| (bytes / delivered).round()), Unit::Bytes)
                } else {
                    (get(metric), metrics::find(metric).map_or(Unit::Count, |metric| metric.unit))
                };
                value.map_or_else(|| UNKNOWN.to_owned(), |value| unit.show(rounded(value)))
            };
            grid.add(row.variant, &group.name, COLUMNS.iter().map(cell).collect());
        }
    }
    grid.show(width)
}

fn costs(scenario: &Scenario, prices: &Prices, rows: &[Row], width: usize) -> String {
    let headings = ["requests", "connections", "traffic", "together"];
    let mut grid = Grid::new(scenario, headings.map(str::to_owned).to_vec());
    for row in rows {
        for group in &scenario.clients {
            let costs = Costs::of(prices, &row.metrics, &group.name, group.count, row.measured_us);
            let money = |amount: f64| format!("{amount:.4}");
            let or_dash = |amount: Option<f64>| amount.map_or_else(|| UNKNOWN.to_owned(), money);
            let parts = [costs.requests, costs.connections, costs.traffic].map(or_dash);
            let cells = parts.into_iter().chain([money(costs.together())]).collect();
            grid.add(row.variant, &group.name, cells);
        }
    }
    grid.show(width)
}

fn break_even(lines: &[BreakEven], width: usize) -> String {
    let less = if lines[0].measure == "bytes" { "fewer bytes" } else { "cheaper" };
    let names = lines[0].at.iter().map(|(key, _)| key.clone()).chain([less.to_owned()]).collect();
    let mut grid = Grid { names, headings: Vec::new(), rows: Vec::new(), axes: Vec::new() };
    for line in lines {
        let mut cells: Vec<String> = line.at.iter().map(|(_, value)| value.clone()).collect();
        cells.push(line.cheaper.join(", "));
        grid.rows.push(cells);
    }
    grid.show(width)
}

/// A table that is cut into several, one below the other, where it is too wide.
struct Grid {
    /// Headings of what a row goes by; each part of the table has these columns.
    names: Vec<String>,
    headings: Vec<String>,
    /// Names first, then as many cells as there are headings.
    rows: Vec<Vec<String>>,
    axes: Vec<Axis>,
}

impl Grid {
    /// Rows that go by the values of the sweeps and the group of clients.
    fn new(scenario: &Scenario, headings: Vec<String>) -> Self {
        let axes: Vec<Axis> = scenario.sweeps.iter().map(Sweep::axis).collect();
        let names = axes.iter().map(Axis::name).chain(["clients"]).map(str::to_owned).collect();
        Self { names, headings, rows: Vec::new(), axes }
    }

    fn add(&mut self, variant: usize, group: &str, cells: Vec<String>) {
        let values = Axis::values_of(&self.axes, variant).into_iter().map(str::to_owned);
        self.rows.push(values.chain([group.to_owned()]).chain(cells).collect());
    }

    fn show(&self, width: usize) -> String {
        let first = self.names.len();
        let headings: Vec<&String> = self.names.iter().chain(&self.headings).collect();
        let width_of = |column: usize| {
            let cells = self.rows.iter().map(|row| &row[column]).chain([headings[column]]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + AROUND_CELL
        };
        let names_width: usize = 1 + (0..first).map(width_of).sum::<usize>();
        // A column that says the same of everybody is a line below the table.
        let all = |column: &usize, mark: &str| self.rows.iter().all(|row| row[*column] == mark);
        let (same, telling): (Vec<usize>, Vec<usize>) =
            (first..headings.len()).partition(|column| all(column, NOTHING) || all(column, UNKNOWN));
        let (mut parts, mut used) = (vec![Vec::new()], names_width);
        for column in telling {
            let part = parts.last_mut().expect("it is never empty");
            let needed = width_of(column);
            if !part.is_empty() && used + needed > width {
                parts.push(vec![column]);
                used = names_width + needed;
            } else {
                part.push(column);
                used += needed;
            }
        }
        let tables: Vec<String> = parts.iter().map(|part| self.part(&headings, part)).collect();
        let mut text = tables.join("\n");
        for mark in [NOTHING, UNKNOWN] {
            let of_mark = same.iter().filter(|column| all(column, mark));
            let told: Vec<&str> = of_mark.map(|column| headings[*column].as_str()).collect();
            if !told.is_empty() {
                text.push_str(&wrapped(&format!("{mark} in every row: {}", told.join(", ")), width));
            }
        }
        text
    }

    fn part(&self, headings: &[&String], columns: &[usize]) -> String {
        let first = self.names.len();
        let of =
            |cells: &dyn Fn(usize) -> String| (0..first).chain(columns.iter().copied()).map(cells).collect::<Vec<_>>();
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(of(&|column| headings[column].clone()));
        for row in &self.rows {
            table.add_row(of(&|column| row[column].clone()));
        }
        for column in table.column_iter_mut().skip(first) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{}\n", table.trim_fmt())
    }
}

/// Lines of whole words, none longer than the screen.
fn wrapped(text: &str, width: usize) -> String {
    let (mut lines, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push('\n');
            used = 0;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += length;
    }
    lines.push('\n');
    lines
}

/// Three significant places are what a person compares; whole numbers stay whole.
fn rounded(value: f64) -> f64 {
    if value >= 1000.0 { value.round() } else { (value * 100.0).round() / 100.0 }
}

/// A figure as people read it in reports: three digits are what they compare.
pub(super) fn shown(unit: Unit, value: f64) -> String {
    let (scaled, name) = match unit {
        Unit::Count | Unit::Ratio => (value, ""),
        Unit::PerSecond => (value, "/s"),
        Unit::Bytes if value < 1_000.0 => (value, " B"),
        Unit::Bytes if value < 1_048_576.0 => (value / 1_024.0, " KiB"),
        Unit::Bytes => (value / 1_048_576.0, " MiB"),
        Unit::Time if value < 1_000.0 => (value, " µs"),
        Unit::Time if value < 1_000_000.0 => (value / 1_000.0, " ms"),
        Unit::Time => (value / 1_000_000.0, " s"),
    };
    let places = if scaled >= 100.0 {
        0
    } else if scaled >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{scaled:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;

    const POLL_OR_PUSH: &str = r#"
name = "poll or push"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[[clients]]
name = "poll"
kind = "poller"
count = 2
[[clients]]
name = "push"
kind = "push"
[prices]
currency = "EUR"
million_requests = 1
[[sweep]]
key = "workload.rate"
values = ["1/m", "1/s"]
[[sweep]]
key = "clients.poll.interval"
values = ["1s", "4s", "16s"]
"#;

    /// Bytes of each poller are 1600 by the seconds of its interval, at one update a second a sixteenth of that.
    fn rows() -> Vec<Row> {
        let row = |(variant, (poll, requests)): (usize, (f64, f64))| {
            let figures = [
                ("poll", "bytes_up", poll),
                ("poll", "bytes_down", poll),
                ("poll", "requests", requests),
                ("poll", "sessions_lost", 0.0),
                ("push", "bytes_up", 100.0),
                ("push", "bytes_down", 100.0),
                ("push", "requests", 1.0),
                ("push", "sessions_lost", 0.0),
            ];
            let metrics = figures.map(|(group, metric, value)| ((group.to_owned(), metric.to_owned()), value)).into();
            Row { variant, metrics, measured_us: 600e6 }
        };
        let polls = [(1600.0, 600.0), (400.0, 150.0), (100.0, 37.0), (100.0, 600.0), (25.0, 150.0), (6.0, 37.0)];
        polls.into_iter().enumerate().map(row).collect()
    }

    #[test]
    fn ways_of_getting_updates_stand_side_by_side_and_break_even() {
        let (scenario, _) = parse("test.toml", POLL_OR_PUSH).unwrap_or_else(|report| panic!("{report}"));
        let text = tables(&scenario, &rows(), 80);
        for told in [
            "| rate | interval | clients | requests |         up |       down |",
            "| 1/m  | 16s      | poll    |       37 |  100 bytes |  100 bytes |",
            "0 in every row: cut\n",
            "EUR for one client and 30 days, if all goes on like this:\n",
            // 300 requests in ten minutes, 4320 times in a month.
            "| 1/s  | 1s       | poll    |   1.2960 |   1.2960 |",
            "- in every row: connections, traffic\n",
            "Fewer bytes, poll or push, along clients.poll.interval:\n",
            "| 1/m  | push at 1s, poll from 8s |",
            "| 1/s  | poll always              |",
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
        assert!(!text.contains("Cheaper"), "push asks once and is the cheaper one everywhere\n{text}");
    }

    #[test]
    fn no_line_is_longer_than_the_screen() {
        let (scenario, _) = parse("test.toml", POLL_OR_PUSH).unwrap_or_else(|report| panic!("{report}"));
        for width in [60, 80, 200] {
            let text = tables(&scenario, &rows(), width);
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(width), "{longest:?}\n{text}");
        }
        let wide = tables(&scenario, &rows(), 200);
        assert!(wide.contains("- in every row: handshakes, per update, delay p50"), "{wide}");
        let narrow = tables(&scenario, &rows(), 50);
        assert!(
            narrow.lines().filter(|line| line.starts_with("| rate | interval | clients |")).count() > 2,
            "{narrow}"
        );
    }
}
