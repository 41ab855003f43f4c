//! Raw settings: the texts that were given for each key and where, in layers that override one another.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::key::{ANNOTATION_PREFIX, Key, Standard, VARIABLE_PREFIX, annotation, flag, variable};
use super::report::{Place, Report, did_you_mean};
use super::{Sources, file, keys, standard};

/// Names the configuration file; the one variable that is no key.
pub(crate) const FILE_VARIABLE: &str = "OUTRIGGER_CONFIG";

/// Where settings come from, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    Flags,
    Environment,
    File,
    /// Variables that are not ours: they are for every program in the container, so that a fault in one stops nothing.
    Standard,
}

impl Layer {
    pub(crate) const ALL: [Self; 4] = [Self::Flags, Self::Environment, Self::File, Self::Standard];
}

/// One text and its own place, which in a TOML array differs from that of the key.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub text: String,
    pub place: Place,
}

/// What one layer says about one key.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub place: Place,
    pub items: Vec<Item>,
}

impl Given {
    pub(crate) fn single(text: &str, place: Place) -> Self {
        Self { items: vec![Item { text: text.to_owned(), place: place.clone() }], place }
    }
}

/// All layers. Keys are canonical names; aliases are gone.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    layers: [BTreeMap<&'static str, Given>; 4],
}

impl Settings {
    /// Reads all sources. `None` when the file is not TOML: what else it says is unknown then.
    pub(crate) fn read(sources: &Sources, report: &mut Report) -> Option<Self> {
        let mut settings = Self::default();
        let well_formed = match &sources.file {
            Some(source) => file::read(source, &mut settings, report),
            None => true,
        };
        settings.read_environment(&sources.env, report);
        settings.read_standard(&sources.env, report);
        settings.read_flags(&sources.flags, report);
        well_formed.then_some(settings)
    }

    /// As [`Settings::read`], with the file's keys in a table that has been parsed.
    pub(crate) fn read_table(sources: &Sources, table: &DeTable, report: &mut Report) -> Self {
        let mut settings = Self::default();
        if let Some(source) = &sources.file {
            file::read_table(source, table, &mut settings, report);
        }
        settings.read_environment(&sources.env, report);
        settings.read_standard(&sources.env, report);
        settings.read_flags(&sources.flags, report);
        settings
    }

    /// Reads what a pod's annotations say, over the variables that its container gets anyway. Names are without the
    /// prefix; `others` are known ones that are no keys.
    pub(crate) fn read_annotations(
        annotations: &[(String, String)],
        variables: &[(String, String)],
        others: &[&str],
        report: &mut Report,
    ) -> Self {
        let mut settings = Self::default();
        let others: Vec<_> = others.iter().map(|other| other.replace('-', "_")).collect();
        settings.read_environment(variables, report);
        settings.read_standard(variables, report);
        for (name, value) in annotations {
            let place = Place::Annotation(format!("{ANNOTATION_PREFIX}{name}"));
            match keys::find(&name.replace('-', "_")) {
                Some(key) if !name.contains('_') => {
                    let given = if key.list { split_list(value, &place) } else { Given::single(value, place) };
                    settings.put(Layer::Flags, key, given, report);
                }
                _ => {
                    let names = keys::all().flat_map(Key::names).map(|name: &str| name);
                    let candidates = names.chain(others.iter().map(String::as_str));
                    unknown(&place, name, candidates, annotation, report);
                }
            }
        }
        settings
    }

    /// What a layer says about a key.
    pub(crate) fn get(&self, layer: Layer, key: &Key) -> Option<&Given> {
        self.layers[layer as usize].get(key.name)
    }

    /// What the strongest layer says about a key.
    pub(crate) fn winner(&self, key: &Key) -> Option<&Given> {
        Layer::ALL.into_iter().find_map(|layer| self.get(layer, key))
    }

    /// Adds a key; a second value in the same layer is a fault, except that flags of a list add up.
    pub(crate) fn put(&mut self, layer: Layer, key: &'static Key, given: Given, report: &mut Report) {
        let Some(before) = self.layers[layer as usize].get_mut(key.name) else {
            self.layers[layer as usize].insert(key.name, given);
            return;
        };
        if layer == Layer::Flags && key.list {
            before.items.extend(given.items);
        } else if before.place == given.place {
            report.fault(&given.place, "is given more than once", "give it once");
        } else {
            let problem = format!("says the same as {}, under another name", before.place);
            report.fault(&given.place, problem, "keep one of the two");
        }
    }

