//! What a pod's annotations ask for. Those with the name of a configuration key set it; the others are here.

use serde_json::Value;

use super::Options;
use super::record::{INJECTED, Record};
use crate::config::{ANNOTATION_PREFIX, all_keys};

/// Annotations that are no configuration keys, without the prefix, and what they say.
pub(crate) const CONTROLS: [(&str, &str); 12] = [
    (
        "inject",
        "`false` leaves the pod alone; `true` asks for a sidecar where `--set inject=false` holds for the others. A label of \
                    this name says the same.",
    ),
    ("container", "The app's container; needed only where it cannot be told which it is."),
    ("app-port", "The port that the app listens on: a number, or the name of one of its container's ports."),
    (
        "app-probes",
        "`sidecar` sends the app's HTTP probes through the sidecar, for an app that listens on loopback alone; \
                    `app` is the default.",
    ),
    ("image", "The sidecar's image."),
    ("legacy", "`true` adds a plain container in place of a native sidecar."),
    ("tls-secret", "A Secret with `tls.crt` and `tls.key`: it is mounted, and there is an `https` listener as well."),
    ("config-map", "A ConfigMap with `outrigger.toml`: it is mounted and read; what annotations say wins."),
    ("cpu-request", "The sidecar's CPU request; `10m` is the default."),
    ("memory-request", "The sidecar's memory request; `32Mi` is the default."),
    ("memory-limit", "The sidecar's memory limit; `128Mi` is the default."),
    (INJECTED, "What an injection did, so that it can be undone. Not to be written by hand."),
];

/// What is asked of one pod.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    pub container: Option<String>,
    pub app_port: Option<String>,
    /// Whether the app's probes go through the sidecar.
    pub through_sidecar: bool,
    pub image: String,
    pub legacy: bool,
    pub tls_secret: Option<String>,
    pub config_map: Option<String>,
    pub cpu_request: String,
    pub memory_request: String,
    pub memory_limit: String,
    /// Configuration keys with dashes, and their values.
    pub keys: Vec<(String, String)>,
}

impl Wishes {
    /// Reads the annotations of a pod; what the command line says holds where they say nothing. All faults at once.
    pub(crate) fn read(pod: &Value, options: &Options) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let mut given: Vec<(String, String)> = options.set.clone();
        for (name, value) in ours(pod) {
            given.retain(|(set, _)| set != name);
            match value {
                Value::String(text) => given.push((name.to_owned(), text.clone())),
                // The API server takes only text.
                other => faults.push(format!("{ANNOTATION_PREFIX}{name}: {other} is not text; put it in quotes")),
            }
        }
        if let Some(Err(problem)) = pod.pointer("/metadata/labels").and_then(label) {
            faults.push(format!("the label {ANNOTATION_PREFIX}inject: {problem}"));
        }
        let mut wishes = Self {
            container: None,
            app_port: None,
            through_sidecar: false,
            image: options.image.clone(),
            legacy: options.legacy,
            tls_secret: None,
            config_map: None,
            cpu_request: "10m".into(),
            memory_request: "32Mi".into(),
            memory_limit: "128Mi".into(),
            keys: Vec::new(),
        };
        for (name, value) in given {
            if let Err(problem) = wishes.take(&name, value) {
                faults.push(format!("{ANNOTATION_PREFIX}{name}: {problem}"));
            }
        }
        if faults.is_empty() { Ok(wishes) } else { Err(faults) }
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            // Whether there is to be a sidecar is settled before; here it is only seen that it was said rightly.
            "inject" => _ = switch(&value)?,
            "legacy" => self.legacy = switch(&value)?,
            "app-probes" => {
                self.through_sidecar = match value.as_str() {
                    "app" => false,
                    "sidecar" => true,
                    _ => return Err(format!("`{value}` is neither `app` nor `sidecar`")),
                }
            }
            "container" => self.container = Some(filled(value)?),
            "app-port" => self.app_port = Some(filled(value)?),
            "image" => self.image = filled(value)?,
            "tls-secret" => self.tls_secret = Some(filled(value)?),
            "config-map" => self.config_map = Some(filled(value)?),
            "cpu-request" => self.cpu_request = quantity(value)?,
            "memory-request" => self.memory_request = quantity(value)?,
            "memory-limit" => self.memory_limit = quantity(value)?,
            INJECTED => {}
            _ => self.keys.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// What is said about a configuration key, under its own name.
    pub(crate) fn key(&self, name: &str) -> Option<&str> {
        let key = all_keys().find(|key| key.name == name)?;
        let said = |(given, _): &&(String, String)| key.names().any(|known| known.replace('_', "-") == *given);
        self.keys.iter().find(said).map(|(_, value)| value.as_str())
    }

