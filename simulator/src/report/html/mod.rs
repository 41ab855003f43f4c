//! `report.html`: one page that needs nothing else, neither a network nor a folder around it.
//!
//! All charts are plain SVG that is made here, each with a table behind it. The script that is in the page draws
//! nothing: it moves what is there when somebody zooms or goes through time, and without it all is still to be read.

mod compare;
mod fidelity;
mod matrix;
mod spacetime;
mod spread;
mod svg;
mod world;

use std::fmt::Write as _;

use self::svg::{esc, table};
use super::build::Batch;
use super::model::{Cell, Played, Report};
use super::table::shown;
use super::{Broken, broken, counted, markdown};
use crate::scenario::metrics::{self, METRICS, Unit};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Things that broke and are told one by one.
const MAX_BROKEN: usize = 30;
/// Characters of one failure.
const MAX_TEXT: usize = 600;
/// Nothing is fetched, whatever somebody writes into a scenario's name.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
                    %3Cpath d='M2 9h12l-2 3H4z' fill='%230f766e'/%3E%3Cpath d='M8 2v6l5-1z' fill='%23b45309'/%3E%3C/svg%3E";

/// Names for what needs one of its own on the page.
#[derive(Default)]
struct Names(usize);

impl Names {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("c{}", self.0)
    }
}

/// The whole page. `batches` are those that the report was made from.
pub fn write(report: &Report, batches: &[Batch]) -> String {
    let mut names = Names::default();
    let played: Vec<(&Played, &Batch)> =
        report.scenarios.iter().zip(batches).filter(|(played, _)| played.runs > 0).collect();
    let verdict = markdown::verdict(report);
    let mut sections = String::new();
    for (index, (played, batch)) in played.iter().enumerate() {
        sections.push_str(&section(&mut names, index, played, batch, &fidelity::note(report, batch)));
    }
    let how_true = fidelity::section(report, &played);
    // Who may be misled reads it first.
    let is_minded = played.iter().any(|(_, batch)| fidelity::exposed(report, batch).is_some());
    let (true_first, true_last) = if is_minded { (how_true, String::new()) } else { (String::new(), how_true) };
    let (class, mark) = if report.is_good() { ("good", "✓") } else { ("bad", "✗") };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <title>{mark} {verdict} · Outrigger simulations</title><link rel=\"icon\" href=\"{ICON}\">\
         <style>{STYLE}</style></head>\n<body><a class=\"skip\" href=\"#main\">To the results</a>\
         <header><p class=\"brand\">Outrigger simulations</p><h1 class=\"{class}\"><span aria-hidden=\"true\">{mark}</span> {}</h1>\
         <p class=\"muted\">outrigger-sim {}, network {}{}. The same scenarios, seeds and program give the same page.</p></header>\n\
         <main id=\"main\">{}{}{}{sections}{}</main>\n<script>{SCRIPT}</script></body></html>\n",
        esc(&capital(&verdict)),
        esc(&report.version),
        esc(&report.network),
        seeds(report),
        what_broke(report),
        true_first,
        contents(&played),
        true_last,
    )
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + chars.as_str())
}

/// `, seeds 1 to 200`, where all have the same.
fn seeds(report: &Report) -> String {
    let all = || report.scenarios.iter().flat_map(|played| &played.cells).flat_map(|cell| &cell.runs);
    match (all().map(|run| run.seed).min(), all().map(|run| run.seed).max()) {
        (Some(from), Some(to)) if from == to => format!(", seed {from}"),
        (Some(from), Some(to)) => format!(", seeds {from} to {to}"),
        _ => String::new(),
    }
}

fn what_broke(report: &Report) -> String {
    let found = broken(report);
    if found.is_empty() {
        return String::new();
    }
    let mut text = "<section class=\"card broke\" id=\"broke\"><h2>What broke</h2><ol>".to_owned();
    for broken in found.iter().take(MAX_BROKEN) {
        text.push_str(&told(report, broken));
    }
    text.push_str("</ol>");
    if found.len() > MAX_BROKEN {
        let _ = write!(text, "<p>And {} more: see the scenarios below.</p>", found.len() - MAX_BROKEN);
    }
    text + "</section>\n"
}

fn told(report: &Report, broken: &Broken) -> String {
    let place = report.scenarios.iter().filter(|played| played.runs > 0).position(|played| played.file == broken.file);
    let seen: String = broken.text.chars().take(MAX_TEXT).collect();
    let more = if seen.len() < broken.text.len() { " …" } else { "" };
    let look = place.map_or(String::new(), |place| format!(" <a href=\"#s{place}\">Look at it</a>"));
    format!(
        "<li><h3>{}</h3><p>In {} of <code>{}</code> ({}).{look}</p><p class=\"seen\">{}{more}</p>\
         <p class=\"command\"><code>{}</code><button type=\"button\" class=\"copy\" hidden>Copy</button></p></li>",
        esc(broken.what),
        counted(broken.runs, "run"),
        esc(broken.file),
        broken.seeds(),
        esc(&seen),
        esc(broken.replay),
    )
}

