//! What the tests share.

use std::fs;
use std::path::PathBuf;

use outrigger_sim::scenario::{self, Scenario};
use outrigger_sim::world::{self, Options, Run};

/// A folder that goes when the test is over.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Of one group, or of all under the empty name.
pub(crate) fn figure(run: &Run, group: &str, metric: &str) -> f64 {
    let found = run.metrics.get(&(group.to_owned(), metric.to_owned()));
    *found.unwrap_or_else(|| panic!("{group} has no {metric}: {:?}", run.metrics.keys()))
}

pub(crate) fn parse(text: &str) -> Scenario {
    let parsed = scenario::parse("test.toml", text);
    let (scenario, _) = parsed.unwrap_or_else(|report| panic!("{report}"));
    scenario
}

/// The only variant of a scenario.
pub(crate) fn run(text: &str, seed: u64) -> Run {
    world::run(&parse(text), seed, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
pub(crate) fn assert_good(run: &Run) {
    assert!(run.is_good(), "{:#?}\n{:#?}", run.violations, run.failures);
}

/// Lines of the history that say this.
pub(crate) fn told(run: &Run, what: &str) -> usize {
    run.history.iter().filter(|entry| entry.text.contains(what)).count()
}

pub(crate) fn scenarios() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// A sidecar behind a load balancer that cuts after 60 s, two push clients, one update at the end.
pub(crate) fn behind_hop(keepalive: &str, cut: &str, expect: &str) -> String {
    format!(
        r#"
name = "behind a hop"
duration = "5m"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[sidecars.config]
keepalive = "{keepalive}"
proxy_read_timeout = "10m"
[[hops]]
name = "balancer"
before = "edge"
idle = "60s"
cut = "{cut}"
[[clients]]
name = "web"
kind = "push"
count = 2
[workload]
updates = "periodic"
rate = "15/h"
{expect}
"#
    )
}
