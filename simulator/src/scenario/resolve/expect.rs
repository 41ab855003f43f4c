//! Figures that must hold.

use outrigger::config::{did_you_mean, plain_text};
use toml::de::{DeTable, DeValue};

use super::names::Names;
use crate::scenario::expect::Bound;
use crate::scenario::fields::Reading;
use crate::scenario::key::and;
use crate::scenario::keys;
use crate::scenario::metrics::{self, CAUSES, METRICS, Metric, Parts};
use crate::scenario::model::{ClientGroup, Expect, Expectation, GroupId, Versus};
use crate::scenario::source::{Name, Value, in_order};

struct Resolver<'a> {
    reading: &'a Reading<'a>,
    names: &'a Names,
    clients: &'a [Option<ClientGroup>],
    /// `None` while the figures of all clients are read.
    group: Option<GroupId>,
    all: Vec<Expectation>,
}

/// There was a fault, and it is in the report.
struct Reported;

pub(super) fn expect(reading: &Reading, names: &Names, clients: &[Option<ClientGroup>]) -> Expect {
    let mut resolver = Resolver { reading, names, clients, group: None, all: Vec::new() };
    if let Some(table) = reading.table(&keys::EXPECT).raw() {
        resolver.table(table);
    }
    Expect { all: resolver.all }
}

impl Resolver<'_> {
    /// Figures, and, at the top, tables of figures for one group each.
    fn table(&mut self, table: &DeTable<'static>) {
        for (name, value) in in_order(table) {
            let (head, part) = match name.get_ref().split_once('.') {
                Some((head, part)) => (head, Some(part)),
                None => (name.get_ref().as_ref(), None),
            };
            let group = self.names.group(name.get_ref()).filter(|_| self.group.is_none());
            match (metrics::find(head), group, value.get_ref()) {
                (Some(metric), _, DeValue::Table(parts)) if metric.parts != Parts::None => {
                    for (part, value) in in_order(parts) {
                        self.figure(metric, Some(part.get_ref()), part, value);
                    }
                }
                (Some(metric), _, _) => self.figure(metric, part, name, value),
                (None, Some(group), DeValue::Table(figures)) => {
                    self.group = Some(group);
                    self.table(figures);
                    self.group = None;
                }
                (None, Some(_), _) => {
                    let heading = format!("write its figures under the heading [expect.{head}]");
                    self.fault(name, format!("`{head}` is a group of clients, not a figure"), heading);
                }
                (None, None, _) => self.unknown(name, head, matches!(value.get_ref(), DeValue::Table(_))),
            }
        }
    }

    fn figure(&mut self, metric: &'static Metric, part: Option<&str>, name: &Name, value: &Value) {
        let Ok(versus) = self.part(metric, part, name) else { return };
        let text = match plain_text(value.get_ref()) {
            Ok(text) => text,
            Err(what) => {
                let advice = format!("write {} = {}", metric.name, metric.unit.example());
                return self.fault(name, format!("{} cannot be {what}", metric.name), advice);
            }
        };
        let Some(bound) = Bound::parse(&text, metric.unit) else {
            let advice = format!(
                "write {}, alone or after `<`, `<=`, `>`, `>=` or `=`, or a range of them, such as {} = {}",
                metric.unit.accepts(),
                metric.name,
                metric.unit.example()
            );
            return self.fault(name, format!("`{text}` is nothing to compare {} with", metric.name), advice);
        };
        let group_name = self.group.and_then(|group| self.names.groups().nth(group.0)).unwrap_or_default();
        self.all.push(Expectation {
            group: self.group,
            group_name: group_name.to_owned(),
            metric: part.map_or(metric.name.to_owned(), |part| format!("{}.{part}", metric.name)),
            unit: metric.unit,
            bound,
            place: self.reading.source.place(name.span().start),
            versus,
        });
    }

    /// Checks what stands after the dot: `Some` for a relation to another group.
    fn part(&self, metric: &'static Metric, part: Option<&str>, name: &Name) -> Result<Option<Versus>, Reported> {
        let what = metric.name;
        match (metric.parts, part) {
            (Parts::None, None) => Ok(None),
            (Parts::None, Some(_)) => {
                self.fault(name, format!("{what} has nothing after a dot"), format!("write {what} alone"));
                Err(Reported)
            }
            (Parts::Cause, Some(cause)) if CAUSES.contains(&cause) => Ok(None),
            (Parts::Cause, given) => {
                self.choose(name, what, given, "a cause", &CAUSES);
                Err(Reported)
            }
            (Parts::Group, given) => {
                let Some(own) = self.group else {
                    let problem = format!("{what} compares one group with another");
                    self.fault(name, problem, "write it under [expect.NAME] with the name of a group");
                    return Err(Reported);
                };
                let others: Vec<&str> =
                    self.names.groups().enumerate().filter(|(i, _)| *i != own.0).map(|(_, name)| name).collect();
                let other = given.filter(|given| others.contains(given)).and_then(|given| self.names.group(given));
                let Some(other) = other else {
                    self.choose(name, what, given, "another group of clients", &others);
                    return Err(Reported);
                };
                let count = |group: GroupId| self.clients[group.0].as_ref().map_or(1, |group| group.count);
                let group_name = given.unwrap_or_default().to_owned();
                Ok(Some(Versus { group_name, counts: (count(own), count(other)) }))
            }
        }
    }

    fn choose(&self, name: &Name, metric: &str, given: Option<&str>, of: &str, known: &[&str]) {
        let problem = match given {
            Some(given) => format!("`{given}` is not {of}, as {metric} needs after its dot"),
            None => format!("{metric} needs {of} after a dot"),
        };
        let near = given.and_then(|given| did_you_mean(given, known.iter().copied()));
        let advice = match near.or_else(|| known.first().copied()) {
            Some(first) => format!("write {metric}.{first}, or another of {}", and(known)),
            None => "add a second group".to_owned(),
        };
        self.fault(name, problem, advice);
    }

    fn unknown(&self, name: &Name, head: &str, table: bool) {
        let metrics = METRICS.iter().map(|metric| metric.name);
        let groups: Vec<&str> = if self.group.is_none() { self.names.groups().collect() } else { Vec::new() };
        let near = if table && !groups.is_empty() {
            did_you_mean(head, groups.iter().copied().chain(metrics))
        } else {
            did_you_mean(head, metrics.chain(groups.iter().copied()))
        };
        let advice = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "docs/SCENARIOS.md lists all figures; a table is for one group of clients".to_owned(),
        };
        self.fault(name, format!("`{head}` is neither a figure nor a group of clients"), advice);
    }

    fn fault(&self, name: &Name, problem: String, advice: impl Into<String>) {
        self.reading.fault(&self.reading.source.place(name.span().start), problem, advice);
    }
}
