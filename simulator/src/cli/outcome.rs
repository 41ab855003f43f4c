//! What is told when all runs are over: tables, what broke, and the files of `--report`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde_json::{Value, json};

use super::{FAILED, OK, Screen};
use crate::backend::Backend;
use crate::report::costs::Costs;
use crate::report::{self, Batch, Outcome, Report, breakeven, broken, fidelity, html, junit, markdown, merge, table};
use crate::scenario::{Axis, ClientGroup};

/// Runs that fail and are told one by one; of others only the number.
const MAX_TOLD: usize = 20;
/// Things that broke and are told at the end: with the lines around them they fit on one screen.
const MAX_BROKEN: usize = 5;
/// Characters of a failure in that list.
const MAX_TEXT: usize = 200;

/// The names of what `--report` writes.
pub(super) const JSON: &str = "report.json";
const HTML: &str = "report.html";
const MARKDOWN: &str = "report.md";
const JUNIT: &str = "junit.xml";

/// Tells all, writes what was asked for, and says how it went.
pub(super) fn tell(
    report: &Report,
    batches: &[Batch],
    matches: &ArgMatches,
    screen: &Screen,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let folder = matches.get_one::<PathBuf>("report");
    let written = folder.map_or(Ok(()), |folder| files(report, batches, folder));
    // A closed pipe on the other end is no reason to fail.
    let _ = if matches.get_flag("json") {
        print_json(report, batches, out)
    } else {
        print(report, batches, screen.width, folder.map(PathBuf::as_path), out)
    };
    if let Err(why) = written {
        let _ = writeln!(err, "error: {why}");
        return FAILED;
    }
    if report.is_good() { OK } else { FAILED }
}

fn files(report: &Report, batches: &[Batch], folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let texts = [
        (JSON, report::write(report)),
        (HTML, html::write(report, batches)),
        (MARKDOWN, markdown::write(report, batches)),
        (JUNIT, junit::write(report)),
    ];
    for (name, text) in texts {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(())
}

fn print(
    report: &Report,
    batches: &[Batch],
    width: usize,
    folder: Option<&Path>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let runs = report.scenarios.iter().flat_map(|played| &played.cells).flat_map(|cell| &cell.runs);
    for run in runs.filter(|run| !run.failures.is_empty()).take(MAX_TOLD) {
        writeln!(out, "{}", run.replay.as_deref().unwrap_or_default())?;
        for failure in &run.failures {
            writeln!(out, "  {}", failure.text)?;
        }
    }
    if report.failed > MAX_TOLD {
        writeln!(out, "and {} more runs that fail", report.failed - MAX_TOLD)?;
    }
    // A scenario without runs was skipped, and it was said why.
    for (played, batch) in report.scenarios.iter().zip(batches).filter(|(played, _)| played.runs > 0) {
        let seeds = played.runs / played.cells.len().max(1);
        let told = if seeds == 1 { "1 seed".to_owned() } else { format!("means of {seeds} seeds") };
        writeln!(out, "{}: {} ({told})", played.file, played.name)?;
        writeln!(out, "{}", table::tables(&batch.scenario, &batch.rows(), width))?;
        for expectation in &played.cells[0].not_judged {
            writeln!(out, "  not judged: {expectation}")?;
        }
        if let Some(exposed) = fidelity::exposed(report, batch) {
            let off = fidelity::measured().off().join("; ");
            writeln!(
                out,
                "  mind: {}, and the network is not exact there. {off} ({})",
                exposed.shown(),
                fidelity::WHERE
            )?;
        }
    }
    let count = if report.runs == 1 { "1 run".to_owned() } else { format!("{} runs", report.runs) };
    match report.failed {
        0 => writeln!(out, "{count}, all hold")?,
        failed => writeln!(out, "{count}, {failed} failed")?,
    }
    last_screen(report, folder, out)
}

/// What broke, where to look and how to replay it: the end of a long log is what people see of it.
fn last_screen(report: &Report, folder: Option<&Path>, out: &mut dyn Write) -> std::io::Result<()> {
    let found = broken(report);
    if report.failed > 1 {
        for broken in found.iter().take(MAX_BROKEN) {
            let text: String = broken.text.chars().take(MAX_TEXT).collect();
            let runs = if broken.runs == 1 { "1 run".to_owned() } else { format!("{} runs", broken.runs) };
            writeln!(out, "\n{} in {runs} of {} ({})", broken.what, broken.file, broken.seeds())?;
            writeln!(out, "  {text}\n  {}", broken.replay)?;
        }
        if found.len() > MAX_BROKEN {
            writeln!(out, "\nand {} other things", found.len() - MAX_BROKEN)?;
        }
    }
    match folder {
        Some(folder) => writeln!(out, "report: {}", folder.join(HTML).display()),
        None => Ok(()),
    }
}

fn print_json(report: &Report, batches: &[Batch], out: &mut dyn Write) -> std::io::Result<()> {
    let of_batch = |batch: &Batch| {
        let network = merge::network(report).unwrap_or_default();
        batch.outcomes.iter().map(|outcome| run_json(network, batch, outcome)).collect::<Vec<_>>()
    };
    let all: Vec<Value> = batches.iter().flat_map(of_batch).collect();
    let break_even = |batch: &Batch| {
        let lines = breakeven::all(&batch.scenario, &batch.rows());
        lines.iter().map(|line| breakeven::to_json(&batch.file, line)).collect::<Vec<_>>()
    };
    let break_even: Vec<Value> = batches.iter().flat_map(break_even).collect();
    writeln!(out, "{:#}", json!({ "runs": all, "break_even": break_even }))
}

fn run_json(network: Backend, batch: &Batch, run: &Outcome) -> Value {
    let mut groups = serde_json::Map::new();
    for ((group, metric), value) in &run.metrics {
        let sheet = groups.entry(group.as_str()).or_insert_with(|| json!({}));
        sheet[metric.as_str()] = json!(value);
    }
    let axes = batch.axes();
    let values = Axis::values_of(&axes, run.variant);
    let variant: Vec<String> = axes.iter().zip(values).map(|(axis, value)| format!("{} = {value}", axis.key)).collect();
    json!({
        "file": batch.file,
        "scenario": batch.scenario.name,
        "variant": variant.join(", "),
        "seed": run.seed,
        "digest": format!("{:016x}", run.digest),
        "virtual_us": run.virtual_us,
        "costs": costs(batch, run),
        "failures": run.failures.iter().map(|failure| failure.text.as_str()).collect::<Vec<_>>(),
        "not_judged": run.not_judged,
        "replay": report::replay(network, &batch.file, batch.variants(), run.variant, run.seed),
        "metrics": Value::Object(groups),
    })
}

/// By group, for one client and 30 days; empty without prices.
fn costs(batch: &Batch, run: &Outcome) -> Value {
    let Some(prices) = &batch.scenario.prices else { return json!({}) };
    #[expect(clippy::cast_precision_loss, reason = "times above 2^53 µs are beyond any run")]
    let measured_us = run.measured_us as f64;
    let of_group = |group: &ClientGroup| {
        let costs = Costs::of(prices, &run.metrics, &group.name, group.count, measured_us);
        let parts = json!({
            "requests": costs.requests,
            "connections": costs.connections,
            "traffic": costs.traffic,
            "together": costs.together(),
        });
        (group.name.clone(), parts)
    };
    Value::Object(batch.scenario.clients.iter().map(of_group).collect())
}
