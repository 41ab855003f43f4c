//! What a browser makes of `report.html`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use outrigger_sim::backend::Backend;
use outrigger_sim::report::{self, Batch, Failed, Outcome};
use outrigger_sim::scenario;
use outrigger_sim::world::{self, Options};
use serde_json::Value;

use crate::common::{Folder, one_fault, sim};
use crate::files::sweep;
use crate::put;

const MAX_BYTES: u64 = 3_000_000;
/// From the first request to the second frame. The fastest of four openings counts: what else the machine does is not the
/// page's.
const MAX_OPEN_MS: u64 = 2_000;

/// The command that opens reports, where Node and Chromium are. `None` skips the test, or fails it where
/// `OUTRIGGER_TESTS_REQUIRE_TOOLS=1`.
fn browser() -> Option<Command> {
    #[expect(clippy::disallowed_methods, reason = "where tools are is not the program's business")]
    let (path, required) = (std::env::var_os("PATH")?, std::env::var_os("OUTRIGGER_TESTS_REQUIRE_TOOLS"));
    let on_path = |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/node");
    let (Some(node), Some(chromium), true) =
        (on_path("node"), on_path("chromium"), folder.join("node_modules/playwright-core").is_dir())
    else {
        assert!(required.is_none(), "node, chromium or playwright-core is missing; install with: tests/tools/install");
        println!("skipped: node, chromium or playwright-core is missing");
        return None;
    };
    let mut command = Command::new(node);
    command.arg(folder.join("report-page.mjs")).arg(chromium);
    Some(command)
}

/// Each file at two widths, light and dark.
fn opened(mut browser: Command, files: &[PathBuf]) -> Vec<Value> {
    let output = browser.arg("-").args(files).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let shown: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown.len(), 4 * files.len(), "{said}");
    for page in &shown {
        assert_eq!(page["errors"], Value::Array(Vec::new()), "{}", page["file"]);
        assert_eq!(page["fetched"], Value::Array(Vec::new()), "{}", page["file"]);
        assert_eq!(page["nameless"], 0, "a drawing says nothing to those who do not see it: {}", page["file"]);
        assert_eq!(page["behind"], 0, "a chart has no table behind it: {}", page["file"]);
        assert_eq!(page["dark"], page["colorScheme"] == "dark", "{}", page["file"]);
        assert!(page["scroll"].as_u64() <= page["width"].as_u64(), "wider than the screen: {} {page}", page["file"]);
    }
    shown
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// The report of a scenario, under a name of its own.
fn reported(folder: &Folder, name: &str, text: &str, flags: &[&str]) -> PathBuf {
    let file = put(folder, &format!("{name}.toml"), text);
    let (_, out, err) = sim(&folder.0, &[&["run", &file, "--no-progress", "--report", name], flags].concat());
    let page = folder.0.join(format!("{name}.html"));
    fs::copy(folder.0.join(name).join("report.html"), &page).unwrap_or_else(|why| panic!("{why}\n{out}{err}"));
    page
}

const WAYS: &str = r#"
name = "ways </script><img src=x onerror=alert(1)>"
duration = "1m"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[[clients]]
name = "poll"
kind = "poller"
interval = "1s"
[[clients]]
name = "push"
kind = "push"
[workload]
rate = "30/m"
"#;

const FAR: &str = r#"
name = "a cut"
duration = "2m"
heal = "2m"
regions = ["hk", "sg", "fra"]
[[links]]
from = "hk"
to = "fra"
latency = "95ms"
[[apps]]
name = "feed"
region = "hk"
[[sidecars]]
name = "edge"
region = "hk"
[[clients]]
name = "web-sg"
kind = "push"
count = 2
region = "sg"
ping = "5s"
[[clients]]
name = "web-fra"
kind = "push"
region = "fra"
[workload]
rate = "30/m"
[[faults]]
name = "gone"
kind = "partition"
at = "30s"
for = "40s"
a = "hk"
b = "sg"
[expect]
sessions_lost = 0
"#;

