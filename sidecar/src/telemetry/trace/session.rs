//! The spans of a session after its 101: segments, and messages as a sample.

use std::num::NonZeroU32;
use std::sync::Arc;

use outrigger_shared::close::{Cause, End, Side};
use outrigger_shared::event::{Event, Message};
use outrigger_shared::relay::{Relay, Stats};
use outrigger_shared::trace_context::SpanContext;
use tokio::time::Instant;

use super::{Attr, Attributes, Nanos, Span, SpanEvent, SpanKind, Tracer};
use crate::session::Who;

/// Events that a segment holds; further ones are counted.
const MAX_EVENTS: usize = 32;

/// A session whose handshake is recorded. Idle sessions hold this, so it is kept short.
pub(crate) struct SessionTrace {
    tracer: Arc<Tracer>,
    handshake: SpanContext,
    /// Wall clock and time at which the session began.
    start: Nanos,
    began: Instant,
    /// The segment that is underway: its number, from 0, when it began, and what had passed before it.
    number: u32,
    segment_began: Instant,
    before: [Passed; 2],
    events: Vec<SpanEvent>,
    events_lost: u32,
    /// A message that is told when it is with the other side's socket.
    message: Option<Box<(Instant, Side, Message)>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    messages: u64,
    bytes: u64,
}

impl From<&Stats> for Passed {
    fn from(stats: &Stats) -> Self {
        Self { messages: stats.text + stats.binary, bytes: stats.bytes }
    }
}

impl SessionTrace {
    pub(crate) fn new(tracer: Arc<Tracer>, handshake: SpanContext) -> Box<Self> {
        let now = Instant::now();
        Box::new(Self {
            start: tracer.now(),
            tracer,
            handshake,
            began: now,
            number: 0,
            segment_began: now,
            before: [Passed::default(); 2],
            events: Vec::new(),
            events_lost: 0,
            message: None,
        })
    }

    /// One in how many messages the relay has to tell, and a seed for their choice.
    pub(crate) fn sampling(&self) -> Option<(NonZeroU32, u64)> {
        self.tracer.plan.messages.map(|one_in| (one_in, self.tracer.id()))
    }

    /// When the segment is to end.
    pub(crate) fn segment_ends(&self) -> Instant {
        self.segment_began + self.tracer.plan.segment
    }

