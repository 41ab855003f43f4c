//! Parts of a sweep that ran in several places, and the whole.

use std::fs;
use std::path::PathBuf;

use crate::common::{Folder, sim};
use crate::files::sweep;
use crate::put;

const NAMES: [&str; 4] = ["report.json", "report.html", "report.md", "junit.xml"];

fn all_of(folder: &Folder, report: &str) -> Vec<String> {
    let read = |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    NAMES.iter().map(|name| read(folder.0.join(report).join(name))).collect()
}

/// One scenario with a sweep that fails in a cell, one with faults and loss, which fails by chance or not at all.
fn two_files(folder: &Folder) -> [String; 2] {
    let chance = r#"
name = "chance"
duration = "2m"
[link]
latency = "40ms"
jitter = "20ms"
loss = "2%"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[[clients]]
name = "web"
kind = "push"
count = 3
ping = "10s"
[faults_random]
count = 2
[expect]
update_delay_max = "< 3s"
"#;
    [put(folder, "sweep.toml", &sweep("[expect]\nsessions_lost = 0")), put(folder, "chance.toml", chance)]
}

#[test]
fn parts_make_the_same_whole_and_so_does_any_number_of_jobs() {
    let folder = Folder::new("parts");
    let [one, other] = two_files(&folder);
    let run = |more: &[&str]| {
        let flags = ["run", &one, &other, "--seeds", "1..4", "--no-progress"];
        sim(&folder.0, &[&flags[..], more].concat())
    };
    let (code, told, _) = run(&["--report", "whole", "--jobs", "2"]);
    assert_eq!(code, 1);
    assert_eq!(run(&["--report", "one-job", "--jobs", "1"]).0, 1);
    let whole = all_of(&folder, "whole");
    assert!(whole == all_of(&folder, "one-job"), "two jobs tell something else than one");

    for part in ["1/3", "2/3", "3/3"] {
        let name = format!("part-{}", &part[..1]);
        run(&["--report", &name, "--shard", part]);
        assert!(all_of(&folder, &name)[2].lines().next().unwrap().ends_with(&format!("(part {} of 3)", &part[..1])));
    }
    // In any order, by folder or by file.
    let parts = ["part-3", "part-1/report.json", "part-2"];
    let (code, merged, err) = sim(&folder.0, &[&["merge"], &parts[..], &["--report", "merged"]].concat());
    assert_eq!((code, err.as_str()), (1, ""));
    for ((name, one), other) in NAMES.iter().zip(&whole).zip(&all_of(&folder, "merged")) {
        assert!(one == other, "{name} of the parts is not that of the whole");
    }
    assert_eq!(told.replace("whole/", "merged/"), merged);
}

#[test]
fn parts_that_make_no_whole_are_refused() {
    let folder = Folder::new("no-whole");
    let file = put(&folder, "good.toml", &sweep(""));
    for part in ["1/2", "2/2"] {
        let name = format!("part-{}", &part[..1]);
        let (code, _, err) = sim(&folder.0, &["run", &file, "--seed", "1", "--shard", part, "--report", &name]);
        assert_eq!(code, 0, "{err}");
    }
    assert_eq!(sim(&folder.0, &["run", &file, "--seed", "1", "--report", "whole"]).0, 0);
    let other = sweep("[expect]\nsessions_lost = 5");
    put(&folder, "good.toml", &other);
    sim(&folder.0, &["run", &file, "--seed", "1", "--shard", "2/2", "--report", "changed"]);
    for (parts, why) in [
        (&["part-1"][..], "error: of 2 parts these are missing: 2\n"),
        (&["part-1", "part-1"], "error: part-1: part 1 of 2 is there twice\n"),
        (&["whole"], "error: whole is the whole, and no part of one"),
        (&["part-1", "changed"], "error: part-1 and changed differ in what good.toml says\n"),
        (&["good.toml"], "error: good.toml: it is no JSON"),
        (&["nowhere"], "error: nowhere: "),
    ] {
        let (code, out, err) = sim(&folder.0, &[&["merge"], parts].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{parts:?}");
        assert!(err.starts_with(why), "{err}");
    }
    for wrong in ["0/3", "4/3", "3", "1/0", "1/5000"] {
        assert_eq!(sim(&folder.0, &["run", &file, "--shard", wrong]).0, 2, "{wrong}");
    }
}
