//! docs/openapi.json is what answers, both ways.

use std::collections::BTreeSet;

use outrigger_tests::{App, Sidecar};
use serde_json::Value;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

fn file() -> Value {
    serde_json::from_str(include_str!("../../../docs/openapi.json")).expect("docs/openapi.json is JSON")
}

/// Each path with the methods that the file has for it.
fn described(file: &Value) -> Vec<(String, BTreeSet<String>)> {
    let paths = file["paths"].as_object().expect("paths");
    let methods =
        |item: &Value| item.as_object().expect("a path item").keys().map(|name| name.to_uppercase()).collect();
    paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

#[test]
fn every_method_answers_where_the_file_says_so_and_nowhere_else() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    for (path, methods) in described(&file()) {
        let path = path.replace("{id}", "4711");
        for method in METHODS {
            // It would be the end of all further questions.
            if path == "/quitquitquit" && method == "POST" {
                continue;
            }
            let answer = sidecar.admin().ask(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            let there = methods.contains(if method == "HEAD" { "GET" } else { method });
            assert_eq!(answer.status != 405, there, "{method} {path}: {answer:?}");
            if !there {
                let mut allowed: Vec<&str> = methods.iter().map(String::as_str).collect();
                if methods.contains("GET") {
                    allowed.push("HEAD");
                }
                for method in allowed {
                    assert!(answer.head.has_token("allow", method), "{method}: {answer:?}");
                }
            }
        }
    }
    let index = sidecar.admin_json("GET", "/", 200);
    let listed: BTreeSet<(String, String)> = index["endpoints"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (entry["path"].as_str().expect("text").into(), entry["method"].as_str().expect("text").into()))
        .collect();
    let in_file: BTreeSet<(String, String)> = described(&file())
        .into_iter()
        .flat_map(|(path, methods)| methods.into_iter().map(move |method| (path.clone(), method)))
        .collect();
    assert_eq!(listed, in_file);
}

#[test]
fn every_answer_has_the_form_that_the_file_gives_it() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--hold", "10s").start();
    let mut client = sidecar.client();
    client.open("/path?secret", &[]);
    client.echo("here");
    let file = file();
    let id = sidecar.admin_json("GET", "/sessions", 200)["sessions"][0]["id"].as_u64().expect("a session").to_string();
    for (method, form, path, status) in [
        ("GET", "/", "/", 200),
        ("GET", "/live", "/live", 200),
        ("GET", "/ready", "/ready", 200),
        ("GET", "/healthz", "/healthz", 200),
        ("GET", "/sessions", "/sessions", 200),
        ("GET", "/sessions", "/sessions?limit=0", 400),
        ("GET", "/sessions/{id}", "/sessions/ID", 200),
        ("GET", "/sessions/{id}", "/sessions/x", 400),
        ("GET", "/sessions/{id}", "/sessions/4711", 404),
        ("DELETE", "/sessions/{id}", "/sessions/4711", 404),
        ("POST", "/sessions/{id}/close", "/sessions/ID/close?code=1005", 400),
        ("GET", "/config", "/config", 200),
        ("GET", "/config", "/config?format=yaml", 400),
        ("GET", "/upstreams", "/upstreams", 200),
        ("GET", "/drain", "/drain", 200),
        ("POST", "/sessions/{id}/close", "/sessions/ID/close", 202),
        ("GET", "/log", "/log", 200),
        ("PUT", "/log", "/log?level=debug", 200),
        ("PUT", "/log", "/log?level=loud", 400),
        ("PUT", "/log", "/log", 400),
        ("POST", "/reload", "/reload", 200),
        ("POST", "/drain", "/drain?window=soon", 400),
        ("POST", "/drain", "/drain", 202),
        ("POST", "/drain", "/drain", 200),
        ("GET", "/drain", "/drain", 200),
        ("POST", "/reload", "/reload", 422),
        ("GET", "/ready", "/ready", 503),
        ("POST", "/quitquitquit", "/quitquitquit", 202),
    ] {
        let answer = sidecar.admin_json(method, &path.replace("ID", &id), status);
        let responses = &file["paths"][form][method.to_lowercase()]["responses"];
        let schema = &responses[status.to_string()]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {form} {status} is not in the file");
        check(&file, schema, &answer, &format!("{method} {path}"));
    }
}

/// As much of JSON schema as the file uses.
fn check(file: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").expect("a schema of this file");
        return check(file, &file["components"]["schemas"][name], value, place);
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{place}: {value} is none of {words:?}");
    }
    if !schema["const"].is_null() {
        assert_eq!(&schema["const"], value, "{place}");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let is = |name: &&str| match *name {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("{place}: an unknown type {other}"),
    };
    assert!(types.iter().any(is), "{place}: {value} is none of {types:?}");
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        check(file, &schema["items"], item, &format!("{place}[{i}]"));
    }
    let Some(object) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(object.contains_key(name), "{place} lacks {name}: {value}");
    }
    for (name, field) in object {
        let known = &schema["properties"][name];
        let of_field = if known.is_null() { &schema["additionalProperties"] } else { known };
        assert!(of_field.is_object(), "{place}.{name} is not in the file");
        check(file, of_field, field, &format!("{place}.{name}"));
    }
}
