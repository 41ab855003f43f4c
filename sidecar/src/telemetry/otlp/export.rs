//! The tasks that export: when something goes out, and how often it is tried.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outrigger_shared::entropy::Entropy;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::answer::Answer;
use super::collector::Collector;
use super::encode::{self, Resource};
use super::queue::Queue;
use super::tally::{Loss, Outcome, Signal, Tally};
use crate::config::Config;
use crate::control::Control;
use crate::net::Net;
use crate::telemetry::Metrics;
use crate::telemetry::trace::{Sink, Span, Tracer};
use crate::tls::{Crypto, LoadError};

/// The first pause before another attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long spans are tried to be handed over before they are given up. Those that come meanwhile wait in the queue.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the last spans and figures may take once the sidecar has stopped.
const FAREWELL: Duration = Duration::from_secs(3);
/// From one line in the log about losses to the next.
const BETWEEN_COMPLAINTS: Duration = Duration::from_mins(1);

/// What exports the traces and metrics of a process.
pub struct Exporter<N: Net> {
    net: N,
    resource: Arc<Resource>,
    tally: Arc<Tally>,
    queue: Option<Arc<Queue>>,
    tracer: Option<Arc<Tracer>>,
    traces: Option<(Collector<N>, Duration)>,
    metrics: Option<(Collector<N>, Duration)>,
}

/// An exporter at work.
pub struct Running {
    traces: watch::Sender<bool>,
    metrics: watch::Sender<bool>,
}

impl<N: Net> Exporter<N> {
    /// `None` where nothing is exported. Reads the file of authorities that the collector's certificate may be signed by.
    pub fn new(net: N, config: &Config, crypto: &Crypto) -> Result<Option<Self>, LoadError> {
        let otlp = &config.otlp;
        if otlp.traces.is_none() && otlp.metrics.is_none() {
            return Ok(None);
        }
        let tally = Arc::new(Tally::default());
        let collector = |export: &Option<_>, signal| {
            export.as_ref().map(|export| Collector::new(net.clone(), export, signal, crypto)).transpose()
        };
        let to_traces = collector(&otlp.traces, Signal::Traces)?;
        let to_metrics = collector(&otlp.metrics, Signal::Metrics)?;
        let queue = to_traces.as_ref().map(|_| Queue::new(otlp.queue, Arc::clone(&tally)));
        let clock = net.clone();
        let tracer = queue.as_ref().map(|queue| {
            let sink = Arc::clone(queue) as Arc<dyn Sink>;
            Tracer::new(config.tracing, net.seed(), move || clock.wall_clock(), sink)
        });
        Ok(Some(Self {
            resource: Arc::new(resource(&otlp.resource, &net)),
            tally,
            queue,
            tracer,
            traces: to_traces.map(|collector| (collector, otlp.span_interval)),
            metrics: to_metrics.map(|collector| (collector, otlp.metric_interval)),
            net,
        }))
    }

    /// What makes the spans that are exported; `None` where none are.
    pub fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.tracer.as_ref()
    }

    /// Begins to export what the sidecar counts and records. What the exporter counts is among the figures from now on.
    pub fn start(self, control: &Arc<Control<N>>) -> Running {
        let (stop_traces, traces_stop) = watch::channel(false);
        let (stop_metrics, metrics_stop) = watch::channel(false);
        if let Some(metrics) = control.metrics() {
            metrics.show_exports(Arc::clone(&self.tally));
        }
        let delivery = |collector, signal, stopping| Delivery {
            collector,
            signal,
            pauses: Entropy(self.net.seed()),
            tally: Arc::clone(&self.tally),
            complaints: Complaints::default(),
            stopping,
        };
        if let (Some((collector, every)), Some(queue)) = (self.traces, self.queue) {
            let task = Spans {
                delivery: delivery(collector, Signal::Traces, traces_stop),
                queue,
                resource: Arc::clone(&self.resource),
                every,
            };
            self.net.spawn(task.run());
        }
        if let (Some((collector, every)), Some(metrics)) = (self.metrics, control.metrics()) {
            let task = Figures {
                delivery: delivery(collector, Signal::Metrics, metrics_stop),
                metrics: Arc::clone(metrics),
                control: Arc::clone(control),
                resource: self.resource,
                every,
            };
            self.net.spawn(task.run());
        }
        Running { traces: stop_traces, metrics: stop_metrics }
    }
}

