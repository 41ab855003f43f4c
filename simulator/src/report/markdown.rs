//! `report.md`: for the summary page of a CI job.

use std::fmt::Write as _;

use super::build::Batch;
use super::model::{Played, Report};
use super::{Broken, broken, counted, fidelity, table};

/// GitHub takes a summary of 1 MiB and nothing of a longer one.
const MAX_BYTES: usize = 900_000;
/// Things that broke and are told one by one.
const MAX_BROKEN: usize = 20;
/// Characters of one failure: some list a session for each client.
const MAX_TEXT: usize = 400;

/// The whole file. `batches` are those that the report was made from.
pub fn write(report: &Report, batches: &[Batch]) -> String {
    let mut text = format!("# Simulations: {}\n\n", verdict(report));
    let found = broken(report);
    if !found.is_empty() {
        text.push_str("## What broke\n\n");
        for broken in found.iter().take(MAX_BROKEN) {
            text.push_str(&told(broken));
        }
        if found.len() > MAX_BROKEN {
            let _ = writeln!(text, "And {} more, in `report.html`.\n", found.len() - MAX_BROKEN);
        }
    }
    let how_true = how_true(report, batches);
    // Who may be misled reads it first.
    let is_minded = batches.iter().any(|batch| fidelity::exposed(report, batch).is_some());
    if is_minded {
        text.push_str(&how_true);
        text.push('\n');
    }
    text.push_str("| Scenario | runs | failed |\n|---|---:|---:|\n");
    for played in &report.scenarios {
        let Played { file, name, runs, failed, .. } = played;
        let mark = if *failed > 0 { "❌" } else { "✅" };
        let _ = writeln!(text, "| {mark} `{file}`: {} | {runs} | {failed} |", cell(name));
    }
    let with_runs = report.scenarios.iter().zip(batches).filter(|(played, _)| played.runs > 0);
    let mut left = report.scenarios.iter().filter(|played| played.runs > 0).count();
    for (played, batch) in with_runs {
        let section = section(played, batch);
        if text.len() + section.len() > MAX_BYTES {
            let _ = write!(
                text,
                "\nThe figures of {} are in `report.html`: too many for here.\n",
                counted(left, "scenario")
            );
            break;
        }
        text.push_str(&section);
        left -= 1;
    }
    if !is_minded {
        text.push('\n');
        text.push_str(&how_true);
    }
    text
}

/// What the figures are held to, and which of them are off.
fn how_true(report: &Report, batches: &[Batch]) -> String {
    let mut text = format!("## {}\n\n", fidelity::TITLE);
    if let Some(why) = fidelity::not_measured(report) {
        return text + why + "\n";
    }
    let measured = fidelity::measured();
    for batch in batches {
        let Some(exposed) = fidelity::exposed(report, batch) else { continue };
        let _ = writeln!(text, "> **Mind:** `{}` has {}.\n", batch.file, exposed.shown());
    }
    let _ = writeln!(text, "{}\n", measured.held_to());
    for off in measured.off() {
        let _ = writeln!(text, "- {off}");
    }
    let _ = writeln!(text, "\nEvery cell, and why it is off: `{}`.", fidelity::WHERE);
    text
}

/// `all 200 runs hold`, `3 of 200 runs failed`.
pub fn verdict(report: &Report) -> String {
    let shard = report.shard.map_or(String::new(), |shard| format!(" (part {} of {})", shard.part, shard.of));
    let told = match (report.failed, report.runs) {
        (0, 1) => "the one run holds".to_owned(),
        (0, runs) => format!("all {runs} runs hold"),
        (failed, runs) => format!("{failed} of {} failed", counted(runs, "run")),
    };
    format!("{told}{shard}")
}

fn told(broken: &Broken) -> String {
    let Broken { file, what, text, replay, runs, .. } = broken;
    let seen: String = text.chars().take(MAX_TEXT).collect();
    let more = if seen.len() < text.len() { " …" } else { "" };
    format!(
        "### `{what}`\n\nIn {} of `{file}` ({}). The first says:\n\n```\n{seen}{more}\n```\n\n```sh\n{replay}\n```\n\n",
        counted(*runs, "run"),
        broken.seeds(),
    )
}

fn section(played: &Played, batch: &Batch) -> String {
    let seeds = played.cells.iter().map(|cell| cell.runs.len()).max().unwrap_or(0);
    let means = if seeds == 1 { "1 seed".to_owned() } else { format!("means of {seeds} seeds") };
    let tables = table::tables(&batch.scenario, &batch.rows(), usize::MAX);
    let Played { file, name, description, .. } = played;
    format!("\n## {name}\n\n{description}\n\n`{file}`, {means}\n\n{tables}")
}

/// Text that is safe in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
