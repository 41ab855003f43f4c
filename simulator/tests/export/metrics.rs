//! Metrics of a run: what its sidecars counted, as OpenTelemetry's own types read it.

#![expect(clippy::float_cmp, reason = "what is counted is whole, and what is not is rounded")]

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, number_data_point};
use outrigger_sim::backend::Backend;
use outrigger_sim::export;
use outrigger_sim::world::record::{Fate, SidecarSession};
use outrigger_sim::world::{self, Options, Run};
use serde_json::Value;

use super::{play, requests_of, scenario, spans_of, texts};
use crate::common::{assert_good, figure, parse};

/// A series: its metric's name, and its attributes.
type Series = (String, BTreeMap<String, String>);

/// One request: every figure of one process at one moment.
#[derive(Debug, PartialEq)]
pub(crate) struct Export {
    resource: BTreeMap<String, String>,
    since: u64,
    at: u64,
    gauges: BTreeMap<Series, f64>,
    sums: BTreeMap<Series, f64>,
    /// By class, and their sum.
    histograms: BTreeMap<Series, (Vec<u64>, f64)>,
}

impl Export {
    /// Of all series with this value of an attribute.
    fn sum(&self, name: &str, label: &str, value: &str) -> f64 {
        let value = format!("StringValue({value:?})");
        let of_it = |(known, labels): &Series| known == name && labels.get(label) == Some(&value);
        self.sums.iter().filter(|(series, _)| of_it(series)).map(|(_, number)| number).sum()
    }

    fn total(&self, name: &str) -> f64 {
        let found: Vec<f64> =
            self.sums.iter().filter(|((known, _), _)| known == name).map(|(_, number)| *number).collect();
        assert!(!found.is_empty(), "no {name}");
        found.iter().sum()
    }

    fn gauge(&self, name: &str) -> f64 {
        let found: Vec<f64> =
            self.gauges.iter().filter(|((known, _), _)| known == name).map(|(_, number)| *number).collect();
        assert!(!found.is_empty(), "no {name}");
        found.iter().sum()
    }
}

pub(crate) fn exports_of(lines: &str) -> Vec<Export> {
    exports_in(requests_of(lines, "resourceMetrics").into_iter())
}

pub(crate) fn exports_in(requests: impl Iterator<Item = ExportMetricsServiceRequest>) -> Vec<Export> {
    requests.map(export).collect()
}

fn export(request: ExportMetricsServiceRequest) -> Export {
    let [group] = <[_; 1]>::try_from(request.resource_metrics).expect("one process");
    let [scope] = <[_; 1]>::try_from(group.scope_metrics).expect("one scope");
    let resource = texts(group.resource.expect("a resource").attributes);
    let mut export = Export {
        resource,
        since: 0,
        at: 0,
        gauges: BTreeMap::new(),
        sums: BTreeMap::new(),
        histograms: BTreeMap::new(),
    };
    let mut times = BTreeSet::new();
    for Metric { name, data, .. } in scope.metrics {
        let cumulative = i32::from(AggregationTemporality::Cumulative);
        let (points, into) = match data.expect("data") {
            Data::Gauge(gauge) => (gauge.data_points, &mut export.gauges),
            Data::Sum(sum) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality == cumulative, "{name}");
                (sum.data_points, &mut export.sums)
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, cumulative, "{name}");
                for point in histogram.data_points {
                    times.insert((point.start_time_unix_nano, point.time_unix_nano));
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1, "{name}");
                    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count, "{name}");
                    let value = (point.bucket_counts, rounded(point.sum.expect("a sum")));
                    assert!(export.histograms.insert((name.clone(), texts(point.attributes)), value).is_none());
                }
                continue;
            }
            other => panic!("{name} is {other:?}"),
        };
        for point in points {
            times.insert((point.start_time_unix_nano, point.time_unix_nano));
            let Some(number_data_point::Value::AsDouble(value)) = point.value else { panic!("{name} has no value") };
            assert!(into.insert((name.clone(), texts(point.attributes)), rounded(value)).is_none(), "{name}");
        }
    }
    assert_eq!(times.len(), 1, "all of one moment");
    (export.since, export.at) = times.into_iter().next().expect("one");
    export
}

