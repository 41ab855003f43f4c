//! Runs for the tools of others: OpenTelemetry's JSON and collectors, and Chrome's trace format.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "what is for tests of figures")]
mod common;
mod metrics;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use common::{Folder, assert_good, parse, scenarios, sim};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use outrigger_sim::export;
use outrigger_sim::scenario::Scenario;
use outrigger_sim::world::{self, Options, Run};
use prost::Message as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Sessions over more than one segment, a client that polls, a sidecar that dies, messages and a box that cuts.
const WORLD: &str = r#"
name = "exported"
duration = "12m"
heal = "2m"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[sidecars.config]
trace_messages = "100%"
trace_segment = "2m"
[[clients]]
name = "web"
kind = "push"
count = 3
sends = "6/m"
[[clients]]
name = "old"
kind = "poller"
interval = "1m"
[workload]
updates = "periodic"
rate = "30/h"
[[faults]]
kind = "kill"
at = "6m"
host = "edge"
for = "5s"
"#;

fn scenario() -> Scenario {
    parse(WORLD)
}

fn play(seed: u64, exported: bool) -> Run {
    let options = Options { story: exported, spans: exported, readings: exported, ..Options::default() };
    world::run(&scenario(), seed, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn spans_of(lines: &str) -> Vec<(BTreeMap<String, String>, Vec<Span>)> {
    spans_in(requests_of(lines, "resourceSpans").into_iter())
}

/// The lines that are requests with this in them.
fn requests_of<T: DeserializeOwned>(lines: &str, holds: &str) -> Vec<T> {
    let holds = format!("{{\"{holds}\":[");
    let of_it = lines.lines().filter(|line| line.starts_with(&holds));
    of_it.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn spans_in(requests: impl Iterator<Item = ExportTraceServiceRequest>) -> Vec<(BTreeMap<String, String>, Vec<Span>)> {
    let groups = requests.flat_map(|request| request.resource_spans);
    groups
        .map(|group| {
            let resource = texts(group.resource.expect("a resource").attributes);
            (resource, group.scope_spans.into_iter().flat_map(|scope| scope.spans).map(rounded).collect())
        })
        .collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|pair| (pair.key, format!("{:?}", pair.value.unwrap().value.unwrap()))).collect()
}

/// With doubles to the microsecond: `serde_json` reads them to all but the last bit.
fn rounded(mut span: Span) -> Span {
    let of_events = span.events.iter_mut().flat_map(|event| &mut event.attributes);
    for attribute in span.attributes.iter_mut().chain(of_events) {
        if let Some(AnyValue { value: Some(any_value::Value::DoubleValue(number)) }) = &mut attribute.value {
            *number = (*number * 1e6).round() / 1e6;
        }
    }
    span
}

#[test]
fn exporting_leaves_the_run_as_it_is() {
    for seed in 1..=3 {
        let (plain, exported) = (play(seed, false), play(seed, true));
        assert_good(&exported);
        assert_eq!(plain.digest, exported.digest);
        assert_eq!(plain.history, exported.history);
        assert_eq!(plain.metrics, exported.metrics);
        assert!(plain.spans.is_none() && exported.spans.is_some_and(|spans| spans.left_out == 0));
        assert!(plain.readings.is_none() && exported.readings.is_some_and(|readings| readings.left_out == 0));
    }
}

#[test]
fn exporting_leaves_shipped_scenarios_as_they_are() {
    for file in ["drain/app-restart-held.toml", "idle-timeout/silent-cut.toml", "multi-region/upstream-flaps.toml"] {
        let scenario = parse(&fs::read_to_string(scenarios().join(file)).unwrap());
        let digest = |kept: bool| {
            let options = Options { story: kept, spans: kept, readings: kept, ..Options::default() };
            world::run(&scenario, 1, &options).unwrap_or_else(|error| panic!("{file}: {error}")).digest
        };
        assert_eq!(digest(false), digest(true), "{file}");
    }
}

#[test]
fn two_processes_write_the_same_bytes() {
    let folder = Folder::new("exports");
    let file = folder.file("world.toml", WORLD);
    let exported = |name: &str, seed: &str| {
        let (otlp, chrome) = (format!("{name}.jsonl"), format!("{name}.json"));
        let (code, out, err) =
            sim(&folder.0, &["replay", &file, "--seed", seed, "--export-otlp", &otlp, "--export-chrome", &chrome]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        let digest = out.lines().find(|line| line.starts_with("digest ")).expect("a digest").to_owned();
        (fs::read(folder.0.join(otlp)).unwrap(), fs::read(folder.0.join(chrome)).unwrap(), digest)
    };
    let one = exported("one", "1");
    assert!(one == exported("other", "1"), "one seed, the same bytes");
    let another = exported("another", "2");
    assert!(one.0 != another.0 && one.1 != another.1);
    let (_, out, _) = sim(&folder.0, &["replay", &file, "--seed", "1"]);
    assert!(out.contains(&one.2), "{} is the digest without an export, too", one.2);
}

#[test]
fn json_lines_are_opentelemetrys_and_ids_fit_together() {
    let run = play(1, true);
    let lines = export::lines(&scenario(), &run);
    let groups = spans_of(&lines);
    let instances: BTreeSet<&str> =
        groups.iter().map(|(resource, _)| resource["service.instance.id"].as_str()).collect();
    assert_eq!(instances.len(), 2, "the sidecar was killed and came back: {instances:?}");
    assert!(groups.iter().all(|(resource, _)| resource["host.name"].contains("edge")));
    let spans: Vec<Span> = groups.into_iter().flat_map(|(_, spans)| spans).collect();
    let kept = run.spans.as_ref().unwrap().processes.iter().map(|of| of.spans.len()).sum::<usize>();
    assert_eq!(spans.len(), kept);

    let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(ids.len(), spans.len(), "no id comes twice");
    let (start, end) = (run.epoch, run.epoch + run.virtual_time);
    let clock = u64::try_from(start.as_nanos()).unwrap()..=u64::try_from(end.as_nanos()).unwrap();
    for span in &spans {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert!(clock.contains(&span.start_time_unix_nano) && clock.contains(&span.end_time_unix_nano));
    }
    let server: BTreeMap<_, _> =
        spans.iter().filter(|span| span.kind == 2).map(|span| (span.span_id.clone(), span)).collect();
    let clients: Vec<_> = spans.iter().filter(|span| span.kind == 3).collect();
    assert!(!clients.is_empty());
    for client in clients {
        assert_eq!(server[&client.parent_span_id].trace_id, client.trace_id);
    }
    let of_sessions: Vec<_> = spans.iter().filter(|span| span.name == "websocket session").collect();
    assert!(of_sessions.len() > 3 * 2, "twelve minutes are more than two segments of each of three clients");
    assert!(spans.iter().any(|span| span.name == "websocket message"));
    for span in spans.iter().filter(|span| span.name.starts_with("websocket ")) {
        assert_eq!(span.links.len(), 1);
        assert_eq!(server[&span.links[0].span_id].trace_id, span.links[0].trace_id);
    }
}

#[test]
fn a_collector_gets_what_the_file_has() {
    let folder = Folder::new("to-a-collector");
    let file = folder.file("world.toml", WORLD);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // A connection for each signal, traces first.
    let collector = thread::spawn(move || {
        let [traces, metrics] = ["/v1/traces", "/v1/metrics"].map(|path| {
            let (stream, _) = listener.accept().unwrap();
            thread::spawn(move || take_all(stream, path))
        });
        (traces.join().unwrap(), metrics.join().unwrap())
    });
    let args = ["replay", &file, "--seed", "1", "--export-otlp", "out.jsonl", "--export-otlp-endpoint", &url];
    let (code, out, err) = sim(&folder.0, &args);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (traces, metrics) = collector.join().unwrap();
    let lines = fs::read_to_string(folder.0.join("out.jsonl")).unwrap();
    assert!(!traces.is_empty() && !metrics.is_empty());
    let traces = traces.iter().map(|body| ExportTraceServiceRequest::decode(&body[..]).unwrap());
    assert_eq!(spans_in(traces), spans_of(&lines));
    let metrics = metrics.iter().map(|body| ExportMetricsServiceRequest::decode(&body[..]).unwrap());
    assert_eq!(metrics::exports_in(metrics), metrics::exports_of(&lines));
}

/// The bodies of what is posted there until the other side hangs up, each of them taken.
fn take_all(mut stream: TcpStream, path: &str) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut read = Vec::new();
    let mut more = vec![0; 65_536];
    loop {
        while let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(read[..end].to_vec()).unwrap().to_lowercase();
            assert!(head.starts_with(&format!("post {path} http/1.1")), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            let whole = end + 4 + length.parse::<usize>().unwrap();
            if read.len() < whole {
                break;
            }
            bodies.push(read[end + 4..whole].to_vec());
            read.drain(..whole);
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        }
        match stream.read(&mut more).unwrap() {
            0 => return bodies,
            count => read.extend_from_slice(&more[..count]),
        }
    }
}

#[test]
fn what_cannot_be_exported_is_said() {
    let folder = Folder::new("export-fails");
    let file = folder.file("world.toml", WORLD);
    let (code, _, err) = sim(&folder.0, &["replay", &file, "--seed", "1", "--export-otlp", "no/such/folder.jsonl"]);
    assert!(code == 1 && err.contains("no/such/folder.jsonl"), "{code} {err}");
    let (code, _, err) = sim(&folder.0, &["replay", &file, "--seed", "1", "--export-otlp-endpoint", "localhost:4318"]);
    assert!(code == 2 && err.contains("is not a URL of a collector") || err.contains("http://"), "{code} {err}");
}

/// The fields that each phase of Chrome's format has to have.
#[test]
fn the_trace_for_chrome_has_a_process_for_each_host_and_a_track_for_each_session() {
    let run = play(1, true);
    let text = export::chrome(&scenario(), &run);
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(whole["displayTimeUnit"], "ms");
    assert_eq!(whole["otherData"]["seed"], 1);
    let events = whole["traceEvents"].as_array().unwrap();
    let (mut processes, mut tracks) = (BTreeMap::new(), BTreeMap::new());
    for event in events.iter().filter(|event| event["ph"] == "M") {
        let (pid, tid) = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        let name = event["args"]["name"].as_str().unwrap_or_default().to_owned();
        let twice = match event["name"].as_str().unwrap() {
            "process_name" => processes.insert(name, pid).is_some(),
            "thread_name" => tracks.insert((pid, tid), name).is_some(),
            "process_sort_index" => false,
            other => panic!("{other} is no metadata"),
        };
        assert!(!twice, "{event}");
    }
    let names: Vec<&str> = processes.keys().map(String::as_str).collect();
    assert_eq!(names, ["app feed", "clients old", "clients web", "network", "sidecar edge"]);
    let numbers: BTreeSet<u64> = tracks.keys().map(|(_, tid)| *tid).collect();
    assert_eq!(numbers.len(), tracks.len(), "no two tracks of any processes have the same number");
    assert!(numbers.iter().all(|tid| u32::try_from(*tid).is_ok() && !processes.values().any(|pid| pid == tid)));
    let end = u64::try_from(run.virtual_time.as_micros()).unwrap();
    let mut open: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut sessions: BTreeMap<u64, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] != "M") {
        let (pid, ts) = (event["pid"].as_u64().unwrap(), event["ts"].as_u64().unwrap());
        assert!(processes.values().any(|known| *known == pid) && event["tid"].is_u64() && event["name"].is_string());
        assert!(ts <= end && event["args"].is_object(), "{event}");
        let key = || (event["cat"].as_str().unwrap().to_owned(), event["id"].as_str().unwrap().to_owned());
        match event["ph"].as_str().unwrap() {
            "X" => {
                assert!(ts + event["dur"].as_u64().unwrap() <= end);
                assert!(tracks.contains_key(&(pid, event["tid"].as_u64().unwrap())), "a track without a name: {event}");
                *sessions.entry(pid).or_default() += 1;
            }
            "b" => assert!(open.insert(key(), ts).is_none(), "{event}"),
            "e" => assert!(open.remove(&key()).is_some_and(|began| began <= ts), "{event}"),
            "i" => assert_eq!(event["s"], "t"),
            "C" => assert!(event["args"]["sessions"].is_u64(), "{event}"),
            other => panic!("{other} is no phase: {event}"),
        }
    }
    assert!(open.is_empty(), "what began has ended: {open:?}");
    let story = run.story.as_ref().unwrap();
    assert_eq!(sessions[&processes["clients web"]], story.sessions.len());
    assert_eq!(sessions[&processes["sidecar edge"]], story.sidecar_sessions.len());
    assert_eq!(sessions[&processes["app feed"]], story.sidecar_sessions.len());
    assert!(events.iter().any(|event| event["cat"] == "fault" && event["name"] == "kill"));
    assert!(events.iter().any(|event| event["name"] == "websocket session"));
}
