//! A run in Chrome's trace event format, which Perfetto and `chrome://tracing` open: each host a process, each session a
//! track ("Trace Event Format", JSON object format).

use std::collections::BTreeMap;

use outrigger::telemetry::trace::{Attr, Attributes, Nanos, Span};
use serde_json::{Map, Value, json};

use crate::actors::Ending;
use crate::report::story::about;
use crate::scenario::Scenario;
use crate::world::Run;
use crate::world::record::{Fate, SidecarSession};
use crate::world::story::Story;

/// The process that faults and hops are shown in.
const NETWORK: usize = 1;
/// Of a process, the track of what belongs to no session.
const NO_SESSION: u64 = 0;
/// The number of the first track: processes have those below.
const FIRST_TRACK: usize = 1000;

/// The whole file. The run must have been played with [`Options::story`](crate::world::Options); with
/// [`Options::spans`](crate::world::Options) there is more to see.
pub fn chrome(scenario: &Scenario, run: &Run) -> String {
    let mut drawing = Drawing { scenario, run, events: Vec::new(), tracks: BTreeMap::new(), epoch: epoch(run) };
    drawing.hosts();
    if let Some(story) = &run.story {
        drawing.network(story);
        drawing.clients(story);
        drawing.sessions(story);
        drawing.open_sessions(story);
    }
    drawing.spans();
    let about = json!({ "scenario": scenario.name, "seed": run.seed, "digest": format!("{:016x}", run.digest.total) });
    let mut text = String::from("{\"displayTimeUnit\":\"ms\",\"otherData\":");
    text.push_str(&about.to_string());
    text.push_str(",\"traceEvents\":[");
    for (nth, event) in drawing.events.iter().enumerate() {
        text.push_str(if nth == 0 { "\n" } else { ",\n" });
        text.push_str(&event.to_string());
    }
    text.push_str("\n]}\n");
    text
}

struct Drawing<'a> {
    scenario: &'a Scenario,
    run: &'a Run,
    events: Vec<Value>,
    /// The number of each track. They are no other process's either: to some viewers a thread is one of the system.
    tracks: BTreeMap<Track, usize>,
    /// The wall clock at the start of the run.
    epoch: Nanos,
}

/// A process, and which of its tracks.
type Track = (usize, u64);

