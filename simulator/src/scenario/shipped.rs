//! A sidecar's own configuration file, as far as a scenario can hold it.

use outrigger::config::{FileSource, Place, Report, Sources, parse_toml, resolve};
use toml::de::DeValue;

use super::resolve::may_be_configured;
use super::source::{in_order, owned};

/// What of a file is the scenario's to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    pub settings: Vec<Setting>,
    /// Keys that a simulation has no use for, and why.
    pub left_out: Vec<(String, &'static str)>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    /// As it is written.
    pub value: String,
    pub line: usize,
}

/// Reads a file as `outrigger check` would, and tells all that is wrong with it.
pub fn shipped(name: &str, text: &str) -> Result<Shipped, Report> {
    let source = FileSource { name, text };
    let sources = Sources { file: Some(source), env: Vec::new(), flags: Vec::new() };
    if let Err(mut report) = resolve(&sources, None) {
        // What is missing may come as a flag or a variable.
        report.faults.retain(|fault| !matches!(fault.place, Place::Unset(_)));
        if !report.faults.is_empty() {
            return Err(report);
        }
    }
    let mut report = Report::default();
    let Some(table) = parse_toml(&source, &mut report) else { return Err(report) };
    let table = owned(table);
    let mut found = Shipped { settings: Vec::new(), left_out: Vec::new() };
    for (key, value) in in_order(&table) {
        let refused = match (key.get_ref().as_ref(), value.get_ref()) {
            ("listen", _) => Err("the simulator has listeners of its own"),
            (_, DeValue::Table(_)) => Err("it is a table"),
            (key, _) => may_be_configured(key),
        };
        match refused {
            Ok(()) => found.settings.push(Setting {
                key: key.get_ref().to_string(),
                value: text.get(value.span()).unwrap_or_default().to_owned(),
                line: text[..key.span().start].matches('\n').count() + 1,
            }),
            Err(why) => found.left_out.push((key.get_ref().to_string(), why)),
        }
    }
    Ok(found)
}
