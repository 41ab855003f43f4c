//! The files of `--report`.

use std::fs;

use outrigger_sim::report::fidelity;
use serde_json::Value;

use crate::common::{Folder, sim};
use crate::put;
use crate::schema;

/// A world in which two of three keepalives hold and one does not, with an expectation that says so or not.
pub(crate) fn sweep(expect: &str) -> String {
    format!(
        r#"
name = "three <keepalives> & \"one\" hop"
duration = "3m"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[sidecars.config]
proxy_read_timeout = "10m"
[[hops]]
name = "balancer"
before = "edge"
idle = "60s"
[[clients]]
name = "web"
kind = "push"
count = 2
[[clients]]
name = "poll"
kind = "poller"
interval = "30s"
[workload]
updates = "periodic"
rate = "20/h"
[prices]
million_requests = 0.5
[[sweep]]
key = "sidecars.edge.config.keepalive"
values = ["25s", "45s", "off"]
{expect}
"#
    )
}

fn json(folder: &Folder, path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.0.join(path)).unwrap()).unwrap()
}

#[test]
fn a_red_build_says_on_its_last_screen_what_broke_where_to_look_and_how_to_replay_it() {
    let folder = Folder::new("red");
    let file = put(&folder, "late.toml", &sweep("[expect]\nsessions_lost = 0\n[expect.web]\nreconnects = 0"));
    let (code, out, err) = sim(&folder.0, &["run", &file, "--seeds", "1..3", "--report", "out", "--no-progress"]);
    assert_eq!((code, err.as_str()), (1, ""));
    let screen: Vec<&str> = out.lines().rev().take(24).collect();
    let told = |what: &str| assert!(screen.iter().any(|line| line.contains(what)), "{what}\n{out}");
    told("9 runs, 3 failed");
    told("sessions_lost in 3 runs of late.toml (seeds 1, 2, 3)");
    told("web: reconnects in 3 runs of late.toml");
    told("outrigger-sim replay late.toml --seed 1 --variant 3");
    told("report: out/report.");

    let report = json(&folder, "out/report.json");
    assert_eq!(schema::faults(&report), Vec::<String>::new());
    assert_eq!((&report["runs"], &report["failed"]), (&Value::from(9), &Value::from(3)));
    let cells = report["scenarios"][0]["cells"].as_array().unwrap();
    let failed: Vec<_> = cells.iter().map(|cell| cell["failed"].as_u64().unwrap()).collect();
    assert_eq!(failed, [0, 0, 3]);
    assert_eq!(cells[2]["runs"][0]["failures"][0]["what"], "sessions_lost");

    let page = fs::read_to_string(folder.0.join("out/report.md")).unwrap();
    assert!(page.starts_with("# Simulations: 3 of 9 runs failed\n\n## What broke\n\n### `sessions_lost`\n"), "{page}");
    assert!(page.contains("```sh\noutrigger-sim replay late.toml --seed 1 --variant 3\n```"), "{page}");
    assert!(page.contains("| ❌ `late.toml`: three <keepalives> & \"one\" hop | 9 | 3 |"), "{page}");
    assert!(page.contains("| keepalive | clients | requests |"), "{page}");

    let suite = fs::read_to_string(folder.0.join("out/junit.xml")).unwrap();
    assert!(
        suite.contains(r#"<testsuites name="outrigger-sim" tests="9" skipped="0" failures="3" errors="0">"#),
        "{suite}"
    );
    let failing = r#"<testcase name="keepalive = off, seed 2" classname="late.toml">"#;
    let (_, of_it) = suite.split_once(failing).unwrap_or_else(|| panic!("{suite}"));
    assert!(of_it.trim_start().starts_with("<failure message=\"late.toml:"), "{of_it}");
    assert!(of_it.contains("replay: outrigger-sim replay late.toml --seed 2 --variant 3</failure>"), "{of_it}");
}

#[test]
fn a_green_build_shows_the_figures_that_someone_decides_on() {
    let folder = Folder::new("green");
    let file = put(&folder, "good.toml", &sweep("[expect]\nupdates_duplicated = 0"));
    let (code, out, err) = sim(&folder.0, &["run", &file, "--seeds", "1..2", "--report", "out", "--no-progress"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("6 runs, all hold\nreport: out/report."), "{out}");
    let report = json(&folder, "out/report.json");
    assert_eq!(schema::faults(&report), Vec::<String>::new());
    let expected = &report["scenarios"][0]["expected"][0];
    assert_eq!((&expected["bound"], &expected["failed"]), (&Value::from("= 0"), &Value::from(0)));
    let off = &report["scenarios"][0]["cells"][2]["figures"];
    let lost = off.as_array().unwrap().iter().find(|f| f["group"] == "web" && f["metric"] == "sessions_lost");
    let values = lost.unwrap()["values"].as_array().unwrap();
    assert!(values.len() == 2 && values.iter().all(|value| value.as_u64() >= Some(2)), "{values:?}");
    let page = fs::read_to_string(folder.0.join("out/report.md")).unwrap();
    assert!(page.starts_with("# Simulations: all 6 runs hold\n\n| Scenario |"), "{page}");
    assert!(page.contains("USD for one client and 30 days"), "{page}");
}

#[test]
fn a_report_that_cannot_be_written_is_told() {
    let folder = Folder::new("unwritable");
    let file = put(&folder, "good.toml", &sweep(""));
    let in_the_way = put(&folder, "taken", "");
    let (code, _, err) = sim(&folder.0, &["run", &file, "--seed", "1", "--variant", "1", "--report", &in_the_way]);
    assert_eq!(code, 1);
    assert!(err.starts_with("error: taken: "), "{err}");
}

#[test]
fn a_report_says_how_true_its_figures_are_and_first_where_they_may_be_off() {
    let folder = Folder::new("true");
    let world = |more: &str| {
        format!(
            "name = 'x'\nduration = '1m'\n{more}[[apps]]\nname = 'feed'\n[[sidecars]]\nname = 'edge'\n\
             [[clients]]\nname = 'web'\nkind = 'push'\n"
        )
    };
    let small = put(&folder, "small.toml", &world("[link]\nloss = '2%'\n"));
    let large = put(&folder, "large.toml", &world("[link]\nloss = '2%'\n[workload]\nsize = '50000'\n"));
    let told = |args: &[&str]| {
        let (code, out, err) =
            sim(&folder.0, &[&["run", "--seed", "1", "--no-progress", "--report", "out"], args].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        let [page, markdown] = ["report.html", "report.md"].map(|name| folder.0.join("out").join(name));
        (out, fs::read_to_string(page).unwrap(), fs::read_to_string(markdown).unwrap())
    };
    // What is told is what the page in docs/ has measured; the tests beside the reader hold the two together.
    let measured = fidelity::measured();
    let held_to = measured.held_to();
    assert!(held_to.contains(&format!("{}", measured.cells)), "{held_to}");

    let (out, page, markdown) = told(&[&small]);
    assert!(!out.contains("mind:"), "{out}");
    assert!(page.contains(&held_to) && !page.contains("class=\"card mind\""), "{page}");
    assert!(markdown.find(&held_to) > markdown.find("| Scenario |"), "{markdown}");
    for off in measured.off() {
        assert!(page.contains(&off) && markdown.contains(&off), "{off}");
    }

    let (out, page, markdown) = told(&[&small, &large]);
    assert_eq!(out.matches("  mind: up to 2% of packets lost, and up to 50 kB at once").count(), 1, "{out}");
    assert!(page.find("id=\"fidelity\"") < page.find("id=\"s0\""), "{page}");
    assert!(markdown.find(&held_to) < markdown.find("| Scenario |"), "{markdown}");
    assert!(markdown.contains("> **Mind:** `large.toml` has up to 2% of packets lost"), "{markdown}");
    assert!(!markdown.contains("`small.toml` has"), "{markdown}");

    // Nothing is measured of the second network.
    let (out, page, markdown) = told(&[&large, "--backend", "turmoil"]);
    assert!(!out.contains("mind:"), "{out}");
    for text in [page, markdown] {
        assert!(text.contains("on the second network") && !text.contains(&held_to), "{text}");
    }
}
