mod faces;
mod faults;
mod figures;
mod pages;
mod resolved;
mod schedules;
mod sweeps;

use super::*;

/// The least that a scenario has.
const LEAST: &str = "\
name = 'least'
[[apps]]
name = 'feed'
[[sidecars]]
name = 'edge'
[[clients]]
name = 'web'
kind = 'push'
";

/// Parses what must be right.
fn right(text: &str) -> Scenario {
    match parse("s.toml", text) {
        Ok((scenario, warnings)) => {
            assert_eq!(lines(&warnings), [] as [&str; 0], "{text}");
            scenario
        }
        Err(report) => panic!("{text}\n{report}"),
    }
}

/// The faults of what must be wrong.
fn wrong(text: &str) -> Vec<String> {
    match parse("s.toml", text) {
        Ok(_) => panic!("this should be wrong:\n{text}"),
        Err(report) => lines(&report.faults),
    }
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}
