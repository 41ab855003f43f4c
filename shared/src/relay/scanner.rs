//! Where one direction stands between and inside frames.

use crate::close::Side;
use crate::event::Message;
use crate::frame::{FIN, HOLD_LIMIT, Header, LENGTH, MASK, MAX_CONTROL_PAYLOAD, Opcode, Violation, apply_mask};
use crate::limits::Limit;
use crate::relay::{SIZE_BOUNDS, Stats};

/// No message is told.
const NO_SAMPLE: u32 = u32::MAX;

/// The position of one direction's stream, between calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner {
    /// Bytes still to come of a frame that is streamed.
    left: u64,
    /// What happens to those bytes: they share the fate of the frame's first ones.
    forwarding: bool,
    /// Frames so far of the unfinished message; 0 between messages.
    frames: u32,
    /// Whether the unfinished message is a binary one.
    binary: bool,
    /// Declared payload so far of the unfinished message.
    size: u64,
    /// Messages that begin before one that is told, and then before the one behind it.
    until_sample: u32,
    until_following: u32,
    /// The unfinished message is told when its last frame begins.
    sampling: bool,
}

/// What to hold the stream against, for one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) from: Side,
    pub(super) deflate: bool,
    pub(super) max_frame: u64,
    pub(super) max_message: u64,
    pub(super) max_fragments: u32,
    /// Messages that may begin; the next one is over the rate.
    pub(super) message_budget: u64,
    /// Bytes after which to stop, to settle the account.
    pub(super) byte_budget: u64,
    /// The payload of the keepalive ping that this side has not answered yet.
    pub(super) ping: Option<[u8; 8]>,
    /// Stop where a streamed frame ends: a frame of ours is due there.
    pub(super) stop_at_boundary: bool,
    /// The fate of frames that begin now.
    pub(super) forward: bool,
}

/// One call's result: `len` bytes with the same fate, then a reason to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) len: usize,
    pub(super) forward: bool,
    /// Messages that began in these bytes.
    pub(super) messages: u64,
    /// A message to be told whose last frame begins in these bytes. One, so that they end before the next.
    pub(super) sample: Option<Message>,
    /// What stands behind those bytes. Not consumed: with `len` over 0 it is found again by the next call.
    pub(super) stop: Stop,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// All was used, or what is left is the incomplete start of a frame, or it is time to look at what is due.
    Pause,
    /// A whole Close.
    Close(Header),
    /// A whole pong that answers our ping.
    Answer(Header),
    Fault(Fault),
}

/// Why a frame is not let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Violation(Violation),
    Limit(Limit),
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            left: 0,
            forwarding: false,
            frames: 0,
            binary: false,
            size: 0,
            until_sample: NO_SAMPLE,
            until_following: NO_SAMPLE,
            sampling: false,
        }
    }
}

impl Scanner {
    /// The first message to be told is the one behind so many others.
    pub(super) fn sample_first_after(&mut self, messages: u32) {
        self.until_sample = messages.min(NO_SAMPLE - 1);
    }

    /// The message to be told after the one for which it is known already is behind so many others.
    pub(super) fn sample_then_after(&mut self, messages: u32) {
        self.until_following = messages.min(NO_SAMPLE - 1);
    }

    /// Whether the stream that these frames are forwarded to stands inside one of them.
    pub(super) fn holds_peer_inside_a_frame(&self) -> bool {
        self.left > 0 && self.forwarding
    }

    /// The frame underway goes no further.
    pub(super) fn stop_forwarding(&mut self) {
        self.forwarding = false;
    }

    pub(super) fn between_messages(&self) -> bool {
        self.left == 0 && self.frames == 0
    }

