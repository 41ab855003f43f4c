//! The JSON schema of the file, for editors that complete and check TOML.

use serde_json::{Map, Value, json};

use super::key::{CLOSE_CODES, Key, Kind, Preset, UPSTREAM_ADDRESS};
use super::keys;

const DURATION: &str = "^([0-9]+d ?)?([0-9]+h ?)?([0-9]+m ?)?([0-9]+s ?)?([0-9]+ms)?$|^[0-9]+$";
const SIZE: &str = "^[0-9]+ ?([kKmMgG]([iI]?[bB])?|[bB])?$";
const SIZE_PER_SECOND: &str = "^[0-9]+ ?([kKmMgG]([iI]?[bB])?|[bB])?(/s)?$";

/// A schema of draft 2020-12, indented, with a line feed at the end.
pub fn schema() -> String {
    let mut properties = Map::new();
    for key in keys::all() {
        properties.insert(key.name.to_owned(), property(key, key.about.to_owned()));
        for alias in key.aliases {
            properties.insert((*alias).to_owned(), property(key, format!("The same as `{}`. {}", key.name, key.about)));
        }
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Outrigger configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    format!("{schema:#}\n")
}

fn property(key: &Key, about: String) -> Value {
    let mut forms = forms(key.kind);
    for word in key.words {
        forms.extend(word_forms(word));
    }
    let one = match forms.as_slice() {
        [form] => form.clone(),
        _ => json!({ "anyOf": forms }),
    };
    let mut property = if key.list { json!({ "anyOf": [{ "type": "array", "items": one }, one] }) } else { one };
    let fields = property.as_object_mut().expect("a schema is an object");
    fields.insert("description".to_owned(), Value::String(about));
    match key.default {
        Preset::Value(value) => fields.insert("default".to_owned(), json!(value)),
        Preset::List(values) => fields.insert("default".to_owned(), json!(values)),
        Preset::Unset(_) => None,
    };
    property
}

fn forms(kind: Kind) -> Vec<Value> {
    let pattern = |pattern: &str| json!({ "type": "string", "minLength": 1, "pattern": pattern });
    let integer = |from: u64, to: u64| json!({ "type": "integer", "minimum": from, "maximum": to });
    match kind {
        Kind::Duration { from, to } => vec![pattern(DURATION), integer(from.div_ceil(1000), to / 1000)],
        Kind::Size { from, to } => vec![pattern(SIZE), integer(from, to)],
        Kind::ByteRate { from, to } => vec![pattern(SIZE_PER_SECOND), integer(from, to)],
        Kind::Count { from, to } => vec![integer(from, to), pattern("^[0-9]+$")],
        Kind::MessageRate { from, to } => vec![pattern("^[0-9]+(/s)?$"), integer(from, to)],
        Kind::Percent { to } => vec![pattern("^[0-9]+%?$"), integer(0, to)],
        Kind::CloseCode => {
            let ranges = CLOSE_CODES.iter().map(|(from, to)| integer((*from).into(), (*to).into()));
            ranges.chain([pattern("^[0-9]{4}$")]).collect()
        }
        Kind::Choice(words) => words.iter().flat_map(|word| word_forms(word)).collect(),
        Kind::Switch => ["on", "off"].iter().flat_map(|word| word_forms(word)).collect(),
        Kind::Upstream => vec![json!({ "type": "string", "minLength": 1 }), upstream()],
        Kind::Path | Kind::Text(..) => vec![json!({ "type": "string", "minLength": 1 })],
    }
}

/// The table of an upstream.
fn upstream() -> Value {
    let label = json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]+$" });
    let rank = |least: u16| json!({ "type": "integer", "minimum": least, "maximum": 1000 });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": [UPSTREAM_ADDRESS],
        "properties": {
            UPSTREAM_ADDRESS: { "type": "string", "minLength": 1 },
            "name": label,
            "region": label,
            "priority": rank(0),
            "weight": rank(1),
            "host": { "type": "string", "minLength": 1 },
            "path": { "type": "string", "pattern": "^/" },
            "proxy_protocol": { "enum": ["v1", "v2"] },
        },
    })
}

/// A word, and the TOML value that stands for it.
fn word_forms(word: &str) -> Vec<Value> {
    let toml = match word {
        "on" => Some(json!({ "const": true })),
        "off" => Some(json!({ "const": false })),
        "0" => Some(json!({ "const": 0 })),
        _ => None,
    };
    std::iter::once(json!({ "const": word })).chain(toml).collect()
}
