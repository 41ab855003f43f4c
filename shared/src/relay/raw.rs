//! Blind bytes: the `tls` listener, and `inspect = "off"`.

use crate::close::{Cause, Side};
use crate::event::Event;
use crate::relay::{Received, Relay};
use crate::time::Micros;

impl Relay {
    pub(super) fn receive_raw(&mut self, from: Side, input: &[u8]) -> Received {
        if self.is_over() || self.half(from).finished() || !self.forwards_from(from) {
            return Received::Discard(input.len());
        }
        Received::Forward(input.len())
    }

    /// One direction is finished. When the other one was finished before, that side ended the session.
    pub(super) fn eof_raw(&mut self, from: Side, now: Micros, events: &mut dyn FnMut(Event)) {
        if self.half(from).unwritable {
            self.finish(from.into(), Cause::Reset(from), now, events);
        } else if self.half(from.peer()).eof {
            self.flush_and_finish(from.peer().into(), Cause::Eof, now, events);
        }
    }
}
