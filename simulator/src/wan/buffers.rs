//! What applications write and read: the two buffers of each direction.
//!
//! The kernels open and close connections; the bytes in between never enter them. A kernel can only be asked for the packets
//! of all sockets of all hosts at once, which would cost every run more than anything else in it.

use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::ReadBuf;
use turmoil_net::TcpFlags;

use super::MSS;
use super::conn::Side;
use crate::engine::{ConnId, State};

/// What an application may write before the sender has room for it, in bytes.
const SEND_BYTES: usize = 65_535;

/// What became of a call on a stream. `None` where the kernel knows more: the connection has ended in some way, or is none
/// of the network's.
pub(crate) type Called<T> = Option<Poll<T>>;

impl State {
    /// Takes what has arrived for `side` out of its buffer.
    pub(crate) fn read(&mut self, id: ConnId, side: Side, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Called<()> {
        let ready = self.readable(id, side, cx)?;
        if ready.is_pending() || buf.remaining() == 0 {
            return Some(ready);
        }
        let flow = self.conns.get_mut(id).expect("just seen").flow(side.other());
        let mut bytes = 0;
        while let Some(front) = flow.arrived.front_mut().filter(|_| buf.remaining() > 0) {
            let part = front.len().min(buf.remaining());
            buf.put_slice(&front[..part]);
            front.advance(part);
            bytes += part;
            if front.is_empty() {
                flow.arrived.pop_front();
            }
        }
        let at_end = flow.arrived.is_empty() && flow.fin_arrived;
        self.was_read(id, side, bytes);
        if at_end {
            self.tell_fin(id, side);
            self.retire_if_over(id);
        }
        Some(ready)
    }

    /// Ready once a read would move something.
    pub(crate) fn readable(&mut self, id: ConnId, side: Side, cx: &Context<'_>) -> Called<()> {
        let conn = self.conns.get_mut(id)?;
        let gone = conn.end(side).gone;
        let flow = conn.flow(side.other());
        if gone || flow.fin_told {
            return None;
        }
        if flow.arrived.is_empty() {
            register(&mut flow.reader, cx);
            return Some(Poll::Pending);
        }
        Some(Poll::Ready(()))
    }

    /// Takes what the application writes; it goes out when no task can run.
    pub(crate) fn write(&mut self, id: ConnId, side: Side, cx: &Context<'_>, bytes: &[u8]) -> Called<usize> {
        let conn = self.conns.get_mut(id)?;
        let end = conn.end(side);
        if end.gone || end.shut {
            return None;
        }
        let flow = conn.flow(side);
        let part = bytes.len().min(SEND_BYTES - flow.held);
        if part == 0 && !bytes.is_empty() {
            register(&mut flow.writer, cx);
            return Some(Poll::Pending);
        }
        if part > 0 && flow.written.is_empty() {
            self.unsent.push((id, side));
        }
        flow.written.extend_from_slice(&bytes[..part]);
        flow.held += part;
        Some(Poll::Ready(part))
    }

    /// The application has shut its direction down: what it writes from now on is the kernel's to refuse.
    pub(crate) fn was_shut(&mut self, id: ConnId, side: Side) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.end(side).shut = true;
        }
    }

    /// The application is about to drop its stream. A kernel that closes a socket with something to read says so by a RST,
    /// so it gets something to read.
    pub(crate) fn will_drop(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let flow = conn.flow(side.other());
        let Some(front) = flow.arrived.front_mut() else { return };
        let byte = front.split_to(1);
        flow.arrived.clear();
        let seq = flow.base;
        self.hand_over(id, side, seq, 0, TcpFlags { psh: true, ..TcpFlags::default() }, byte);
    }

    /// Gives what was written since the last time to the senders. True if there was anything.
    pub(crate) fn send_written(&mut self) -> bool {
        let mut unsent = std::mem::take(&mut self.unsent);
        let any = !unsent.is_empty();
        for (id, side) in unsent.drain(..) {
            self.take_written(id, side);
        }
        self.unsent = unsent;
        any
    }

    /// The same for one direction of one connection.
    pub(super) fn take_written(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let end = &conn.ends[side as usize];
        let (host, life) = (end.host, end.life);
        let written = &mut conn.flow(side).written;
        let mut bytes = Bytes::copy_from_slice(written);
        written.clear();
        if written.capacity() > MSS {
            // What a burst needed is not kept.
            *written = Vec::new();
        }
        let host = self.host(host);
        if !host.up || host.life != life {
            return;
        }
        while bytes.len() > MSS {
            let segment = bytes.split_to(MSS);
            self.queue_up(id, side, segment, false);
        }
        if !bytes.is_empty() {
            self.queue_up(id, side, bytes, false);
        }
    }

    /// Tells the kernel of `to` that nothing follows what was read.
    pub(super) fn tell_fin(&mut self, id: ConnId, to: Side) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let flow = conn.flow(to.other());
        flow.fin_told = true;
        let seq = flow.base;
        self.hand_over(id, to, seq, 0, TcpFlags { fin: true, ..TcpFlags::default() }, Bytes::new());
        // Closing sockets are swept out by a pass.
        crate::engine::mark_dirty();
    }

    /// Wakes whoever waits on a stream.
    pub(super) fn rouse(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.roused = true;
            waker.wake();
        }
    }
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}
