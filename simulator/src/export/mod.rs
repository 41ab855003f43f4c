//! A run for the tools of others: OpenTelemetry's, and viewers of Chrome's trace format. Same run, same bytes.

mod chrome;
mod otlp;

pub use chrome::chrome;
pub use otlp::{batches, lines, readings};