/// To the microsecond, as `serde_json` reads doubles to all but the last bit.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// The exports of each process, in order.
fn by_process(run: &Run, lines: &str) -> BTreeMap<String, Vec<Export>> {
    let mut processes: BTreeMap<String, Vec<Export>> = BTreeMap::new();
    for export in exports_of(lines) {
        processes.entry(export.resource["service.instance.id"].clone()).or_default().push(export);
    }
    let (start, end) = (nanos(run.epoch), nanos(run.epoch + run.virtual_time));
    for exports in processes.values() {
        for export in exports {
            assert_eq!((&export.resource, export.since), (&exports[0].resource, exports[0].since));
            assert!(start <= export.since && export.since <= export.at && export.at <= end);
        }
        for (one, next) in exports.iter().zip(&exports[1..]) {
            assert!(one.at < next.at);
            for (series, value) in &one.sums {
                assert!(next.sums[series] >= *value, "{series:?} shrinks");
            }
            for (series, (classes, sum)) in &one.histograms {
                let (more, more_sum) = &next.histograms[series];
                assert!(
                    more_sum >= sum && classes.iter().zip(more).all(|(one, next)| next >= one),
                    "{series:?} shrinks"
                );
            }
        }
    }
    processes
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a short run")]
fn float(count: u64) -> f64 {
    count as f64
}

#[test]
fn metrics_are_what_the_run_tells_of_its_sidecars() {
    let run = play(1, true);
    assert_good(&run);
    let lines = export::lines(&scenario(), &run);
    let processes = by_process(&run, &lines);
    let story = run.story.as_ref().unwrap();
    let names: Vec<&str> = processes.keys().map(String::as_str).collect();
    assert_eq!(names, ["StringValue(\"edge/0\")", "StringValue(\"edge/1\")"]);
    let resources: BTreeSet<_> = spans_of(&lines).into_iter().map(|(resource, _)| resource).collect();
    let of_metrics: BTreeSet<_> = processes.values().map(|exports| exports[0].resource.clone()).collect();
    assert_eq!(of_metrics, resources, "spans and metrics are said to be of the same processes");
    let mut opened = 0.0;
    let mut messages_up = 0.0;
    for (process, exports) in (0..).zip(processes.values()) {
        let last = exports.last().unwrap();
        let of_it: Vec<&SidecarSession> =
            story.sidecar_sessions.iter().filter(|session| session.process == process).collect();
        let ended: Vec<_> = of_it.iter().filter_map(|session| session.ended()).collect();
        assert_eq!(last.total("outrigger.sessions.opened"), float(of_it.len() as u64));
        assert_eq!(last.total("outrigger.sessions.ended"), float(ended.len() as u64));
        assert_eq!(last.gauge("outrigger.sessions"), float((of_it.len() - ended.len()) as u64));
        assert_eq!(last.gauge("process.start_time"), rounded(float(last.since / 1000) / 1e6));
        let lived: u64 = last
            .histograms
            .iter()
            .filter(|((name, _), _)| name == "outrigger.session.duration")
            .map(|(_, (classes, _))| classes.iter().sum::<u64>())
            .sum();
        assert_eq!(lived, ended.len() as u64);
        let (from_client, from_app): (u64, u64) = ended.iter().fold((0, 0), |(client, app), ended| {
            (client + ended.client.text + ended.client.binary, app + ended.app.text + ended.app.binary)
        });
        let counted = ["client", "app"].map(|side| last.sum("outrigger.messages", "from", side));
        if ended.len() == of_it.len() {
            assert_eq!(counted, [float(from_client), float(from_app)]);
            assert!(from_client > 0 && from_app > 0);
        }
        opened += last.total("outrigger.sessions.opened");
        messages_up += counted[0];
    }
    // As the report has it.
    assert_eq!(opened, figure(&run, "", "sessions_opened"));
    assert_eq!(opened, figure(&run, "", "handshakes"));
    let arrived = figure(&run, "", "messages_up");
    assert!(arrived > 0.0 && messages_up >= arrived, "{messages_up} passed and {arrived} arrived");
    let killed = story.sidecar_sessions.iter().filter(|session| matches!(session.fate, Fate::Killed { .. })).count();
    assert_eq!(killed, 3, "the world has sessions that end with their process");
}

#[test]
fn metrics_are_exported_at_the_interval_and_when_the_process_ends() {
    const MINUTE: u64 = 60_000_000_000;
    let run = play(1, true);
    let processes: Vec<_> = by_process(&run, &export::lines(&scenario(), &run)).into_values().collect();
    let start = nanos(run.epoch);
    for exports in &processes {
        let mut before = exports[0].since;
        for export in &exports[..exports.len() - 1] {
            // The world is looked at once a second.
            assert!((MINUTE..=MINUTE + MINUTE / 60).contains(&(export.at - before)), "{} ns", export.at - before);
            before = export.at;
        }
        assert!(exports.last().unwrap().at - before <= MINUTE + MINUTE / 60);
    }
    let [killed, stopped] = &processes[..] else { panic!("two processes") };
    assert_eq!(killed.last().unwrap().at - start, 6 * MINUTE, "it is killed there");
    assert!(killed.len() >= 5 && stopped.len() >= 5);
    assert!(stopped[0].since - start > 6 * MINUTE, "another process has another start");
    let stage = |export: &Export, stage: &str| {
        let labels = BTreeMap::from([("stage".to_owned(), format!("StringValue({stage:?})"))]);
        export.gauges[&("outrigger.stage".to_owned(), labels)]
    };
    assert_eq!(stage(killed.last().unwrap(), "running"), 1.0);
    assert_eq!(stage(stopped.last().unwrap(), "running"), 0.0, "it was told to stop, and did");
}

/// A drain in a second process, which is read while it goes on.
const DRAINED: &str = r#"
name = "drained"
duration = "90s"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[sidecars.config]
metric_export_interval = "5s"
resource_attributes = "deployment.environment.name=simulated"
drain_window = "20s"
shutdown_grace = "30s"
[[clients]]
name = "web"
kind = "push"
count = 8
[workload]
updates = "periodic"
rate = "1/s"
[[faults]]
kind = "kill"
at = "10s"
host = "edge"
for = "1s"
[[faults]]
kind = "restart"
at = "40s"
host = "edge"
for = "1s"
"#;

#[test]
fn on_both_networks_what_is_read_is_of_its_host_and_leaves_the_run_as_it_is() {
    // That the keys have no effect is no longer so: there is no warning.
    let (scenario, warnings) = outrigger_sim::scenario::parse("drained.toml", DRAINED).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    for backend in Backend::ALL {
        let play = |kept: bool| {
            let options = Options { backend, spans: kept, readings: kept, ..Options::default() };
            world::run(&scenario, 1, &options).unwrap_or_else(|error| panic!("{error}"))
        };
        let (plain, kept) = (play(false), play(true));
        assert_good(&kept);
        assert_eq!((plain.digest, plain.history), (kept.digest.clone(), kept.history.clone()), "{backend:?}");
        let lines = export::lines(&scenario, &kept);
        assert!(lines == export::lines(&scenario, &play(true)), "{backend:?}: once more, the same bytes");
        let processes: Vec<_> = by_process(&kept, &lines).into_values().collect();
        assert_eq!(processes.len(), 3, "{backend:?}: killed, restarted, stopped");
        assert!(processes[0][0].resource.contains_key("deployment.environment.name"));
        // But for the point at its end.
        let [of_second @ .., _] = &processes[1][..] else { panic!("{backend:?}: the second process was never read") };
        let left = of_second.iter().map(|export| export.gauge("outrigger.drain.time_left"));
        let left: Vec<f64> = left.filter(|left| *left > 0.0).collect();
        assert!(left.len() >= 2 && left[0] > 10.0 && left[0] < 20.0, "{backend:?}: {left:?}");
        for (one, next) in left.iter().zip(&left[1..]) {
            assert!((4.0..=6.0).contains(&(one - next)), "{backend:?}: {left:?}");
        }
    }
}

#[test]
fn metrics_have_the_wall_clock_of_their_host() {
    let text = DRAINED.split("[[faults]]").next().unwrap().to_owned()
        + "[[faults]]\nkind = \"clock-skew\"\nat = \"12s\"\nfor = \"30s\"\nhost = \"edge\"\nby = \"1h\"\n";
    let scenario = parse(&text);
    let run = world::run(&scenario, 1, &Options { readings: true, ..Options::default() }).unwrap();
    let readings = run.readings.as_ref().unwrap();
    let ahead = |reading: &world::readings::Reading| reading.at.0 - nanos(run.epoch) - 1000 * reading.at_us;
    let skewed = |reading: &world::readings::Reading| (12_000_000..42_000_000).contains(&reading.at_us);
    assert!(readings.all.iter().any(&skewed));
    for reading in &readings.all {
        let expected = if skewed(reading) { 3_600_000_000_000 } else { 0 };
        assert_eq!(ahead(reading), expected, "at {} us", reading.at_us);
    }
}

/// Two ways to the same number: the counter drawn for viewers is made of the record of sessions, the gauge is the
/// sidecar's own.
#[test]
fn the_counter_of_the_trace_for_chrome_is_the_gauge() {
    let run = play(1, true);
    let scenario = scenario();
    let whole: Value = serde_json::from_str(&export::chrome(&scenario, &run)).unwrap();
    let events = whole["traceEvents"].as_array().unwrap();
    let of_edge = events.iter().find(|event| event["args"]["name"] == "sidecar edge").expect("a process");
    let counter: Vec<(u64, f64)> = events
        .iter()
        .filter(|event| event["ph"] == "C")
        .map(|event| {
            assert_eq!((&event["pid"], &event["name"]), (&of_edge["pid"], &Value::from("open sessions")));
            (event["ts"].as_u64().unwrap(), event["args"]["sessions"].as_f64().unwrap())
        })
        .collect();
    assert!(counter.is_sorted_by(|one, next| one.0 < next.0), "{counter:?}");
    assert_eq!((counter[0], counter.last().unwrap().1), ((0, 0.0), 0.0), "none at first, and none at the end");
    let readings = &run.readings.as_ref().unwrap().all;
    let exports = exports_of(&export::lines(&scenario, &run));
    assert_eq!(readings.len(), exports.len());
    let mut most: f64 = 0.0;
    for (reading, export) in readings.iter().zip(&exports) {
        // At the very moment of a change it may have been read before it or after it.
        let drawn = |until: u64| counter.iter().take_while(|(ts, _)| *ts < until).last().map_or(0.0, |(_, n)| *n);
        let gauge = export.gauge("outrigger.sessions");
        assert!([drawn(reading.at_us), drawn(reading.at_us + 1)].contains(&gauge), "at {} us", reading.at_us);
        most = most.max(gauge);
    }
    assert_eq!(most, 3.0, "as many as there are push clients");
}
