//! What the boxes on the way do to the sessions of one configuration, and what to change. Pure but for the runs, which
//! the caller does.

use std::fmt::Write as _;
use std::time::Duration;

use outrigger::config::units::show_duration;
use outrigger_shared::close::{Cause, Initiator};

use crate::actors::Ending;
use crate::middlebox;
use crate::scenario::{Cut, Hop, Scenario, Setting, Shipped};
use crate::world::story::Story;

/// Runs of each way: some hops draw their limits.
pub const SEEDS: u64 = 5;
/// The longest limit is looked at so many times, up to a bound.
const TIMES: u32 = 3;
const MAX_DURATION: Duration = Duration::from_hours(6);
const SPARE: Duration = Duration::from_mins(5);
/// The product's own default, which is below every limit that is known.
const USUAL_KEEPALIVE: Duration = Duration::from_secs(25);
const USUAL_READ_TIMEOUT: Duration = Duration::from_mins(1);

/// A hop as it was named: a preset, with another idle limit if one was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub preset: String,
    pub idle: Option<String>,
}

impl Named {
    /// As people know it.
    pub fn show(&self) -> String {
        self.idle.as_ref().map_or_else(|| self.preset.clone(), |idle| format!("{} at {idle}", self.preset))
    }
}

/// Quiet clients behind the hops, in front of the configured sidecar.
pub fn scenario_text(shipped: &Shipped, hops: &[Named], changes: &[Line], duration: Duration) -> String {
    let mut text = format!(
        "name = \"advice\"\nduration = \"{}s\"\n[[apps]]\nname = \"app\"\n[[sidecars]]\nname = \"sidecar\"\n[sidecars.config]\n",
        duration.as_secs()
    );
    for Setting { key, value, .. } in &shipped.settings {
        if !changes.iter().any(|line| line.key == *key) {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    for line in changes {
        let _ = writeln!(text, "{}", line.show());
    }
    let mut via = Vec::new();
    for (index, hop) in hops.iter().enumerate() {
        let name = hop.idle.as_ref().map_or_else(|| hop.preset.clone(), |_| format!("hop-{index}"));
        if let Some(idle) = &hop.idle {
            let _ = write!(text, "[[hops]]\nname = \"{name}\"\npreset = \"{}\"\nidle = \"{idle}\"\n", hop.preset);
        }
        via.push(format!("\"{name}\""));
    }
    let _ = write!(text, "[[clients]]\nname = \"client\"\nkind = \"push\"\ncount = 2\nvia = [{}]\n", via.join(", "));
    text.push_str("[workload]\nupdates = \"none\"\n");
    text
}

/// How long runs must be to see every limit at work.
pub fn duration(scenario: &Scenario) -> Duration {
    let config = &scenario.sidecars[0].config;
    let of_hops = scenario.clients[0].via.iter().flat_map(|hop| [hop.idle.map(|idle| idle.to), hop.lifetime]);
    let lifetime = config.session.lifetime.map(|lifetime| lifetime.max);
    let own = [Some(config.dial.read_timeout), config.session.keepalive.client, lifetime];
    let longest = of_hops.chain(own).flatten().max().unwrap_or_default();
    (longest * TIMES + SPARE).min(MAX_DURATION)
}

/// What ended sessions on one way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fate {
    pub ends: Vec<End>,
}

/// One way to end, and when it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub by: By,
    /// What its client saw of it.
    pub seen: &'static str,
    /// Since the session began.
    pub first: Duration,
    pub last: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    Hop { name: String, of_age: bool },
    Sidecar(Cause),
}

impl Fate {
    /// Nobody cut, or the sidecar alone, at an age that was set for that.
    pub fn is_good(&self) -> bool {
        self.ends.iter().all(|end| end.by == By::Sidecar(Cause::Lifetime))
    }

    /// Adds what happened in one run until everybody was told to stop.
    pub fn add(&mut self, story: &Story, until: Duration) {
        let until_us = micros(until);
        for session in &story.sessions {
            let closed = session.closed.map_or(u64::MAX, |closed| closed.at_us);
            let of_it = |cut: &&middlebox::Cut| {
                Some(cut.client) == session.addr && (session.opened_us..=closed).contains(&cut.at_us)
            };
            let seen = match session.closed.map(|closed| closed.how) {
                Some(Ending::Close) => "a Close with code and cause",
                Some(Ending::Eof) => "a bare end (1006)",
                Some(Ending::Error) => "a reset (1006)",
                Some(Ending::Timeout) => "nothing, until its own pings fail (1006)",
                Some(Ending::Left) | None => "nothing",
            };
            if let Some(cut) = story.cuts.iter().find(of_it).filter(|cut| cut.at_us < until_us) {
                let by = By::Hop { name: cut.hop.clone(), of_age: cut.of_age };
                self.take(by, seen, Duration::from_micros(cut.at_us - session.opened_us));
                continue;
            }
            let ended = story.sidecar_sessions.iter().filter(|found| Some(found.client) == session.addr);
            let ended = ended.filter_map(|found| found.ended()).find(|ended| ended.at_us < until_us);
            if let Some(ended) = ended.filter(|ended| ended.end.by == Initiator::Sidecar) {
                self.take(By::Sidecar(ended.end.cause), seen, ended.lived);
            }
        }
    }