    /// When somebody has to see to it that it does.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        (!self.tracer.aside).then(|| self.segment_ends())
    }

    pub(crate) fn event(&mut self, event: &Event) {
        let side = |side: Side| ("outrigger.side", Attr::from(side.as_str()));
        let (name, attributes): (_, Attributes) = match *event {
            Event::Message { from, message } => {
                self.message = Some(Box::new((Instant::now(), from, message)));
                return;
            }
            Event::LimitHit { from, limit } => {
                ("outrigger.limit_hit", vec![side(from), ("outrigger.limit", limit.as_str().into())])
            }
            Event::RateLimited { from, on: true } => ("outrigger.rate_limited", vec![side(from)]),
            Event::Violation { from, what } => {
                ("outrigger.violation", vec![side(from), ("outrigger.violation", what.as_str().into())])
            }
            Event::Backpressure { from, on: true } => ("outrigger.backpressure", vec![side(from)]),
            Event::CloseReceived { from, code } => {
                ("outrigger.close_received", vec![side(from), ("outrigger.close.code", Attr::Int(code.0.into()))])
            }
            Event::CloseSent { to, code } => {
                ("outrigger.close_sent", vec![side(to), ("outrigger.close.code", Attr::Int(code.0.into()))])
            }
            Event::Ended(End { cause: Cause::KeepaliveLost(lost), .. }) => ("outrigger.ping_lost", vec![side(lost)]),
            Event::Ended(End { cause: Cause::Drain, .. }) => ("outrigger.drain", Vec::new()),
            _ => return,
        };
        if self.events.len() >= MAX_EVENTS {
            self.events_lost += 1;
            return;
        }
        let at = self.at(Instant::now());
        self.events.push(SpanEvent { at, name, attributes });
    }

    /// What was read went to the other side's socket, or waits for it (`waits`): a message that was told in it is timed.
    pub(crate) fn forwarded(&mut self, who: &Who, waits: bool) {
        let Some(message) = self.message.take() else { return };
        let (read, from, Message { binary, bytes, frames }) = *message;
        let attributes = vec![
            ("outrigger.session.id", Attr::count(who.id)),
            ("outrigger.message.from", from.as_str().into()),
            ("outrigger.message.opcode", if binary { "binary" } else { "text" }.into()),
            ("outrigger.message.size", Attr::count(bytes)),
            ("outrigger.message.frames", Attr::count(frames.into())),
            ("outrigger.message.waits", Attr::Bool(waits)),
        ];
        self.take("websocket message", read, Instant::now(), attributes, Vec::new(), 0, None);
    }

    /// Ends the segment that is underway, and begins the next one unless the session is over.
    pub(crate) fn cut(&mut self, who: &Who, relay: &Relay) {
        let now = Instant::now();
        let mut attributes: Attributes = vec![
            ("outrigger.session.id", Attr::count(who.id)),
            ("outrigger.session.segment", Attr::count(self.number.into())),
            ("outrigger.session.age", Attr::Double((now - self.began).as_secs_f64())),
            ("network.protocol.name", who.scheme.into()),
            ("client.address", super::request::canonical(who.client.ip()).into()),
            ("url.path", who.path.to_string().into()),
        ];
        if let Some(protocol) = &who.protocol {
            attributes.push(("outrigger.subprotocol", protocol.to_string().into()));
        }
        if let Some(upstream) = &who.upstream {
            attributes.push(("outrigger.upstream", upstream.to_string().into()));
        }
        let names = [
            ("outrigger.client.messages", "outrigger.client.bytes", "outrigger.client.ping_rtt"),
            ("outrigger.app.messages", "outrigger.app.bytes", "outrigger.app.ping_rtt"),
        ];
        for (side, (messages, bytes, rtt)) in Side::BOTH.into_iter().zip(names) {
            let stats = relay.stats(side);
            let (after, before) = (Passed::from(stats), self.before[side as usize]);
            attributes.push((messages, Attr::count(after.messages - before.messages)));
            attributes.push((bytes, Attr::count(after.bytes - before.bytes)));
            attributes.extend(stats.ping_rtt.map(|took| (rtt, Attr::Double(took.as_secs_f64()))));
            self.before[side as usize] = after;
        }
        let mut error = None;
        attributes.push(("outrigger.session.last", Attr::Bool(relay.end().is_some())));
        if let Some(end) = relay.end() {
            attributes.push(("outrigger.end.by", end.by.as_str().into()));
            attributes.push(("outrigger.end.cause", end.cause.as_str().into()));
            attributes.extend(end.cause.side().map(|side| ("outrigger.end.side", side.as_str().into())));
            attributes.extend(end.client_code.map(|code| ("outrigger.client.close_code", Attr::Int(code.0.into()))));
            attributes.extend(end.app_code.map(|code| ("outrigger.app.close_code", Attr::Int(code.0.into()))));
            error = end.cause.side().map(|_| end.cause.as_str());
        }
        let (events, lost) = (std::mem::take(&mut self.events), std::mem::take(&mut self.events_lost));
        self.take("websocket session", self.segment_began, now, attributes, events, lost, error);
        self.number += 1;
        self.segment_began = now;
    }

    fn at(&self, instant: Instant) -> Nanos {
        self.start.plus(instant.saturating_duration_since(self.began))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one span, each from another source")]
    fn take(
        &self,
        name: &'static str,
        start: Instant,
        end: Instant,
        attributes: Attributes,
        events: Vec<SpanEvent>,
        events_lost: u32,
        error: Option<&'static str>,
    ) {
        self.tracer.sink.take(Span {
            context: self.tracer.root(),
            parent: None,
            state: None,
            kind: SpanKind::Internal,
            name: name.into(),
            start: self.at(start),
            end: self.at(end),
            attributes,
            events,
            events_lost,
            links: vec![self.handshake],
            error,
        });
    }
}

/// What a session's trace costs while it is idle.
const _: () = assert!(size_of::<SessionTrace>() <= 256, "an idle session stays small");