fn contents(played: &[(&Played, &Batch)]) -> String {
    if played.len() < 2 {
        return String::new();
    }
    let mut text = "<nav class=\"card\" aria-label=\"Scenarios\"><h2>Scenarios</h2><ul class=\"contents\">".to_owned();
    for (index, (played, _)) in played.iter().enumerate() {
        let (class, mark) = mark(played);
        let _ = write!(
            text,
            "<li><a href=\"#s{index}\"><span class=\"{class}\">{mark}</span> {}</a> <span class=\"muted\">{}</span></li>",
            esc(&played.name),
            told_runs(played)
        );
    }
    text + "</ul></nav>\n"
}

fn mark(played: &Played) -> (&'static str, &'static str) {
    if played.failed > 0 { ("bad", "✗") } else { ("good", "✓") }
}

fn told_runs(played: &Played) -> String {
    match played.failed {
        0 => format!("{}, all hold", counted(played.runs, "run")),
        failed => format!("{failed} of {} failed", counted(played.runs, "run")),
    }
}

fn section(names: &mut Names, index: usize, played: &Played, batch: &Batch, note: &str) -> String {
    let (class, mark) = mark(played);
    format!(
        "<section class=\"card scenario\" id=\"s{index}\" aria-labelledby=\"h{index}\">\
         <h2 id=\"h{index}\"><span class=\"{class}\">{mark}</span> {}</h2><p class=\"lead\">{}</p>\
         <p class=\"muted\"><code>{}</code>, {}</p>{note}{}{}{}{}{}{}{}</section>\n",
        esc(&played.name),
        esc(&played.description),
        esc(&played.file),
        told_runs(played),
        spacetime::section(names, played),
        expectations(played),
        compare::section(names, played, batch),
        matrix::section(played, batch),
        world::section(names, played, batch),
        spread::section(names, played),
        figures(played),
    )
}

fn expectations(played: &Played) -> String {
    if played.expected.is_empty() {
        return String::new();
    }
    let row = |expected: &super::model::Expected| {
        let holds = match expected.failed {
            0 => "✓ in every run".to_owned(),
            failed => format!("✗ not in {}", counted(failed, "run")),
        };
        let group = if expected.group.is_empty() { "all" } else { &expected.group };
        vec![expected.metric.clone(), group.to_owned(), expected.bound.clone(), holds]
    };
    let rows: Vec<Vec<String>> = played.expected.iter().map(row).collect();
    let headings = ["figure", "clients", "expected", "holds"].map(str::to_owned);
    let open = if played.expected.iter().any(|expected| expected.failed > 0) { " open" } else { "" };
    let text = table("What the scenario expects", &headings, 1, &rows);
    format!("<details{open}><summary>{}</summary>{text}</details>", counted(rows.len(), "expectation"))
}

/// All that was counted and is not 0 everywhere.
fn figures(played: &Played) -> String {
    let known = |metric: &str| METRICS.iter().position(|known| metric.split('.').next() == Some(known.name));
    let mut columns: Vec<&str> = Vec::new();
    for figure in played.cells.iter().flat_map(|cell| &cell.figures).filter(|figure| figure.mean > 0.0) {
        if !columns.contains(&figure.metric.as_str()) {
            columns.push(&figure.metric);
        }
    }
    columns.sort_by_key(|metric| (known(metric), *metric));
    let mut rows = Vec::new();
    for cell in &played.cells {
        for group in &played.groups {
            let of = |metric: &&str| {
                number(cell, &group.name, metric).map_or("–".to_owned(), |value| shown(unit(metric), value))
            };
            rows.push([cell.values.clone(), vec![group.name.clone()], columns.iter().map(of).collect()].concat());
        }
    }
    let axes = played.axes.iter().map(|axis| axis.name().to_owned());
    let headings: Vec<String> =
        axes.chain(["clients".to_owned()]).chain(columns.iter().map(|metric| (*metric).to_owned())).collect();
    let names = played.axes.len() + 1;
    let text = table("Means over seeds; of what ends in _max, the greatest", &headings, names, &rows);
    format!("<details><summary>All figures</summary>{text}</details>")
}

/// The mean of a figure over seeds.
fn number(cell: &Cell, group: &str, metric: &str) -> Option<f64> {
    let found = cell.figures.iter().find(|figure| figure.group == group && figure.metric == metric);
    found.map(|figure| figure.mean)
}

fn unit(metric: &str) -> Unit {
    metrics::find(metric.split('.').next().unwrap_or_default()).map_or(Unit::Count, |metric| metric.unit)
}

fn trimmed(text: &str) -> String {
    text.strip_suffix(".0").unwrap_or(text).to_owned()
}
