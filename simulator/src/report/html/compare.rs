//! Ways of getting updates side by side: requests, bytes and delay, as bars for a single cell and as lines along a
//! sweep over numbers; and where they break even.

use std::fmt::Write as _;

use super::super::build::Batch;
use super::super::model::{Cell, Played};
use super::svg::{COLOURS, Chart, Scale, esc, legend, px, table};
use super::{Names, number, shown};
use crate::scenario::metrics::Unit;

/// Cards are so wide on a phone too.
const WIDTH: f64 = 262.0;
/// Charts of one measure, for values of the other sweep.
const MAX_LINES: usize = 6;

/// Something that every group is compared by.
struct Measure {
    title: &'static str,
    unit: Unit,
    /// Of all seeds' means, for one client where it adds up.
    of: fn(&Cell, &str, f64) -> Option<f64>,
}

const MEASURES: [Measure; 4] = [
    Measure {
        title: "Requests for each client",
        unit: Unit::Count,
        of: |cell, group, clients| Some(number(cell, group, "requests")? / clients),
    },
    Measure {
        title: "Bytes on the wire for each client, both ways",
        unit: Unit::Bytes,
        of: |cell, group, clients| {
            Some((number(cell, group, "bytes_up")? + number(cell, group, "bytes_down")?) / clients)
        },
    },
    Measure {
        title: "Delay of an update, median",
        unit: Unit::Time,
        of: |cell, group, _| number(cell, group, "update_delay_p50"),
    },
    Measure {
        title: "Delay of an update, 99 of 100 are faster",
        unit: Unit::Time,
        of: |cell, group, _| number(cell, group, "update_delay_p99"),
    },
];

pub(super) fn section(names: &mut Names, played: &Played, batch: &Batch) -> String {
    if played.groups.len() < 2 || played.cells.is_empty() {
        return String::new();
    }
    let along = batch.axes().iter().rposition(|axis| axis.amounts().is_some_and(|amounts| amounts.len() > 1));
    let mut charts = String::new();
    for measure in &MEASURES {
        charts.push_str(&match along {
            Some(along) => lines(names, played, batch, along, measure),
            None if played.cells.len() == 1 => bars(names, played, measure),
            None => String::new(),
        });
    }
    if charts.is_empty() && played.break_even.is_empty() {
        return String::new();
    }
    let costs = costs(played);
    let one_kind = played.groups.iter().all(|group| group.kind == played.groups[0].kind);
    let title = if one_kind { "Clients, compared" } else { "Ways of getting updates, compared" };
    format!("<h3>{title}</h3><div class=\"charts small\">{charts}</div>{}{costs}", break_even(played))
}

fn bars(names: &mut Names, played: &Played, measure: &Measure) -> String {
    let cell = &played.cells[0];
    let value = |group: &super::super::model::Group| (measure.of)(cell, &group.name, f64::from(group.clients));
    let values: Vec<Option<f64>> = played.groups.iter().map(value).collect();
    if values.iter().all(Option::is_none) {
        return String::new();
    }
    let scale = Scale::from_zero(values.iter().flatten().copied(), 0.0, WIDTH);
    let (mut body, mut rows, mut y) = (String::new(), Vec::new(), 0.0);
    for (index, (group, value)) in played.groups.iter().zip(&values).enumerate() {
        let told = value.map_or("–".to_owned(), |value| shown(measure.unit, value));
        let _ = write!(
            body,
            "<text x=\"0\" y=\"{}\">{}</text><text class=\"value\" x=\"{WIDTH}\" y=\"{0}\">{told}</text>",
            px(y + 14.0),
            esc(&group.name)
        );
        let length = value.map_or(0.0, |value| scale.at(value).max(2.0));
        let _ = write!(
            body,
            "<rect class=\"track\" x=\"0\" y=\"{0}\" width=\"{WIDTH}\" height=\"12\" rx=\"3\"/>\
             <rect class=\"bar s{1}\" x=\"0\" y=\"{0}\" width=\"{2}\" height=\"12\" rx=\"3\"/>",
            px(y + 20.0),
            index % COLOURS,
            px(length)
        );
        rows.push(vec![group.name.clone(), group.kind.clone(), told]);
        y += 42.0;
    }
    let headings = ["clients", "kind", measure.title].map(str::to_owned);
    let said: Vec<String> = rows.iter().map(|row| format!("{} {}", row[0], row[2])).collect();
    Chart {
        id: &names.next(),
        title: measure.title,
        about: &said.join(", "),
        size: (WIDTH, y),
        body,
        legend: String::new(),
        table: table(measure.title, &headings, 1, &rows),
    }
    .show()
}

fn lines(names: &mut Names, played: &Played, batch: &Batch, along: usize, measure: &Measure) -> String {
    let axes = batch.axes();
    let other = (axes.len() > 1).then(|| 1 - along);
    let sides = other.map_or(1, |other| axes[other].values.len());
    let mut charts = String::new();
    for side in 0..sides.min(MAX_LINES) {
        let cells: Vec<(f64, &Cell)> = played
            .cells
            .iter()
            .filter_map(|cell| {
                let places = crate::scenario::Axis::places_of(&axes, cell.variant - 1);
                let is_here = other.is_none_or(|other| places[other] == side);
                is_here.then(|| axes[along].amounts().map(|amounts| (amounts[places[along]], cell)))?
            })
            .collect();
        let at = other.map(|other| format!("{} {}", axes[other].name(), axes[other].values[side]));
        let title = at.unwrap_or_else(|| measure.title.to_owned());
        charts.push_str(&line_chart(names, played, (&axes[along], &cells), measure, &title));
    }
    if other.is_none() || charts.is_empty() {
        return charts;
    }
    format!("</div><h4>{}</h4><div class=\"charts small\">{charts}", measure.title)
}