    /// Walks from header to header over the longest run of bytes with one fate. No allocation, payloads are skipped.
    pub(super) fn scan(&mut self, input: &[u8], rules: &Rules, stats: &mut Stats) -> Run {
        let mut run = Run { len: 0, forward: rules.forward, messages: 0, sample: None, stop: Stop::Pause };
        if self.left > 0 {
            run.forward = self.forwarding;
            run.len = self.stream(input);
            if self.left > 0 || rules.stop_at_boundary || run.forward != rules.forward {
                return run;
            }
        }
        while run.len < input.len() && run.len as u64 <= rules.byte_budget {
            if run.sample.is_some() && self.until_sample == 0 {
                break;
            }
            if self.frames == 0 && short_messages(input, rules, &mut self.until_sample, &mut run, stats) {
                continue;
            }
            let rest = &input[run.len..];
            let header = match Header::parse(rest, rules.from, rules.deflate) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(what) => {
                    run.stop = Stop::Fault(Fault::Violation(what));
                    break;
                }
            };
            let taken = if header.opcode.is_control() {
                control(&header, rest, rules.ping, stats)
            } else {
                self.data(&header, rest, rules, &mut run, stats)
            };
            match taken {
                Ok(bytes) => run.len += bytes,
                Err(stop) => {
                    run.stop = stop;
                    break;
                }
            }
        }
        run
    }

    /// The part of `input` that belongs to the frame underway.
    fn stream(&mut self, input: &[u8]) -> usize {
        let taken = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        self.left -= taken as u64;
        taken
    }

    /// Takes what is there of a data frame, or nothing if it may not begin or has to be whole first.
    #[inline]
    fn data(
        &mut self,
        header: &Header,
        rest: &[u8],
        rules: &Rules,
        run: &mut Run,
        stats: &mut Stats,
    ) -> Result<usize, Stop> {
        let begins = header.opcode != Opcode::Continuation;
        match (begins, self.frames) {
            (false, 0) => return Err(Stop::Fault(Fault::Violation(Violation::StrayContinuation))),
            (true, 1..) => return Err(Stop::Fault(Fault::Violation(Violation::InterleavedMessage))),
            _ => {}
        }
        let frames = self.frames.saturating_add(1);
        let size = self.size.saturating_add(header.payload_len);
        let over = if header.payload_len > rules.max_frame {
            Some(Limit::FrameSize)
        } else if size > rules.max_message {
            Some(Limit::MessageSize)
        } else if frames > rules.max_fragments {
            Some(Limit::Fragments)
        } else if begins && run.messages >= rules.message_budget {
            Some(Limit::Rate)
        } else {
            None
        };
        if let Some(limit) = over {
            return Err(Stop::Fault(Fault::Limit(limit)));
        }
        let frame_len = header.frame_len();
        if frame_len <= HOLD_LIMIT as u64 && frame_len > rest.len() as u64 {
            return Err(Stop::Pause);
        }

        self.binary = if begins { header.opcode == Opcode::Binary } else { self.binary };
        (self.frames, self.size) = if header.fin { (0, 0) } else { (frames, size) };
        if begins && self.until_sample != NO_SAMPLE {
            self.sampling = self.until_sample == 0;
            self.until_sample = if self.sampling { self.until_following } else { self.until_sample - 1 };
        }
        if header.fin {
            stats.whole_message(self.binary, size);
            if std::mem::take(&mut self.sampling) {
                run.sample = Some(Message { binary: self.binary, bytes: size, frames });
            }
        }
        stats.frames += 1;
        stats.text += u64::from(header.opcode == Opcode::Text);
        stats.binary += u64::from(header.opcode == Opcode::Binary);
        stats.fragments += u64::from(!(begins && header.fin));
        run.messages += u64::from(begins);
        self.left = frame_len;
        self.forwarding = rules.forward;
        Ok(self.stream(rest))
    }
}

const _: () = assert!(MAX_CONTROL_PAYLOAD as u64 <= SIZE_BOUNDS[0], "short messages are of the first class");

/// Takes a row of the commonest frames by far: whole messages of up to 125 bytes, not compressed. Leaves every other
/// frame, and all that is wrong, to the careful way. True when it took any.
#[inline]
fn short_messages(input: &[u8], rules: &Rules, until_sample: &mut u32, run: &mut Run, stats: &mut Stats) -> bool {
    let (mask, key_len) = match rules.from {
        Side::Client => (MASK, 4),
        Side::App => (0, 0),
    };
    let most = rules.max_frame.min(rules.max_message).min(MAX_CONTROL_PAYLOAD as u64);
    let budget = if rules.max_fragments == 0 { 0 } else { rules.message_budget.saturating_sub(run.messages) };
    // The one that is told goes the careful way.
    let budget = budget.min(u64::from(*until_sample));
    let (mut at, mut taken, mut binary) = (run.len, 0, 0);
    let (mut text_bytes, mut binary_bytes) = (0, 0);
    while let Some(&[first, second]) = input.get(at..).and_then(<[u8]>::first_chunk) {
        let payload = second & LENGTH;
        let end = at + 2 + key_len + usize::from(payload);
        let plain = (first == FIN | Opcode::Text as u8 || first == FIN | Opcode::Binary as u8)
            && second & MASK == mask
            && u64::from(payload) <= most;
        if !plain || end > input.len() || taken >= budget || at as u64 > rules.byte_budget {
            break;
        }
        let is_binary = first == FIN | Opcode::Binary as u8;
        binary += u64::from(is_binary);
        *(if is_binary { &mut binary_bytes } else { &mut text_bytes }) += u64::from(payload);
        taken += 1;
        at = end;
    }
    run.len = at;
    run.messages += taken;
    if *until_sample != NO_SAMPLE {
        *until_sample -= u32::try_from(taken).expect("no more than were to go before the sample");
    }
    stats.frames += taken;
    stats.binary += binary;
    stats.text += taken - binary;
    stats.text_bytes += text_bytes;
    stats.binary_bytes += binary_bytes;
    #[expect(clippy::cast_possible_truncation, reason = "the classes wrap around")]
    let wrapped = taken as u32;
    stats.sizes[0] = stats.sizes[0].wrapping_add(wrapped);
    taken > 0
}

/// Takes a whole control frame, unless it is one that the relay has to look at.
fn control(header: &Header, rest: &[u8], ping: Option<[u8; 8]>, stats: &mut Stats) -> Result<usize, Stop> {
    let frame_len = header.whole_len();
    let Some(frame) = rest.get(..frame_len) else { return Err(Stop::Pause) };
    match header.opcode {
        Opcode::Close => return Err(Stop::Close(*header)),
        Opcode::Pong => {
            if let (Some(ping), Ok(mut answer)) = (ping, <[u8; 8]>::try_from(&frame[usize::from(header.header_len)..]))
            {
                apply_mask(&mut answer, header.key);
                if answer == ping {
                    return Err(Stop::Answer(*header));
                }
            }
            stats.pongs += 1;
        }
        _ => stats.pings += 1,
    }
    stats.frames += 1;
    Ok(frame_len)
}
