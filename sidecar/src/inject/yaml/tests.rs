use serde_json::json;

use super::edit::apply;
use super::*;
use crate::inject::change::{Change, Path, Step};

fn path(steps: &str) -> Path {
    let step = |step: &str| step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Index);
    steps.split('/').filter(|step| !step.is_empty()).map(step).collect()
}

fn value(text: &str) -> Value {
    let stream = Stream::parse(text).unwrap();
    value_of(&stream, &stream.documents[0]).unwrap()
}

fn edited(text: &str, changes: &[Change]) -> String {
    let stream = Stream::parse(text).unwrap();
    apply(&stream, changes.iter().map(|change| (0, change))).unwrap()
}

fn add(to: &str, key: &str, value: Value) -> Change {
    Change::Add { to: path(to), key: key.into(), value }
}

fn append(to: &str, value: Value) -> Change {
    Change::Append { to: path(to), values: vec![value] }
}

fn two(to: &str) -> Change {
    Change::Append { to: path(to), values: vec![json!(1), json!(2)] }
}

fn remove(at: &str) -> Change {
    Change::Remove { at: path(at) }
}

#[test]
fn values_are_those_of_the_core_schema() {
    assert_eq!(
        value("a: 1\nb: 0x1F\nc: 1.5\nd: yes\ne: true\nf: ~\ng: '1'\nh: !!str 1\ni:\nj: \"\\u00e9\"\n"),
        json!({"a": 1, "b": 31, "c": 1.5, "d": "yes", "e": true, "f": null, "g": "1", "h": "1", "i": null, "j": "é"})
    );
    assert_eq!(value("a: |\n  x\n  y\nb: >-\n  x\n  y\n"), json!({"a": "x\ny\n", "b": "x y"}));
    assert_eq!(value("? a\n: b\n1: c\n"), json!({"a": "b", "1": "c"}));
}

#[test]
fn aliases_and_merges_are_resolved() {
    assert_eq!(
        value("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n"),
        json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}})
    );
    assert_eq!(
        value("a: &x {k: 1}\nb: &y {k: 2, l: 3}\nc:\n  k: 0\n  <<: [*x, *y]\n")["c"],
        json!({"k": 0, "l": 3}),
        "what is written wins, then the first"
    );
    let inside = Stream::parse("a: &x {b: *x}\n").and_then(|stream| value_of(&stream, &stream.documents[0]));
    assert!(inside.is_err());
}

#[test]
fn additions_follow_the_style_of_their_surroundings() {
    for (text, change, expected) in [
        ("a: 1\n", add("", "b", json!(2)), "a: 1\nb: 2\n"),
        ("a: 1", add("", "b", json!({"c": [1]})), "a: 1\nb:\n  c:\n    - 1"),
        ("a: 1 # c\r\nd: 2\r\n", add("", "b", json!("x y")), "a: 1 # c\r\nd: 2\r\nb: \"x y\"\r\n"),
        ("a:\n  b: |+\n    t\n\n", add("a", "c", json!(1)), "a:\n  b: |+\n    t\n\n  c: 1\n"),
        ("a:\n# x\nb: 1\n", add("a", "c", json!(1)), "a:\n  c: 1\n# x\nb: 1\n"),
        ("a: {}\n", add("a", "c", json!(1)), "a: {\"c\": 1}\n"),
        ("a: { x: 1 } # c\n", add("a", "c", json!([true])), "a: { x: 1, \"c\": [true] } # c\n"),
        ("a: {x: 1,\n  y: 2, # c\n  }\n", add("a", "c", json!(1)), "a: {x: 1,\n  y: 2, \"c\": 1, # c\n  }\n"),
        ("a: ~ # c\n", add("a", "c", json!(1)), "a: {\"c\": 1} # c\n"),
        ("a:\n- 1\nb: 2\n", append("a", json!({"x": 1, "name": 2})), "a:\n- 1\n- name: 2\n  x: 1\nb: 2\n"),
        ("a:\n  -  x: 1\n     y: 2\n", add("a/0", "z", json!(3)), "a:\n  -  x: 1\n     y: 2\n     z: 3\n"),
        ("a: [1, 2]\n", append("a", json!("b")), "a: [1, 2, \"b\"]\n"),
        ("a: []\n", append("a", json!({"b": 1})), "a: [{\"b\": 1}]\n"),
        ("{\"a\": {\"b\": 1}}", add("a", "c", json!(null)), "{\"a\": {\"b\": 1, \"c\": null}}"),
    ] {
        assert_eq!(edited(text, std::slice::from_ref(&change)), expected, "{text:?}");
        let mut meant = value(text);
        assert!(crate::inject::change::apply(&[change], &mut meant));
        assert_eq!(value(expected), meant);
    }
}

#[test]
fn removals_take_back_additions() {
    for (text, changes, back) in [
        ("a: 1", vec![add("", "b", json!({"c": 1}))], vec![remove("b")]),
        ("a: 1\r\n", vec![add("", "b", json!(1)), add("", "c", json!(2))], vec![remove("b"), remove("c")]),
        ("a:\n  b: 1", vec![add("a", "c", json!(1)), add("", "d", json!(2))], vec![remove("a/c"), remove("d")]),
        ("a:   # c\n", vec![two("a")], vec![remove("a/0"), remove("a/1")]),
        ("a: []", vec![two("a")], vec![remove("a/0"), remove("a/1")]),
        ("a: [x, ]\n", vec![append("a", json!(1))], vec![remove("a/1")]),
        ("a:\n  - b: |+\n      t\n\n\n", vec![append("a", json!({"c": 1}))], vec![remove("a/1")]),
    ] {
        let there = edited(text, &changes);
        assert_eq!(edited(&there, &back), text, "by way of {there:?}");
    }
}

#[test]
fn places_count_lines_and_characters() {
    assert_eq!(position("ab\ncd", 4), (2, 2));
    assert_eq!(position("\u{feff}ab", 3), (1, 1));
    assert_eq!(position("é: x", 4), (1, 4));
    let fault = Stream::parse("a: b\na: [c\n").unwrap_err();
    assert!(fault.line >= 1 && !fault.problem.is_empty());
    assert_eq!(Stream::parse("a:\n\tb: c\n").unwrap_err().line, 2);
}

#[test]
fn nothing_makes_it_panic() {
    let nested = "[".repeat(2_000);
    let deep: String = (0..600).flat_map(|depth| [" ".repeat(depth), "a:\n".to_owned()]).collect();
    for text in [
        "",
        "\u{feff}",
        "---",
        "...",
        "- ",
        "? ",
        ": ",
        "&",
        "*",
        "!",
        "|",
        "%",
        "a: &x",
        "\r",
        "{",
        "'",
        nested.as_str(),
        &deep,
    ] {
        if let Ok(stream) = Stream::parse(text) {
            stream.documents.iter().for_each(|document| _ = value_of(&stream, document));
        }
    }
}
