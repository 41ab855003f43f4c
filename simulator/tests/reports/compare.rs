//! Two reports, and what got worse.

use crate::common::{Folder, sim};
use crate::put;

fn world(keepalive: &str, interval: &str) -> String {
    format!(
        r#"
name = "world {keepalive}"
duration = "3m"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[sidecars.config]
keepalive = "{keepalive}"
proxy_read_timeout = "10m"
[[hops]]
before = "edge"
preset = "tencent-clb"
[[clients]]
name = "web"
kind = "push"
[[clients]]
name = "poll"
kind = "poller"
interval = "{interval}"
[workload]
updates = "periodic"
rate = "20/h"
[expect]
updates_duplicated = 0
hop_cuts = 0
"#
    )
}

/// A folder with the reports of two worlds, which differ in what is given.
fn two(name: &str, one: [&str; 2], other: [&str; 2]) -> Folder {
    let folder = Folder::new(name);
    for (name, [keepalive, interval]) in [("a", one), ("b", other)] {
        let file = put(&folder, &format!("{name}.toml"), &world(keepalive, interval));
        let (code, _, err) = sim(&folder.0, &["run", &file, "--seeds", "1..6", "--report", name, "--no-progress"]);
        assert!(code < 2, "{err}");
    }
    folder
}

#[test]
fn what_got_worse_is_told_and_is_1() {
    let folder = two("worse", ["25s", "10s"], ["off", "10s"]);
    let (code, out, err) = sim(&folder.0, &["compare", "a", "b/report.json"]);
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(out.starts_with("# Comparison: 1 new failure, "), "{out}");
    assert!(out.contains("| world 25s | web | sessions_lost | 0 | "), "{out}");
    assert!(out.contains("| world off | hop_cuts | 0 | 6 |"), "{out}");
    assert!(out.contains("is not the same in both"), "{out}");
    // The other way round the same is better.
    let (code, out, _) = sim(&folder.0, &["compare", "b", "a"]);
    assert!(code == 0 && out.starts_with("# Comparison: nothing got worse\n"), "{out}");
    assert!(out.contains("## Better") && out.contains("| world off | web | sessions_lost | "), "{out}");
}

#[test]
fn thresholds_are_for_all_figures_or_for_one() {
    let folder = two("thresholds", ["25s", "10s"], ["25s", "9s"]);
    let compare = |flags: &[&str]| sim(&folder.0, &[&["compare", "a", "b"], flags].concat());
    let (code, out, _) = compare(&[]);
    assert!(code == 1 && out.contains("| poll | requests | 18 | 20 | +11.1% |"), "{out}");
    assert_eq!(compare(&["--threshold", "15%"]).0, 0);
    let (code, out, _) = compare(&["--threshold", "15%", "--threshold", "requests=10%"]);
    assert!(code == 1 && !out.contains("bytes_up"), "{out}");
    for wrong in ["much", "10", "-1%", "speed=5%"] {
        assert_eq!(compare(&["--threshold", wrong]).0, 2, "{wrong}");
    }
    assert_eq!(sim(&folder.0, &["compare", "a", "a"]).0, 0);
    assert_eq!(sim(&folder.0, &["compare", "a", "nowhere"]).0, 2);
}