impl Running {
    /// Sends the spans that are left, and then the figures, which tell what became of those; for [`FAREWELL`] each at
    /// most. Call it once everything that makes spans has come to its end.
    pub async fn finish(self) {
        for stop in [self.traces, self.metrics] {
            stop.send_replace(true);
            // The tasks keep to the limit themselves; this is for one that hangs in what it does not know of.
            let _ = timeout(FAREWELL + Duration::from_secs(1), stop.closed()).await;
        }
    }
}

/// The configured attributes, and those that the conventions want of whoever makes telemetry.
fn resource<N: Net>(configured: &[(String, String)], net: &N) -> Resource {
    let mut id = [0; 16];
    net.entropy(&mut id);
    let own = [
        ("service.instance.id", uuid(id)),
        ("telemetry.sdk.name", "outrigger".to_owned()),
        ("telemetry.sdk.language", "rust".to_owned()),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let mut all = configured.to_vec();
    for (name, value) in own {
        if all.iter().all(|(known, _)| known != name) {
            all.push((name.to_owned(), value));
        }
    }
    Resource(all)
}

/// Version 4 of RFC 9562.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for part in [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]] {
        if !text.is_empty() {
            text.push('-');
        }
        outrigger_shared::trace_context::hex(part, &mut text);
    }
    text
}

/// Exports spans.
struct Spans<N: Net> {
    delivery: Delivery<N>,
    queue: Arc<Queue>,
    resource: Arc<Resource>,
    every: Duration,
}

impl<N: Net> Spans<N> {
    async fn run(mut self) {
        let mut stopping = self.delivery.stopping.clone();
        loop {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => break,
                () = self.queue.filled() => {}
                () = sleep(self.every) => {}
            }
            // What comes while this goes out is for the next time, but a whole batch need not wait.
            let batch = self.queue.take_batch();
            self.export(batch, Instant::now() + PATIENCE).await;
            self.delivery.complain_of_losses();
        }
        let farewell = Instant::now() + FAREWELL;
        while !self.queue.is_empty() && Instant::now() < farewell {
            let batch = self.queue.take_batch();
            self.export(batch, farewell).await;
        }
        self.queue.close();
        self.delivery.complaints.last_losses = None;
        self.delivery.complain_of_losses();
    }

    async fn export(&mut self, batch: Vec<Span>, until: Instant) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let message = Bytes::from(encode::traces(&self.resource, &batch));
        drop(batch);
        let (exported, loss) = match self.delivery.deliver(&message, until).await {
            Delivered::Taken { rejected } => (count - rejected.min(count), Loss::Rejected),
            Delivered::Not(loss) => (0, loss),
        };
        self.delivery.tally.exported(exported);
        self.delivery.tally.lost(loss, count - exported);
    }
}

/// Exports figures.
struct Figures<N: Net> {
    delivery: Delivery<N>,
    metrics: Arc<Metrics>,
    control: Arc<Control<N>>,
    resource: Arc<Resource>,
    every: Duration,
}

impl<N: Net> Figures<N> {
    async fn run(mut self) {
        let mut stopping = self.delivery.stopping.clone();
        let mut next = Instant::now() + self.every;
        loop {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => break,
                () = sleep_until(next) => {}
            }
            // A host that was stopped for a while does not make up for what it has missed.
            next = (next + self.every).max(Instant::now());
            // They are sums since the start, so that the next ones make up for those that did not go out.
            self.export(next).await;
        }
        self.export(Instant::now() + FAREWELL).await;
    }

    async fn export(&mut self, until: Instant) {
        let figures = self.metrics.snapshot(&self.control.now());
        let (since, now) = (self.metrics.started().into(), self.delivery.collector.wall_clock().into());
        let message = encode::metrics(&self.resource, &figures, since, now);
        self.delivery.deliver(&Bytes::from(message), until).await;
    }
}

/// Hands one message after the other to a collector.
struct Delivery<N: Net> {
    collector: Collector<N>,
    signal: Signal,
    /// Chance for the length of pauses.
    pauses: Entropy,
    tally: Arc<Tally>,
    complaints: Complaints,
    stopping: watch::Receiver<bool>,
}

/// What came of a message.
enum Delivered {
    /// But for so many spans or points in it.
    Taken {
        rejected: u64,
    },
    Not(Loss),
}

