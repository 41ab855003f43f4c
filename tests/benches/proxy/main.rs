//! What a proxy costs: CPU and memory of the whole process, side by side with its peers, in one run.
//!
//! `cargo bench -p outrigger-tests --bench proxy`; docs/BENCHMARKS.md tells what each cell means. Every proxy stands
//! before the same echoing app and is driven by the same client, with one worker or thread. What is measured is the
//! proxy's own CPU time per operation, so that a slow client or a busy machine shows as noise and not as a result.

mod app;
mod args;
mod cells;
mod link;
mod load;
mod process;
mod proxies;
mod report;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::app::App;
use crate::args::Args;
use crate::cells::{Bench, CELLS, Scale};
use crate::proxies::{Kind, Site};
use crate::report::{Report, Sample, median};

fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => return ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let report = measure(&args);
    print!("{}", report.table());
    if let Some(path) = &args.json {
        std::fs::write(path, report.json()).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    }
    ExitCode::SUCCESS
}

/// Round after round, cell after cell, proxy after proxy: what the machine does to one of them it does to its
/// neighbours, and ratios are taken between neighbours.
fn measure(args: &Args) -> Report {
    let outrigger = outrigger();
    stay_on_one_cpu();
    let app = App::start();
    let site = Site::new(outrigger, app.addr());
    let scale = Scale::new(args.quick, descriptors());
    let mut report = Report::new(args.rounds, site.versions());
    let mut bench = Bench::start(&site, scale);
    for round in 0..args.rounds {
        for cell in CELLS.iter().filter(|cell| args.wants(cell.key)) {
            progress(&format!("round {} of {}: {}", round + 1, args.rounds, cell.title));
            let mut turns = Kind::ALL.map(|kind| (kind, Vec::new()));
            for _ in 0..cell.turns(args.quick) {
                for (kind, values) in turns.iter_mut().filter(|(kind, _)| site.has(*kind)) {
                    values.extend(bench.run(cell, *kind));
                }
                // Nobody always comes behind the same one.
                turns.rotate_left(1);
            }
            for (kind, values) in turns {
                report.extend(median(&values).map(|value| Sample { cell, kind, round, value }));
            }
        }
    }
    progress("");
    report
}

/// Writes over the last such line, where somebody watches.
fn progress(line: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    }
}

/// The release build under test, built now unless `OUTRIGGER_BIN` names one.
fn outrigger() -> PathBuf {
    if let Some(path) = std::env::var_os("OUTRIGGER_BIN") {
        return PathBuf::from(path);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "outrigger"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "cargo build --release -p outrigger failed");
    let own = std::env::current_exe().expect("a running benchmark has a path");
    own.parent().and_then(Path::parent).expect("target/release/deps/<benchmark>").join("outrigger")
}

/// Keeps this process, and the proxies that it starts, on one CPU. Across CPUs a wake-up costs an interrupt or none,
/// whether the other one happens to be idle or not: that alone doubles an echo's cost from one moment to the next.
fn stay_on_one_cpu() {
    let allowed = sched_getaffinity(None).expect("this thread is there");
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).expect("it runs somewhere");
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).expect("a CPU that was allowed");
}

/// Raises the limit on open files as far as it goes, for this process and the proxies that it starts.
fn descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}
