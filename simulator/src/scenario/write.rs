//! A scenario as a file again, with its faults spelled out.

use std::fmt::Write as _;

use toml::de::{DeTable, DeValue};

use super::key::{Section, Shape};
use super::keys::SECTIONS;
use super::model::{FaultKind, Host, Peer, PlannedFault, Scenario};
use super::source::{entry, in_order};
use super::units::{show_percent, show_time};

/// Sections that the explicit faults replace, and those that would run other scenarios than this one.
const LEFT_OUT: [&str; 3] = ["faults", "faults_random", "sweep"];

/// A scenario file with these faults, at these times, in place of those that the scenario has. It keeps what the
/// scenario's own file says otherwise, swept values put in, but not its comments; a run of it with the seed from which
/// the faults come is the same run.
pub fn write(scenario: &Scenario, faults: &[PlannedFault]) -> String {
    let mut text = String::new();
    for section in SECTIONS.iter().filter(|section| !LEFT_OUT.contains(&section.name)) {
        write_section(&mut text, section, &scenario.source.table);
    }
    for fault in faults {
        write_fault(&mut text, scenario, fault);
    }
    text
}

fn write_section(text: &mut String, section: &Section, root: &DeTable<'static>) {
    if section.shape == Shape::Top {
        write_keys(text, section, root);
    } else if let Some((_, value)) = entry(root, section.name) {
        match value.get_ref() {
            DeValue::Table(table) if section.keys.is_empty() => write_expect(text, table),
            DeValue::Table(table) => {
                push(text, &format!("\n{}", section.heading()));
                write_keys(text, section, table);
            }
            DeValue::Array(items) => {
                for item in items {
                    if let DeValue::Table(table) = item.get_ref() {
                        push(text, &format!("\n{}", section.heading()));
                        write_keys(text, section, table);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Writes the keys in the order of the table; tables come last, under headings of their own.
fn write_keys(text: &mut String, section: &Section, table: &DeTable<'static>) {
    for inner in [false, true] {
        for key in section.keys {
            match entry(table, key.name).map(|(_, value)| value.get_ref()) {
                Some(DeValue::Table(keys)) if inner => {
                    push(text, &format!("[{}.{}]", section.name, key.name));
                    for (name, value) in in_order(keys) {
                        push_key(text, name.get_ref(), value.get_ref());
                    }
                }
                Some(DeValue::Table(_)) | None => {}
                Some(value) if !inner => push_key(text, key.name, value),
                Some(_) => {}
            }
        }
    }
}

/// Figures of all clients first, as a heading ends them.
fn write_expect(text: &mut String, table: &DeTable<'static>) {
    push(text, "\n[expect]");
    let is_group =
        |name: &str, value: &DeValue| matches!(value, DeValue::Table(_)) && super::metrics::find(name).is_none();
    for (name, value) in in_order(table) {
        if !is_group(name.get_ref(), value.get_ref()) {
            push_key(text, name.get_ref(), value.get_ref());
        }
    }
    for (name, value) in in_order(table) {
        if let DeValue::Table(figures) = value.get_ref()
            && is_group(name.get_ref(), value.get_ref())
        {
            push(text, &format!("[expect.{}]", name.get_ref()));
            for (name, value) in in_order(figures) {
                push_key(text, name.get_ref(), value.get_ref());
            }
        }
    }
}

fn write_fault(text: &mut String, scenario: &Scenario, fault: &PlannedFault) {
    push(text, "\n[[faults]]");
    let mut key = |name: &str, value: &str| push(text, &format!("{name} = {}", quote(value)));
    key("name", &fault.label);
    key("kind", fault.kind.word().as_str());
    key("at", &show_time(fault.at));
    key("for", &show_time(fault.lasts));
    let peer = |peer: Peer| scenario.peer_name(peer);
    let host = |host: Host| match host {
        Host::App(id) => scenario.peer_name(Peer::App(id)),
        Host::Sidecar(id) => scenario.peer_name(Peer::Sidecar(id)),
    };
    match &fault.kind {
        FaultKind::Partition { a, b } => {
            key("a", peer(*a));
            key("b", peer(*b));
        }
        FaultKind::OneWayPartition { from, to } => {
            key("from", peer(*from));
            key("to", peer(*to));
        }
        FaultKind::LossBurst { a, b, loss_ppm } => {
            key("a", peer(*a));
            key("b", peer(*b));
            key("loss", &show_percent((*loss_ppm).into()));
        }
        FaultKind::LatencySpike { a, b, latency } => {
            key("a", peer(*a));
            key("b", peer(*b));
            key("latency", &show_time(*latency));
        }
        FaultKind::Kill { host: id } | FaultKind::PowerLoss { host: id } | FaultKind::Restart { host: id } => {
            key("host", host(*id));
        }
        FaultKind::SlowReader { group, per_10k, reads } => {
            key("clients", peer(Peer::Clients(*group)));
            key("share", &show_percent(u64::from(*per_10k) * 100));
            key("reads", &format!("{reads}/s"));
        }
        FaultKind::AppStall { app } => key("app", peer(Peer::App(*app))),
        FaultKind::ClockSkew { host: id, ahead, by } => {
            key("host", host(*id));
            key("by", &show_time(*by));
            push(text, &format!("ahead = {ahead}"));
        }
    }
}

impl Scenario {
    /// The name that a peer has in the file.
    pub fn peer_name(&self, peer: Peer) -> &str {
        match peer {
            Peer::Region(id) => &self.regions[id.0].name,
            Peer::App(id) => &self.apps[id.0].name,
            Peer::Sidecar(id) => &self.sidecars[id.0].name,
            Peer::Clients(id) => &self.clients[id.0].name,
        }
    }
}

fn push_key(text: &mut String, name: &str, value: &DeValue) {
    push(text, &format!("{} = {}", bare(name), toml(value)));
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// A value as TOML, on one line.
pub(super) fn toml(value: &DeValue) -> String {
    match value {
        DeValue::String(text) if is_number(text) => text.to_string(),
        DeValue::String(text) => quote(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Datetime(when) => when.to_string(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| toml(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let entry = |(name, value): (&toml::Spanned<toml::de::DeString>, &toml::Spanned<DeValue>)| {
                format!("{} = {}", bare(name.get_ref()), toml(value.get_ref()))
            };
            let entries: Vec<String> = table.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// Whether a text can stand as a number of TOML; every key takes a number as it takes its text.
fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.len() <= 15 && part.bytes().all(|b| b.is_ascii_digit());
    let whole = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    match text.split_once('.') {
        None => whole(text),
        Some((before, after)) => whole(before) && digits(after),
    }
}

/// A key, in quotes where it needs them.
fn bare(name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if plain { name.to_owned() } else { quote(name) }
}

/// A basic string of TOML.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(c)).expect("writing to a text does not fail");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
