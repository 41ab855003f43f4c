//! Scenarios: worlds for the simulator, one TOML file each. Text goes in, a [`Scenario`] comes out, in which a wrong
//! state cannot be written; everything downstream takes it and checks nothing again.
//!
//! ```
//! use outrigger_sim::scenario::{parse, schedule};
//!
//! let text = r#"
//! name = "one client, one cut"
//! [[apps]]
//! name = "feed"
//! [[sidecars]]
//! name = "edge"
//! [[clients]]
//! name = "web"
//! kind = "push"
//! [[faults]]
//! kind = "partition"
//! at = "1m..2m"
//! a = "web"
//! b = "edge"
//! "#;
//! let (scenario, warnings) = parse("cut.toml", text).unwrap();
//! assert!(warnings.is_empty());
//! assert_eq!(schedule(&scenario, 7), schedule(&scenario, 7));
//! ```

mod axis;
mod expect;
mod fields;
mod hops;
mod key;
mod keys;
pub mod metrics;
mod model;
mod reference;
mod resolve;
mod schedule;
mod schema;
mod shipped;
mod source;
mod starter;
mod sweep;
mod units;
mod values;
mod write;

use outrigger::config::{FileSource, Finding, Report, parse_toml};

pub use self::axis::Axis;
pub use self::expect::{Bound, Failure, Metrics, check};
pub use self::model::*;
pub use self::reference::reference;
pub(crate) use self::schedule::LOSS_BURST_PPM;
pub use self::schedule::schedule;
pub use self::schema::schema;
pub use self::shipped::{Setting, Shipped, shipped};
use self::source::Source;
pub use self::starter::{Answers, Family, starter};
pub use self::write::write;

/// Resolves a file, or says everything that is wrong with it; on success come the warnings too. `name` is the file's,
/// as it shall appear in messages.
///
/// Every combination of swept values is resolved as well, so that [`variants`] cannot fail.
pub fn parse(name: &str, text: &str) -> Result<(Scenario, Vec<Finding>), Report> {
    let mut report = Report::default();
    let Some(table) = parse_toml(&FileSource { name, text }, &mut report) else {
        report.sort();
        return Err(report);
    };
    let source = Source { name: name.to_owned(), text: text.to_owned(), table: source::owned(table) };
    let (scenario, mut warnings) = resolve::scenario(&sweep::base(&source))?;
    if !scenario.sweeps.is_empty() {
        for (_, source) in sweep::cells(&scenario.source, &scenario.sweeps) {
            match resolve::scenario(&source) {
                Ok((_, found)) => add_new(&mut report.warnings, &warnings, found),
                Err(found) => add_new(&mut report.faults, &[], found.faults),
            }
        }
        if !report.faults.is_empty() {
            report.warnings.append(&mut warnings);
            report.sort();
            return Err(report);
        }
        warnings.append(&mut report.warnings);
    }
    Ok((scenario, warnings))
}

/// Each combination of swept values as a scenario of its own, with what it is called (`clients.web.interval = 500ms`),
/// in the order of the file. Without sweeps it is the scenario alone, and its label is empty.
pub fn variants(scenario: &Scenario) -> Vec<(String, Scenario)> {
    if scenario.sweeps.is_empty() {
        return vec![(String::new(), scenario.clone())];
    }
    let resolved = |(label, source): (String, Source)| {
        let (variant, _) = resolve::scenario(&source).expect("every combination was resolved when the file was parsed");
        (label, Scenario { sweeps: Vec::new(), ..variant })
    };
    sweep::cells(&scenario.source, &scenario.sweeps).into_iter().map(resolved).collect()
}

/// Products on the way that a scenario knows by name.
pub fn presets() -> &'static [&'static str] {
    keys::PRESETS
}

/// Adds findings that are in neither list yet.
fn add_new(to: &mut Vec<Finding>, known: &[Finding], found: Vec<Finding>) {
    for finding in found {
        if !to.contains(&finding) && !known.contains(&finding) {
            to.push(finding);
        }
    }
}

#[cfg(test)]
mod tests;
