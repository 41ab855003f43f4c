//! Spans and figures that are there already, to a collector, by somebody who waits for it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::answer::Answer;
use super::collector::Collector;
use super::encode::{self, Resource};
use super::tally::Signal;
use crate::config::Export;
use crate::net::Net;
use crate::telemetry::metrics::Snapshot;
use crate::telemetry::trace::{Nanos, Span};
use crate::tls::{Crypto, LoadError};

/// From one attempt to the next, unless the collector says when.
const PAUSE: Duration = Duration::from_secs(1);
/// For all attempts with one request together.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request after the other.
pub struct Courier<N: Net> {
    traces: Collector<N>,
    metrics: Collector<N>,
}

impl<N: Net> Courier<N> {
    /// Fails if the authorities of a collector's certificate cannot be read.
    pub fn new(net: N, traces: &Export, metrics: &Export, crypto: &Crypto) -> Result<Self, LoadError> {
        Ok(Self {
            traces: Collector::new(net.clone(), traces, Signal::Traces, crypto)?,
            metrics: Collector::new(net, metrics, Signal::Metrics, crypto)?,
        })
    }

    /// Hands spans over and says how many of them the collector rejected; fails with why it has none of them.
    pub async fn traces(&mut self, resource: &Resource, spans: &[Span]) -> Result<u64, String> {
        deliver(&mut self.traces, encode::traces(resource, spans)).await
    }

    /// The same for figures counted since `since`, as they were at `at`: says how many of their points were rejected.
    pub async fn metrics(
        &mut self,
        resource: &Resource,
        figures: &[Snapshot],
        since: Nanos,
        at: Nanos,
    ) -> Result<u64, String> {
        deliver(&mut self.metrics, encode::metrics(resource, figures, since, at)).await
    }
}

async fn deliver<N: Net>(collector: &mut Collector<N>, message: Vec<u8>) -> Result<u64, String> {
    let message = Bytes::from(message);
    let until = Instant::now() + PATIENCE;
    loop {
        match collector.hand_over(&message).await {
            Answer::Accepted { rejected, .. } => return Ok(rejected),
            Answer::Refused { why } | Answer::Nonsense { why } => return Err(why),
            Answer::Later { after, why } => {
                let pause = after.unwrap_or(PAUSE).min(PATIENCE);
                if Instant::now() + pause >= until {
                    return Err(why);
                }
                sleep(pause).await;
            }
        }
    }
}