    fn take(&mut self, by: By, seen: &'static str, after: Duration) {
        match self.ends.iter_mut().find(|end| end.by == by) {
            Some(end) => (end.first, end.last) = (end.first.min(after), end.last.max(after)),
            None => self.ends.push(End { by, seen, first: after, last: after }),
        }
    }
}

/// A line of the configuration to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub key: &'static str,
    pub value: Duration,
}

impl Line {
    pub fn show(&self) -> String {
        format!("{} = \"{}\"", self.key, show_duration(self.value))
    }
}

/// The lines, at most two, with which nothing on the way cuts: pings more often than the least patient idle limit, and
/// then a read timeout that leaves room for them; or an end of the sidecar's own before a lifetime of somebody else's.
pub fn lines(scenario: &Scenario, shipped: &Shipped) -> Vec<Line> {
    let config = &scenario.sidecars[0].config;
    let hops = &scenario.clients[0].via;
    let idle = hops.iter().filter_map(|hop: &Hop| Some(hop.idle?.from)).min();
    let lifetime = hops.iter().filter_map(|hop| hop.lifetime).min();
    let room = idle.unwrap_or(USUAL_KEEPALIVE * 4).min(lifetime.unwrap_or(Duration::MAX)) / 2;
    let wanted = whole_seconds(USUAL_KEEPALIVE.min(room));
    let own = shipped.settings.iter().any(|setting| setting.key == "keepalive_client");
    let key = if own { "keepalive_client" } else { "keepalive" };
    let mut lines = Vec::new();
    if config.session.keepalive.client.is_none_or(|keepalive| keepalive > wanted) {
        lines.push(Line { key, value: wanted });
    }
    if let Some(lifetime) = lifetime {
        lines.push(Line { key: "max_lifetime", value: whole_seconds(lifetime * 5 / 6) });
    } else if config.dial.read_timeout <= wanted {
        lines.push(Line { key: "proxy_read_timeout", value: USUAL_READ_TIMEOUT });
    }
    lines
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().max(1))
}

/// What was found on each way, as Markdown.
pub fn table(rows: &[(String, Fate)]) -> String {
    let mut text = "| on the way | who cuts | when | clients see |\n|---|---|---|---|\n".to_owned();
    for (way, fate) in rows {
        if fate.ends.is_empty() {
            let _ = writeln!(text, "| {way} | nobody | | |");
        }
        for end in &fate.ends {
            let first = show_duration(Duration::from_secs_f64(end.first.as_secs_f64().round()));
            let last = show_duration(Duration::from_secs_f64(end.last.as_secs_f64().round()));
            let when = if first == last { format!("after {first}") } else { format!("after {first} to {last}") };
            let (who, of) = match &end.by {
                By::Hop { name, of_age: true } => (name.clone(), ", idle or not"),
                By::Hop { name, of_age: false } => (name.clone(), " of silence"),
                By::Sidecar(cause) => (format!("the sidecar ({})", cause.as_str()), ""),
            };
            let _ = writeln!(text, "| {way} | {who} | {when}{of} | {} |", end.seen);
        }
    }
    text
}

/// What a hop is known for, in a few words.
pub fn known(hop: &Hop) -> String {
    let idle = hop.idle.map(|idle| match (show_duration(idle.from), show_duration(idle.to)) {
        (from, to) if from == to => format!("idle limit {from}"),
        (from, to) => format!("idle limit {from} to {to}"),
    });
    let lifetime = hop.lifetime.map(|lifetime| format!("lifetime {}", show_duration(lifetime)));
    let how = match hop.cut {
        Cut::Rst => "with RST",
        Cut::Fin => "with FIN",
        Cut::Silence => "in silence",
    };
    let limits: Vec<String> = idle.into_iter().chain(lifetime).collect();
    format!("{}, {how}", limits.join(" and "))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
