//! What the sidecars of a run record and count as OTLP, on virtual time and with ids of the seed.

use outrigger::telemetry::otlp::{Resource, metrics_json, traces_json};
use outrigger::telemetry::trace::Span;

use crate::scenario::Scenario;
use crate::world::Run;
use crate::world::readings::Reading;

/// Spans of a line, or of a request.
const BATCH: usize = 512;

/// OTLP JSON lines, as OpenTelemetry's file exporter writes them: first an `ExportTraceServiceRequest` each, then an
/// `ExportMetricsServiceRequest` each. Of a run that was played without
/// [`Options::spans`](crate::world::Options) or [`Options::readings`](crate::world::Options) there are none of these.
pub fn lines(scenario: &Scenario, run: &Run) -> String {
    let mut lines = String::new();
    for (resource, spans) in batches(scenario, run) {
        lines.push_str(&traces_json(&resource, spans));
        lines.push('\n');
    }
    for (resource, Reading { figures, since, at, .. }) in readings(scenario, run) {
        lines.push_str(&metrics_json(&resource, figures, *since, *at));
        lines.push('\n');
    }
    lines
}

/// Spans that go together, with what is said of the process that recorded them.
pub fn batches<'a>(scenario: &'a Scenario, run: &'a Run) -> impl Iterator<Item = (Resource, &'a [Span])> {
    let processes = run.spans.iter().flat_map(|spans| &spans.processes);
    processes.flat_map(move |of| {
        let resource = resource(scenario, run, of.sidecar, of.process);
        of.spans.chunks(BATCH).map(move |spans| (resource.clone(), spans))
    })
}

/// What processes had counted, in the order of time, with what is said of each.
pub fn readings<'a>(scenario: &'a Scenario, run: &'a Run) -> impl Iterator<Item = (Resource, &'a Reading)> {
    let all = run.readings.iter().flat_map(|readings| &readings.all);
    all.map(move |reading| (resource(scenario, run, reading.sidecar, reading.process), reading))
}

fn resource(scenario: &Scenario, run: &Run, sidecar: usize, process: u32) -> Resource {
    let sidecar = &scenario.sidecars[sidecar];
    let mut attributes = sidecar.config.otlp.resource.clone();
    attributes.extend(
        [
            ("service.instance.id", format!("{}/{process}", sidecar.name)),
            ("host.name", sidecar.name.clone()),
            ("cloud.region", scenario.regions[sidecar.region.0].name.clone()),
            ("outrigger.scenario", scenario.name.clone()),
            ("outrigger.seed", run.seed.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    Resource(attributes)
}
