//! `merge`: the parts of a sweep that ran in several places, as one report.

use std::fs;
use std::io::Write;
use std::path::Path;

use clap::ArgMatches;

use super::{Screen, USAGE, outcome, paths};
use crate::report::{self, Report};

pub(super) fn merge(matches: &ArgMatches, screen: &Screen, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut parts = Vec::new();
    for path in paths(matches, "reports") {
        match read(&path) {
            Ok(part) => parts.push((path.display().to_string(), part)),
            Err(why) => {
                let _ = writeln!(err, "error: {why}");
                return USAGE;
            }
        }
    }
    match report::merge::merge(&parts) {
        Ok((whole, batches)) => outcome::tell(&whole, &batches, matches, screen, out, err),
        Err(why) => {
            let _ = writeln!(err, "error: {why}");
            USAGE
        }
    }
}

/// A report by its file, or by the folder that `--report` wrote.
pub(super) fn read(path: &Path) -> Result<Report, String> {
    let file = if path.is_dir() { path.join(outcome::JSON) } else { path.to_owned() };
    let text = fs::read_to_string(&file).map_err(|why| format!("{}: {why}", file.display()))?;
    report::read(&text).map_err(|why| format!("{}: {why}", file.display()))
}
