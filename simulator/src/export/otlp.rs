//! The spans of a run as OTLP: what sidecars record, on virtual time and with ids of the seed.

use outrigger::telemetry::otlp::{Resource, traces_json};
use outrigger::telemetry::trace::Span;

use crate::scenario::Scenario;
use crate::world::Run;

/// Spans of a line, or of a request.
const BATCH: usize = 512;

/// OTLP JSON lines, as OpenTelemetry's file exporter writes them: an `ExportTraceServiceRequest` each. Empty if the run
/// was played without [`Options::spans`](crate::world::Options).
pub fn lines(scenario: &Scenario, run: &Run) -> String {
    let mut lines = String::new();
    for (resource, spans) in batches(scenario, run) {
        lines.push_str(&traces_json(&resource, spans));
        lines.push('\n');
    }
    lines
}

/// Spans that go together, with what is said of the process that recorded them.
pub fn batches<'a>(scenario: &'a Scenario, run: &'a Run) -> impl Iterator<Item = (Resource, &'a [Span])> {
    let processes = run.spans.iter().flat_map(|spans| &spans.processes);
    processes.flat_map(move |of| {
        let sidecar = &scenario.sidecars[of.sidecar];
        let mut attributes = sidecar.config.otlp.resource.clone();
        attributes.extend(
            [
                ("service.instance.id", format!("{}/{}", sidecar.name, of.process)),
                ("host.name", sidecar.name.clone()),
                ("cloud.region", scenario.regions[sidecar.region.0].name.clone()),
                ("outrigger.scenario", scenario.name.clone()),
                ("outrigger.seed", run.seed.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        of.spans.chunks(BATCH).map(move |spans| (Resource(attributes.clone()), spans))
    })
}
