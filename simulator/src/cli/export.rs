//! What `replay` writes for the tools of others.

use std::fs;
use std::path::PathBuf;

use clap::builder::ValueHint;
use clap::{Arg, ArgMatches, value_parser};
use outrigger::config::{self, Otlp, Sources};
use outrigger::net::TokioNet;
use outrigger::telemetry::otlp::Courier;
use outrigger::tls::Crypto;
use tokio::runtime::Builder;

use crate::export;
use crate::scenario::Scenario;
use crate::world::Run;
use crate::world::readings::Reading;

const OTLP: &str = "export-otlp";
const ENDPOINT: &str = "export-otlp-endpoint";
const PROTOCOL: &str = "export-otlp-protocol";
const CHROME: &str = "export-chrome";

pub(super) fn args() -> [Arg; 4] {
    let file = |name: &'static str| {
        let arg = Arg::new(name).long(name).value_name("FILE").value_parser(value_parser!(PathBuf));
        arg.value_hint(ValueHint::FilePath)
    };
    [
        file(OTLP).help("Write what sidecars recorded and counted, traces and metrics, as OTLP JSON lines"),
        Arg::new(ENDPOINT)
            .long(ENDPOINT)
            .value_name("URL")
            .help("Send both to a collector instead or as well, such as http://localhost:4318"),
        Arg::new(PROTOCOL)
            .long(PROTOCOL)
            .value_name("PROTOCOL")
            .requires(ENDPOINT)
            .value_parser(["grpc", "http/protobuf"])
            .default_value("http/protobuf")
            .help("What is spoken with the collector"),
        file(CHROME).help("Write the run as a trace for Perfetto or chrome://tracing"),
    ]
}

/// What is asked for.
pub(super) struct Exports {
    otlp: Option<PathBuf>,
    chrome: Option<PathBuf>,
    collector: Option<Otlp>,
}

impl Exports {
    /// Fails with what is wrong with the flags.
    pub(super) fn new(matches: &ArgMatches) -> Result<Self, String> {
        let file = |name| matches.get_one::<PathBuf>(name).cloned();
        let protocol = matches.get_one::<String>(PROTOCOL).map_or("http/protobuf", String::as_str);
        let collector = matches.get_one::<String>(ENDPOINT).map(|url| collector(url, protocol)).transpose()?;
        Ok(Self { otlp: file(OTLP), chrome: file(CHROME), collector })
    }

    /// Whether the run has to be played with its story.
    pub(super) fn story(&self) -> bool {
        self.chrome.is_some()
    }

    /// Whether the run has to be played with its spans.
    pub(super) fn spans(&self) -> bool {
        self.otlp.is_some() || self.chrome.is_some() || self.collector.is_some()
    }

    /// Whether sidecars have to be read in the run.
    pub(super) fn readings(&self) -> bool {
        self.otlp.is_some() || self.collector.is_some()
    }

    /// Fails with the first thing that could not be done.
    pub(super) fn write(&self, scenario: &Scenario, run: &Run) -> Result<(), String> {
        let written =
            |path: &PathBuf, text: String| fs::write(path, text).map_err(|why| format!("{}: {why}", path.display()));
        if let Some(path) = &self.otlp {
            written(path, export::lines(scenario, run))?;
        }
        if let Some(path) = &self.chrome {
            written(path, export::chrome(scenario, run))?;
        }
        if let Some(collector) = &self.collector {
            send(collector, scenario, run)?;
        }
        let spans = run.spans.as_ref().map_or(0, |spans| spans.left_out);
        let readings = run.readings.as_ref().map_or(0, |readings| readings.left_out);
        match (spans, readings) {
            (0, 0) => Ok(()),
            (0, readings) => Err(format!(
                "{readings} exports of metrics were too many and are left out: give a longer metric_export_interval"
            )),
            (spans, _) => Err(format!("{spans} spans were too many and are left out")),
        }
    }
}

/// The collector as the sidecar would read it: for traces, and for metrics.
fn collector(url: &str, protocol: &str) -> Result<Otlp, String> {
    let flags = [("upstream", "localhost:1"), ("otlp_endpoint", url), ("otlp_protocol", protocol)];
    let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let resolved = config::resolve(&Sources { flags, ..Sources::default() }, None);
    let (config, _) = resolved.map_err(|report| {
        let faults: Vec<String> =
            report.faults.iter().map(|fault| format!("{}; {}", fault.problem, fault.advice)).collect();
        format!("--{ENDPOINT}: {}", faults.join("; "))
    })?;
    Ok(config.otlp)
}

/// The run is over: from here on there is a real network and a real clock.
fn send(collector: &Otlp, scenario: &Scenario, run: &Run) -> Result<(), String> {
    let failed = |why: String| format!("the collector does not have all of it: {why}");
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|why| failed(why.to_string()))?;
    runtime.block_on(async {
        let net = TokioNet::default();
        let given = "an endpoint was given";
        let (traces, metrics) = (collector.traces.as_ref().expect(given), collector.metrics.as_ref().expect(given));
        let courier = Courier::new(net, traces, metrics, &Crypto::new(net));
        let mut courier = courier.map_err(|why| failed(why.to_string()))?;
        let all_of = |taken: Result<u64, String>, what: &str| match taken {
            Ok(0) => Ok(()),
            Ok(rejected) => Err(failed(format!("it rejected {rejected} {what}"))),
            Err(why) => Err(failed(why)),
        };
        for (resource, spans) in export::batches(scenario, run) {
            all_of(courier.traces(&resource, spans).await, "spans")?;
        }
        for (resource, Reading { figures, since, at, .. }) in export::readings(scenario, run) {
            all_of(courier.metrics(&resource, figures, *since, *at).await, "points of metrics")?;
        }
        Ok(())
    })
}
