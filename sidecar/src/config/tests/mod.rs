mod faces;
mod faults;
mod ranges;
mod resolved;
mod standard;
mod warnings;

use super::settings::Layer;
use super::*;

/// Where our own names are read.
const OURS: [Layer; 3] = [Layer::Flags, Layer::Environment, Layer::File];

/// Resolves without touching files.
fn resolve_file(text: &str) -> Result<(Config, Vec<Finding>), Report> {
    resolve(&Sources { file: Some(FileSource { name: "o.toml", text }), ..Sources::default() }, None)
}

/// Resolves `text` with one more setting on top, whose name may be an alias.
fn resolve_with(text: &str, layer: Layer, name: &str, value: &str) -> Result<(Config, Vec<Finding>), Report> {
    let line = format!("{text}\n{name} = {value:?}\n");
    let mut sources = Sources { file: Some(FileSource { name: "o.toml", text }), ..Sources::default() };
    match layer {
        Layer::File => sources.file = Some(FileSource { name: "o.toml", text: &line }),
        Layer::Environment => sources.env = vec![(key::variable(name), value.to_owned())],
        Layer::Flags => sources.flags = vec![(name.to_owned(), value.to_owned())],
        Layer::Standard => unreachable!("its names are not ours"),
    }
    resolve(&sources, None)
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}