    /// The variables that the configuration keys become.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let key = |name: &str| all_keys().find(|key| key.names().any(|known| known == name.replace('-', "_")));
        let variables = self.keys.iter().filter_map(|(name, value)| Some((key(name)?.variable(), value.clone())));
        variables.collect()
    }
}

/// Whether a pod is to have a sidecar, as far as it says so itself, by annotation or label, or else the options. One word against it
/// is enough; words that are none are left to [`Wishes::read`].
pub(crate) fn asked(pod: &Value, options: &Options) -> Option<bool> {
    let annotation = ours(pod).find(|(name, _)| *name == "inject").and_then(|(_, value)| switch(value.as_str()?).ok());
    let label = pod.pointer("/metadata/labels").and_then(label).and_then(Result::ok);
    if annotation.is_some() || label.is_some() {
        return Some(annotation != Some(false) && label != Some(false));
    }
    let set = options.set.iter().rfind(|(name, _)| name == "inject");
    set.and_then(|(_, value)| switch(value).ok())
}

/// What the label `inject` says. An API server can select by labels, and not by annotations.
fn label(labels: &Value) -> Option<Result<bool, String>> {
    labels.get(format!("{ANNOTATION_PREFIX}inject")).and_then(Value::as_str).map(switch)
}

/// What an earlier injection left; `None` without one, and a fault where it cannot be read.
pub(crate) fn record(pod: &Value) -> Option<Result<Record, String>> {
    let text = ours(pod).find_map(|(name, value)| (name == INJECTED).then_some(value))?;
    let record = text.as_str().and_then(Record::parse);
    Some(
        record.ok_or_else(|| format!("{ANNOTATION_PREFIX}{INJECTED} cannot be read; remove what was injected by hand")),
    )
}

/// The annotations of a pod or another object that begin with our prefix, without it.
pub(crate) fn ours(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = object.pointer("/metadata/annotations").and_then(Value::as_object);
    all.into_iter().flatten().filter_map(|(name, value)| Some((name.strip_prefix(ANNOTATION_PREFIX)?, value)))
}

/// The words that Kubernetes people write for yes and no.
fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "enabled" | "on" | "yes" => Ok(true),
        "false" | "disabled" | "off" | "no" => Ok(false),
        _ => Err(format!("`{text}` is neither `true` nor `false`")),
    }
}

fn filled(value: String) -> Result<String, String> {
    if value.trim().is_empty() { Err("is empty".into()) } else { Ok(value) }
}

/// A quantity of Kubernetes: digits with an optional fraction, and a suffix.
fn quantity(value: String) -> Result<String, String> {
    const SUFFIXES: [&str; 13] = ["", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number = digits.split('.').all(|part| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()));
    if number && digits.matches('.').count() < 2 && SUFFIXES.contains(&&value[digits.len()..]) {
        Ok(value)
    } else {
        Err(format!("`{value}` is not a quantity such as `10m` or `64Mi`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_annotation_and_no_key_is_called_like_one() {
        let page = include_str!("../../../docs/INJECT.md");
        for (name, about) in CONTROLS {
            let row = format!("| `{ANNOTATION_PREFIX}{name}` | {about} |");
            assert!(page.contains(&row), "docs/INJECT.md lacks: {row}");
            assert!(all_keys().all(|key| key.names().all(|key| key.replace('_', "-") != name)), "{name}");
        }
    }

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for good in ["10m", "0.1", "64Mi", "1", "2G"] {
            assert!(quantity(good.into()).is_ok(), "{good}");
        }
        for bad in ["", "m", "64mi", "1.2.3", ".5", "-1", "10 m"] {
            assert!(quantity(bad.into()).is_err(), "{bad}");
        }
    }
}
