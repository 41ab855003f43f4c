//! Typed access to raw settings. Each read checks every layer, reports what is wrong and goes on with the default, so
//! that one run finds all faults.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::key::{Key, Preset};
use super::parse::{self, Problem};
use super::report::{Finding, Place, Report};
use super::settings::{Given, Item, Layer, Settings};
use super::{ReadFile, keys};

/// Reads keys by name. A name that the table does not have is a bug and panics.
pub(crate) struct Reader<'a> {
    settings: &'a Settings,
    read_file: Option<ReadFile<'a>>,
    pub report: Report,
    /// Warnings about how keys bear on each other. With a fault in one of them they may be wrong, so they are told only
    /// when there is none.
    pub cross_warnings: Vec<Finding>,
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
        Self { settings, read_file, report, cross_warnings: Vec::new(), seen: BTreeSet::new() }
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
            // Variables for every program in the container need no effect here.
            let ours = Layer::ALL.into_iter().filter(|layer| *layer != Layer::Standard);
            let given = ours.filter_map(|layer| self.settings.get(layer, key(name))).map(|given| &given.place).next();
            if let Some(place) = given {
                let problem = format!("{name} has no effect, as {because}");
                self.cross_warn(place, problem, "remove it, or set what it needs");
            }
        }
    }

    /// Warns about how keys bear on each other.
    pub(crate) fn cross_warn(&mut self, place: &Place, problem: impl Into<String>, advice: impl Into<String>) {
        self.cross_warnings.push(Finding { place: place.clone(), problem: problem.into(), advice: advice.into() });
    }

    /// Runs a read and tells whether it found no fault.
    pub(crate) fn faultless<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, bool) {
        let before = self.report.faults.len();
        let value = read(self);
        (value, self.report.faults.len() == before)
    }

    /// The value of a key that takes one; `None` if it is unset and has no default.
    pub(crate) fn one<T>(&mut self, name: &'static str, parse: impl Fn(&Key, &str) -> Result<T, Problem>) -> Option<T> {
        let check = |key: &Key, given: &Given| match given.items.as_slice() {
            [item] => match parse(key, &item.text) {
                Ok(value) => Checked { values: vec![value], problems: Vec::new() },
                Err(problem) => Checked { values: Vec::new(), problems: vec![(item.place.clone(), problem)] },
            },
            _ => Checked { values: Vec::new(), problems: vec![(given.place.clone(), Problem::new("takes one value"))] },
        };
        let given = self.read(name, &check).and_then(|mut values| values.pop());
        given.or_else(|| default(key(name), &check).pop())
    }

    /// The values of a list, each with its place; an item may hold several. With faults among them, those that are
    /// right, so that what follows from them is found as well.
    pub(crate) fn many<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&Key, &str) -> Result<Vec<T>, Problem>,
    ) -> Vec<Found<T>> {
        let check = |key: &Key, given: &Given| {
            let mut checked = Checked { values: Vec::new(), problems: Vec::new() };
            for Item { text, place } in &given.items {
                match parse(key, text) {
                    Ok(values) => {
                        checked.values.extend(values.into_iter().map(|value| Found { value, place: place.clone() }));
                    }
                    Err(problem) => checked.problems.push((place.clone(), problem)),
                }
            }
            checked
        };
        self.read(name, &check).unwrap_or_else(|| default(key(name), &check))
    }

    /// As [`Reader::many`], one value for each item, with a parser that wants to know the place.
    pub(crate) fn located<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&Key, &str, &Place) -> Result<T, Problem>,
    ) -> Vec<T> {
        let check = |key: &Key, given: &Given| {
            let mut checked = Checked { values: Vec::new(), problems: Vec::new() };
            for Item { text, place } in &given.items {
                match parse(key, text, place) {
                    Ok(value) => checked.values.push(value),
                    Err(problem) => checked.problems.push((place.clone(), problem)),
                }
            }
            checked
        };
        self.read(name, &check).unwrap_or_else(|| default(key(name), &check))
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

    /// Checks what every layer says and returns what is right in the strongest; `None` if no layer says anything.
    fn read<T>(&mut self, name: &'static str, check: &impl Fn(&Key, &Given) -> Checked<T>) -> Option<Vec<T>> {
        let key = key(name);
        self.seen.insert(name);
        let mut winner: Option<(&Place, Vec<T>)> = None;
        for (layer, given) in Layer::ALL.into_iter().filter_map(|layer| Some((layer, self.settings.get(layer, key)?))) {
            let Checked { values, problems } = check(key, given);
            if layer == Layer::Standard && !problems.is_empty() {
                for (place, problem) in problems {
                    self.report.warn(&place, problem.what, "put it right; until then it is passed over");
                }
                continue;
            }
            for (place, problem) in problems {
                if let Some((stronger, _)) = &winner {
                    let advice = format!("{stronger} overrides it, so it does no harm yet");
                    self.report.warn(&place, problem.what, advice);
                } else {
                    let advice = problem.advice_for(key, &place);
                    self.report.fault(&place, problem.what, advice);
                }
            }
            winner = winner.or(Some((&given.place, values)));
        }
        winner.map(|(_, values)| values)
    }
}

/// What is right and what is wrong with what one layer says.
struct Checked<T> {
    values: Vec<T>,
    problems: Vec<(Place, Problem)>,
}

fn key(name: &str) -> &'static Key {
    keys::find(name).unwrap_or_else(|| panic!("`{name}` is in the table of keys"))
}

fn default<T>(key: &'static Key, check: &impl Fn(&Key, &Given) -> Checked<T>) -> Vec<T> {
    let texts = match key.default {
        Preset::Unset(_) => return Vec::new(),
        Preset::Value(text) => &[text] as &[_],
        Preset::List(texts) => texts,
    };
    let place = Place::Unset(key.name);
    let items = texts.iter().map(|text| Item { text: (*text).to_owned(), place: place.clone() }).collect();
    let checked = check(key, &Given { place, items });
    assert!(checked.problems.is_empty(), "the default of {} is accepted", key.name);
    checked.values
}
