//! Small worlds, each with what a bug needs to show itself.

fn world(config: &str, client: &str, rest: &str) -> String {
    format!(
        r#"
name = "planted"
duration = "3m"
heal = "2m"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[sidecars.config]
{config}
[[clients]]
name = "web"
kind = "push"
count = 3
{client}
{rest}
"#
    )
}

/// Long silences, which the sidecar breaks with pings.
pub(crate) fn quiet() -> String {
    world("keepalive = '25s'", "", "[workload]\nupdates = 'periodic'\nrate = '1/m'\n")
}

/// Both sides speak often.
pub(crate) fn busy() -> String {
    world("", "sends = '20/m'", "[workload]\nupdates = 'periodic'\nrate = '1/s'\nsize = '300B'\n")
}

/// Updates once a second for clients that ask for them.
pub(crate) fn polls() -> String {
    world("", "", "interval = '2s'\n[workload]\nupdates = 'periodic'\nrate = '1/s'\nsize = '300B'\n")
        .replace("push", "poller")
}

/// The same as a stream of events.
pub(crate) fn events() -> String {
    polls().replace("poller", "sse").replace("interval = '2s'\n", "")
}

/// The same, and no session gets older than a minute.
pub(crate) fn short_lived() -> String {
    busy().replace("[sidecars.config]\n", "[sidecars.config]\nmax_lifetime = '1m'\n")
}

/// No keepalive, and updates that are rarer than the idle limit.
pub(crate) fn idle() -> String {
    world("keepalive = 'off'\nproxy_read_timeout = '60s'", "", "[workload]\nupdates = 'periodic'\nrate = '30/h'\n")
}

/// No keepalive, a patient sidecar, and a balancer that ends quiet connections with a FIN.
pub(crate) fn behind_fins() -> String {
    let hop = "[[hops]]\nname = 'balancer'\nbefore = 'edge'\nidle = '60s'\ncut = 'fin'\n";
    let workload = "[workload]\nupdates = 'periodic'\nrate = '30/h'\n";
    world("keepalive = 'off'\nproxy_read_timeout = '10m'", "", &format!("{hop}{workload}"))
}

/// A balancer that forgets quiet connections before the sidecar pings; clients notice by pings of their own.
pub(crate) fn behind_silence() -> String {
    let hop = "[[hops]]\nname = 'balancer'\nbefore = 'edge'\nidle = '20s'\ncut = 'silence'\n";
    world("keepalive = '25s'", "ping = '55s'", &format!("{hop}[workload]\nupdates = 'periodic'\nrate = '2/m'\n"))
}

/// More updates at once than the client's kernel takes while the client reads nothing for a while.
pub(crate) fn slow_reader() -> String {
    let workload = "[workload]\nupdates = 'burst'\nrate = '2/m'\nburst = 24\nsize = '500kB'\n";
    let fault =
        "[[faults]]\nat = '25s'\nfor = '25s'\nkind = 'slow-reader'\nclients = 'web'\nshare = '100%'\nreads = '0'\n";
    let world = world("write_buffer = '64k'", "", &format!("{workload}{fault}"));
    world.replace("count = 3", "count = 1").replace("duration = \"3m\"", "duration = \"55s\"")
}

/// The sidecar is away for so long that clients have to wait longer and longer.
pub(crate) fn away() -> String {
    let fault = "[[faults]]\nat = '30s'\nfor = '60s'\nkind = 'kill'\nhost = 'edge'\n";
    world("", "", &format!("[workload]\nupdates = 'periodic'\nrate = '1/s'\n{fault}"))
}
