//! Regions on a map that is drawn by latency, and the delays of their clients over time.

use std::fmt::Write as _;

use super::super::build::Batch;
use super::super::model::{Pace, Played, Timeline};
use super::super::story::about;
use super::svg::{behind, esc, px, table};
use super::{Names, shown};
use crate::scenario::metrics::Unit;
use crate::scenario::{FaultKind, Peer, PlannedFault, RegionId, Scenario, schedule, variants};

const WIDTH: f64 = 340.0;
/// Two regions lie beside each other.
fn height(scenario: &Scenario) -> f64 {
    if scenario.regions.len() > 2 { 300.0 } else { 130.0 }
}

/// Rounds in which regions are pulled to where latencies want them.
const ROUNDS: usize = 300;
/// Cells of a sweep whose delays are followed.
const MAX_CELLS: usize = 4;
/// Delays from here on have the strongest colour; those below a hundredth of a second the weakest.
const SLOWEST_US: f64 = 30_000_000.0;
const FASTEST_US: f64 = 10_000.0;

pub(super) fn section(names: &mut Names, played: &Played, batch: &Batch) -> String {
    let followed: Vec<_> = played.cells.iter().filter_map(|cell| Some((cell, cell.timeline.as_ref()?))).collect();
    if followed.is_empty() {
        return String::new();
    }
    let all = variants(&batch.scenario);
    let mut text = "<h3>Delays over time</h3>".to_owned();
    for (cell, timeline) in followed.iter().take(MAX_CELLS) {
        let scenario = &all[cell.variant - 1].1;
        let faults = schedule(scenario, timeline.seed);
        let title =
            if cell.values.is_empty() { String::new() } else { format!("<h4>{}</h4>", esc(&cell.values.join(", "))) };
        let map = if scenario.regions.len() > 1 { map(names, scenario, timeline, &faults) } else { String::new() };
        let id = names.next();
        let _ = write!(
            text,
            "{title}<div class=\"world{}\" id=\"{id}\">{map}{}</div>{}",
            if map.is_empty() { "" } else { " mapped" },
            strips(scenario, timeline, &faults),
            behind(&steps(timeline))
        );
    }
    if followed.len() > MAX_CELLS {
        let _ = write!(
            text,
            "<p class=\"muted\">The first {MAX_CELLS} of {} cells; report.json has all.</p>",
            followed.len()
        );
    }
    text
}

/// 0 for fast, 1 for very slow.
fn heat(delay_us: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is a colour")]
    let delay = (delay_us as f64).clamp(FASTEST_US, SLOWEST_US);
    (delay / FASTEST_US).log10() / (SLOWEST_US / FASTEST_US).log10()
}