#[test]
fn reports_of_all_families_are_drawn_at_any_width_light_and_dark() {
    let Some(browser) = browser() else { return };
    let folder = Folder::new("browser");
    let along = format!("{WAYS}[[sweep]]\nkey = 'clients.poll.interval'\nvalues = ['1s', '5s', '20s']\n");
    let pages = [
        reported(&folder, "ways", WAYS, &["--seeds", "1..4"]),
        reported(&folder, "along", &along, &["--seed", "1"]),
        reported(&folder, "idle", &sweep(""), &["--seed", "1"]),
        reported(&folder, "far", FAR, &["--seed", "1"]),
        reported(&folder, "large", &large(), &["--seed", "1"]),
    ];
    for four in opened(browser, &pages).chunks(4) {
        for page in four {
            match page["file"].as_str().unwrap() {
                "ways.html" => shows_ways(page),
                "along.html" => {
                    assert_eq!(page["lines"], 8, "two groups in four charts: {page}");
                    assert!(texts(&page["headings"]).contains(&"Break-even"), "{page}");
                }
                "idle.html" => shows_who_cuts(page),
                "far.html" => shows_the_cut(page),
                "large.html" => minds_large_messages(page),
                other => panic!("{other}"),
            }
        }
    }
}

/// Loss and large messages, in whose delays the network is not exact.
fn large() -> String {
    WAYS.replace("[workload]", "[link]\nloss = '2%'\n[workload]\nsize = '60000'")
}

fn minds_large_messages(page: &Value) {
    assert_eq!(texts(&page["headings"])[0], "How true these figures are", "before all figures: {page}");
    assert!(texts(&page["minded"])[0].contains("large.toml has up to 2% of packets lost, and up to 60 kB at once"));
    assert_eq!(page["notes"], 1, "and where the figures are");
}

fn shows_ways(page: &Value) {
    assert_eq!(texts(&page["headings"]).last(), Some(&"How true these figures are"), "at the end: {page}");
    assert_eq!((&page["minded"], &page["notes"]), (&Value::Array(Vec::new()), &Value::from(0)));
    assert_eq!(page["title"], "✓ All 4 runs hold");
    assert_eq!(texts(&page["headings"])[0], "✓ ways </script><img src=x onerror=alert(1)>");
    let captions = texts(&page["captions"]);
    assert_eq!(captions[..2], ["Requests for each client", "Bytes on the wire for each client, both ways"]);
    let bars: Vec<f64> = page["bars"].as_array().unwrap().iter().map(|bar| bar.as_f64().unwrap()).collect();
    assert_eq!(bars.len(), 8, "{page}");
    assert!(bars.chunks(2).all(|pair| pair[0] > 3.0 * pair[1]), "polling is longer in each of them: {bars:?}");
    assert!(page["boxes"].as_u64() >= Some(4), "figures spread over seeds: {page}");
    assert_eq!(page["marks"], 0);
}

fn shows_who_cuts(page: &Value) {
    let cells = |row: usize| texts(&page["heat"][0][row]);
    assert_eq!([cells(1)[0], cells(2)[0], cells(3)[0]], ["25s", "45s", "off"]);
    assert_eq!([cells(1)[1], cells(2)[1]], ["nobody", "nobody"]);
    assert!(cells(3)[1].starts_with("hop "), "{page}");
}

fn shows_the_cut(page: &Value) {
    assert_eq!(page["title"], "✗ 1 of 1 run failed");
    let broke = texts(&page["broke"]);
    assert!(broke.len() == 1 && broke[0].contains("outrigger-sim replay far.toml --seed 1"), "{broke:?}");
    assert_eq!(texts(&page["regions"]), ["hk", "sg", "fra"]);
    assert!(texts(&page["ways"]).contains(&"95ms"), "{page}");
    assert!(page["lates"].as_u64() > Some(20), "{page}");
    assert_eq!(texts(&page["faults"]), ["gone (partition): nothing between hk and sg"]);
    assert!(page["sessions"].as_u64() >= Some(5), "three, and two that came back: {page}");
    assert!(page["messages"].as_u64() > Some(50), "{page}");
    assert!(page["marks"].as_u64() > Some(10) && page["marks"] == page["rows"], "{page}");
    let used = &page["used"];
    assert!(texts(&used["before"]) != texts(&used["zoomed"]), "plus zooms: {used}");
    assert_eq!(used["before"], used["all"], "0 shows all again");
    let (now, here) = (used["now"].as_str().unwrap(), used["here"].as_str().unwrap());
    assert_eq!(now.replace(" · ", ""), here, "the event that is marked is told");
    assert!(!texts(&used["readable"]).is_empty(), "zoomed, events bear their words: {used}");
    assert!(used["step"] != used["first"], "the slider goes through time: {used}");
}

