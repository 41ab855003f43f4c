//! What a side sent, frame by frame.

use crate::close::{Cause, Initiator, Side};
use crate::event::Event;
use crate::frame::{Header, Violation, read_close};
use crate::limits::{Limit, OverRate};
use crate::relay::closing::Phase;
use crate::relay::half::Probe;
use crate::relay::scanner::{Fault, Rules, Run, Stop};
use crate::relay::{Negotiated, Received, Relay};
use crate::time::Micros;

impl Relay {
    pub(super) fn receive_frames(
        &mut self,
        negotiated: Negotiated,
        from: Side,
        input: &[u8],
        now: Micros,
        events: &mut dyn FnMut(Event),
    ) -> Received {
        if self.is_over() || self.half(from).is_silenced() {
            return Received::Discard(input.len());
        }
        self.refill(from, now);
        let rules = self.rules(negotiated, from);
        let half = self.half_mut(from);
        let run = half.scanner.scan(input, &rules, &mut half.stats);
        if let Some(message) = run.sample {
            self.next_sample(from);
            events(Event::Message { from, message });
        }
        if run.len > 0 {
            if run.forward {
                self.charge(from, &run, now, events);
                return Received::Forward(run.len);
            }
            return Received::Discard(run.len);
        }
        match run.stop {
            Stop::Pause => Received::More,
            Stop::Close(header) => self.receive_close(from, &header, input, now, events),
            Stop::Answer(header) => self.receive_answer(from, &header, now, events),
            Stop::Fault(Fault::Violation(what)) => self.violation(from, what, input, now, events),
            Stop::Fault(Fault::Limit(limit)) => {
                self.over_limit(from, limit, now, events);
                // Nothing from this side is forwarded any more, so the same frame is now skipped, within no limit: the
                // stream stays readable up to the side's Close.
                self.receive_frames(negotiated, from, input, now, events)
            }
        }
    }

    fn rules(&self, negotiated: Negotiated, from: Side) -> Rules {
        let half = self.half(from);
        let peer = self.half(from.peer());
        let mut rules = Rules {
            from,
            deflate: negotiated.permessage_deflate,
            max_frame: u64::MAX,
            max_message: u64::MAX,
            max_fragments: u32::MAX,
            message_budget: u64::MAX,
            byte_budget: u64::MAX,
            ping: half.ping.map(|ping| ping.payload),
            stop_at_boundary: peer.close_due.is_some() || peer.probe == Probe::Due,
            forward: peer.accepts(),
        };
        // Limits protect the other side; what is dropped anyway needs none.
        if rules.forward {
            rules.max_frame = self.policy.max_frame_size.unwrap_or(u64::MAX);
            rules.max_message = self.policy.max_message_size.unwrap_or(u64::MAX);
            rules.max_fragments = self.policy.max_fragments.unwrap_or(u32::MAX);
            if self.closes_over_rate() {
                rules.message_budget = half.messages.map_or(u64::MAX, |bucket| bucket.tokens());
                rules.byte_budget = half.bytes.map_or(u64::MAX, |bucket| bucket.tokens());
            }
        }
        rules
    }

    /// An end that is underway is not to be delayed or doubled by a rate.
    fn closes_over_rate(&self) -> bool {
        self.policy.over_rate == OverRate::Close && matches!(self.phase, Phase::Open)
    }

    fn refill(&mut self, from: Side, now: Micros) {
        let half = &mut self.halves[from as usize];
        if half.messages.is_some() || half.bytes.is_some() {
            half.refill(&self.policy, now);
        }
    }

    fn charge(&mut self, from: Side, run: &Run, now: Micros, events: &mut dyn FnMut(Event)) {
        let half = &mut self.halves[from as usize];
        if !matches!(self.phase, Phase::Open) || (half.messages.is_none() && half.bytes.is_none()) {
            return;
        }
        half.charge(run.messages, run.len as u64);
        match self.policy.over_rate {
            OverRate::Close if half.bytes.is_some_and(|bucket| bucket.overdrawn()) => {
                self.over_limit(from, Limit::Rate, now, events);
            }
            OverRate::Slow if !half.limited && !half.has_tokens() => {
                half.limited = true;
                events(Event::RateLimited { from, on: true });
            }
            _ => {}
        }
    }

    fn receive_close(
        &mut self,
        from: Side,
        header: &Header,
        input: &[u8],
        now: Micros,
        events: &mut dyn FnMut(Event),
    ) -> Received {
        let frame_len = header.whole_len();
        let code = match read_close(&input[usize::from(header.header_len)..frame_len], header.key) {
            Ok(code) => code,
            Err(what) => return self.violation(from, what, input, now, events),
        };
        let half = self.half_mut(from);
        half.close_in = Some(code);
        half.stats.closes += 1;
        half.stats.frames += 1;
        events(Event::CloseReceived { from, code });
        self.begin_closing(from.into(), Cause::Close, code, now, events);
        self.explained(from);
        if self.half(from.peer()).accepts() {
            self.close_went_out(from.peer(), code, now, events);
            Received::Forward(frame_len)
        } else {
            self.settle(now, events);
            Received::Discard(frame_len)
        }
    }

    fn receive_answer(&mut self, from: Side, header: &Header, now: Micros, events: &mut dyn FnMut(Event)) -> Received {
        let half = self.half_mut(from);
        half.stats.frames += 1;
        half.stats.pongs_swallowed += 1;
        if let Some(mut ping) = half.ping.take() {
            ping.unanswered -= 1;
            half.ping = Some(ping).filter(|ping| ping.unanswered > 0);
            let rtt = now.since(ping.sent_at);
            half.stats.ping_rtt = Some(rtt);
            events(Event::PongReceived { from, rtt });
        }
        Received::Discard(header.whole_len())
    }

    /// Its frames cannot be trusted to begin where they seem to: nothing more of that side is read as frames.
    fn violation(
        &mut self,
        from: Side,
        what: Violation,
        input: &[u8],
        now: Micros,
        events: &mut dyn FnMut(Event),
    ) -> Received {
        events(Event::Violation { from, what });
        self.half_mut(from).given_up = true;
        self.abort(Initiator::Sidecar, Cause::Protocol(from, what), now, events);
        Received::Discard(input.len())
    }

    fn over_limit(&mut self, from: Side, limit: Limit, now: Micros, events: &mut dyn FnMut(Event)) {
        events(Event::LimitHit { from, limit });
        let cause = match limit {
            Limit::MessageSize => Cause::MessageTooBig(from),
            Limit::FrameSize => Cause::FrameTooBig(from),
            Limit::Fragments => Cause::TooManyFragments(from),
            Limit::Rate => Cause::RateExceeded(from),
        };
        self.abort(Initiator::Sidecar, cause, now, events);
    }
}
