//! The table of rolling deploys in the docs is what the scenarios say today.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use outrigger_sim::scenario::metrics::{self, Unit};
use outrigger_sim::world::{self, Options, Run};

use crate::common::figure;
use crate::support::{parse, scenarios};

/// As in the command above the table.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=2;
const PAGE: &str = "../docs/WHAT-THE-SCENARIOS-SAY.md";
/// What stands before the table and behind it.
const BEGIN: &str = "<!-- The table of rolling deploys, written by simulator/tests/world/deploys.rs. -->\n";
const END: &str = "<!-- Its end. -->\n";

/// The columns: a heading and a file of `scenarios/rolling-deploy`.
const COLUMNS: [(&str, &str); 4] = [
    ("drained", "drained"),
    ("drained, fewest connections", "least-connections"),
    ("`drain_window = \"off\"`", "drain-off"),
    ("killed", "killed"),
];

/// The rows: what is said and the figure.
const ROWS: [(&str, &str); 11] = [
    ("sessions that had to reconnect", "reconnects"),
    ("of these without a Close (1006)", "close_1006"),
    ("acknowledged messages lost", "acknowledged_lost"),
    ("messages lost, acknowledged or not", "messages_lost"),
    ("messages that arrived or not, the client cannot know", "messages_unacknowledged"),
    ("updates lost", "updates_lost"),
    ("updates that came twice", "updates_duplicated"),
    ("attempts in vain", "failed_connects"),
    ("most reconnects within 1 s", "reconnect_peak_per_s"),
    ("most within any 5 s, for each of them", "reconnect_peak_5s"),
    ("against sessions / window (`drain_peak`)", "drain_peak"),
];

#[test]
fn the_table_of_rolling_deploys_is_what_the_scenarios_say() {
    let played: Vec<Vec<Run>> = thread::scope(|scope| {
        let playing = COLUMNS.map(|(_, file)| scope.spawn(move || SEEDS.map(|seed| play(file, seed)).collect()));
        playing.map(|column| column.join().expect("it is played")).into()
    });
    check_page(&table(&played));
    let total = |file: usize, metric| played[file].iter().map(|run| figure(run, "", metric)).sum::<f64>();
    let [drained, off, killed] = [0, 2, 3];
    assert!((total(drained, "messages_lost"), total(drained, "close_1006")) == (0.0, 0.0));
    assert!(total(killed, "messages_lost") > 0.0 && total(killed, "close_1006") == total(killed, "reconnects"));
    for worse in [off, killed] {
        assert!(total(worse, "reconnect_peak_5s") > 2.0 * total(drained, "reconnect_peak_5s"));
    }
}

fn play(file: &str, seed: u64) -> Run {
    let text = fs::read_to_string(scenarios().join(format!("rolling-deploy/{file}.toml"))).unwrap();
    let run = world::run(&parse(&text), seed, &Options::default()).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(run.is_good(), "{file}, seed {seed}: {:#?}\n{:#?}", run.violations, run.failures);
    run
}

fn table(played: &[Vec<Run>]) -> String {
    let mut text = String::from("| |");
    for (heading, file) in COLUMNS {
        write!(text, " [{heading}](../scenarios/rolling-deploy/{file}.toml) |").unwrap();
    }
    writeln!(text, "\n|---|{}", "---|".repeat(COLUMNS.len())).unwrap();
    for (says, metric) in ROWS {
        write!(text, "| {says} |").unwrap();
        for runs in played {
            write!(text, " {} |", cell(runs, metric)).unwrap();
        }
        text.push('\n');
    }
    text
}

/// The mean, or, of what is the greatest of something, the greatest; a dash where it was not measured.
fn cell(runs: &[Run], metric: &str) -> String {
    let key = (String::new(), metric.to_owned());
    if runs.iter().any(|run| !run.metrics.contains_key(&key)) {
        return "–".to_owned();
    }
    let values: Vec<f64> = runs.iter().map(|run| figure(run, "", metric)).collect();
    let greatest = metric.contains("peak") || metric.ends_with("_max");
    let value = if greatest {
        values.iter().copied().fold(0.0, f64::max)
    } else {
        values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap())
    };
    match metrics::find(metric).expect("it is a figure").unit {
        Unit::Count => format!("{value:.0}"),
        Unit::Time => format!("{:.1} s", value / 1e6),
        Unit::PerSecond => format!("{value:.1}/s"),
        Unit::Ratio | Unit::Bytes => format!("{value:.2}"),
    }
}

/// With `UPDATE_PAGES=1` in the environment the table is written instead of compared.
#[expect(clippy::disallowed_methods, reason = "a switch for people who change scenarios; no test depends on it")]
fn check_page(table: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page says where the table begins");
    let (_, after) = rest.split_once(END).expect("the page says where the table ends");
    let wanted = format!("{before}{BEGIN}\n{table}\n{END}{after}");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(&path, &wanted).unwrap();
    } else {
        assert!(page == wanted, "{PAGE} is out of date; run this test with UPDATE_PAGES=1. It has to say:\n{table}");
    }
}
