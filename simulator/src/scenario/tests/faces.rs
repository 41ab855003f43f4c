//! Every key does something, and is in the reference and the schema.

use serde_json::Value;

use super::key::{Kind, Section, Shape};
use super::keys::{RECONNECT, SECTIONS};
use super::*;

/// A scenario in which every key has an effect.
const FULL: &str = "\
name = 'full'
regions = ['hk', 'sg', 'tw']
[link]
[[links]]
from = 'hk'
to = 'sg'
latency = '5ms'
[lan]
[[apps]]
name = 'feed'
[[apps]]
name = 'other'
[[sidecars]]
name = 'edge'
upstream = 'feed'
[[sidecars]]
name = 'far'
upstream = 'feed'
[[hops]]
name = 'lb'
before = 'edge'
preset = 'nginx'
[[clients]]
name = 'web'
kind = 'push'
target = 'edge'
pick = 'random'
sends = '1/s'
[[clients]]
name = 'poll'
kind = 'poller'
target = 'edge'
interval = '2s'
[workload]
updates = 'burst'
[[faults]]
name = 'cut'
kind = 'partition'
at = '1m'
a = 'hk'
b = 'sg'
[[faults]]
name = 'cut1'
kind = 'one-way-partition'
at = '1m'
from = 'hk'
to = 'sg'
[[faults]]
name = 'loss'
kind = 'loss-burst'
at = '1m'
a = 'hk'
b = 'sg'
loss = '1%'
[[faults]]
name = 'lag'
kind = 'latency-spike'
at = '1m'
a = 'hk'
b = 'sg'
latency = '1s'
[[faults]]
name = 'slow'
kind = 'slow-reader'
at = '1m'
clients = 'web'
[[faults]]
name = 'stall'
kind = 'app-stall'
at = '1m'
app = 'feed'
[[faults]]
name = 'skew'
kind = 'clock-skew'
at = '1m'
host = ['edge', 'feed']
by = '1s'
[faults_random]
count = 1
[prices]
";

/// The way to each key, and a value other than the one it has in [`FULL`].
const OTHER: &[(&str, &str)] = &[
    ("name", "'other'"),
    ("description", "'said'"),
    ("duration", "'9m'"),
    ("heal", "0"),
    ("seeds", "7"),
    ("regions", "['hk', 'sg', 'tw', 'jp']"),
    ("link.latency", "'50us'"),
    ("link.jitter", "0"),
    ("link.bandwidth", "'off'"),
    ("link.loss", "'0.1%'"),
    ("links.hk.sg.latency", "'18ms'"),
    ("links.hk.sg.jitter", "'9ms'"),
    ("links.hk.sg.bandwidth", "'1gbit'"),
    ("links.hk.sg.loss", "50"),
    ("links.hk.sg.oneway", "true"),
    ("lan.latency", "'1ms'"),
    ("lan.jitter", "'1ms'"),
    ("lan.bandwidth", "'1gbit'"),
    ("lan.loss", "'1%'"),
    ("apps.other.region", "'sg'"),
    ("apps.other.processing", "'1ms..5ms'"),
    ("apps.other.hold", "'55s'"),
    ("apps.other.history", "0"),
    ("apps.other.ping", "'20s'"),
    ("apps.other.headers", "'1k'"),
    ("sidecars.far.upstream", "'other'"),
    ("sidecars.far.region", "'tw'"),
    ("sidecars.far.config.keepalive", "'off'"),
    ("hops.lb.before", "'far'"),
    ("hops.lb.preset", "'envoy'"),
    ("hops.lb.idle", "'30s..90s'"),
    ("hops.lb.lifetime", "'1h'"),
    ("hops.lb.cut", "'silence'"),
    ("clients.web.kind", "'push'"),
    ("clients.web.count", "50"),
    ("clients.web.region", "'sg'"),
    ("clients.web.target", "['far', 'edge']"),
    ("clients.web.pick", "'least-connections'"),
    ("clients.web.endpoint_lag", "'off'"),
    ("clients.web.tls", "true"),
    ("clients.web.via", "['home-nat']"),
    ("clients.web.start_spread", "'1m'"),
    ("clients.web.headers", "0"),
    ("clients.web.reads", "'10k/s'"),
    ("clients.web.connect_timeout", "'3s'"),
    ("clients.web.reconnect.base", "'100ms'"),
    ("clients.web.reconnect.factor", "1.5"),
    ("clients.web.reconnect.max", "'1h'"),
    ("clients.web.reconnect.jitter", "'equal'"),
    ("clients.web.reconnect.stable_after", "'1m'"),
    ("clients.web.resume", "false"),
    ("clients.web.ping", "'30s'"),
    ("clients.web.sends", "'2/m'"),
    ("clients.web.send_size", "'1..4k'"),
    ("clients.web.stays", "'1m..10m'"),
    ("clients.poll.interval", "'500ms'"),
    ("clients.poll.etag", "true"),
    ("clients.poll.keep_alive", "false"),
    ("clients.poll.timeout", "'5s'"),
    ("workload.updates", "'burst'"),
    ("workload.rate", "'10/m'"),
    ("workload.burst", "3"),
    ("workload.size", "'100..400'"),
    ("workload.listeners", "'12.5%'"),
    ("faults.cut.kind", "'partition'"),
    ("faults.cut.at", "'1m..2m'"),
    ("faults.cut.for", "'1s..30s'"),
    ("faults.cut.a", "'feed'"),
    ("faults.cut.b", "'web'"),
    ("faults.cut1.from", "'edge'"),
    ("faults.cut1.to", "'tw'"),
    ("faults.loss.loss", "'30%'"),
    ("faults.lag.latency", "'200ms'"),
    ("faults.skew.host", "'other'"),
    ("faults.skew.every", "'30s'"),
    ("faults.slow.clients", "'poll'"),
    ("faults.slow.share", "'10%'"),
    ("faults.slow.reads", "'1k/s'"),
    ("faults.stall.app", "'other'"),
    ("faults.skew.by", "'1h'"),
    ("faults.skew.ahead", "false"),
    ("faults_random.count", "3"),
    ("faults_random.kinds", "['kill', 'restart']"),
    ("faults_random.at", "'2m'"),
    ("faults_random.for", "'1s'"),
];

