//! The schema of `report.json`, held against reports. It knows as much of JSON schema as ours uses, and no more.

use std::fs;
use std::path::Path;

use serde_json::Value;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/report.schema.json");
    fs::read_to_string(path).unwrap()
}

#[test]
fn what_is_checked_in_is_what_the_program_prints() {
    let (code, out, _) = crate::common::sim(Path::new("."), &["schema", "--report"]);
    assert_eq!(code, 0);
    assert!(out == page(), "regenerate it: outrigger-sim schema --report > docs/report.schema.json");
}

#[test]
fn the_judge_finds_what_is_wrong() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a", "b"], "additionalProperties": false,
        "properties": { "a": { "type": "array", "items": { "type": ["integer", "null"], "minimum": 0 } }, "b": { "enum": ["x"] } },
    });
    let faults = |value: Value| {
        let mut faults = Vec::new();
        judge(&value, &schema, "", &mut faults);
        faults
    };
    assert!(faults(serde_json::json!({ "a": [1, null], "b": "x" })).is_empty());
    assert_eq!(faults(serde_json::json!({ "a": [1.5, -1, "s"], "b": "y", "c": 0 })).len(), 5);
    assert_eq!(faults(serde_json::json!({ "a": {} })).len(), 2);
}

/// Everything in a report that its schema does not allow.
pub(crate) fn faults(report: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    judge(report, &serde_json::from_str(&page()).unwrap(), "", &mut faults);
    faults
}

fn judge(value: &Value, schema: &Value, at: &str, faults: &mut Vec<String>) {
    let mut wrong = |why: String| faults.push(format!("{at}: {why}"));
    for key in schema.as_object().unwrap().keys() {
        let known =
            ["$schema", "title", "description", "type", "required", "properties", "additionalProperties", "items"];
        let known = known.contains(&key.as_str()) || ["enum", "const", "minimum", "pattern"].contains(&key.as_str());
        assert!(known, "the judge does not know `{key}`");
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        other => panic!("the judge does not know the type `{other}`"),
    };
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        kind => is(kind.as_str().unwrap()),
    };
    if !fits {
        return wrong(format!("{value} is no {}", schema["type"]));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        wrong(format!("{value} is none of {allowed:?}"));
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        wrong(format!("{value} is not {}", schema["const"]));
    }
    if value.as_f64() < schema["minimum"].as_f64().filter(|_| value.is_number()) {
        wrong(format!("{value} is too small"));
    }
    if schema["pattern"].is_string() {
        // The only one is that of digests.
        let hex = value.as_str().is_some_and(|text| text.len() == 16 && text.chars().all(|c| c.is_ascii_hexdigit()));
        assert_eq!(schema["pattern"], "^[0-9a-f]{16}$");
        if !hex {
            wrong(format!("{value} is no digest"));
        }
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                wrong(format!("`{name}` is missing"));
            }
        }
        for (name, field) in fields {
            match schema["properties"].get(name) {
                Some(schema) => judge(field, schema, &format!("{at}/{name}"), faults),
                None => faults.push(format!("{at}: `{name}` is not in the schema")),
            }
        }
    }
    if let Some(items) = value.as_array().filter(|_| schema["items"].is_object()) {
        for (index, item) in items.iter().enumerate() {
            judge(item, &schema["items"], &format!("{at}/{index}"), faults);
        }
    }
}