fn line_chart(
    names: &mut Names,
    played: &Played,
    (axis, cells): (&crate::scenario::Axis, &[(f64, &Cell)]),
    measure: &Measure,
    title: &str,
) -> String {
    const HEIGHT: f64 = 230.0;
    let value = |group: usize, cell: &Cell| {
        let group = &played.groups[group];
        (measure.of)(cell, &group.name, f64::from(group.clients))
    };
    let values =
        (0..played.groups.len()).flat_map(|group| cells.iter().filter_map(move |(_, cell)| value(group, cell)));
    let values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
    if values.is_empty() || cells.len() < 2 {
        return String::new();
    }
    let x = Scale::of(cells.iter().map(|(amount, _)| *amount), 58.0, WIDTH - 8.0);
    let y = Scale::of(values.into_iter(), HEIGHT - 34.0, 10.0);
    let mut body = String::new();
    for tick in y.ticks() {
        let at = px(y.at(tick));
        let _ = write!(
            body,
            "<line class=\"grid\" x1=\"58\" x2=\"{WIDTH}\" y1=\"{at}\" y2=\"{at}\"/>\
             <text class=\"tick end\" x=\"52\" y=\"{}\">{}</text>",
            px(y.at(tick) + 4.0),
            shown(measure.unit, tick)
        );
    }
    let mut last_label = f64::NEG_INFINITY;
    for (amount, _) in cells {
        let at = x.at(*amount);
        if at - last_label < 44.0 {
            continue;
        }
        last_label = at;
        let _ = write!(
            body,
            "<text class=\"tick mid\" x=\"{}\" y=\"{}\">{}</text>",
            px(at),
            HEIGHT - 16.0,
            esc(&axis.show(*amount))
        );
    }
    let _ = write!(body, "<text class=\"tick end\" x=\"{WIDTH}\" y=\"{}\">{}</text>", HEIGHT - 2.0, esc(axis.name()));
    let (mut rows, mut said) = (Vec::new(), Vec::new());
    for (index, group) in played.groups.iter().enumerate() {
        let points: Vec<(f64, f64)> =
            cells.iter().filter_map(|(amount, cell)| Some((x.at(*amount), y.at(value(index, cell)?)))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", px(*x), px(*y))).collect();
        let _ = write!(body, "<polyline class=\"line s{}\" points=\"{}\"/>", index % COLOURS, path.join(" "));
        for (x, y) in points {
            let _ = write!(
                body,
                "<circle class=\"dot s{}\" cx=\"{}\" cy=\"{}\" r=\"3.5\"/>",
                index % COLOURS,
                px(x),
                px(y)
            );
        }
        let told =
            |(_, cell): &(f64, &Cell)| value(index, cell).map_or("–".to_owned(), |value| shown(measure.unit, value));
        let cells: Vec<String> = cells.iter().map(told).collect();
        said.push(format!("{} from {} to {}", group.name, cells[0], cells[cells.len() - 1]));
        rows.push([vec![group.name.clone()], cells].concat());
    }
    let values = cells.iter().map(|(amount, _)| axis.show(*amount));
    let headings: Vec<String> = ["clients".to_owned()].into_iter().chain(values).collect();
    let groups: Vec<&str> = played.groups.iter().map(|group| group.name.as_str()).collect();
    Chart {
        id: &names.next(),
        title,
        about: &format!("Along {}: {}", axis.key, said.join("; ")),
        size: (WIDTH, HEIGHT),
        body,
        legend: legend(&groups),
        table: table(title, &headings, 1, &rows),
    }
    .show()
}

fn break_even(played: &Played) -> String {
    if played.break_even.is_empty() {
        return String::new();
    }
    let row = |found: &super::super::model::BreakEven| {
        let what = if found.measure == "bytes" { "bytes" } else { "money" };
        vec![found.groups.join(" or "), what.to_owned(), found.at.clone().unwrap_or_default(), found.cheaper.join(", ")]
    };
    let rows: Vec<Vec<String>> = played.break_even.iter().map(row).collect();
    let headings = ["which", "by", "at", "the cheaper one"].map(str::to_owned);
    let along = &played.break_even[0].along;
    format!("<h4>Break-even</h4>{}", table(&format!("Who is cheaper along {along}"), &headings, 1, &rows))
}

fn costs(played: &Played) -> String {
    let Some(prices) = &played.prices else { return String::new() };
    let money = |amount: Option<f64>| amount.map_or("–".to_owned(), |amount| format!("{amount:.4}"));
    let mut rows = Vec::new();
    for cell in &played.cells {
        for cost in &cell.costs {
            let amounts = [cost.requests, cost.connections, cost.traffic, Some(cost.together)].map(money);
            rows.push([cell.values.clone(), vec![cost.group.clone()], amounts.to_vec()].concat());
        }
    }
    let axes = played.axes.iter().map(|axis| axis.name().to_owned());
    let headings = ["clients", "requests", "connections", "traffic", "together"].map(str::to_owned);
    let headings: Vec<String> = axes.chain(headings).collect();
    let caption = format!("{} for one client and 30 days, if all goes on like this", prices.currency);
    format!("<h4>Costs</h4>{}", table(&caption, &headings, played.axes.len() + 1, &rows))
}