/// Keys that other parts of a scenario go by: section, key, a line of [`FULL`], and what is put in its place.
const NAMES: &[(&str, &str, &str, &str)] = &[
    ("links", "from", "from = 'hk'\nto = 'sg'\nlat", "from = 'tw'\nto = 'sg'\nlat"),
    ("links", "to", "from = 'hk'\nto = 'sg'\nlat", "from = 'hk'\nto = 'tw'\nlat"),
    ("apps", "name", "name = 'other'", "name = 'new'"),
    ("sidecars", "name", "name = 'far'", "name = 'new'"),
    ("hops", "name", "name = 'lb'", "name = 'new'"),
    ("clients", "name", "name = 'poll'", "name = 'new'"),
    ("faults", "name", "name = 'lag'", "name = 'new'"),
];

/// Keys that decide which others apply; what each of their values does is in `resolved`.
const DECIDING: [&str; 3] = ["clients.web.kind", "faults.cut.kind", "workload.updates"];

#[test]
fn every_key_does_something() {
    let plain = right(FULL);
    for (way, value) in OTHER {
        let swept = right(&format!("{FULL}[[sweep]]\nkey = '{way}'\nvalues = [{value}]\n"));
        let [(label, with)] = variants(&swept).try_into().unwrap();
        assert!(label.starts_with(&format!("{way} = ")), "{label}");
        assert_eq!(format!("{with:?}") == format!("{plain:?}"), DECIDING.contains(way), "{way} = {value}");
        let again = right(&write(&with, &schedule(&with, 3)));
        assert_eq!(write(&again, &schedule(&again, 3)), write(&with, &schedule(&with, 3)), "{way}");
    }
    for (section, key, line, other) in NAMES {
        assert!(FULL.contains(line), "{line}");
        let with = right(&FULL.replace(line, other));
        assert_ne!(format!("{with:?}"), format!("{plain:?}"), "{section}.{key}");
    }
}

#[test]
fn every_key_has_its_row_here() {
    for section in SECTIONS {
        for key in section.keys.iter().filter(|_| !["sweep", "prices"].contains(&section.name)) {
            let way = |ends: &str| {
                OTHER.iter().any(|(way, _)| match section.shape {
                    Shape::Top => *way == ends,
                    _ => way.split('.').next() == Some(section.name) && way.ends_with(&format!(".{ends}")),
                })
            };
            if NAMES.iter().any(|(named, name, ..)| *named == section.name && *name == key.name) {
                continue;
            }
            match key.kind {
                Kind::Table(inner) => assert!(inner.keys.iter().all(|inner| way(inner.name)), "{}", key.name),
                Kind::Config => assert!(way("config.keepalive")),
                _ => assert!(way(key.name), "{}.{}", section.name, key.name),
            }
        }
    }
}

#[test]
fn every_key_is_in_the_reference_and_in_the_schema() {
    let page = reference();
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let check = |section: &Section, properties: &Value| {
        for key in section.keys {
            let about = properties[key.name]["description"].as_str();
            assert_eq!(about, Some(key.about), "{}.{}", section.name, key.name);
            assert!(page.contains(&format!("| `{}` | {} |", key.name, key.default_text())), "{}", key.name);
            assert!(key.about.ends_with('.'), "{}", key.name);
        }
    };
    for section in SECTIONS {
        match section.shape {
            Shape::Top => check(section, &schema["properties"]),
            Shape::List => check(section, &schema["properties"][section.name]["items"]["properties"]),
            _ => check(section, &schema["properties"][section.name]["properties"]),
        }
    }
    let clients = &schema["properties"]["clients"]["items"]["properties"];
    check(&RECONNECT, &clients["reconnect"]["properties"]);
    let config = &schema["properties"]["sidecars"]["items"]["properties"]["config"]["properties"];
    assert_eq!(config["keepalive"]["default"], "25s");
    assert_eq!(config["upstream"], Value::Null);
    assert_eq!(config["tls_cert"], Value::Null);
    for metric in &metrics::METRICS {
        assert!(page.contains(&format!("| `{}", metric.name)), "{}", metric.name);
    }
}

/// The words for faults are written in two places: the table of keys, which is a constant, and the type.
#[test]
fn the_words_for_faults_are_those_of_the_type() {
    let Kind::Choice(words) = keys::FAULTS.key("kind").kind else { panic!("it is a choice") };
    let of_type: Vec<&str> = FaultWord::ALL.iter().map(|word| word.as_str()).collect();
    assert_eq!(words, of_type);
    let presets: Vec<String> = keys::PRESETS.iter().filter_map(|name| hops::preset(name)).map(|hop| hop.name).collect();
    assert_eq!(keys::PRESETS, presets);
}
