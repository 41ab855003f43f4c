//! A script of anything that can happen to a session, read from bytes, and what has to hold whatever it says.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use outrigger_shared::close::{Cause, CloseCode, Side};
use outrigger_shared::event::Event;
use outrigger_shared::limits::{ByteRate, Keepalive, OverRate, Policy, Rate};
use outrigger_shared::relay::{FLUSH_LIMIT, LIFETIME_GRACE, LINGER, Negotiated};

use crate::checks::{Story, check_account, check_ends_once, check_stream};
use crate::driver::Session;
use crate::wire::{self, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};

/// A script is cut here: longer ones find nothing more, only later.
const MAX_STEPS: usize = 200;

/// Bytes that both sides may send in all.
const MAX_SENT: usize = 512 << 10;

/// Plays one case of the corpus and checks it.
pub(crate) fn check(case: &[u8]) {
    // Bytes that run out in the middle of a step end the script; all that was read up to there counts.
    let _ = Play::run(&mut Unstructured::new(case));
}

struct Play {
    session: Session,
    story: Story,
    policy: Policy,
    raw: bool,
    /// What each side wrote and the network has not delivered yet.
    underway: [Vec<u8>; 2],
    /// How long the streams were when their write halves were to be shut down.
    shut: [Option<usize>; 2],
}

impl Play {
    fn run(u: &mut Unstructured) -> Result<()> {
        let choices: u8 = u.arbitrary()?;
        let (raw, deflate) = (choices & 7 == 7, choices & 8 != 0);
        let policy = policy(u)?;
        let session = if raw {
            Session::raw(policy.clone())
        } else {
            Session::negotiated(policy.clone(), Negotiated { permessage_deflate: deflate }, u64::from(choices))
        };
        let story = Story { deflate, ..Story::default() };
        let mut play = Self { session, story, policy, raw, underway: Default::default(), shut: Default::default() };
        for _ in 0..MAX_STEPS {
            if u.is_empty() || play.step(u).is_err() {
                break;
            }
            play.check_shutdown();
        }
        play.end();
        Ok(())
    }