#[test]
fn a_thousand_seeds_fit_into_a_mail() {
    let text = one_fault(["1m", "1m", "20s"], "kind = 'kill'\nhost = 'edge'")
        .replace("name = \"one fault\"", "name = \"many\"");
    let (scenario, _) = scenario::parse("many.toml", &text).unwrap_or_else(|report| panic!("{report}"));
    let options = Options { story: true, ..Options::default() };
    let mut batch = Batch::new("many.toml".to_owned(), scenario.clone());
    let run = world::run(&scenario, 1, &options).unwrap_or_else(|why| panic!("{why}"));
    let (story, timeline) = (report::story::story(&scenario, 0, &run), report::story::timeline(&scenario, &run));
    let first = Outcome::of(0, 1, Ok(run));
    for seed in 1..=1000_u32 {
        let mut next = Outcome { seed: u64::from(seed), ..first.clone() };
        next.metrics.values_mut().for_each(|value| *value = (*value * f64::from(1000 + seed) / 1000.0).round());
        // Every one of them failed, and says so at length.
        next.failures = (0..10)
            .map(|n| Failed {
                what: format!("invariant {n}"),
                text: format!("seed {seed}: {}", "a long story ".repeat(40)),
            })
            .collect();
        batch.outcomes.push(next);
    }
    batch.stories = vec![story.unwrap(); 3];
    batch.timelines.insert(0, timeline.unwrap());
    let report = report::build(Backend::default(), None, std::slice::from_ref(&batch));
    let folder = Folder::new("thousand");
    let page = folder.0.join("thousand.html");
    fs::write(&page, report::html::write(&report, &[batch])).unwrap();
    opens_at_once(&page, "✗ 1000 of 1000 runs failed");
}

/// A cheap world with all that a report draws of many seeds: groups to compare, regions, a fault, figures that spread.
const CHEAP: &str = r#"
name = "many seeds"
duration = "20s"
heal = "10s"
regions = ["hk", "sg"]
[link]
latency = "20ms"
jitter = "10ms"
loss = "1%"
[[apps]]
name = "feed"
region = "hk"
[[sidecars]]
name = "edge"
region = "hk"
[[clients]]
name = "push"
kind = "push"
region = "sg"
[[clients]]
name = "poll"
kind = "poller"
region = "hk"
interval = "2s"
[workload]
rate = "30/m"
[[faults]]
kind = "kill"
at = "5s..15s"
for = "1s"
host = "edge"
[expect.push]
update_delay_max = "< 2s"
"#;

#[test]
fn a_report_of_a_thousand_runs_is_small_and_opens_at_once() {
    let folder = Folder::new("thousand-runs");
    let page = reported(&folder, "cheap", CHEAP, &["--seeds", "1..1000"]);
    let report: Value = serde_json::from_str(&fs::read_to_string(folder.0.join("cheap/report.json")).unwrap()).unwrap();
    let runs = report["scenarios"][0]["cells"][0]["runs"].as_array().unwrap();
    let digests: BTreeSet<&str> = runs.iter().map(|run| run["digest"].as_str().unwrap()).collect();
    assert_eq!((runs.len(), digests.len()), (1000, 1000), "a thousand runs, and no two alike");
    let failed = report["failed"].as_u64().unwrap();
    assert!(failed > 3 && failed < 1000, "{failed} fail: some of them, so that there are diagrams");
    opens_at_once(&page, &format!("✗ {failed} of 1000 runs failed"));
}

fn opens_at_once(page: &Path, title: &str) {
    let bytes = fs::metadata(page).unwrap().len();
    assert!(bytes < MAX_BYTES, "{bytes} bytes");
    let Some(browser) = browser() else { return };
    let shown = opened(browser, &[page.to_owned()]);
    assert!(shown.iter().all(|shown| shown["title"] == title), "{}", shown[0]["title"]);
    let times: Vec<u64> = shown.iter().map(|shown| shown["ms"].as_u64().unwrap()).collect();
    println!("{bytes} bytes, open after {times:?} ms");
    assert!(times.iter().any(|ms| *ms < MAX_OPEN_MS), "open after {times:?} ms");
}