/// Rows of colours, one for each group, and the faults above them.
fn strips(scenario: &Scenario, timeline: &Timeline, faults: &[PlannedFault]) -> String {
    let count = timeline.groups.first().map_or(0, |pace| pace.updates.len());
    let end_us = timeline.step_us * count as u64;
    let mut text = format!(
        "<figure class=\"chart wide\"><figcaption>How late updates of seed {} were, by the time at which they were made</figcaption>\
         <div class=\"strips\">",
        timeline.seed
    );
    for fault in faults {
        let (from, to) = (part(micros(fault.at), end_us), part(micros(fault.at + fault.lasts), end_us));
        let _ = write!(
            text,
            "<p class=\"strip-name\"><span>{}: {}</span> <span class=\"muted\">{} to {}</span></p>\
             <svg class=\"strip fault\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"track\" width=\"1000\" height=\"10\"/><rect class=\"hit\" x=\"{}\" width=\"{}\" height=\"10\"/></svg>",
            esc(&fault.label),
            esc(&about(scenario, &fault.kind)),
            clock(micros(fault.at)),
            clock(micros(fault.at + fault.lasts)),
            px(from * 1000.0),
            px(((to - from) * 1000.0).max(3.0)),
        );
    }
    for pace in &timeline.groups {
        let worst = pace.max_us.iter().flatten().max();
        let worst = worst.map_or("no updates".to_owned(), |worst| format!("slowest {}", time(*worst)));
        let _ = write!(
            text,
            "<p class=\"strip-name\"><span>{}</span> <span class=\"muted\">{worst}</span></p>\
             <svg class=\"strip\" viewBox=\"0 0 {count} 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{0}, {worst}\">\
             <rect class=\"track\" width=\"{count}\" height=\"10\"/>",
            esc(&pace.group),
        );
        for (step, max) in pace.max_us.iter().enumerate() {
            if let Some(max) = max {
                let _ = write!(
                    text,
                    "<rect class=\"late\" style=\"--h:{:.2}\" x=\"{step}\" width=\"1.02\" height=\"10\"/>",
                    heat(*max)
                );
            }
        }
        text.push_str("</svg>");
    }
    let _ = write!(
        text,
        "</div><p class=\"axis\"><span>0</span><span>{}</span><span>{}</span></p>\
         <p class=\"scale muted\">10 ms <span class=\"ramp\"></span> 30 s or more, the slowest of each step</p></figure>",
        clock(end_us / 2),
        clock(end_us)
    );
    text
}

/// The map, with a step of time chosen: the slowest. A script lets people choose another one.
fn map(names: &mut Names, scenario: &Scenario, timeline: &Timeline, faults: &[PlannedFault]) -> String {
    let places = places(scenario);
    let count = timeline.groups.first().map_or(0, |pace| pace.max_us.len());
    let worst_at = |step: &usize| timeline.groups.iter().filter_map(|pace| pace.max_us[*step]).max();
    let chosen = (0..count).max_by_key(|step| (worst_at(step), usize::MAX - step)).unwrap_or(0);
    let (id, cells) = (names.next(), scenario.regions.len());
    let mut body = String::new();
    for one in 0..cells {
        for other in one + 1..cells {
            body.push_str(&edge(scenario, timeline, faults, (one, other), (places[one], places[other]), chosen));
        }
    }
    for (region, place) in places.iter().enumerate() {
        body.push_str(&node(scenario, timeline, region, *place, chosen));
    }
    let said = timeline.groups.iter().map(|pace| format!("{} {}", pace.group, at_step(pace, chosen)));
    let end = count.saturating_sub(1);
    format!(
        "<figure class=\"chart map\"><figcaption>Regions, as far apart as their latency</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">Map of regions</title><desc id=\"{id}-d\">At {}: {}</desc>{body}</svg>\
         <p class=\"slider\" hidden><label>Time <input type=\"range\" min=\"0\" max=\"{end}\" value=\"{chosen}\" data-step=\"{}\"></label>\
         <output>{}</output></p><p class=\"when muted\">Shown is the step from {} on.</p></figure>",
        height(scenario),
        clock(timeline.step_us * chosen as u64),
        esc(&said.collect::<Vec<_>>().join(", ")),
        timeline.step_us,
        clock(timeline.step_us * chosen as u64),
        clock(timeline.step_us * chosen as u64),
    )
}

