//! Scenarios that `new` writes.

use std::fs;

use crate::common::{Folder, sim};

#[test]
fn a_new_scenario_of_each_family_runs_and_holds() {
    let folder = Folder::new("new");
    for (family, more) in [
        ("polling-vs-push", &["--interval", "5s"][..]),
        ("idle-timeout", &["--hops", "home-nat,tencent-clb"]),
        ("multi-region", &["--regions", "hk,sg"]),
        ("drain", &[]),
    ] {
        let file = format!("{family}.toml");
        let flags = ["new", "--family", family, "--clients", "3", "--out", &file];
        let (code, out, err) = sim(&folder.0, &[&flags[..], more].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{family}");
        // What it says is the command that runs it.
        assert_eq!(out, format!("outrigger-sim run {file} --seeds 1..20\n"));
        let (code, out, err) = sim(&folder.0, &["run", &file, "--seeds", "1..3", "--no-progress"]);
        assert_eq!(code, 0, "{family}\n{out}{err}");
    }
    let before = fs::read_to_string(folder.0.join("drain.toml")).unwrap();
    let (code, _, err) = sim(&folder.0, &["new", "--family", "idle-timeout", "--out", "drain.toml"]);
    assert!(code == 1 && err.starts_with("error: drain.toml: "), "{err}");
    assert_eq!(fs::read_to_string(folder.0.join("drain.toml")).unwrap(), before, "nothing is overwritten");
    let (code, out, _) = sim(&folder.0, &["new", "--family", "drain", "--clients", "3"]);
    assert_eq!((code, out), (0, before));
    // Nobody sits there to be asked.
    let (code, _, err) = sim(&folder.0, &["new"]);
    assert!(code == 2 && err.starts_with("error: say what it is about: --family polling-vs-push|"), "{err}");
    assert_eq!(sim(&folder.0, &["new", "--family", "drain", "--rate", "often"]).0, 2);
}
