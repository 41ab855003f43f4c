//! JSON patches (RFC 6902): what makes one value out of another.

use serde::Serialize;
use serde_json::Value;

use super::change::escape;

/// One step of a patch. Steps are made one after the other: each path is one of the value as the steps before have left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    Add { path: String, value: Value },
    Remove { path: String },
    Replace { path: String, value: Value },
}

/// The steps from one value to another; none where they are equal. Items of an array are compared by their place, since that is
/// how injections change them: in place, or at the end.
pub(crate) fn difference(from: &Value, to: &Value) -> Vec<Operation> {
    let mut steps = Vec::new();
    compare(from, to, &mut String::new(), &mut steps);
    steps
}

fn compare(from: &Value, to: &Value, path: &mut String, steps: &mut Vec<Operation>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            for key in from.keys().filter(|key| !to.contains_key(*key)) {
                steps.push(Operation::Remove { path: format!("{path}/{}", escape(key)) });
            }
            for (key, value) in to {
                if let Some(before) = from.get(key) {
                    below(path, &escape(key), |path| compare(before, value, path, steps));
                } else {
                    steps.push(Operation::Add { path: format!("{path}/{}", escape(key)), value: value.clone() });
                }
            }
        }
        (Value::Array(from), Value::Array(to)) => {
            for (index, (before, value)) in from.iter().zip(to).enumerate() {
                below(path, &index.to_string(), |path| compare(before, value, path, steps));
            }
            // From the end, so that those before keep their places.
            for index in (to.len()..from.len()).rev() {
                steps.push(Operation::Remove { path: format!("{path}/{index}") });
            }
            for value in to.iter().skip(from.len()) {
                steps.push(Operation::Add { path: format!("{path}/-"), value: value.clone() });
            }
        }
        _ if from == to => {}
        _ => steps.push(Operation::Replace { path: path.clone(), value: to.clone() }),
    }
}

/// Does something at the path of a child.
fn below(path: &mut String, token: &str, work: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(token);
    work(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Any value, with keys and lists that are alike often enough to have something in common.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-2..3_i64).prop_map(Value::from),
            "[a-c~/\"\\\\ é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 5, |inner| {
            let key = prop_oneof!["[ab]", "[a~/01-]{0,3}", "é?\"?"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn steps_are_as_few_as_the_change() {
        let from = json!({"a": {"b/c": [1, 2]}, "x~y": 1, "same": {"deep": [true]}});
        let to = json!({"a": {"b/c": [1, 3, 4]}, "new": {}, "same": {"deep": [true]}});
        let expected = json!([
            {"op": "remove", "path": "/x~0y"},
            {"op": "replace", "path": "/a/b~1c/1", "value": 3},
            {"op": "add", "path": "/a/b~1c/-", "value": 4},
            {"op": "add", "path": "/new", "value": {}},
        ]);
        assert_eq!(serde_json::to_value(difference(&from, &to)).expect("values"), expected);
        assert_eq!(difference(&to, &to), []);
        assert_eq!(difference(&json!(1), &json!("1")), [Operation::Replace { path: String::new(), value: json!("1") }]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

        /// Another implementation of the RFC makes of a patch what it was made from.
        #[test]
        fn others_get_from_one_value_to_the_other(from in values(), to in values()) {
            let patch = serde_json::to_value(difference(&from, &to)).expect("values");
            let patch: json_patch::Patch = serde_json::from_value(patch).expect("a patch");
            let mut patched = from;
            json_patch::patch(&mut patched, &patch).expect("every step leads somewhere");
            prop_assert_eq!(patched, to);
        }
    }
}
