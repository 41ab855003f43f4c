//! A commented scenario to begin with, made from a few answers.

use std::fmt::Write as _;

/// What a scenario is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    PollingVsPush,
    IdleTimeout,
    MultiRegion,
    Drain,
}

impl Family {
    pub const ALL: [Self; 4] = [Self::PollingVsPush, Self::IdleTimeout, Self::MultiRegion, Self::Drain];

    /// As the folder of `scenarios/` is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PollingVsPush => "polling-vs-push",
            Self::IdleTimeout => "idle-timeout",
            Self::MultiRegion => "multi-region",
            Self::Drain => "drain",
        }
    }

    /// The question that it asks.
    pub fn question(self) -> &'static str {
        match self {
            Self::PollingVsPush => "What do polling and push cost for the same updates?",
            Self::IdleTimeout => "Who cuts a quiet session, and does the keepalive prevent it?",
            Self::MultiRegion => "What happens to sessions when a region is cut off and heals?",
            Self::Drain => "What does a deploy of the sidecar cost its clients?",
        }
    }
}

/// What the scenario is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    pub family: Family,
    pub name: String,
    /// Of each group.
    pub clients: u32,
    /// As in `20/m`.
    pub rate: String,
    /// Of polling, as in `2s`.
    pub interval: String,
    /// Presets on the way, the one nearest to the client first.
    pub hops: Vec<String>,
    /// The first one has the app.
    pub regions: Vec<String>,
}

/// The file. Whether the answers fit, [`parse`](super::parse) says.
pub fn starter(answers: &Answers) -> String {
    let mut text = format!(
        "# {}\n#\n# What can be written here: `outrigger-sim reference`. Run it: `outrigger-sim run FILE --seeds 1..20`.\n\
         name = {}\ndescription = {}\n# Virtual time: an hour takes seconds.\nduration = \"10m\"\n\
         # After that, without faults, everything has to come to rest.\nheal = \"2m\"\n",
        answers.family.question(),
        quoted(&answers.name),
        quoted(answers.family.question()),
    );
    if answers.family == Family::MultiRegion {
        regions(&mut text, &answers.regions);
    }
    text.push_str("\n# The server; updates are made here.\n[[apps]]\nname = \"feed\"\n");
    if let Some(first) = answers.regions.first().filter(|_| answers.family == Family::MultiRegion) {
        let _ = writeln!(text, "region = {}", quoted(first));
    }
    text.push_str(
        "\n# The real sidecar in front of it.\n[[sidecars]]\nname = \"edge\"\n\n\
         # Its configuration: any key of outrigger.toml but files and the upstream.\n[sidecars.config]\nkeepalive = \"25s\"\n",
    );
    if answers.family == Family::Drain {
        text.push_str("# Sessions are closed one by one over this time.\ndrain_window = \"10s\"\n");
    }
    clients(&mut text, answers);
    let _ = write!(
        text,
        "\n# What the app has to tell: so many updates, at random times, of so many bytes.\n[workload]\nrate = {}\nsize = \"120..400\"\n",
        quoted(&answers.rate)
    );
    faults(&mut text, answers);
    expectations(&mut text, answers);
    text
}

fn regions(text: &mut String, regions: &[String]) {
    let names: Vec<String> = regions.iter().map(|region| quoted(region)).collect();
    let _ = writeln!(text, "regions = [{}]", names.join(", "));
    for (index, one) in regions.iter().enumerate() {
        for other in &regions[index + 1..] {
            let _ = write!(
                text,
                "\n# One way; a round trip is twice as long. Measure yours with ping, and halve it.\n[[links]]\nfrom = {}\nto = {}\n\
                 latency = \"40ms\"\njitter = \"4ms\"\n",
                quoted(one),
                quoted(other)
            );
        }
    }
}

fn clients(text: &mut String, answers: &Answers) {
    let mut group = |name: &str, more: &str| {
        let count = answers.clients;
        let _ = write!(text, "\n[[clients]]\nname = {}\n{more}count = {count}\n", quoted(name));
        if !answers.hops.is_empty() {
            let hops: Vec<String> = answers.hops.iter().map(|hop| quoted(hop)).collect();
            let _ =
                writeln!(text, "# What cuts on the way, the nearest to the client first.\nvia = [{}]", hops.join(", "));
        }
    };
    match answers.family {
        Family::PollingVsPush => {
            group(
                "poll",
                &format!("kind = \"poller\"\ninterval = {}\netag = true\ntls = true\n", quoted(&answers.interval)),
            );
            group("push", "kind = \"push\"\ntls = true\n");
        }
        Family::IdleTimeout | Family::Drain => group("web", "kind = \"push\"\ntls = true\n"),
        Family::MultiRegion => {
            for region in &answers.regions {
                let more = format!(
                    "kind = \"push\"\nregion = {}\n# A client's own pings: without them it never learns that a silent way is gone.\nping = \"15s\"\n",
                    quoted(region)
                );
                group(&format!("clients-{region}"), &more);
            }
        }
    }
}

fn faults(text: &mut String, answers: &Answers) {
    match (answers.family, &answers.regions[..]) {
        (Family::MultiRegion, [first, .., last]) => {
            let _ = write!(
                text,
                "\n# What goes wrong; ranges are drawn from by the seed.\n[[faults]]\nname = \"cut\"\nkind = \"partition\"\n\
                 at = \"2m..4m\"\nfor = \"30s..90s\"\na = {}\nb = {}\n",
                quoted(first),
                quoted(last)
            );
        }
        (Family::Drain, _) => text.push_str(
            "\n# The deploy: SIGTERM, and a new process when the old one is gone.\n[[faults]]\nname = \"deploy\"\nkind = \"restart\"\n\
             at = \"3m..6m\"\nfor = \"2s\"\nhost = \"edge\"\n",
        ),
        _ => {}
    }
}

fn expectations(text: &mut String, answers: &Answers) {
    text.push_str("\n# Figures that must hold in every run; the exit code says whether they do.\n[expect]\nupdates_lost = 0\nupdates_duplicated = 0\n");
    match answers.family {
        Family::PollingVsPush => text.push_str(
            "\n[expect.poll]\n# Requests and bytes of one poller, divided by those of one push client.\nrequests_vs.push = \"> 1\"\n",
        ),
        Family::IdleTimeout => text.push_str("hop_cuts = 0\nsessions_lost = 0\n"),
        Family::MultiRegion => text.push_str("# From the loss of a session to the next one.\ntime_to_recover_max = \"< 2m\"\n"),
        Family::Drain => text.push_str("# Every session ends with a Close.\nclose_1006 = 0\ntime_to_recover_max = \"< 1m\"\n"),
    }
}

/// As TOML takes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace(|c: char| c.is_control(), " "))
}
