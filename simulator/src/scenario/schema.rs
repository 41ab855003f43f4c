//! The JSON schema of scenario files, for editors that complete and check TOML.

use serde_json::{Map, Value, json};

use super::key::{Key, Kind, Preset, Section, Shape};
use super::keys::SECTIONS;
use super::metrics::{CAUSES, METRICS, Metric, Parts};

const TIME: &str = "([0-9]+(us|µs)|([0-9]+d ?)?([0-9]+h ?)?([0-9]+m ?)?([0-9]+s ?)?([0-9]+ms)?|[0-9]+)";
const SIZE: &str = "[0-9]+ ?([kKmMgG]([iI]?[bB])?|[bB])?";

/// A schema of draft 2020-12, indented, with a line feed at the end.
pub fn schema() -> String {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for section in SECTIONS {
        if section.shape == Shape::Top {
            properties.extend(section.keys.iter().map(|key| (key.name.to_owned(), property(key))));
            required.extend(required_keys(section));
        } else {
            properties.insert(section.name.to_owned(), section_schema(section));
        }
    }
    required.extend(["apps", "sidecars", "clients"].map(Value::from));
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Outrigger scenario",
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    });
    format!("{schema:#}\n")
}

fn section_schema(section: &Section) -> Value {
    let mut schema = if section.keys.is_empty() { figures() } else { table(section) };
    if section.shape == Shape::List {
        schema = json!({ "type": "array", "items": schema });
    }
    schema["description"] = section.about.into();
    schema
}

fn table(section: &Section) -> Value {
    let properties: Map<String, Value> = section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required_keys(section),
        "properties": properties,
    })
}

/// Keys that are required whatever the kind.
fn required_keys(section: &Section) -> Vec<Value> {
    let required = |key: &&Key| key.default == Preset::Required && key.only.is_empty();
    section.keys.iter().filter(required).map(|key| key.name.into()).collect()
}

fn property(key: &Key) -> Value {
    let mut forms = forms(key.kind);
    forms.extend(key.words.iter().map(|word| json!({ "const": word })));
    let one = match forms.as_slice() {
        [form] => form.clone(),
        _ => json!({ "anyOf": forms }),
    };
    let mut property = if key.list { json!({ "anyOf": [{ "type": "array", "items": one }, one] }) } else { one };
    property["description"] = key.about.into();
    if let Preset::Value(text) = key.default {
        property["default"] = match key.kind {
            Kind::Switch => (text == "on").into(),
            _ => text.into(),
        };
    }
    property
}

fn forms(kind: Kind) -> Vec<Value> {
    let pattern = |pattern: String| json!({ "type": "string", "minLength": 1, "pattern": format!("^{pattern}$") });
    let range = |of: &str| pattern(format!("{of}( ?\\.\\. ?{of})?"));
    let integer = |from: u64, to: u64| json!({ "type": "integer", "minimum": from, "maximum": to });
    let seconds = |from: u64, to: u64| integer(from.div_ceil(1_000_000), to / 1_000_000);
    match kind {
        Kind::Text | Kind::Ref(_) => vec![json!({ "type": "string", "minLength": 1 })],
        Kind::Name { slash: false } => vec![pattern("[A-Za-z0-9_-]+".to_owned())],
        Kind::Name { slash: true } => vec![pattern("[A-Za-z0-9_/-]+".to_owned())],
        Kind::Choice(words) => vec![json!({ "enum": words })],
        Kind::Switch => vec![json!({ "type": "boolean" }), json!({ "enum": ["on", "off"] })],
        Kind::Time { from, to } => vec![pattern(TIME.to_owned()), seconds(from, to)],
        Kind::Times { from, to } => vec![range(TIME), seconds(from, to)],
        Kind::Size { from, to } => vec![pattern(SIZE.to_owned()), integer(from, to)],
        Kind::Sizes { from, to } => vec![range(SIZE), integer(from, to)],
        Kind::Count { from, to } => vec![integer(from, to), pattern("[0-9]+".to_owned())],
        Kind::Rate { .. } => vec![pattern("[0-9]+(\\.[0-9]{1,3})?/[smh]".to_owned())],
        Kind::ByteRate { from, to } => vec![pattern(format!("{SIZE}(/s)?")), integer(from, to)],
        Kind::Bandwidth { .. } => vec![pattern("[0-9]+ ?[kmg]?bit".to_owned())],
        Kind::Percent { .. } => {
            vec![
                pattern("[0-9]+(\\.[0-9]{1,4})? ?%?".to_owned()),
                json!({ "type": "number", "minimum": 0, "maximum": 100 }),
            ]
        }
        Kind::Number { from, to } => vec![json!({ "type": "number", "minimum": from, "maximum": to })],
        Kind::Any => vec![json!({})],
        Kind::Table(section) => vec![table(section)],
        Kind::Config => vec![config()],
    }
}

/// The sidecar's own schema, without the keys that are the simulator's.
fn config() -> Value {
    let mut schema: Value = serde_json::from_str(&outrigger::config::schema()).expect("the sidecar's schema is JSON");
    let schema = schema.as_object_mut().expect("a schema is an object");
    schema.remove("$schema");
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|name, _| super::resolve::may_be_configured(name).is_ok());
    }
    Value::Object(schema.clone())
}

fn figures() -> Value {
    let mut of_all = Map::new();
    let mut of_group = Map::new();
    for metric in &METRICS {
        if metric.parts != Parts::Group {
            of_all.insert(metric.name.to_owned(), figure(metric));
        }
        of_group.insert(metric.name.to_owned(), figure(metric));
    }
    json!({
        "type": "object",
        "properties": of_all,
        "additionalProperties": { "type": "object", "additionalProperties": false, "properties": of_group },
    })
}

fn figure(metric: &Metric) -> Value {
    let bound = json!({ "type": ["number", "string"] });
    match metric.parts {
        Parts::None => json!({ "type": ["number", "string"], "description": metric.about }),
        Parts::Cause => {
            let causes: Map<String, Value> = CAUSES.iter().map(|cause| ((*cause).to_owned(), bound.clone())).collect();
            json!({ "type": "object", "additionalProperties": false, "properties": causes, "description": metric.about })
        }
        Parts::Group => json!({ "type": "object", "additionalProperties": bound, "description": metric.about }),
    }
}
