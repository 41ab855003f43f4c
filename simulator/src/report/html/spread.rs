//! How figures spread over seeds: a mean says nothing of the unlucky ones.

use std::fmt::Write as _;

use super::super::model::{Cell, Figure, Played};
use super::svg::{COLOURS, Chart, Scale, esc, px, table};
use super::{Names, counted, shown, unit};

/// Below that there is nothing to spread.
const MIN_SEEDS: usize = 3;
/// Up to so many seeds each is a dot of its own.
const MAX_DOTS: usize = 60;
/// Rows of one chart.
const MAX_ROWS: usize = 16;
const WIDTH: f64 = 340.0;
const ROW: f64 = 40.0;
/// What is drawn, where it differs from seed to seed.
const DRAWN: [&str; 8] = [
    "update_delay_p50",
    "update_delay_p99",
    "update_delay_max",
    "time_to_recover_max",
    "sessions_lost",
    "reconnects",
    "requests",
    "bytes_down",
];

/// What is known of a figure over seeds, in order.
struct Sorted(Vec<f64>);

impl Sorted {
    fn of(figure: &Figure) -> Self {
        let mut values: Vec<f64> = figure.values.iter().flatten().copied().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value that so many hundredths do not exceed.
    fn at(&self, percent: usize) -> f64 {
        let last = self.0.len() - 1;
        self.0[(last * percent).div_ceil(100).min(last)]
    }
}

pub(super) fn section(names: &mut Names, played: &Played) -> String {
    let seeds = played.cells.iter().map(|cell| cell.runs.len()).max().unwrap_or(0);
    if seeds < MIN_SEEDS {
        return String::new();
    }
    let charts: String = DRAWN.iter().map(|metric| chart(names, played, metric)).collect();
    if charts.is_empty() {
        return format!("<h3>Over seeds</h3><p class=\"muted\">No figure differs between {seeds} seeds.</p>");
    }
    format!(
        "<h3>Over {}</h3><p class=\"muted\">The line goes from the least to the greatest, the box from the 25th to the \
         75th of a hundred, the stroke in it is the median.</p><div class=\"charts\">{charts}</div>",
        counted(seeds, "seed")
    )
}

fn chart(names: &mut Names, played: &Played, metric: &str) -> String {
    let mut found: Vec<(usize, String, Sorted)> = Vec::new();
    for cell in &played.cells {
        for (index, group) in played.groups.iter().enumerate() {
            let figure = cell.figures.iter().find(|figure| figure.group == group.name && figure.metric == metric);
            let sorted = figure.map(Sorted::of).filter(|sorted| !sorted.0.is_empty());
            if let Some(sorted) = sorted {
                found.push((index, label(played, cell, &group.name), sorted));
            }
        }
    }
    let differs = |(_, _, sorted): &(usize, String, Sorted)| sorted.at(0) < sorted.at(100);
    if !found.iter().any(differs) {
        return String::new();
    }
    let unit = unit(metric);
    let mut rows = Vec::new();
    for (_, label, sorted) in &found {
        let told = [0, 5, 25, 50, 75, 95, 100].map(|percent| shown(unit, sorted.at(percent)));
        rows.push([vec![label.clone()], told.to_vec()].concat());
    }
    let headings = ["clients", "least", "5%", "25%", "median", "75%", "95%", "greatest"].map(str::to_owned);
    let table = table(&format!("{metric} over seeds"), &headings, 1, &rows);
    // Of too many the ones that differ most are drawn; the table has all.
    let count = found.len();
    found.sort_by(|a, b| b.2.at(100).total_cmp(&a.2.at(100)));
    found.truncate(MAX_ROWS);
    let scale = Scale::of(found.iter().flat_map(|(_, _, sorted)| [sorted.at(0), sorted.at(100)]), 4.0, WIDTH - 4.0);
    let mut body = String::new();
    for (n, (group, label, sorted)) in (0_u32..).zip(&found) {
        body.push_str(&row(f64::from(n) * ROW, *group, label, sorted, &scale, unit));
    }
    #[expect(clippy::cast_precision_loss, reason = "a chart has few rows")]
    let bottom = found.len() as f64 * ROW;
    for (tick, anchor) in ends(&scale) {
        let at = scale.at(tick);
        let _ = write!(
            body,
            "<text class=\"tick {anchor}\" x=\"{}\" y=\"{}\">{}</text>",
            px(at),
            px(bottom + 14.0),
            shown(unit, tick)
        );
    }
    let cut = if count > found.len() { format!(" (the {} greatest of {count})", found.len()) } else { String::new() };
    let log = if scale.is_log() { ", log scale" } else { "" };
    let said = found.iter().take(6).map(|(_, label, sorted)| {
        format!("{label}: median {}, greatest {}", shown(unit, sorted.at(50)), shown(unit, sorted.at(100)))
    });
    Chart {
        id: &names.next(),
        title: &format!("{metric}{log}{cut}"),
        about: &said.collect::<Vec<_>>().join("; "),
        size: (WIDTH, bottom + 20.0),
        body,
        legend: String::new(),
        table,
    }
    .show()
}

/// The first and the last round amount, so that their words do not meet.
fn ends(scale: &Scale) -> Vec<(f64, &'static str)> {
    let ticks = scale.ticks();
    match (ticks.first(), ticks.last()) {
        (Some(first), Some(last)) if first < last && scale.at(*last) - scale.at(*first) > 90.0 => {
            vec![
                (*first, if scale.at(*first) < 30.0 { "" } else { "mid" }),
                (*last, if scale.at(*last) > WIDTH - 30.0 { "end" } else { "mid" }),
            ]
        }
        (Some(only), _) => vec![(*only, if scale.at(*only) < 30.0 { "" } else { "mid" })],
        _ => Vec::new(),
    }
}

fn row(
    y: f64,
    group: usize,
    label: &str,
    sorted: &Sorted,
    scale: &Scale,
    unit: crate::scenario::metrics::Unit,
) -> String {
    let at = |percent| scale.at(sorted.at(percent));
    let (middle, class) = (y + 28.0, group % COLOURS);
    let mut text = format!(
        "<text x=\"0\" y=\"{}\">{}</text><text class=\"value\" x=\"{WIDTH}\" y=\"{0}\">{}</text>\
         <line class=\"reach s{class}\" x1=\"{}\" x2=\"{}\" y1=\"{middle}\" y2=\"{middle}\"/>",
        px(y + 14.0),
        esc(label),
        shown(unit, sorted.at(50)),
        px(at(0)),
        px(at(100)),
    );
    let _ = write!(
        text,
        "<rect class=\"box s{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"12\" rx=\"2\"/>",
        px(at(25)),
        px(middle - 6.0),
        px((at(75) - at(25)).max(1.0))
    );
    if sorted.0.len() <= MAX_DOTS {
        for value in &sorted.0 {
            let _ = write!(
                text,
                "<circle class=\"seed s{class}\" cx=\"{}\" cy=\"{middle}\" r=\"2.2\"/>",
                px(scale.at(*value))
            );
        }
    }
    let _ = write!(
        text,
        "<line class=\"median s{class}\" x1=\"{0}\" x2=\"{0}\" y1=\"{1}\" y2=\"{2}\"/>",
        px(at(50)),
        px(middle - 8.0),
        px(middle + 8.0)
    );
    text
}

fn label(played: &Played, cell: &Cell, group: &str) -> String {
    let alone = played.groups.len() == 1 && !cell.values.is_empty();
    let swept = cell.values.iter().map(String::as_str);
    let parts: Vec<&str> = if alone { swept.collect() } else { [group].into_iter().chain(swept).collect() };
    parts.join(", ")
}
