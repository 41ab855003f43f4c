//! `compare`: two reports, and what got worse from the first to the second.

use std::io::Write;
use std::path::PathBuf;

use clap::ArgMatches;

use super::{FAILED, OK, USAGE, merge, paths};
use crate::report::compare::{Thresholds, compare, show};
use crate::scenario::metrics;

const DEFAULT_THRESHOLD: f64 = 0.05;

pub(super) fn run(matches: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let names: Vec<PathBuf> = ["one", "other"].iter().flat_map(|name| paths(matches, name)).collect();
    let reports: Result<Vec<_>, String> = names.iter().map(|path| merge::read(path)).collect();
    let reports = match reports {
        Ok(reports) => reports,
        Err(why) => {
            let _ = writeln!(err, "error: {why}");
            return USAGE;
        }
    };
    let mut thresholds = Thresholds { all: DEFAULT_THRESHOLD, of: std::collections::BTreeMap::new() };
    for (metric, part) in matches.get_many::<(Option<String>, f64)>("threshold").into_iter().flatten() {
        match metric {
            Some(metric) => drop(thresholds.of.insert(metric.clone(), *part)),
            None => thresholds.all = *part,
        }
    }
    let found = compare(&reports[0], &reports[1], &thresholds);
    let shown = names.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    let _ = out.write_all(show(&found, [&shown[0], &shown[1]]).as_bytes());
    if found.is_good() { OK } else { FAILED }
}

/// `10%`, or `update_delay_p99=20%`.
pub(super) fn threshold(text: &str) -> Result<(Option<String>, f64), String> {
    let (metric, part) = match text.split_once('=') {
        Some((metric, part)) => (Some(metric.to_owned()), part),
        None => (None, text),
    };
    if let Some(unknown) = metric.as_ref().filter(|metric| metrics::find(metric).is_none()) {
        return Err(format!("there is no figure `{unknown}`; `outrigger-sim reference` lists them"));
    }
    let number: Option<f64> = part.strip_suffix('%').and_then(|number| number.parse().ok());
    let number = number.filter(|number| (0.0..=10_000.0).contains(number));
    number.map(|number| (metric, number / 100.0)).ok_or_else(|| "write it as 10% or update_delay_p99=20%".to_owned())
}
