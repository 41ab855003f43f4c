//! `junit.xml`: a suite for each scenario, a test for each of its runs. Without times, which differ from run to run.

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::model::{Cell, Played, Report, RunOf};

/// The whole file.
pub fn write(report: &Report) -> String {
    let mut document = Document::new("outrigger-sim");
    document.add_test_suites(report.scenarios.iter().map(suite));
    let mut text = document.to_string().expect("nothing in it is no XML: quick-junit leaves such characters out");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn suite(played: &Played) -> TestSuite {
    let mut suite = TestSuite::new(played.name.as_str());
    for cell in &played.cells {
        suite.add_test_cases(cell.runs.iter().map(|run| case(played, cell, run)));
    }
    suite
}

fn case(played: &Played, cell: &Cell, run: &RunOf) -> TestCase {
    let status = match run.failures.first() {
        None => TestCaseStatus::success(),
        Some(first) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let lines: Vec<&str> = run.failures.iter().map(|failure| failure.text.as_str()).collect();
            let replay = run.replay.as_deref().unwrap_or_default();
            status.set_type(first.what.as_str()).set_message(first.text.as_str());
            status.set_description(format!("{}\nreplay: {replay}", lines.join("\n")));
            status
        }
    };
    let mut case = TestCase::new(name(played, cell, run), status);
    case.set_classname(played.file.as_str());
    case
}

/// `seed 3`, or `interval = 1s, seed 3`.
fn name(played: &Played, cell: &Cell, run: &RunOf) -> String {
    let swept = played.axes.iter().zip(&cell.values).map(|(axis, value)| format!("{} = {value}", axis.name()));
    swept.chain([format!("seed {}", run.seed)]).collect::<Vec<_>>().join(", ")
}
