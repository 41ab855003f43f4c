//! The built program: `--backend`, what it refuses, and in which words.

use std::fs;

use crate::support::{Folder, sim};

const CALM: &str = r#"
name = "calm"
duration = "20s"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[[clients]]
name = "web"
kind = "push"
[workload]
rate = "1/s"
[expect]
bytes_up = "> 0"
updates_lost = 0
"#;
const HOP: &str = "[[hops]]\nbefore = 'edge'\npreset = 'nginx'\n";
const ONE_WAY: &str = "[[faults]]\nkind = 'one-way-partition'\nfrom = 'web'\nto = 'edge'\nat = '5s'\nfor = '1s'\n";
const NARROW: &str = "[link]\nbandwidth = '1mbit'\n";

#[test]
fn what_it_cannot_play_is_refused_by_name_with_file_and_key() {
    let folder = Folder::new("backend-refused");
    let cases = [("hop", HOP, "`hops` before `edge`"), ("narrow", NARROW, "`bandwidth`"), ("way", ONE_WAY, "`faults`")];
    for (name, more, told) in cases {
        let file = format!("{name}.toml");
        folder.file(&file, &CALM.replace("[expect]", &format!("{more}[expect]")));
        for command in ["run", "verify", "replay"] {
            let (code, out, err) = sim(&folder.0, &[command, &file, "--seed", "1", "--backend", "turmoil"]);
            assert_eq!((code, out.as_str()), (2, ""), "{command} {file}");
            assert!(err.starts_with(&format!("error: {file}: --backend turmoil: {told}")), "{err}");
        }
        assert_eq!(sim(&folder.0, &["run", &file, "--seed", "1"]).0, 0, "{file} is played on the other");
    }
}

#[test]
fn of_a_folder_it_is_skipped_and_counted() {
    let folder = Folder::new("backend-skipped");
    folder.file("calm.toml", CALM);
    folder.file("hop.toml", &CALM.replace("[expect]", &format!("{HOP}[expect]")));
    let (code, out, err) = sim(&folder.0, &["run", ".", "--seed", "1", "--backend", "turmoil"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("skipped: ./hop.toml: --backend turmoil: `hops` before `edge` (nginx): "), "{err}");
    assert!(err.contains("skipped: 1 files of 2, and 0 runs of others"), "{err}");
    assert!(out.contains("1 run, all hold") && out.contains("not judged: ./calm.toml:"), "{out}");
    fs::remove_file(folder.0.join("calm.toml")).unwrap();
    let (code, _, err) = sim(&folder.0, &["run", ".", "--seed", "1", "--backend", "turmoil"]);
    assert_eq!(code, 2, "a run of nothing is no success");
    assert!(err.contains("nothing is left"), "{err}");
}

#[test]
fn a_seed_that_draws_what_it_cannot_play_is_skipped() {
    let folder = Folder::new("backend-seeds");
    let random = "[faults_random]\ncount = 1\nkinds = ['one-way-partition', 'clock-skew']\n";
    folder.file("random.toml", &CALM.replace("[expect]", &format!("{random}[expect]")));
    let (code, out, err) = sim(&folder.0, &["run", "random.toml", "--seeds", "1..8", "--backend", "turmoil"]);
    assert_eq!(code, 0, "{out}{err}");
    let skipped = err.lines().filter(|line| line.starts_with("skipped: random.toml: seed ")).count();
    assert!((1..8).contains(&skipped), "{err}");
    assert!(out.contains(&format!("{} runs, all hold", 8 - skipped)), "{out}");
}

#[test]
fn two_processes_tell_the_same() {
    let folder = Folder::new("backend-processes");
    folder.file("calm.toml", CALM);
    let (code, out, _) = sim(&folder.0, &["verify", "calm.toml", "--seeds", "1..2", "--backend", "turmoil"]);
    assert_eq!((code, out.as_str()), (0, "2 runs, each twice in two processes: all alike\n"));
}

#[test]
fn a_failure_is_replayed_on_the_network_on_which_it_failed() {
    let folder = Folder::new("backend-failure");
    folder.file("bad.toml", &CALM.replace("updates_lost = 0", "updates_lost = 7"));
    let (code, out, _) = sim(&folder.0, &["run", "bad.toml", "--seed", "3", "--backend", "turmoil"]);
    assert_eq!(code, 1);
    let replay = out.lines().next().unwrap();
    assert_eq!(replay, "outrigger-sim replay bad.toml --seed 3 --backend turmoil");
    let args: Vec<&str> = replay.split(' ').skip(1).collect();
    let (code, out, _) = sim(&folder.0, &args);
    assert_eq!(code, 1);
    assert!(out.contains("failed: ") && out.contains("not judged: "), "{out}");
}
