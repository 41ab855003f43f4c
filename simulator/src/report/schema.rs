//! The JSON schema of `report.json`, for other people's programs. A test holds reports against it.

use serde_json::{Map, Value, json};

use super::model::FORMAT;

/// A schema of draft 2020-12, indented, with a line feed at the end.
pub fn schema() -> String {
    let mut schema = object(
        "All that came of `outrigger-sim run`. Times are virtual microseconds.",
        &[
            ("format", json!({ "const": FORMAT, "description": "Another number means another schema." })),
            ("version", text("Of the program that ran the scenarios.")),
            ("network", text("The network under them: `turmoil-net`, or `turmoil`.")),
            ("runs", count("Runs in this report.")),
            ("failed", count("Those in which something does not hold.")),
            ("scenarios", list("One for each file, in the order of the command line.", scenario())),
        ],
        &[(
            "shard",
            object(
                "Which part of all runs it is; the whole has none.",
                &[("part", count("From 1.")), ("of", count("How many parts there are."))],
                &[],
            ),
        )],
    );
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Outrigger simulation report".into();
    format!("{schema:#}\n")
}

fn scenario() -> Value {
    object(
        "A scenario and what its runs yielded.",
        &[
            ("file", text("As it was named on the command line.")),
            ("name", text("The scenario's.")),
            ("description", text("The scenario's; may be empty.")),
            ("duration_us", count("In which updates are made and faults happen.")),
            ("runs", count("Of all cells.")),
            ("failed", count("Those in which something does not hold.")),
            ("groups", list("Clients that are alike.", group())),
            ("axes", list("Swept keys; the last one runs fastest.", axis())),
            ("expected", list("What the file expects, in its order.", expected())),
            ("break_even", list("Where two ways of getting updates cost the same.", break_even())),
            ("cells", list("Combinations of swept values that have runs; without a sweep, one.", cell())),
            ("source", text("The file itself.")),
        ],
        &[("prices", prices()), ("stories", list("Of the first runs that failed, what a diagram shows.", story()))],
    )
}

fn group() -> Value {
    object(
        "",
        &[
            ("name", text("As in `[[clients]]`.")),
            ("kind", json!({ "enum": ["push", "poller", "long-poller", "sse"] })),
            ("clients", count("How many there are.")),
        ],
        &[],
    )
}

fn axis() -> Value {
    object("", &[("key", text("As in `[[sweep]]`.")), ("values", list("As they are written.", text("")))], &[])
}

fn prices() -> Value {
    object(
        "What things cost; null is not counted.",
        &[
            ("currency", text("What prices are in.")),
            ("million_requests", amount("For a million requests.")),
            ("connection_hour", amount("For one connection that is open for an hour.")),
            ("gib", amount("For 2^30 bytes sent to clients.")),
        ],
        &[],
    )
}

fn expected() -> Value {
    object(
        "",
        &[
            ("place", text("File, line and column.")),
            ("group", text("Empty for all clients together.")),
            ("metric", text("As in `[expect]`.")),
            ("bound", text("As in `< 150ms`.")),
            ("failed", count("Runs in which it does not hold.")),
        ],
        &[],
    )
}

fn break_even() -> Value {
    object(
        "",
        &[
            ("measure", text("`bytes`, or the currency.")),
            ("groups", list("The two that are compared.", text(""))),
            ("along", text("The swept key along which it was looked for.")),
            ("cheaper", list("Who from which value on, as in `poll from 17.2s`.", text(""))),
        ],
        &[("at", text("The other swept key and its value."))],
    )
}

fn cell() -> Value {
    object(
        "",
        &[
            ("variant", count("Its number from 1, as `--variant` takes it.")),
            ("values", list("One for each axis.", text(""))),
            ("failed", count("Runs in which something does not hold.")),
            ("runs", list("In the order of their seeds.", run())),
            ("figures", list("By group and metric.", figure())),
            ("costs", list("Empty without prices.", cost())),
        ],
        &[("not_judged", list("Expectations that the network has no say in.", text(""))), ("timeline", timeline())],
    )
}

fn run() -> Value {
    let failed = object(
        "",
        &[
            ("what", text("`invariant NAME`, `GROUP: METRIC`, `METRIC` of all clients, or `run`.")),
            ("text", text("What was seen.")),
        ],
        &[],
    );
    object(
        "",
        &[
            ("seed", count("")),
            (
                "digest",
                json!({ "type": "string", "pattern": "^[0-9a-f]{16}$", "description": "Over all that happened." }),
            ),
            ("virtual_us", count("How long it was.")),
            ("measured_us", count("For how long figures were counted.")),
        ],
        &[
            ("failures", list("What does not hold.", failed)),
            ("replay", text("The command that runs it again and tells all.")),
        ],
    )
}