    fn step(&mut self, u: &mut Unstructured) -> Result<()> {
        let choice: u8 = u.arbitrary()?;
        let side = if choice & 1 == 0 { Side::Client } else { Side::App };
        let at_once = choice & 2 == 0;
        match choice >> 2 {
            0..=19 => {
                let bytes = frame(u, side)?;
                self.write(side, &bytes, at_once);
            }
            20..=23 => {
                let len = u.int_in_range(0..=40u8)?;
                let bytes = u.bytes(usize::from(len).min(u.len()))?.to_vec();
                self.write(side, &bytes, at_once);
            }
            24..=31 => {
                let len = usize::from(u.arbitrary::<u8>()?);
                self.deliver(side, if at_once { len } else { len * 300 });
            }
            32..=36 => self.answer_ping(side, at_once),
            37..=39 => self.write(side, &wire::close(side, 1000, ""), at_once),
            40..=46 => self.session.pass(duration(u)?),
            // Late: the driver was busy, or the machine asleep.
            47..=48 => {
                let late = duration(u)?;
                self.session.now = self.session.now + late;
                if at_once {
                    self.session.timeout();
                }
            }
            49 => {
                let due = self.session.relay.deadline().is_some_and(|deadline| deadline <= self.session.now);
                let before = self.session.events.len();
                self.session.timeout();
                assert!(due || self.session.events.len() == before, "something happened before its time");
            }
            50 => {
                self.story.deaf[side as usize] = true;
                self.session.fail_write(side);
            }
            51..=53 => self.session.relay.write_blocked(side, self.session.now),
            54..=57 => {
                let left = if at_once { 0 } else { usize::from(u.arbitrary::<u8>()?) };
                self.session.relay.write_progress(side, self.session.now, left);
            }
            58 => {
                self.deliver(side, MAX_SENT);
                self.story.left[side as usize] = true;
                self.session.eof(side);
            }
            59 => {
                self.story.left[side as usize] = true;
                self.session.fail(side);
            }
            60..=61 => {
                let cause = *u.choose(&[Cause::Drain, Cause::Lifetime, Cause::Shutdown])?;
                let wait = duration(u)?;
                let quiet_until = (!at_once).then(|| self.session.now + wait);
                self.session.close(cause, CloseCode::SERVICE_RESTART, quiet_until);
            }
            // What the real driver does: it reads only when asked to.
            _ => {
                let pending = usize::from(u.arbitrary::<u8>()?) << 9;
                if self.session.relay.may_read(side, pending, self.session.now) {
                    self.deliver(side, MAX_SENT);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, from: Side, bytes: &[u8], at_once: bool) {
        if self.story.sent.iter().chain(&self.underway).map(Vec::len).sum::<usize>() < MAX_SENT {
            self.underway[from as usize].extend_from_slice(bytes);
        }
        if at_once {
            self.deliver(from, MAX_SENT);
        }
    }

    fn deliver(&mut self, from: Side, len: usize) {
        let underway = &mut self.underway[from as usize];
        let bytes: Vec<u8> = underway.drain(..len.min(underway.len())).collect();
        if !bytes.is_empty() && !self.story.left[from as usize] {
            self.story.send(&mut self.session, from, &bytes);
        }
    }

    /// A pong to the last ping that this side saw, be it ours or the other side's.
    fn answer_ping(&mut self, side: Side, at_once: bool) {
        let (frames, _) = wire::decode(&self.session.out[side as usize]);
        if let Some(ping) = frames.into_iter().rev().find(|frame| frame.opcode == PING && frame.payload.len() <= 125) {
            self.write(side, &wire::pong(side, &ping.payload), at_once);
        }
    }

    /// Nothing is written behind the end of a stream.
    fn check_shutdown(&mut self) {
        for to in Side::BOTH {
            let len = self.session.out[to as usize].len();
            if let Some(shut) = self.shut[to as usize] {
                assert!(self.session.shuts_down(to), "a write half that is open again");
                assert!(len == shut, "{} bytes behind the end of the stream to the {to}", len - shut);
            }
            if self.session.shuts_down(to) {
                self.shut[to as usize].get_or_insert(len);
            }
        }
    }

    fn end(mut self) {
        if self.policy.idle_timeout.is_none() {
            // Nothing else is sure to end it.
            self.session.close(Cause::Shutdown, CloseCode::GOING_AWAY, None);
        }
        self.session.pass(self.longest_end());
        self.check_shutdown();
        check_account(&self.session);
        check_ends_once(&self.session);
        for to in Side::BOTH {
            assert!(!self.session.relay.may_read(to, 0, self.session.now), "nothing is read behind the end");
            if self.raw {
                let sent = &self.story.sent[to.peer() as usize];
                assert!(sent.starts_with(&self.session.out[to as usize]), "raw bytes were changed");
            } else {
                check_stream(&self.session, to, &self.story);
                self.check_limits(to);
            }
        }
        self.check_causes();
    }

    /// What a rate makes wait, the idle limit or a pending end, the answers to two Closes, the linger, the flush.
    fn longest_end(&self) -> Duration {
        let idle = self.policy.idle_timeout.unwrap_or_default();
        let seconds = |tokens: usize, per_second: u64| Duration::from_secs(tokens as u64 / per_second.max(1) + 1);
        let sent = self.story.sent.iter().map(Vec::len).max().unwrap_or_default();
        let by_bytes = self.policy.byte_rate.map(|rate| seconds(sent, rate.per_second)).unwrap_or_default();
        // A message takes two bytes at least.
        let messages = self.policy.message_rate.map(|rate| seconds(sent / 2, u64::from(rate.per_second)));
        idle + by_bytes.max(messages.unwrap_or_default())
            + LIFETIME_GRACE
            + 4 * self.policy.close_timeout
            + LINGER
            + FLUSH_LIMIT
            + Duration::from_secs(10)
    }

    /// No frame went through that was over a limit.
    fn check_limits(&self, to: Side) {
        let (frames, _) = wire::decode(&self.session.out[to as usize]);
        let (mut size, mut fragments) = (0, 0);
        for frame in frames.iter().filter(|frame| frame.opcode < 8) {
            if frame.opcode != CONTINUATION {
                (size, fragments) = (0, 0);
            }
            fragments += 1;
            size += frame.payload.len() as u64;
            assert!(self.policy.max_frame_size.is_none_or(|max| frame.payload.len() as u64 <= max), "a frame too big");
            assert!(self.policy.max_message_size.is_none_or(|max| size <= max), "a message too big");
            assert!(self.policy.max_fragments.is_none_or(|max| fragments <= max), "too many fragments");
        }
    }

    /// The end names what was announced.
    fn check_causes(&self) {
        let end = self.session.end().expect("it was checked");
        let codes = |to: Side| {
            self.session.events.iter().find_map(|event| match *event {
                Event::CloseSent { to: side, code } if side == to => Some(code),
                _ => None,
            })
        };
        for (side, code) in [(Side::Client, end.client_code), (Side::App, end.app_code)] {
            let received = self.session.events.iter().find_map(|event| match *event {
                Event::CloseReceived { from, code } if from == side => Some(code),
                _ => None,
            });
            assert_eq!(code, codes(side).or(received), "the code of the {side}'s Close");
        }
        if let Cause::Protocol(from, what) = end.cause {
            assert!(self.session.events.contains(&Event::Violation { from, what }));
        }
    }
}

/// One frame as a peer on that side sends it, now and then with a bit flipped in its header.
fn frame(u: &mut Unstructured, from: Side) -> Result<Vec<u8>> {
    const FIRST: [u8; 12] = [
        0x80 | TEXT,
        0x80 | BINARY,
        TEXT,
        BINARY,
        CONTINUATION,
        0x80 | CONTINUATION,
        0x80 | PING,
        0x80 | PONG,
        0x80 | CLOSE,
        0xc0 | TEXT,
        0x40 | BINARY,
        0x80,
    ];
    let choice: u8 = u.arbitrary()?;
    let first = match choice & 15 {
        known @ 0..=10 => FIRST[usize::from(known)],
        _ => u.arbitrary()?,
    };
    let shape = choice >> 4;
    let size = u.arbitrary::<u8>()?;
    let len = match shape & 3 {
        0 | 1 => usize::from(size),
        // Around the limit up to which frames are held.
        2 => 4096 - 128 + usize::from(size),
        _ => usize::from(size) * 280,
    };
    let mut payload = vec![size; len];
    if first & 15 >= 8 {
        payload.truncate(125);
    }
    if first & 15 == CLOSE && payload.len() >= 2 {
        let code: u16 = u.int_in_range(990..=1020)?;
        payload[..2].copy_from_slice(&code.to_be_bytes());
    }
    let mut frame = wire::frame(from, first, &payload);
    if shape >> 2 == 3 {
        let flip: u8 = u.arbitrary()?;
        let byte = usize::from(flip >> 3) % frame.len().min(14);
        frame[byte] ^= 1 << (flip & 7);
    }
    Ok(frame)
}

fn policy(u: &mut Unstructured) -> Result<Policy> {
    let default = Policy::default();
    let choices: u16 = u.arbitrary()?;
    let set = |bit: u32| choices >> bit & 1 == 1;
    let keepalive = |u: &mut Unstructured| Ok(Keepalive { interval: duration(u)?, pong_timeout: duration(u)? });
    let mut policy = Policy { close_timeout: if set(0) { duration(u)? } else { default.close_timeout }, ..default };
    if set(1) {
        policy.idle_timeout = if set(2) { None } else { Some(duration(u)?) };
    }
    if set(3) {
        policy.send_timeout = if set(4) { None } else { Some(duration(u)?) };
    }
    if set(5) {
        policy.keepalive_client = if set(6) { None } else { Some(keepalive(u)?) };
        policy.keepalive_app = if set(7) { None } else { Some(keepalive(u)?) };
    }
    if set(8) {
        policy.max_message_size = Some(u64::from(u.arbitrary::<u8>()?) << 6);
    }
    if set(9) {
        policy.max_frame_size = Some(u64::from(u.arbitrary::<u8>()?) << 6);
    }
    if set(10) {
        policy.max_fragments = Some(u.int_in_range(0..=5)?);
    }
    if set(11) {
        policy.message_rate = Some(Rate { per_second: u.int_in_range(0..=50)?, burst: u.int_in_range(0..=20)? });
    }
    if set(12) {
        let [per_second, burst] = [u.arbitrary::<u8>()?, u.arbitrary::<u8>()?].map(|n| u64::from(n) << 4);
        policy.byte_rate = Some(ByteRate { per_second, burst });
    }
    policy.over_rate = if set(13) { OverRate::Close } else { OverRate::Slow };
    if set(14) {
        policy.max_lifetime = Some(duration(u)?);
        policy.lifetime_jitter_percent = u.int_in_range(0..=120)?;
    }
    Ok(policy)
}

/// From a microsecond to days, mostly about as long as timers are.
fn duration(u: &mut Unstructured) -> Result<Duration> {
    let n: u8 = u.arbitrary()?;
    Ok(match n {
        0..=9 => Duration::from_micros(u64::from(n)),
        10..=49 => Duration::from_millis(u64::from(n - 9) * 25),
        50..=200 => Duration::from_secs(u64::from(n - 49)),
        _ => Duration::from_mins(u64::from(n) * 60),
    })
}
