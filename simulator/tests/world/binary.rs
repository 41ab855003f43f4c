//! The built program: exit codes, first lines, processes.

use std::fs;

use crate::support::{Folder, behind_hop, sim};

#[test]
fn a_failure_begins_with_the_command_that_replays_it() {
    let folder = Folder::new("failure");
    let file = folder.file("late.toml", &behind_hop("61s", "rst", "[expect]\nsessions_lost = 0"));
    let (code, out, err) = sim(&folder.0, &["run", &file, "--seed", "3"]);
    assert_eq!((code, err.as_str()), (1, ""));
    let mut lines = out.lines();
    let replay = lines.next().unwrap();
    assert_eq!(replay, format!("outrigger-sim replay {file} --seed 3"));
    assert!(lines.next().unwrap().contains("sessions_lost is "), "{out}");
    assert!(out.contains("1 run, 1 failed"), "{out}");
    let args: Vec<&str> = replay.split(' ').skip(1).collect();
    let (code, out, _) = sim(&folder.0, &args);
    assert_eq!(code, 1);
    assert!(out.contains("balancer cuts") && out.contains("failed: "), "{out}");
}

#[test]
fn two_processes_tell_the_same() {
    let folder = Folder::new("processes");
    let file = folder.file("good.toml", &behind_hop("off", "rst", ""));
    let (code, out, _) = sim(&folder.0, &["verify", &file, "--seeds", "1..2"]);
    assert_eq!((code, out.as_str()), (0, "2 runs, each twice in two processes: all alike\n"));
    let (code, one, _) = sim(&folder.0, &["replay", &file, "--seed", "1"]);
    assert_eq!(code, 0);
    let (_, other, _) = sim(&folder.0, &["replay", &file, "--seed", "2"]);
    let (one, other) = (folder.file("one", &one), folder.file("other", &other));
    let (code, out, _) = sim(&folder.0, &["diff", &one, &other]);
    assert_eq!(code, 1);
    assert!(out.starts_with("they part at line "), "{out}");
    assert_eq!(sim(&folder.0, &["diff", &one, &one]).0, 0);
}

#[test]
fn json_is_json() {
    let folder = Folder::new("json");
    let file = folder.file("good.toml", &behind_hop("25s", "rst", ""));
    let (code, out, _) = sim(&folder.0, &["run", &file, "--seeds", "1..2", "--json", "--jobs", "2"]);
    assert_eq!(code, 0);
    let parsed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(parsed["runs"][1]["seed"], 2);
    assert_eq!(parsed["runs"][0]["metrics"]["web"]["requests"], 2.0);
    assert_ne!(parsed["runs"][0]["digest"], parsed["runs"][1]["digest"]);
}

#[test]
fn one_job_and_several_tell_the_same() {
    let folder = Folder::new("jobs");
    let file = folder.file("good.toml", &behind_hop("off", "rst", ""));
    let told = |jobs| sim(&folder.0, &["run", &file, "--seeds", "1..6", "--json", "--no-progress", "--jobs", jobs]);
    let one = told("1");
    assert_eq!(one.0, 0);
    assert_eq!(one.1.matches("\"digest\"").count(), 6);
    assert!(one == told("2") && one == told("4"));
}

#[test]
fn without_a_terminal_lines_tell_how_far_it_is_unless_they_are_not_wanted() {
    let folder = Folder::new("progress");
    let file = folder.file("good.toml", &behind_hop("25s", "rst", ""));
    let (code, out, err) = sim(&folder.0, &["run", &file, "--seeds", "1..4", "--jobs", "1"]);
    assert_eq!((code, err.as_str()), (0, "1/4 runs\n2/4 runs\n3/4 runs\n4/4 runs\n"));
    assert!(out.lines().all(|line| line.len() <= 80 || line.starts_with(&file)), "{out}");
    assert!(out.contains("\n| clients | requests |") && out.contains("0 in every row: "), "{out}");
    let (code, _, err) = sim(&folder.0, &["run", &file, "--seeds", "1..4", "--no-progress"]);
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn prices_on_the_command_line_stand_above_those_of_the_file() {
    let folder = Folder::new("prices");
    let file = folder.file("good.toml", &behind_hop("25s", "rst", "[prices]\ncurrency = 'EUR'\ngib = 1\n"));
    let (code, out, _) = sim(&folder.0, &["run", &file, "--seed", "1"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("\nEUR for one client and 30 days, ") && out.contains("- in every row: requests, conn"),
        "{out}"
    );
    let flags = ["--price-connections", "0.001", "--currency", "CNY"];
    let (code, out, _) = sim(&folder.0, &[&["run", &file, "--seed", "1"], &flags[..]].concat());
    assert_eq!(code, 0);
    assert!(out.contains("\nCNY for one client and 30 days, "), "{out}");
    // A connection that is always open, for 720 hours.
    assert!(out.contains("| web     |      0.7"), "{out}");
    assert_eq!(sim(&folder.0, &["run", &file, "--price-gib", "-1"]).0, 2);
    assert_eq!(sim(&folder.0, &["run", &file, "--price-gib", "much"]).0, 2);
}

#[test]
fn what_is_told_wrongly_is_2() {
    let folder = Folder::new("wrong");
    let file = folder.file("bad.toml", "name = 7\n");
    for command in ["run", "check"] {
        let (code, out, err) = sim(&folder.0, &[command, &file]);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.contains("bad.toml:1:1"), "{err}");
    }
    assert_eq!(sim(&folder.0, &["run", "nowhere.toml"]).0, 2);
    assert_eq!(sim(&folder.0, &["run", &file, "--seeds", "5..1"]).0, 2);
    assert_eq!(sim(&folder.0, &["walk"]).0, 2);
    assert_eq!(sim(&folder.0, &["--help"]).0, 0);
    let good = folder.file("good.toml", &behind_hop("25s", "rst", ""));
    assert_eq!(sim(&folder.0, &["check", &good]).0, 0);
    let (code, out, _) = sim(&folder.0, &["list", &good]);
    assert_eq!(code, 0);
    assert!(out.contains("good.toml: behind a hop"), "{out}");
    let (code, _, err) = sim(&folder.0, &["shrink", &good, "--seed", "1"]);
    assert_eq!(code, 2);
    assert!(err.contains("nothing to shrink"), "{err}");
}

#[test]
fn shrinking_leaves_the_fault_that_matters() {
    let folder = Folder::new("shrink");
    let faults = r#"
[[faults]]
name = "spike"
kind = "latency-spike"
at = "10s"
for = "10s"
a = "web"
b = "edge"
latency = "50ms"
[[faults]]
name = "killer"
kind = "kill"
at = "60s..70s"
for = "5s"
host = "edge"
[[faults]]
name = "skew"
kind = "clock-skew"
at = "20s"
for = "100s"
host = "edge"
by = "1m"
[expect]
sessions_lost = 0
"#;
    let file = folder.file("several.toml", &behind_hop("25s", "rst", faults));
    let (code, out, err) = sim(&folder.0, &["shrink", &file, "--seed", "4", "--out", "few.toml"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("1 of 3 faults are left") && out.contains("killer (kill)"), "{out}");
    let few = fs::read_to_string(folder.0.join("few.toml")).unwrap();
    assert_eq!(few.matches("[[faults]]").count(), 1);
    let (code, out, _) = sim(&folder.0, &["run", "few.toml", "--seed", "4"]);
    assert_eq!(code, 1);
    assert!(out.contains("sessions_lost is 2"), "{out}");
}
