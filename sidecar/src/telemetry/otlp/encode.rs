//! Spans and figures as OTLP's requests (opentelemetry-proto 1.x, `trace.proto` and `metrics.proto`).

use super::message::{Field, Json, Message, Protobuf};
use crate::telemetry::metrics::{Kind, Snapshot, Value};
use crate::telemetry::trace::{Attr, Nanos, Span, SpanEvent, SpanKind};

/// What made the spans and figures (the instrumentation scope).
const SCOPE: &str = "outrigger";
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`: figures are since the start of the process.
const CUMULATIVE: u32 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u32 = 2;
/// Flags of a span and a link: the trace is recorded (W3C Trace Context §3.2.2.5), it is known whether the context came
/// from elsewhere, and it did.
const SAMPLED: u32 = 1;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// What is said of whoever made spans and figures; for all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource(pub Vec<(String, String)>);

/// An `ExportTraceServiceRequest` in protobuf.
pub fn traces(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let mut out = Protobuf::default();
    write_traces(&mut out, resource, spans);
    out.0
}

/// The same as one line of OTLP JSON, without the line feed.
pub fn traces_json(resource: &Resource, spans: &[Span]) -> String {
    Json::object(|out| write_traces(out, resource, spans))
}

/// An `ExportMetricsServiceRequest` in protobuf: figures counted since `since`, as they are at `now`.
pub fn metrics(resource: &Resource, figures: &[Snapshot], since: Nanos, now: Nanos) -> Vec<u8> {
    let mut out = Protobuf::default();
    write_metrics(&mut out, resource, figures, since, now);
    out.0
}

/// The same as one line of OTLP JSON, without the line feed.
pub fn metrics_json(resource: &Resource, figures: &[Snapshot], since: Nanos, now: Nanos) -> String {
    Json::object(|out| write_metrics(out, resource, figures, since, now))
}

fn write_traces(out: &mut impl Message, resource: &Resource, spans: &[Span]) {
    out.messages((1, "resourceSpans"), [()], |out, ()| {
        write_resource(out, resource);
        out.messages((2, "scopeSpans"), [()], |out, ()| {
            write_scope(out);
            out.messages((2, "spans"), spans, write_span);
        });
    });
}

fn write_metrics(out: &mut impl Message, resource: &Resource, figures: &[Snapshot], since: Nanos, now: Nanos) {
    out.messages((1, "resourceMetrics"), [()], |out, ()| {
        write_resource(out, resource);
        out.messages((2, "scopeMetrics"), [()], |out, ()| {
            write_scope(out);
            let known = figures.iter().filter(|snapshot| !snapshot.series.is_empty());
            out.messages((2, "metrics"), known, |out, snapshot| write_metric(out, snapshot, since, now));
        });
    });
}

fn write_resource(out: &mut impl Message, resource: &Resource) {
    out.message((1, "resource"), |out| {
        out.messages((1, "attributes"), &resource.0, |out, (name, value)| {
            out.text((1, "key"), name);
            out.message((2, "value"), |out| out.text((1, "stringValue"), value));
        });
    });
}

fn write_scope(out: &mut impl Message) {
    out.message((1, "scope"), |out| {
        out.text((1, "name"), SCOPE);
        out.text((2, "version"), env!("CARGO_PKG_VERSION"));
    });
}

fn write_span(out: &mut impl Message, span: &Span) {
    out.id((1, "traceId"), &span.context.trace);
    out.id((2, "spanId"), &span.context.span);
    if let Some(state) = &span.state {
        out.text((3, "traceState"), state);
    }
    if let Some(parent) = &span.parent {
        out.id((4, "parentSpanId"), parent);
    }
    out.text((5, "name"), &span.name);
    let kind = match span.kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    out.uint32((6, "kind"), kind);
    out.fixed64((7, "startTimeUnixNano"), span.start.0);
    out.fixed64((8, "endTimeUnixNano"), span.end.0);
    write_attributes(out, (9, "attributes"), &span.attributes);
    out.messages((11, "events"), &span.events, |out, SpanEvent { at, name, attributes }| {
        out.fixed64((1, "timeUnixNano"), at.0);
        out.text((2, "name"), name);
        write_attributes(out, (3, "attributes"), attributes);
    });
    if span.events_lost > 0 {
        out.uint32((12, "droppedEventsCount"), span.events_lost);
    }
    out.messages((13, "links"), &span.links, |out, link| {
        out.id((1, "traceId"), &link.trace);
        out.id((2, "spanId"), &link.span);
        out.fixed32((6, "flags"), flags(link.sampled));
    });
    if let Some(why) = span.error {
        out.message((15, "status"), |out| {
            out.text((2, "message"), why);
            out.uint32((3, "code"), ERROR);
        });
    }
    // The parent of a server's span is in the process of its client.
    let remote = if span.kind == SpanKind::Server && span.parent.is_some() { IS_REMOTE } else { 0 };
    out.fixed32((16, "flags"), flags(span.context.sampled) | remote);
}

fn flags(sampled: bool) -> u32 {
    if sampled { HAS_IS_REMOTE | SAMPLED } else { HAS_IS_REMOTE }
}

fn write_attributes(out: &mut impl Message, field: Field, attributes: &[(&'static str, Attr)]) {
    out.messages(field, attributes, |out, (name, value)| {
        out.text((1, "key"), name);
        out.message((2, "value"), |out| match value {
            Attr::Text(text) => out.text((1, "stringValue"), text),
            Attr::Bool(flag) => out.bool((2, "boolValue"), *flag),
            Attr::Int(number) => out.int64((3, "intValue"), *number),
            Attr::Double(number) => out.double((4, "doubleValue"), *number),
        });
    });
}

fn write_metric(out: &mut impl Message, snapshot: &Snapshot, since: Nanos, now: Nanos) {
    let Snapshot { family, series } = snapshot;
    out.text((1, "name"), family.name);
    out.text((2, "description"), family.help);
    out.text((3, "unit"), family.unit);
    let point =
        |out: &mut _, (labels, value): &(Vec<String>, Value)| write_point(out, labels, value, snapshot, since, now);
    match family.kind {
        Kind::Gauge => out.message((5, "gauge"), |out| out.messages((1, "dataPoints"), series, point)),
        Kind::Counter => out.message((7, "sum"), |out| {
            out.messages((1, "dataPoints"), series, point);
            out.uint32((2, "aggregationTemporality"), CUMULATIVE);
            out.bool((3, "isMonotonic"), true);
        }),
        Kind::Histogram(_) => out.message((9, "histogram"), |out| {
            out.messages((1, "dataPoints"), series, point);
            out.uint32((2, "aggregationTemporality"), CUMULATIVE);
        }),
    }
}

fn write_point(out: &mut impl Message, labels: &[String], value: &Value, of: &Snapshot, since: Nanos, now: Nanos) {
    out.fixed64((2, "startTimeUnixNano"), since.0);
    out.fixed64((3, "timeUnixNano"), now.0);
    // A label that is empty is none, as in Prometheus.
    let labels = of.family.labels.iter().zip(labels).filter(|(_, value)| !value.is_empty());
    match (value, of.family.kind) {
        (Value::Number(number), _) => {
            out.double((4, "asDouble"), *number);
            out.messages((7, "attributes"), labels, write_label);
        }
        (Value::Histogram { counts, sum }, Kind::Histogram(bounds)) => {
            let count = counts.iter().sum();
            // What is zero is left out, as protobuf has it, but for what may be absent.
            if count > 0 {
                out.fixed64((4, "count"), count);
            }
            out.double((5, "sum"), *sum);
            out.fixed64s((6, "bucketCounts"), counts);
            out.doubles((7, "explicitBounds"), bounds);
            out.messages((9, "attributes"), labels, write_label);
        }
        (Value::Histogram { .. }, _) => unreachable!("a family's series are of its kind"),
    }
}

fn write_label(out: &mut impl Message, (name, value): (&&'static str, &String)) {
    out.text((1, "key"), name);
    out.message((2, "value"), |out| match (*name, value.parse()) {
        // The conventions have it as a number.
        ("http.response.status_code", Ok(status)) => out.int64((3, "intValue"), status),
        _ => out.text((1, "stringValue"), value),
    });
}
