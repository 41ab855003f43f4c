//! What the tests share.

use outrigger_sim::world::{self, Options, Run};

pub(crate) use crate::common::{Folder, assert_good, figure, parse, scenarios, sim};

/// The only variant of a scenario.
pub(crate) fn run(text: &str, seed: u64) -> Run {
    world::run(&parse(text), seed, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Lines of the history that say this.
pub(crate) fn told(run: &Run, what: &str) -> usize {
    run.history.iter().filter(|entry| entry.text.contains(what)).count()
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