fn figure() -> Value {
    let value = json!({ "type": ["number", "null"], "minimum": 0 });
    object(
        "",
        &[
            ("group", text("Empty for all clients together.")),
            ("metric", text("See docs/SCENARIOS.md.")),
            ("unit", json!({ "enum": ["count", "time", "bytes", "per second", "ratio"] })),
            ("mean", json!({ "type": "number", "description": "Over seeds; of what ends in `_max`, the greatest." })),
            ("values", list("One for each run of the cell; null where it did not yield the figure.", value)),
        ],
        &[],
    )
}

fn cost() -> Value {
    object(
        "What one client costs in 30 days that go on like this; null where there is no price.",
        &[
            ("group", text("")),
            ("requests", amount("")),
            ("connections", amount("")),
            ("traffic", amount("")),
            ("together", json!({ "type": "number" })),
        ],
        &[],
    )
}

fn timeline() -> Value {
    let maybe = || json!({ "type": ["integer", "null"], "minimum": 0 });
    let pace = object(
        "",
        &[
            ("group", text("")),
            ("updates", list("How many reached a client, of those made in the step.", count(""))),
            ("mean_us", list("Their delay; null where there was none.", maybe())),
            ("max_us", list("The slowest.", maybe())),
        ],
        &[],
    );
    object(
        "Delays of one run by the time at which updates were made.",
        &[("seed", count("")), ("step_us", count("Length of a step.")), ("groups", list("", pace))],
        &[],
    )
}

fn story() -> Value {
    let place = || count("A place in `lanes`, from 0.");
    let maybe = |about: &str| described(json!({ "type": ["integer", "null"], "minimum": 0 }), about);
    let words = |about: &str| described(json!({ "type": ["string", "null"] }), about);
    let lane = object(
        "A host.",
        &[("name", text("")), ("kind", json!({ "enum": ["app", "sidecar", "client"] })), ("region", text(""))],
        &[],
    );
    let fault = object(
        "",
        &[
            ("label", text("")),
            ("kind", text("")),
            ("about", text("")),
            ("from_us", count("")),
            ("to_us", count("")),
            ("lanes", list("Whom it touches.", place())),
        ],
        &[],
    );
    let session = object(
        "A session as its client saw it.",
        &[
            ("lane", place()),
            ("sidecar", maybe("Which one it went through.")),
            ("from_us", count("")),
            ("to_us", maybe("Null if it was open at the end.")),
            ("end", words("How its client saw it end.")),
            ("cause", words("As the sidecar says it.")),
            ("lost", json!({ "type": "boolean", "description": "It ended without a Close." })),
        ],
        &[],
    );
    let message = object(
        "",
        &[
            ("from", place()),
            ("to", place()),
            ("sent_us", count("")),
            ("got_us", maybe("Null if it never arrived.")),
            ("text", text("")),
        ],
        &[],
    );
    let event = object(
        "A line of the history.",
        &[("at_us", count("")), ("lane", maybe("Null is the network.")), ("text", text(""))],
        &[],
    );
    object(
        "A run in hosts, sessions and messages.",
        &[
            ("variant", count("From 1.")),
            ("seed", count("")),
            ("end_us", count("")),
            ("lanes", list("Apps, then sidecars, then clients.", lane)),
            ("clients_left_out", count("")),
            ("faults", list("", fault)),
            ("sessions", list("", session)),
            ("messages", list("Updates and clients' own messages.", message)),
            ("messages_left_out", count("")),
            ("events", list("", event)),
            ("events_left_out", count("")),
        ],
        &[],
    )
}

fn object(about: &str, required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    let all = required.iter().chain(optional).map(|(name, schema)| ((*name).to_owned(), schema.clone()));
    let properties: Map<String, Value> = all.collect();
    let schema =
        json!({ "type": "object", "additionalProperties": false, "required": names, "properties": properties });
    described(schema, about)
}

fn list(about: &str, items: Value) -> Value {
    let mut schema = json!({ "type": "array" });
    schema["items"] = items;
    described(schema, about)
}

fn text(about: &str) -> Value {
    described(json!({ "type": "string" }), about)
}

fn count(about: &str) -> Value {
    described(json!({ "type": "integer", "minimum": 0 }), about)
}

fn amount(about: &str) -> Value {
    described(json!({ "type": ["number", "null"] }), about)
}

fn described(mut schema: Value, about: &str) -> Value {
    if !about.is_empty() {
        schema["description"] = about.into();
    }
    schema
}