fn edge(
    scenario: &Scenario,
    timeline: &Timeline,
    faults: &[PlannedFault],
    (one, other): (usize, usize),
    (a, b): ((f64, f64), (f64, f64)),
    chosen: usize,
) -> String {
    let one_way = |from: usize, to: usize| scenario.link(RegionId(from), RegionId(to)).latency;
    let (there, back) = (one_way(one, other), one_way(other, one));
    let label = if there == back { format!("{there:?}") } else { format!("{there:?} / {back:?}") };
    let count = timeline.groups.first().map_or(0, |pace| pace.updates.len()) as u64;
    let hit: Vec<String> = (0..count)
        .filter(|step| {
            let (from, to) = (step * timeline.step_us, (step + 1) * timeline.step_us);
            faults.iter().any(|fault| {
                is_between(scenario, &fault.kind, one, other)
                    && micros(fault.at) < to
                    && micros(fault.at + fault.lasts) > from
            })
        })
        .map(|step| step.to_string())
        .collect();
    let is_hit = hit.contains(&chosen.to_string());
    format!(
        "<line class=\"way{}\" data-hit=\"{}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\
         <text class=\"way-name mid\" x=\"{}\" y=\"{}\">{}</text>",
        if is_hit { " hit" } else { "" },
        hit.join(" "),
        px(a.0),
        px(a.1),
        px(b.0),
        px(b.1),
        px(f64::midpoint(a.0, b.0)),
        px(f64::midpoint(a.1, b.1) - 5.0),
        esc(&label),
    )
}

fn node(scenario: &Scenario, timeline: &Timeline, region: usize, (x, y): (f64, f64), chosen: usize) -> String {
    let groups: Vec<&Pace> = scenario
        .clients
        .iter()
        .filter(|group| group.region.0 == region)
        .filter_map(|group| timeline.groups.iter().find(|pace| pace.group == group.name))
        .collect();
    let count = timeline.groups.first().map_or(0, |pace| pace.updates.len());
    let worst = |step: usize| groups.iter().filter_map(|pace| pace.max_us[step]).max();
    let steps: Vec<String> = (0..count).map(|step| worst(step).map_or(String::new(), |us| us.to_string())).collect();
    let machines = scenario.apps.iter().filter(|app| app.region.0 == region).map(|app| app.name.as_str());
    let sidecars = scenario.sidecars.iter().filter(|sidecar| sidecar.region.0 == region);
    let machines: Vec<&str> = machines.chain(sidecars.map(|sidecar| sidecar.name.as_str())).collect();
    let told =
        if groups.is_empty() { "no clients".to_owned() } else { worst(chosen).map_or("no updates".to_owned(), time) };
    let heat = worst(chosen).map_or(0.0, heat);
    let empty = if groups.is_empty() || worst(chosen).is_none() { " none" } else { "" };
    format!(
        "<g class=\"region{empty}\" data-late=\"{}\" style=\"--h:{heat:.2}\"><circle cx=\"{x}\" cy=\"{y}\" r=\"33\"/>\
         <text class=\"mid name\" x=\"{x}\" y=\"{}\">{}</text><text class=\"mid late-text\" x=\"{x}\" y=\"{}\">{}</text>\
         <text class=\"mid tick\" x=\"{x}\" y=\"{}\">{}</text></g>",
        if groups.is_empty() { String::new() } else { steps.join(",") },
        px(y - 3.0),
        esc(&scenario.regions[region].name),
        px(y + 13.0),
        told,
        px(y + 48.0),
        esc(&machines.join(", ")),
        x = px(x),
        y = px(y),
    )
}