impl<N: Net> Delivery<N> {
    /// Tries until the collector has taken or refused it, or it is too late. Once the process stops, there is one more
    /// attempt and [`FAREWELL`] for it.
    async fn deliver(&mut self, message: &Bytes, until: Instant) -> Delivered {
        let mut pause = FIRST_PAUSE;
        let mut stopped = *self.stopping.borrow();
        let mut until = until;
        loop {
            let mut late: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(sleep_until(until));
            let mut stopping = self.stopping.clone();
            let stop = async {
                let _ = stopping.wait_for(|stop| *stop).await;
                sleep(FAREWELL).await;
            };
            let answer = tokio::select! {
                biased;
                answer = self.collector.hand_over(message) => answer,
                () = &mut late => Answer::later(&"too late"),
                () = stop, if !stopped => Answer::later(&"the process ends"),
            };
            let (why, after) = match answer {
                Answer::Accepted { rejected, words } => {
                    self.accepted(rejected, &words);
                    return Delivered::Taken { rejected };
                }
                Answer::Refused { why } => return self.given_up(Outcome::Refused, Loss::Refused, &why),
                Answer::Nonsense { why } => return self.given_up(Outcome::Nonsense, Loss::Nonsense, &why),
                Answer::Later { after, why } => (why, after),
            };
            self.tally.attempted(self.signal, Outcome::Unavailable);
            self.complaints.complain(self.signal, &why);
            // What it says may be anything; what is longer than the patience is all the same.
            let wait = after.unwrap_or_default().min(PATIENCE).max(self.spread(pause));
            pause = (2 * pause).min(LONGEST_PAUSE);
            if stopped || Instant::now() + wait >= until {
                return Delivered::Not(if stopped { Loss::Stopped } else { Loss::Unavailable });
            }
            self.complain_of_losses();
            tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stop| *stop) => {
                    stopped = true;
                    until = until.min(Instant::now() + FAREWELL);
                }
                () = sleep(wait) => {}
            }
        }
    }

    fn accepted(&mut self, rejected: u64, words: &str) {
        let outcome = if rejected == 0 { Outcome::Accepted } else { Outcome::Partial };
        self.tally.attempted(self.signal, outcome);
        if rejected > 0 || !words.is_empty() {
            let signal = self.signal.as_str();
            if self.complaints.may() {
                tracing::warn!(signal, rejected, words, "the collector took it, and has something to say");
            }
        } else if std::mem::take(&mut self.complaints.failing) {
            tracing::info!(signal = self.signal.as_str(), "the collector takes what it is sent");
        }
    }

    fn given_up(&mut self, outcome: Outcome, loss: Loss, why: &str) -> Delivered {
        self.tally.attempted(self.signal, outcome);
        self.complaints.complain(self.signal, why);
        Delivered::Not(loss)
    }

    /// Between half of a pause and all of it, so that many sidecars do not come back at once.
    fn spread(&mut self, pause: Duration) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "any share will do")]
        let share = self.pauses.next() as f64 / u64::MAX as f64;
        pause.mul_f64(0.5 + share / 2.0)
    }

    /// A line in the log if spans were lost since the last one.
    fn complain_of_losses(&mut self) {
        let lost = self.tally.all_lost();
        if self.signal == Signal::Traces && lost > self.complaints.told && self.complaints.may_tell_losses() {
            let since = lost - self.complaints.told;
            self.complaints.told = lost;
            tracing::warn!(lost = since, all = lost, "spans are lost: see outrigger_otlp_spans_lost_total for why");
        }
    }
}

/// Keeps the log short while a collector is away.
#[derive(Debug, Default)]
struct Complaints {
    last: Option<Instant>,
    /// Of losses.
    last_losses: Option<Instant>,
    /// Lost spans that the log tells of.
    told: u64,
    /// The last attempt failed.
    failing: bool,
}

impl Complaints {
    fn complain(&mut self, signal: Signal, why: &str) {
        self.failing = true;
        if self.may() {
            tracing::warn!(signal = signal.as_str(), why, "the collector does not take what it is sent");
        }
    }

    fn may(&mut self) -> bool {
        due(&mut self.last)
    }

    fn may_tell_losses(&mut self) -> bool {
        due(&mut self.last_losses)
    }
}

fn due(last: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let due = last.is_none_or(|last| now - last >= BETWEEN_COMPLAINTS);
    if due {
        *last = Some(now);
    }
    due
}
