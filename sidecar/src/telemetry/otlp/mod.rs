//! Traces and metrics to a collector, over OTLP ("OpenTelemetry Protocol Specification").
//!
//! Nothing here keeps a session waiting: spans go into a [`queue`] that is never longer than its limit, and one task for
//! each signal empties it. What no collector has is counted ([`Tally`]) and told in the log.
//!
//! The messages are written by hand: the part of OTLP that is needed is small, and does not change. A test decodes them
//! with OpenTelemetry's own types.

mod answer;
mod collector;
mod courier;
mod encode;
mod export;
mod message;
mod queue;
mod tally;

pub use courier::Courier;
pub use encode::{Resource, metrics, metrics_json, traces, traces_json};
pub use export::Exporter;
pub use tally::Tally;
