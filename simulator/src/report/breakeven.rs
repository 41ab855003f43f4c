//! Where two ways of getting updates cost the same, somewhere between the values of a sweep.

use serde_json::{Value, json};

use super::costs::Costs;
use super::model;
use super::table::Row;
use crate::scenario::{Axis, ClientGroup, Scenario, Sweep};

/// A ratio this near to 1 on both sides of a point is noise and no crossing.
const SAME: f64 = 0.01;

/// One pair of groups along one axis, at one value of the other axis if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakEven {
    /// What is compared: `bytes`, or the currency.
    pub measure: String,
    pub pair: [String; 2],
    /// The axis along which it was looked for.
    pub along: String,
    /// The other axis and its value.
    pub at: Option<(String, String)>,
    /// As in `poll from 17.2s`: which of the pair is the cheaper one from which value on, in the order of the axis.
    pub cheaper: Vec<String>,
}

/// All of a scenario with a sweep over numbers: for each pair of groups that get their updates in different ways, if
/// either of them is the cheaper one in some cells and not in others.
pub fn all(scenario: &Scenario, rows: &[Row]) -> Vec<BreakEven> {
    let axes: Vec<Axis> = scenario.sweeps.iter().map(Sweep::axis).collect();
    let Some(along) = axes.iter().rposition(|axis| axis.amounts().is_some_and(|amounts| amounts.len() > 1)) else {
        return Vec::new();
    };
    let mut measures = vec!["bytes".to_owned()];
    measures.extend(scenario.prices.as_ref().map(|prices| prices.currency.clone()));
    let mut found = Vec::new();
    for (index, one) in scenario.clients.iter().enumerate() {
        for other in scenario.clients[index + 1..].iter().filter(|other| other.kind.as_str() != one.kind.as_str()) {
            for (money, measure) in measures.iter().enumerate() {
                let cost = |row: &Row, group| if money == 0 { bytes(row, group) } else { costs(scenario, row, group) };
                let lines = lines(&axes, along, rows, &|row| Some(cost(row, one)? / cost(row, other)?));
                let pair = [one.name.clone(), other.name.clone()];
                let mut of_pair: Vec<BreakEven> = lines
                    .into_iter()
                    .map(|(at, points)| BreakEven {
                        measure: measure.clone(),
                        pair: pair.clone(),
                        along: axes[along].key.clone(),
                        at,
                        cheaper: cheaper(&axes[along], &pair, &points),
                    })
                    .collect();
                let first = of_pair.first().map(|line| line.cheaper.clone());
                let crosses =
                    of_pair.iter().any(|line| line.cheaper.len() > 1 || Some(&line.cheaper) != first.as_ref());
                if crosses {
                    found.append(&mut of_pair);
                }
            }
        }
    }
    found
}

impl From<&BreakEven> for model::BreakEven {
    fn from(found: &BreakEven) -> Self {
        Self {
            measure: found.measure.clone(),
            groups: found.pair.clone(),
            along: found.along.clone(),
            at: found.at.as_ref().map(|(key, value)| format!("{key} = {value}")),
            cheaper: found.cheaper.clone(),
        }
    }
}

pub fn to_json(file: &str, found: &BreakEven) -> Value {
    json!({
        "file": file,
        "measure": found.measure,
        "groups": found.pair,
        "along": found.along,
        "at": found.at.as_ref().map(|(key, value)| format!("{key} = {value}")),
        "cheaper": found.cheaper,
    })
}

/// The value of the other axis, and the ratios along this one: amount and ratio.
type Line = (Option<(String, String)>, Vec<(f64, f64)>);

fn lines(axes: &[Axis], along: usize, rows: &[Row], ratio: &dyn Fn(&Row) -> Option<f64>) -> Vec<Line> {
    let other = axes.len().checked_sub(2).map(|_| 1 - along);
    let place = |row: &Row, axis: usize| Axis::places_of(axes, row.variant)[axis];
    let amounts = axes[along].amounts().unwrap_or_default();
    let count = other.map_or(1, |other| axes[other].values.len());
    let line = |n: usize| {
        let at = other.map(|other| (axes[other].name().to_owned(), axes[other].values[n].clone()));
        let on_it = |row: &&Row| other.is_none_or(|other| place(row, other) == n);
        let of_row = |row: &Row| Some((amounts[place(row, along)], ratio(row)?));
        let mut points: Vec<(f64, f64)> = rows.iter().filter(on_it).filter_map(of_row).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        (at, points)
    };
    (0..count).map(line).filter(|(_, points)| points.len() > 1).collect()
}

/// Who is cheaper first, and from which amount on it is the other one. Between two cells the ratio is taken to follow a
/// power of the amount, as costs per look and per update do.
fn cheaper(axis: &Axis, pair: &[String; 2], points: &[(f64, f64)]) -> Vec<String> {
    let mut told = vec![format!("{} at {}", pair[usize::from(points[0].1 > 1.0)], axis.show(points[0].0))];
    for next in points.windows(2) {
        let [(from, before), (to, after)] = next else { continue };
        let noise = (before - 1.0).abs() < SAME && (after - 1.0).abs() < SAME;
        if (*before > 1.0) == (*after > 1.0) || noise {
            continue;
        }
        let part = before.ln() / (before.ln() - after.ln());
        let at = (from.ln() + part * (to.ln() - from.ln())).exp();
        told.push(format!("{} from {}", pair[usize::from(*after > 1.0)], axis.show(at)));
    }
    if told.len() == 1 {
        told[0] = format!("{} always", pair[usize::from(points[0].1 > 1.0)]);
    }
    told
}

fn bytes(row: &Row, group: &ClientGroup) -> Option<f64> {
    let bytes = row.get(&group.name, "bytes_up")? + row.get(&group.name, "bytes_down")?;
    Some(bytes / f64::from(group.count)).filter(|bytes| *bytes > 0.0)
}

fn costs(scenario: &Scenario, row: &Row, group: &ClientGroup) -> Option<f64> {
    let prices = scenario.prices.as_ref()?;
    let costs = Costs::of(prices, &row.metrics, &group.name, group.count, row.measured_us);
    Some(costs.together()).filter(|costs| *costs > 0.0)
}