    fn read_environment(&mut self, env: &[(String, String)], report: &mut Report) {
        for (name, value) in env {
            let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
            if name == FILE_VARIABLE || is_service_link(rest) {
                continue;
            }
            let place = Place::Variable(name.clone());
            let lower = rest.to_ascii_lowercase();
            match keys::find(&lower) {
                Some(key) if variable(&lower) == *name => {
                    let given = if key.list { split_list(value, &place) } else { Given::single(value, place) };
                    self.put(Layer::Environment, key, given, report);
                }
                _ => {
                    let candidates = keys::all().flat_map(Key::names).chain(["config"]);
                    unknown(&place, &lower, candidates, variable, report);
                }
            }
        }
    }

    /// What OpenTelemetry's own variables say. An empty one says nothing.
    fn read_standard(&mut self, env: &[(String, String)], report: &mut Report) {
        for key in keys::all() {
            let Some(Standard { variable, form }) = key.standard else { continue };
            let Some((_, value)) = env.iter().find(|(name, value)| name == variable && !value.trim().is_empty()) else {
                continue;
            };
            let place = Place::Variable(variable.to_owned());
            match standard::items(form, value.trim()) {
                Ok(texts) => {
                    let items = texts.into_iter().map(|text| Item { text, place: place.clone() }).collect();
                    self.put(Layer::Standard, key, Given { place, items }, report);
                }
                Err(problem) => report.warn(&place, problem, "put it right; until then it is passed over"),
            }
        }
    }

    fn read_flags(&mut self, flags: &[(String, String)], report: &mut Report) {
        for (name, value) in flags {
            let place = Place::Flag(flag(name));
            match keys::find(name) {
                Some(key) => self.put(Layer::Flags, key, Given::single(value, place), report),
                None => unknown(&place, name, keys::all().flat_map(Key::names), flag, report),
            }
        }
    }
}

/// Reports a name that no key has, with the nearest one that exists.
pub(crate) fn unknown<'a>(
    place: &Place,
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
    spell: impl Fn(&str) -> String,
    report: &mut Report,
) {
    let advice = match did_you_mean(&name.replace('-', "_"), candidates) {
        Some(near) => format!("did you mean `{}`?", spell(near)),
        None => "`outrigger config --reference` lists all keys".to_owned(),
    };
    let problem = match place {
        Place::File { .. } => format!("`{name}` is not a key"),
        _ => "is not a key".to_owned(),
    };
    report.fault(place, problem, advice);
}

fn split_list(text: &str, place: &Place) -> Given {
    let items = split_at_commas(text).into_iter().map(|text| Item { text, place: place.clone() }).collect();
    Given { items, place: place.clone() }
}

/// Splits at commas; `\,` is a comma within a value. An empty text is an empty list.
pub(crate) fn split_at_commas(text: &str) -> Vec<String> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let mut texts = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.next_if_eq(&',').is_some() => texts.last_mut().expect("never empty").push(','),
            ',' => texts.push(String::new()),
            other => texts.last_mut().expect("never empty").push(other),
        }
    }
    texts.iter().map(|text| text.trim().to_owned()).collect()
}

/// Whether Kubernetes made this variable for a Service that happens to be called `outrigger` or `outrigger-…`:
/// `*_SERVICE_HOST`, `*_SERVICE_PORT*`, `*_PORT` and `*_PORT_80_TCP*`. Nobody wrote those, so they are no faults.
pub(crate) fn is_service_link(rest: &str) -> bool {
    let rest = format!("_{rest}");
    let numbered_port = || {
        rest.split("_PORT_").skip(1).any(|tail| {
            let mut parts = tail.split('_');
            parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
                && parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol))
        })
    };
    rest.ends_with("_SERVICE_HOST") || rest.contains("_SERVICE_PORT") || rest.ends_with("_PORT") || numbered_port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_service_links_are_not_ours() {
        for name in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_8080_TCP",
            "PORT_8080_TCP_ADDR",
            "DEMO_SERVICE_HOST",
            "DEMO_PORT",
            "DEMO_PORT_80_TCP_PROTO",
        ] {
            assert!(is_service_link(name), "{name}");
        }
        for name in ["UPSTREAM", "PORTS", "SUPPORT", "PORT_X_TCP", "PORT_80"] {
            assert!(!is_service_link(name), "{name}");
        }
        for key in keys::all() {
            assert!(!is_service_link(&key.name.to_ascii_uppercase()), "{} would be ignored", key.name);
        }
    }

    #[test]
    fn a_variable_splits_at_commas() {
        let texts = |text| -> Vec<String> {
            split_list(text, &Place::Unset("listen")).items.into_iter().map(|item| item.text).collect()
        };
        assert_eq!(texts("a, b"), ["a", "b"]);
        assert_eq!(texts(r"Cache-Control: no-store\, private,X: y"), ["Cache-Control: no-store, private", "X: y"]);
        assert_eq!(texts(r"a\b"), [r"a\b"]);
        assert_eq!(texts("a,"), ["a", ""]);
        assert!(texts(" ").is_empty());
    }
}
