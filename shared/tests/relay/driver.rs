//! A driver without sockets: it keeps the carry and asks for frames in between as the real one does.

use std::sync::Arc;
use std::time::Duration;

use outrigger_shared::close::{Cause, CloseCode, End, Side};
use outrigger_shared::event::Event;
use outrigger_shared::limits::Policy;
use outrigger_shared::relay::{Negotiated, Received, Relay, Stats, WriteHalf};
use outrigger_shared::time::Micros;

use crate::wire::{self, Frame};

pub(crate) const START: Micros = Micros(1_000_000_000);

pub(crate) struct Session {
    pub(crate) relay: Relay,
    pub(crate) now: Micros,
    pub(crate) events: Vec<Event>,
    carry: [Vec<u8>; 2],
    /// What was put into the stream towards a side.
    pub(crate) out: [Vec<u8>; 2],
    /// Bytes presented by a side.
    pub(crate) fed: [u64; 2],
    pub(crate) forwarded: [u64; 2],
    pub(crate) discarded: [u64; 2],
    pub(crate) injected: [u64; 2],
    raw: bool,
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The last moment at which a timer of that length has not fired.
pub(crate) fn just_below(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_micros(1))
}

impl Session {
    pub(crate) fn new(policy: Policy) -> Self {
        Self::negotiated(policy, Negotiated::default(), 7)
    }

    pub(crate) fn negotiated(policy: Policy, negotiated: Negotiated, seed: u64) -> Self {
        Self::around(Relay::websocket(Arc::new(policy), negotiated, seed, START), false)
    }

    pub(crate) fn raw(policy: Policy) -> Self {
        Self::around(Relay::raw(Arc::new(policy), START), true)
    }

    fn around(relay: Relay, raw: bool) -> Self {
        Self {
            relay,
            now: START,
            events: Vec::new(),
            carry: Default::default(),
            out: Default::default(),
            fed: [0; 2],
            forwarded: [0; 2],
            discarded: [0; 2],
            injected: [0; 2],
            raw,
        }
    }

    /// Bytes arrive from a side, in one read.
    pub(crate) fn feed(&mut self, from: Side, bytes: &[u8]) {
        self.fed[from as usize] += bytes.len() as u64;
        let mut input = std::mem::take(&mut self.carry[from as usize]);
        input.extend_from_slice(bytes);
        let mut at = 0;
        while at < input.len() {
            let events = &mut self.events;
            match self.relay.receive(from, &input[at..], self.now, &mut |event| events.push(event)) {
                Received::Forward(len) => {
                    assert!(len > 0, "a step of nothing");
                    self.out[from.peer() as usize].extend_from_slice(&input[at..at + len]);
                    self.forwarded[from as usize] += len as u64;
                    at += len;
                }
                Received::Discard(len) => {
                    assert!(len > 0, "a step of nothing");
                    self.discarded[from as usize] += len as u64;
                    at += len;
                }
                Received::More => break,
            }
            self.transmit();
        }
        self.carry[from as usize] = input.split_off(at);
        assert!(self.carry[from as usize].len() < 4096, "a carry is shorter than the hold limit");
        self.transmit();
    }

    pub(crate) fn eof(&mut self, from: Side) {
        let dropped = std::mem::take(&mut self.carry[from as usize]);
        self.discarded[from as usize] += dropped.len() as u64;
        let events = &mut self.events;
        self.relay.eof(from, self.now, &mut |event| events.push(event));
        self.transmit();
    }

    pub(crate) fn fail(&mut self, side: Side) {
        let dropped = std::mem::take(&mut self.carry[side as usize]);
        self.discarded[side as usize] += dropped.len() as u64;
        let events = &mut self.events;
        self.relay.failed(side, self.now, &mut |event| events.push(event));
        self.transmit();
    }

    pub(crate) fn fail_write(&mut self, to: Side) {
        let events = &mut self.events;
        self.relay.write_failed(to, self.now, &mut |event| events.push(event));
        self.transmit();
    }

    pub(crate) fn close(&mut self, cause: Cause, code: CloseCode, quiet_until: Option<Micros>) {
        let events = &mut self.events;
        self.relay.close(cause, code, quiet_until, self.now, &mut |event| events.push(event));
        self.transmit();
    }

    /// Lets time pass, waking the machine whenever it asked for it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut wakes = 0;
        while let Some(deadline) = self.relay.deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.timeout();
            wakes += 1;
            assert!(wakes < 10_000, "the machine spins");
        }
        self.now = until;
    }

    pub(crate) fn timeout(&mut self) {
        let events = &mut self.events;
        let lives = |relay: &Relay| !relay.is_closing() && relay.end().is_none();
        let lives_on = lives(&self.relay) && !self.relay.may_end_at(self.now);
        self.relay.handle_timeout(self.now, &mut |event| events.push(event));
        assert!(!lives_on || lives(&self.relay), "an end that the machine did not announce");
        assert!(self.relay.deadline().is_none_or(|deadline| deadline > self.now), "a deadline in the past");
        self.transmit();
    }

    fn transmit(&mut self) {
        for to in Side::BOTH {
            let events = &mut self.events;
            while let Some(frame) = self.relay.poll_transmit(to, self.now, &mut |event| events.push(event)) {
                assert!(!self.raw, "a frame injected into raw bytes");
                assert!(frame.len() <= 131);
                self.out[to as usize].extend_from_slice(&frame);
                self.injected[to as usize] += frame.len() as u64;
            }
        }
    }

    /// What a side got, as whole frames with the mask that their direction asks for, and nothing behind them.
    pub(crate) fn frames(&self, to: Side) -> Vec<Frame> {
        let (frames, rest) = wire::decode(&self.out[to as usize]);
        assert_eq!(rest, b"", "the stream towards the {to} ends inside a frame");
        assert!(frames.iter().all(|frame| frame.masked == (to == Side::App)));
        frames
    }

    /// The code and reason of the Close that ends what a side got.
    pub(crate) fn close_to(&self, to: Side) -> Option<(u16, String)> {
        let frames = self.frames(to);
        let closes = frames.iter().filter(|frame| frame.opcode == wire::CLOSE).count();
        assert!(closes <= 1, "more than one Close to the {to}");
        let last = frames.last().filter(|frame| frame.opcode == wire::CLOSE);
        assert_eq!(closes == 1, last.is_some(), "something behind the Close to the {to}");
        let (code, reason) = last?.payload.split_first_chunk()?;
        Some((u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).expect("a reason is UTF-8")))
    }

    pub(crate) fn close_code_to(&self, to: Side) -> Option<u16> {
        self.close_to(to).map(|(code, _)| code)
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.relay.end().copied()
    }

    pub(crate) fn cause(&self) -> Option<Cause> {
        self.end().map(|end| end.cause)
    }

    pub(crate) fn stats(&self, from: Side) -> Stats {
        *self.relay.stats(from)
    }

    pub(crate) fn shuts_down(&self, to: Side) -> bool {
        self.relay.write_half(to) == WriteHalf::Shutdown
    }

    pub(crate) fn carried(&self, from: Side) -> u64 {
        self.carry[from as usize].len() as u64
    }

    /// The last ping of ours that a side got.
    pub(crate) fn last_ping(&self, to: Side) -> Vec<u8> {
        let frames = self.frames(to);
        frames.into_iter().rev().find(|frame| frame.opcode == wire::PING).expect("a ping").payload
    }
}
