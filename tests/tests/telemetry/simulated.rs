//! What a simulated run hands to a collector: the traces and metrics of its file, all of them or a failure.

use std::fs;
use std::process::{Command, Stdio};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use outrigger_tests::collector::Request;
use outrigger_tests::{Collector, Reply, Scratch, sidecar};
use prost::Message;

const WORLD: &str = r#"
name = "exported"
duration = "2m"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[[clients]]
name = "web"
kind = "push"
count = 2
[workload]
updates = "periodic"
rate = "30/m"
"#;

type Answer = fn(&Request) -> Reply;

/// Plays the world for a collector: the exit code, what was said on standard error, and the file besides.
fn replay(collector: &Collector, protocol: &str) -> (Option<i32>, String, String) {
    let scratch = Scratch::new();
    let (world, file) = (scratch.write("world.toml", WORLD), scratch.path("out.jsonl"));
    let mut command = Command::new(sidecar::simulator());
    command.args(["replay", &world, "--seed", "1", "--export-otlp", &file]);
    command.args(["--export-otlp-endpoint", &collector.url(), "--export-otlp-protocol", protocol]);
    let output = command.stdin(Stdio::null()).output().expect("the simulator runs");
    let lines = fs::read_to_string(&file).expect("the file is written first");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"), lines)
}

/// Ids of all spans of a request, in order.
fn spans(request: ExportTraceServiceRequest) -> Vec<Vec<u8>> {
    let scopes = request.resource_spans.into_iter().flat_map(|group| group.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(|span| span.span_id).collect()
}

/// Names and units of all metrics of a request, and the process that they are of.
fn metrics(request: ExportMetricsServiceRequest) -> (String, Vec<(String, String)>) {
    let [group] = <[_; 1]>::try_from(request.resource_metrics).expect("one process");
    let metrics = group.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
    (format!("{:?}", group.resource), metrics.map(|metric| (metric.name, metric.unit)).collect())
}

#[test]
fn a_collector_has_both_over_http_and_over_grpc() {
    let take: Answer = |_| Reply::Take;
    for (collector, protocol) in [(Collector::http(take), "http/protobuf"), (Collector::grpc(take), "grpc")] {
        let (code, err, lines) = replay(&collector, protocol);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{protocol}");
        let requests = collector.taken().requests;
        let (of_traces, of_metrics): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.traces);
        let sent = of_traces.iter().map(|request| spans(ExportTraceServiceRequest::decode(&*request.message).unwrap()));
        let written = lines.lines().filter(|line| line.starts_with("{\"resourceSpans\""));
        let written = written.map(|line| spans(serde_json::from_str(line).unwrap()));
        assert_eq!(sent.collect::<Vec<_>>(), written.collect::<Vec<_>>(), "{protocol}");
        let sent: Vec<_> = of_metrics
            .iter()
            .map(|request| metrics(ExportMetricsServiceRequest::decode(&*request.message).unwrap()))
            .collect();
        let written = lines.lines().filter(|line| line.starts_with("{\"resourceMetrics\""));
        let written: Vec<_> = written.map(|line| metrics(serde_json::from_str(line).unwrap())).collect();
        assert_eq!(sent, written, "{protocol}");
        assert_eq!(sent.len(), 3, "{protocol}: after one minute and after two, and at the end");
        assert_eq!(of_traces.len() + of_metrics.len(), lines.lines().count(), "{protocol}");
    }
}

#[test]
fn a_collector_that_does_not_take_all_metrics_is_a_failure() {
    let answers: [(Answer, &str); 2] = [
        (
            |request| if request.traces { Reply::Take } else { Reply::Partial(2) },
            "error: the collector does not have all of it: it rejected 2 points of metrics\n",
        ),
        (
            |request| if request.traces { Reply::Take } else { Reply::Refuse(400, Vec::new()) },
            "error: the collector does not have all of it: status 400\n",
        ),
    ];
    for (answer, said) in answers {
        let (code, err, _) = replay(&Collector::http(answer), "http/protobuf");
        assert_eq!((code, err.as_str()), (Some(1), said));
    }
    let (code, err, _) = replay(
        &Collector::grpc(|request| if request.traces { Reply::Take } else { Reply::Refuse(3, Vec::new()) }),
        "grpc",
    );
    assert_eq!((code, err.as_str()), (Some(1), "error: the collector does not have all of it: gRPC status 3\n"));
}