/// Where regions are, so that distances grow with latency.
#[expect(clippy::cast_precision_loss, reason = "there are few regions")]
fn places(scenario: &Scenario) -> Vec<(f64, f64)> {
    let count = scenario.regions.len();
    let far = |one: usize, other: usize| {
        let there = scenario.link(RegionId(one), RegionId(other)).latency.as_secs_f64();
        let back = scenario.link(RegionId(other), RegionId(one)).latency.as_secs_f64();
        // The root keeps what is near from falling together with what is nearer still.
        f64::midpoint(there, back).max(0.001).sqrt()
    };
    let angle = |n: usize| std::f64::consts::TAU * n as f64 / count as f64;
    let mut at: Vec<(f64, f64)> = (0..count).map(|n| (angle(n).cos(), angle(n).sin() * 0.8)).collect();
    let pairs: Vec<(usize, usize)> =
        (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other))).collect();
    // So that even what is on the way from one to another is not on the line between them.
    let apart = 0.5 * pairs.iter().map(|(one, other)| far(*one, *other)).fold(0.001, f64::max);
    let far = |one: usize, other: usize| apart + far(one, other);
    let most = pairs.iter().map(|(one, other)| far(*one, *other)).fold(0.001, f64::max);
    for _ in 0..ROUNDS {
        for (one, other) in &pairs {
            let wanted = 2.0 * (far(*one, *other) / most);
            let (x, y) = (at[*other].0 - at[*one].0, at[*other].1 - at[*one].1);
            let length = x.hypot(y).max(0.001);
            let pull = 0.1 * (length - wanted) / length;
            at[*one] = (at[*one].0 + x * pull, at[*one].1 + y * pull);
            at[*other] = (at[*other].0 - x * pull, at[*other].1 - y * pull);
        }
    }
    let span = |of: fn(&(f64, f64)) -> f64| {
        let all = at.iter().map(of);
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        (low, (high - low).max(0.001))
    };
    let height = height(scenario);
    let (xs, ys) = (span(|at| at.0), span(|at| at.1));
    let wide = (WIDTH - 100.0) / xs.1;
    let scale = if count == 2 { wide } else { wide.min((height - 120.0).max(1.0) / ys.1) };
    let (left, top) = ((WIDTH - xs.1 * scale) / 2.0, (height - 20.0 - ys.1 * scale) / 2.0);
    at.iter().map(|(x, y)| (left + (x - xs.0) * scale, top + (y - ys.0) * scale)).collect()
}

fn is_between(scenario: &Scenario, kind: &FaultKind, one: usize, other: usize) -> bool {
    let region = |peer: Peer| match peer {
        Peer::Region(id) => id.0,
        Peer::App(id) => scenario.apps[id.0].region.0,
        Peer::Sidecar(id) => scenario.sidecars[id.0].region.0,
        Peer::Clients(group) => scenario.clients[group.0].region.0,
    };
    let (FaultKind::Partition { a, b }
    | FaultKind::OneWayPartition { from: a, to: b }
    | FaultKind::LossBurst { a, b, .. }
    | FaultKind::LatencySpike { a, b, .. }) = *kind
    else {
        return false;
    };
    let (a, b) = (region(a), region(b));
    (a.min(b), a.max(b)) == (one, other)
}

fn steps(timeline: &Timeline) -> String {
    let headings =
        timeline.groups.iter().flat_map(|pace| [pace.group.clone(), "mean".to_owned(), "slowest".to_owned()]);
    let headings: Vec<String> = ["from".to_owned()].into_iter().chain(headings).collect();
    let count = timeline.groups.first().map_or(0, |pace| pace.updates.len());
    let row = |step: usize| {
        let cells = timeline.groups.iter().flat_map(|pace| {
            let or_dash = |value: Option<u64>| value.map_or("–".to_owned(), time);
            [pace.updates[step].to_string(), or_dash(pace.mean_us[step]), or_dash(pace.max_us[step])]
        });
        [clock(timeline.step_us * step as u64)].into_iter().chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = (0..count).map(row).collect();
    table("Updates that arrived and their delay, by when they were made", &headings, 1, &rows)
}

fn at_step(pace: &Pace, step: usize) -> String {
    pace.max_us[step].map_or("no updates".to_owned(), |late| format!("slowest {}", time(late)))
}

#[expect(clippy::cast_precision_loss, reason = "times above 2^53 µs are beyond any run")]
fn time(us: u64) -> String {
    shown(Unit::Time, us as f64)
}

/// `1:05` for minutes and seconds.
pub(super) fn clock(us: u64) -> String {
    let seconds = us / 1_000_000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[expect(clippy::cast_precision_loss, reason = "times above 2^53 µs are beyond any run")]
fn part(at_us: u64, end_us: u64) -> f64 {
    (at_us as f64 / end_us.max(1) as f64).clamp(0.0, 1.0)
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
