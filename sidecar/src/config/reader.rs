//! Typed access to raw settings. Each read checks every layer, reports what is wrong and goes on with the default, so
//! that one run finds all faults.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::key::{Key, Preset};
use super::parse::{self, Problem};
use super::report::{Place, Report};
use super::settings::{Given, Layer, Settings};
use super::{ReadFile, keys};

/// Reads keys by name. A name that the table does not have is a bug and panics.
pub(crate) struct Reader<'a> {
    settings: &'a Settings,
    read_file: Option<ReadFile<'a>>,
    pub report: Report,
    /// Names asked for so far; at the end it is all of them, or a key has no effect.
    pub seen: BTreeSet<&'static str>,
}

/// A value of a list and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    pub value: T,
    pub place: Place,
}

impl<'a> Reader<'a> {
    /// With `read_file`, files that are named are read, to see whether they can be.
    pub(crate) fn new(settings: &'a Settings, read_file: Option<ReadFile<'a>>, report: Report) -> Self {
        Self { settings, read_file, report, seen: BTreeSet::new() }
    }

    /// Where the winning value was written; `None` if the default holds.
    pub(crate) fn given(&self, name: &'static str) -> Option<&'a Place> {
        self.settings.winner(key(name)).map(|given| &given.place)
    }

    /// Where the winning value was written, or that it was not.
    pub(crate) fn place(&self, name: &'static str) -> Place {
        self.given(name).cloned().unwrap_or(Place::Unset(name))
    }

    /// How to write `value` for this key where it is written now.
    pub(crate) fn spell(&self, name: &'static str, value: &str) -> String {
        self.place(name).spell(key(name), value)
    }

    /// Warns about each of these keys that somebody set.
    pub(crate) fn useless(&mut self, names: &[&'static str], because: &str) {
        for name in names {
            if let Some(place) = self.given(name) {
                let problem = format!("{name} has no effect, as {because}");
                self.report.warn(place, problem, "remove it, or set what it needs");
            }
        }
    }

    /// The value of a key that takes one; `None` if it is unset and has no default.
    pub(crate) fn one<T>(&mut self, name: &'static str, parse: impl Fn(&Key, &str) -> Result<T, Problem>) -> Option<T> {
        let mut values = self.read(name, |key, given| match given.items.as_slice() {
            [item] => {
                parse(key, &item.text).map(|value| vec![value]).map_err(|problem| vec![(item.place.clone(), problem)])
            }
            _ => Err(vec![(given.place.clone(), Problem::new("takes one value"))]),
        })?;
        values.pop()
    }

    /// The values of a list, each with its place; an item may hold several.
    pub(crate) fn many<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&Key, &str) -> Result<Vec<T>, Problem>,
    ) -> Vec<Found<T>> {
        let values = self.read(name, |key, given| {
            let mut found = Vec::new();
            let mut problems = Vec::new();
            for item in &given.items {
                match parse(key, &item.text) {
                    Ok(values) => {
                        found.extend(values.into_iter().map(|value| Found { value, place: item.place.clone() }));
                    }
                    Err(problem) => problems.push((item.place.clone(), problem)),
                }
            }
            if problems.is_empty() { Ok(found) } else { Err(problems) }
        });
        values.unwrap_or_default()
    }

    pub(crate) fn duration(&mut self, name: &'static str) -> Duration {
        self.value(name, parse::duration)
    }

    pub(crate) fn size(&mut self, name: &'static str) -> u64 {
        self.value(name, parse::size)
    }

    pub(crate) fn count(&mut self, name: &'static str) -> u64 {
        self.value(name, parse::number)
    }

    /// The value, or `None` for one of the key's words.
    pub(crate) fn duration_or_word(&mut self, name: &'static str) -> Option<Duration> {
        self.value(name, parse::or_word(parse::duration))
    }

    /// The value, or `None` for one of the key's words.
    pub(crate) fn size_or_word(&mut self, name: &'static str) -> Option<u64> {
        self.value(name, parse::or_word(parse::size))
    }

    /// The value, or `None` for one of the key's words.
    pub(crate) fn count_or_word(&mut self, name: &'static str) -> Option<u64> {
        self.value(name, parse::or_word(parse::number))
    }

    pub(crate) fn choice(&mut self, name: &'static str) -> &'static str {
        self.value(name, parse::choice)
    }

    pub(crate) fn switch(&mut self, name: &'static str) -> bool {
        self.value(name, parse::switch)
    }

    pub(crate) fn close_code(&mut self, name: &'static str) -> u16 {
        self.value(name, parse::close_code)
    }

    pub(crate) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let read_file = self.read_file;
        self.one(name, |_, text| parse::path(text, read_file))
    }

    pub(crate) fn paths(&mut self, name: &'static str) -> Vec<Found<PathBuf>> {
        let read_file = self.read_file;
        self.many(name, |_, text| parse::path(text, read_file).map(|path| vec![path]))
    }

    /// The value of a key that has a default.
    pub(crate) fn value<T>(&mut self, name: &'static str, parse: impl Fn(&Key, &str) -> Result<T, Problem>) -> T {
        self.one(name, parse).expect("a key that is read this way has a default")
    }

    /// Checks all layers and returns what the strongest says; if that is wrong or nothing, the default.
    fn read<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&Key, &Given) -> Result<Vec<T>, Vec<(Place, Problem)>>,
    ) -> Option<Vec<T>> {
        let key = key(name);
        self.seen.insert(name);
        let mut winner: Option<(&Place, Option<Vec<T>>)> = None;
        for given in Layer::ALL.into_iter().filter_map(|layer| self.settings.get(layer, key)) {
            let result = parse(key, given);
            match (&winner, result) {
                (None, Ok(values)) => winner = Some((&given.place, Some(values))),
                (None, Err(problems)) => {
                    for (place, problem) in problems {
                        let advice = problem.advice_for(key, &place);
                        self.report.fault(&place, problem.what, advice);
                    }
                    winner = Some((&given.place, None));
                }
                (Some(_), Ok(_)) => {}
                (Some((stronger, _)), Err(problems)) => {
                    for (place, problem) in problems {
                        let advice = format!("{stronger} overrides it, so it does no harm yet");
                        self.report.warn(&place, problem.what, advice);
                    }
                }
            }
        }
        winner.and_then(|(_, values)| values).or_else(|| default(key, parse))
    }
}

fn key(name: &str) -> &'static Key {
    keys::find(name).unwrap_or_else(|| panic!("`{name}` is in the table of keys"))
}

fn default<T>(
    key: &'static Key,
    parse: impl Fn(&Key, &Given) -> Result<Vec<T>, Vec<(Place, Problem)>>,
) -> Option<Vec<T>> {
    let place = Place::Unset(key.name);
    let given = match key.default {
        Preset::Unset(_) => return None,
        Preset::Value(text) => Given::single(text, place),
        Preset::List(texts) => {
            Given { items: texts.iter().flat_map(|text| Given::single(text, place.clone()).items).collect(), place }
        }
    };
    Some(parse(key, &given).unwrap_or_else(|_| panic!("the default of {} is accepted", key.name)))
}
