//! Values as YAML text.

use serde_json::Value;

/// Columns that a nested block is further right.
pub(crate) const INDENT: usize = 2;

/// Keys in the order in which people write them; others follow, sorted.
const ORDER: [&str; 30] = [
    "name",
    "image",
    "command",
    "restartPolicy",
    "ports",
    "containerPort",
    "hostPort",
    "protocol",
    "env",
    "value",
    "startupProbe",
    "livenessProbe",
    "readinessProbe",
    "httpGet",
    "path",
    "port",
    "periodSeconds",
    "failureThreshold",
    "lifecycle",
    "resources",
    "requests",
    "limits",
    "securityContext",
    "runAsNonRoot",
    "runAsUser",
    "runAsGroup",
    "readOnlyRootFilesystem",
    "allowPrivilegeEscalation",
    "volumeMounts",
    "mountPath",
];

/// `key: value` as a block, each line with its indentation and a line feed.
pub(crate) fn block_entry(key: &str, value: &Value, indent: usize, feed: &str) -> String {
    let mut text = String::new();
    entry(key, value, indent, feed, &mut text);
    text
}

/// `- value` as a block.
pub(crate) fn block_item(value: &Value, indent: usize, feed: &str) -> String {
    let mut text = String::new();
    item(value, indent, feed, &mut text);
    text
}

/// On one line, as JSON: every JSON text is YAML in flow style.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::Object(_) => {
            let entries: Vec<String> =
                sorted(value).map(|(key, value)| format!("{}: {}", Value::from(key), flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        scalar => scalar.to_string(),
    }
}

/// A scalar in block context, without quotes where it needs none.
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) if text.starts_with('{') && text.chars().all(|letter| !letter.is_control()) => {
            // JSON within YAML is readable only so.
            format!("'{}'", text.replace('\'', "''"))
        }
        other => flow(other),
    }
}

fn entry(key: &str, value: &Value, indent: usize, feed: &str, text: &mut String) {
    pad(indent, text);
    pair(key, value, indent, feed, text);
}

fn pair(key: &str, value: &Value, indent: usize, feed: &str, text: &mut String) {
    text.push_str(&scalar(&Value::from(key)));
    text.push(':');
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push_str(feed);
            sorted(value).for_each(|(key, value)| entry(key, value, indent + INDENT, feed, text));
        }
        Value::Array(items) if !items.is_empty() => {
            text.push_str(feed);
            for value in items {
                item(value, indent + INDENT, feed, text);
            }
        }
        other => {
            text.push(' ');
            text.push_str(&scalar(other));
            text.push_str(feed);
        }
    }
}

fn item(value: &Value, indent: usize, feed: &str, text: &mut String) {
    pad(indent, text);
    text.push_str("- ");
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (number, (key, value)) in sorted(value).enumerate() {
                if number > 0 {
                    pad(indent + INDENT, text);
                }
                pair(key, value, indent + INDENT, feed, text);
            }
        }
        other => {
            text.push_str(&scalar(other));
            text.push_str(feed);
        }
    }
}

fn sorted(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mut entries: Vec<_> =
        value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value)).collect();
    entries.sort_by_key(|(key, _)| (ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len()), *key));
    entries.into_iter()
}

fn pad(indent: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', indent));
}

/// Whether every reader of YAML, 1.1 or 1.2, takes this for text without quotes.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let starts = text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/');
    let letters = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./:@".contains(letter));
    starts && letters && !text.ends_with(':') && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}