impl Drawing<'_> {
    fn app(app: usize) -> usize {
        NETWORK + 1 + app
    }

    fn sidecar(&self, sidecar: usize) -> usize {
        Self::app(self.scenario.apps.len()) + sidecar
    }

    fn group(&self, group: usize) -> usize {
        self.sidecar(self.scenario.sidecars.len()) + group
    }

    /// The track of a session in its sidecar. Numbers of sessions begin anew with each process.
    fn of_session(&self, sidecar: usize, process: u32, id: u64) -> Track {
        (self.sidecar(sidecar), u64::from(process) << 32 | id)
    }

    fn hosts(&mut self) {
        let scenario = self.scenario;
        self.process(NETWORK, "network");
        self.track((NETWORK, NO_SESSION), "faults");
        for (nth, app) in scenario.apps.iter().enumerate() {
            self.process(Self::app(nth), &format!("app {}", app.name));
        }
        for (nth, sidecar) in scenario.sidecars.iter().enumerate() {
            let pid = self.sidecar(nth);
            self.process(pid, &format!("sidecar {}", sidecar.name));
            self.track((pid, NO_SESSION), "requests");
        }
        for (nth, group) in scenario.clients.iter().enumerate() {
            let pid = self.group(nth);
            self.process(pid, &format!("clients {}", group.name));
            self.track((pid, NO_SESSION), "updates");
        }
    }

    fn network(&mut self, story: &Story) {
        for fault in &story.faults {
            let args = json!({ "about": about(self.scenario, &fault.kind), "label": fault.label });
            let (from, lasts) = (micros(fault.at), micros(fault.lasts));
            // They may overlap, which spans of one track must not.
            let id = fault.label.as_str();
            let kind = fault.kind.word().as_str();
            self.pair((NETWORK, NO_SESSION), ("fault", kind), id, (from, from + lasts), &args);
        }
        for cut in &story.cuts {
            let text = format!("{} cuts a connection", cut.hop);
            let args = json!({
                "client": cut.client.to_string(),
                "server": cut.server.to_string(),
                "host": &*cut.host,
                "how": format!("{:?}", cut.end).to_lowercase(),
                "of_age": cut.of_age,
            });
            self.instant((NETWORK, NO_SESSION), &text, cut.at_us, &args);
        }
    }

    /// Sessions as their clients saw them.
    fn clients(&mut self, story: &Story) {
        let end = micros(self.run.virtual_time);
        let mut tracks: BTreeMap<usize, u64> = BTreeMap::new();
        for session in &story.sessions {
            let who = &story.clients[session.client as usize];
            let nth = tracks.entry(who.group).or_default();
            *nth += 1;
            let track = (self.group(who.group), *nth);
            self.track(track, &format!("{} session {nth}", who.name));
            let how = session.closed.map_or("open at the end", |closed| match closed.how {
                Ending::Left => "left",
                Ending::Close => "Close",
                Ending::Eof => "bare end",
                Ending::Error => "reset",
                Ending::Timeout => "given up as silent",
            });
            let args = json!({
                "client": who.name,
                "end": how,
                "code": session.closed.and_then(|closed| closed.code),
                "messages": session.messages,
            });
            let closed = session.closed.map_or(end, |closed| closed.at_us);
            self.complete(track, "session", (session.opened_us, closed), &args);
        }
        for update in &story.heard.updates {
            let who = &story.clients[update.client as usize];
            let args = json!({ "client": who.name, "created_us": update.created_us });
            let track = (self.group(who.group), NO_SESSION);
            self.instant(track, &format!("update {}", update.seq), update.at_us, &args);
        }
    }

    /// Sessions as sidecars saw them, on their own hosts and on those of their apps.
    fn sessions(&mut self, story: &Story) {
        let end = micros(self.run.virtual_time);
        for session in &story.sidecar_sessions {
            let SidecarSession { sidecar, process, id, opened_us, .. } = *session;
            let track = self.of_session(sidecar, process, id);
            let name = &self.scenario.sidecars[sidecar].name;
            let again = if process == 0 { String::new() } else { format!(" of process {}", process + 1) };
            self.track(track, &format!("session {id}{again}"));
            let how = match &session.fate {
                Fate::Open => json!({ "end": "open at the end" }),
                Fate::Killed { .. } => json!({ "end": "killed with its process" }),
                Fate::Ended(ended) => json!({
                    "end": ended.end.cause.as_str(),
                    "by": ended.end.by.as_str(),
                    "client_code": ended.end.client_code.map(|code| code.0),
                    "app_code": ended.end.app_code.map(|code| code.0),
                    "client_messages": ended.client.text + ended.client.binary,
                    "app_messages": ended.app.text + ended.app.binary,
                }),
            };
            let over = session.over_us().unwrap_or(end);
            self.complete(track, "session", (opened_us, over), &how);
            let apps = &self.scenario.sidecars[sidecar].apps;
            let named = session
                .upstream
                .as_ref()
                .and_then(|name| apps.iter().find(|app| self.scenario.apps[app.0].name == **name));
            let app = named.unwrap_or(&apps[0]).0;
            // Tracks of several sidecars, on one host.
            let at_app = (Self::app(app), (sidecar as u64 + 1) << 48 | track.1);
            self.track(at_app, &format!("{name} session {id}{again}"));
            self.complete(at_app, "session", (opened_us, over), &how);
        }
    }

    /// How many sessions each sidecar has, whenever that changes.
    fn open_sessions(&mut self, story: &Story) {
        for sidecar in 0..self.scenario.sidecars.len() {
            // Of each moment, how many more there are.
            let mut changes: BTreeMap<u64, i64> = BTreeMap::from([(0, 0)]);
            for session in story.sidecar_sessions.iter().filter(|session| session.sidecar == sidecar) {
                *changes.entry(session.opened_us).or_default() += 1;
                if let Some(over_us) = session.over_us() {
                    *changes.entry(over_us).or_default() -= 1;
                }
            }
            let pid = self.sidecar(sidecar);
            let mut open = 0;
            for (ts, more) in changes {
                open += more;
                let args = json!({ "sessions": open });
                // A counter belongs to its process, whatever the thread.
                self.events
                    .push(json!({ "ph": "C", "name": "open sessions", "pid": pid, "tid": 0, "ts": ts, "args": args }));
            }
        }
    }

    /// What sidecars recorded.
    fn spans(&mut self) {
        let Some(spans) = &self.run.spans else { return };
        for of in &spans.processes {
            // A handshake does not know its session yet; the session is linked to it.
            let mut sessions: BTreeMap<[u8; 8], u64> = BTreeMap::new();
            for span in &of.spans {
                if let (Some(id), Some(link)) = (session_of(span), span.links.first()) {
                    sessions.insert(link.span, id);
                }
            }
            for span in &of.spans {
                let handshake = span.parent.unwrap_or(span.context.span);
                let session = session_of(span)
                    .or_else(|| sessions.get(&span.context.span).or_else(|| sessions.get(&handshake)).copied());
                let (from, to) = (self.since(span.start), self.since(span.end));
                let mut args = arguments(&span.attributes);
                if let Some(error) = span.error {
                    args.insert("error".to_owned(), error.into());
                }
                let args = Value::Object(args);
                let id = hex(&span.context.span);
                let track = match session {
                    Some(session) => self.of_session(of.sidecar, of.process, session),
                    None => (self.sidecar(of.sidecar), NO_SESSION),
                };
                // They are beside the bar of the session, and of requests there may be several at once.
                self.pair(track, ("span", &span.name), &id, (from, to), &args);
                for event in &span.events {
                    let args = Value::Object(arguments(&event.attributes));
                    self.instant(track, event.name, self.since(event.at), &args);
                }
            }
        }
    }

    /// Virtual microseconds of a stamp, on a clock that may be behind.
    fn since(&self, at: Nanos) -> u64 {
        at.0.saturating_sub(self.epoch.0) / 1000
    }

    fn process(&mut self, pid: usize, name: &str) {
        self.events.push(json!({ "ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": { "name": name } }));
        let order = json!({ "sort_index": pid });
        self.events.push(json!({ "ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "args": order }));
    }

    fn tid(&mut self, track: Track) -> usize {
        let next = FIRST_TRACK + self.tracks.len();
        *self.tracks.entry(track).or_insert(next)
    }

    fn track(&mut self, track: Track, name: &str) {
        let (pid, tid) = (track.0, self.tid(track));
        self.events.push(json!({ "ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": { "name": name } }));
    }

    fn complete(&mut self, track: Track, name: &str, (from, to): (u64, u64), args: &Value) {
        let (pid, tid) = (track.0, self.tid(track));
        let lasts = to.saturating_sub(from);
        self.events.push(json!({
            "ph": "X", "cat": "session", "name": name, "pid": pid, "tid": tid, "ts": from, "dur": lasts, "args": args,
        }));
    }

    /// An asynchronous span, which may overlap with others.
    fn pair(&mut self, track: Track, (cat, name): (&str, &str), id: &str, (from, to): (u64, u64), args: &Value) {
        let (pid, tid) = (track.0, self.tid(track));
        let event = |ph: &str, ts: u64, args: &Value| json!({ "ph": ph, "cat": cat, "name": name, "id": id, "pid": pid, "tid": tid, "ts": ts, "args": args });
        self.events.push(event("b", from, args));
        self.events.push(event("e", to.max(from), &json!({})));
    }

    fn instant(&mut self, track: Track, name: &str, at: u64, args: &Value) {
        let (pid, tid) = (track.0, self.tid(track));
        self.events.push(json!({ "ph": "i", "s": "t", "name": name, "pid": pid, "tid": tid, "ts": at, "args": args }));
    }
}

fn epoch(run: &Run) -> Nanos {
    Nanos(u64::try_from(run.epoch.as_nanos()).unwrap_or(u64::MAX))
}

fn session_of(span: &Span) -> Option<u64> {
    let id = span.attributes.iter().find(|(name, _)| *name == "outrigger.session.id");
    match id {
        Some((_, Attr::Int(id))) => u64::try_from(*id).ok(),
        _ => None,
    }
}

fn arguments(attributes: &Attributes) -> Map<String, Value> {
    let value = |value: &Attr| match value {
        Attr::Text(text) => json!(text),
        Attr::Int(number) => json!(number),
        Attr::Bool(flag) => json!(flag),
        Attr::Double(number) => json!(number),
    };
    attributes.iter().map(|(name, of)| ((*name).to_owned(), value(of))).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::from("0x");
    outrigger_shared::trace_context::hex(bytes, &mut text);
    text
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
