//! One direction of a session.

use std::collections::VecDeque;

use super::frames::{Frame, Kind, Splitter};
use crate::world::record::EndSeen;

/// Problems of one session that are kept; a broken one has the same over and over.
const MAX_PROBLEMS: usize = 4;

/// What one end sends and the other one gets.
pub(super) struct Line {
    sent: Splitter,
    got: Splitter,
    /// Sent, and not got yet; as long as what the network and the sidecar hold.
    underway: VecDeque<Frame>,
    /// The last frame that came and was sent.
    last: Option<Frame>,
    count: u64,
    /// What has come and is not judged yet; empty between two calls.
    came: Vec<Frame>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            sent: Splitter::new(),
            got: Splitter::new(),
            underway: VecDeque::new(),
            last: None,
            count: 0,
            came: Vec::new(),
        }
    }

    /// `end` put these bytes on its connection.
    pub(super) fn sent(&mut self, now: u64, bytes: &[u8], end: &mut EndSeen) {
        let Self { sent, underway, .. } = self;
        sent.feed(bytes, |frame| {
            // The answer to a ping of the sidecar's ends there.
            if frame.kind == Kind::Pong && end.foreign_pings.iter().rev().any(|ping| *ping == frame.payload) {
                end.pongs_owed += 1;
                return;
            }
            if frame.kind == Kind::Close {
                end.closes_sent.push((now, frame.code()));
            }
            underway.push_back(frame);
        });
    }

    /// `end` got these bytes.
    pub(super) fn got(&mut self, now: u64, bytes: &[u8], end: &mut EndSeen, problems: &mut Vec<String>) {
        let mut came = std::mem::take(&mut self.came);
        self.got.feed(bytes, |frame| came.push(frame));
        end.is_inside = self.got.is_inside();
        for frame in came.drain(..) {
            if frame.kind == Kind::Close {
                end.closes_got.push((now, frame.code()));
            }
            self.count += 1;
            if let Some(problem) = self.judge(frame, end)
                && problems.len() < MAX_PROBLEMS
            {
                problems.push(problem);
            }
        }
        self.came = came;
    }

    /// What is wrong with the next frame that came, if anything is.
    fn judge(&mut self, frame: Frame, end: &mut EndSeen) -> Option<String> {
        let n = self.count;
        if let Some(at) = self.underway.iter().position(|sent| sent.is(&frame)) {
            self.underway.drain(..=at);
            self.last = Some(frame);
            return (at > 0).then(|| format!("{at} frames before frame {n} never came, or came later"));
        }
        match frame.kind {
            Kind::Ping => {
                end.pings_foreign += 1;
                end.remember(frame.payload);
                None
            }
            Kind::Close => {
                end.closes_foreign += 1;
                None
            }
            Kind::Pong => {
                end.pongs_foreign += 1;
                None
            }
            Kind::Data if self.last.as_ref().is_some_and(|last| last.is(&frame)) => {
                Some(format!("frame {n} of {} bytes came twice", frame.bytes))
            }
            Kind::Data => {
                let was = self.underway.pop_front().map(|sent| sent.bytes);
                let was = was.map_or("nothing was sent".to_owned(), |bytes| format!("another one of {bytes} was sent"));
                Some(format!("frame {n} of {} bytes was not sent so: {was}", frame.bytes))
            }
        }
    }
}
