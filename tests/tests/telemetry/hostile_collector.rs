//! Whatever answers at the collector's address: the sidecar goes on, and what was not taken is counted.

use outrigger_tests::{App, Collector, Reply, Sidecar};

struct Case {
    what: &'static str,
    reply: Reply,
    /// The reason of the loss, or `None` where it is still tried.
    lost: Option<&'static str>,
    result: &'static str,
}

fn case(what: &'static str, reply: Reply, lost: Option<&'static str>, result: &'static str) -> Case {
    Case { what, reply, lost, result }
}

#[track_caller]
fn check(protocol: &str, collector: &Collector, case: &Case) {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr())
        .http()
        .flag("--otlp-endpoint", collector.url())
        .flag("--otlp-protocol", protocol)
        .flag("--otlp-timeout", "300ms")
        .flag("--metrics-exporter", "none")
        .flag("--span-export-interval", "20ms")
        .start();
    let mut client = sidecar.session();
    client.echo("as if nothing were");
    let attempts = format!("outrigger_otlp_exports_total{{signal=\"traces\",result=\"{}\"}}", case.result);
    let lost = case.lost.map(|reason| format!("outrigger_otlp_spans_lost_total{{reason=\"{reason}\"}}"));
    let what = format!("the account of {} over {protocol}", case.what);
    let page = sidecar.wait_metrics(&what, |page| {
        page.get(&attempts) >= 1.0 && lost.as_ref().is_none_or(|lost| page.get(lost) >= 1.0)
    });
    assert!(page.get("outrigger_otlp_spans_exported_total").abs() < 1e-9, "{what}: nothing was taken");
    // The session went on all the while.
    client.echo("as if nothing were");
    client.leave();
}

#[test]
fn over_http() {
    let html = b"<html>It works!</html>".to_vec();
    let cases = [
        case("a web server", Reply::Say("text/html", html), Some("nonsense"), "nonsense"),
        case("broken protobuf", Reply::Say("application/x-protobuf", vec![0x0a, 200]), Some("nonsense"), "nonsense"),
        case(
            "a body without end",
            Reply::Say("application/x-protobuf", vec![0; 1 << 20]),
            Some("nonsense"),
            "nonsense",
        ),
        case("broken JSON", Reply::Say("application/json", b"{".to_vec()), Some("nonsense"), "nonsense"),
        case("400", Reply::Refuse(400, Vec::new()), Some("refused"), "refused"),
        case("401", Reply::Refuse(401, Vec::new()), Some("refused"), "refused"),
        case("404", Reply::Refuse(404, Vec::new()), Some("refused"), "refused"),
        case(
            "a redirect",
            Reply::Refuse(302, vec![("Location", "http://127.0.0.1:1/".into())]),
            Some("refused"),
            "refused",
        ),
        case("not HTTP", Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), None, "unavailable"),
        case("nothing at all", Reply::Raw(Vec::new()), None, "unavailable"),
        case("half an answer", Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), None, "unavailable"),
        case(
            "half a body",
            Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()),
            Some("nonsense"),
            "nonsense",
        ),
        case("a header without end", Reply::Raw(vec![b'a'; 1 << 20]), None, "unavailable"),
        case("silence", Reply::Hang, None, "unavailable"),
        case(
            "a wait for ever",
            Reply::Refuse(503, vec![("retry-after", u64::MAX.to_string())]),
            Some("unavailable"),
            "unavailable",
        ),
    ];
    for case in &cases {
        let reply = case.reply.clone();
        check("http/protobuf", &Collector::http(move |_| reply.clone()), case);
    }
    // One that speaks gRPC only.
    let wrong = case("another protocol", Reply::Take, None, "unavailable");
    check("http/protobuf", &Collector::grpc(|_| Reply::Take), &wrong);
}

#[test]
fn over_grpc() {
    let cases = [
        case("no message", Reply::Say("", Vec::new()), Some("nonsense"), "nonsense"),
        case("half a message", Reply::Say("", vec![0, 0, 0, 0, 9, 1]), Some("nonsense"), "nonsense"),
        case("a compressed message", Reply::Say("", vec![1, 0, 0, 0, 0]), Some("nonsense"), "nonsense"),
        case("broken protobuf", Reply::Say("", vec![0, 0, 0, 0, 2, 0x0a, 200]), Some("nonsense"), "nonsense"),
        case("a body without end", Reply::Say("", vec![0; 1 << 20]), Some("nonsense"), "nonsense"),
        case("INVALID_ARGUMENT", Reply::Refuse(3, vec![("grpc-message", "no".into())]), Some("refused"), "refused"),
        case("UNAUTHENTICATED", Reply::Refuse(16, Vec::new()), Some("refused"), "refused"),
        case("RESOURCE_EXHAUSTED for good", Reply::Refuse(8, Vec::new()), Some("refused"), "refused"),
        case("a status that is none", Reply::Refuse(999, Vec::new()), Some("refused"), "refused"),
        case("a reset stream", Reply::Raw(Vec::new()), None, "unavailable"),
        case("silence", Reply::Hang, None, "unavailable"),
    ];
    for case in &cases {
        let reply = case.reply.clone();
        check("grpc", &Collector::grpc(move |_| reply.clone()), case);
    }
    // One that speaks HTTP/1.1 only; what comes is no request to it.
    let app = App::scripted(|conn| {
        let _ = conn.fill();
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let before = App::echo();
    let sidecar = Sidecar::before(before.addr())
        .http()
        .flag("--otlp-endpoint", format!("http://{}", app.addr()))
        .flag("--otlp-protocol", "grpc")
        .flag("--span-export-interval", "20ms")
        .start();
    let mut client = sidecar.session();
    sidecar.wait_log("a complaint", |line| line["message"] == "the collector does not take what it is sent");
    client.echo("as if nothing were");
    client.leave();
}
