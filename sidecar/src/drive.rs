//! The I/O loop around [`Relay`]: two streams, one read buffer per thread, and only what a socket would not take.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use outrigger_shared::close::Side;
use outrigger_shared::event::Event;
use outrigger_shared::frame::HOLD_LIMIT;
use outrigger_shared::relay::{Received, Relay, WriteHalf};
use outrigger_shared::time::Micros;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::{unconstrained, yield_now};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::net::Stream;
use crate::registry::Closing;
use crate::session::Account;
use crate::transport::Transport;

/// Bytes taken from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// Reads of one side in a row before the other side, and other sessions of the thread, get their turn.
const READS_PER_TURN: usize = 16;
/// A timer that would ring so much too early is moved. For less, as from message to message where they come quickly, it is left to
/// ring and set again.
const EARLY_RING: Duration = Duration::from_millis(100);

thread_local! {
    /// The start of a frame whose rest has not come goes in front of what is read next.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; HOLD_LIMIT + READ_BYTES]);
}

/// One side's stream and what waits in front of and behind it.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a socket, not the states of one machine")]
struct Port<S> {
    io: Transport<S>,
    /// Came from this side and has not been through the relay: early bytes, later at most the start of a frame.
    held: Vec<u8>,
    /// Goes to this side, from `written` on.
    pending: Vec<u8>,
    written: usize,
    flushing: bool,
    /// It is not read because the other side is slow.
    held_back: bool,
    /// Our write half is shut down.
    finished: bool,
    /// The socket has failed: nothing can be written to it any more.
    unwritable: bool,
    /// Nothing can be read from it any more.
    unreadable: bool,
}

impl<S: Stream> Port<S> {
    fn new(io: Transport<S>, early: Vec<u8>) -> Self {
        Self {
            io,
            held: early,
            pending: Vec::new(),
            written: 0,
            flushing: false,
            held_back: false,
            finished: false,
            unwritable: false,
            unreadable: false,
        }
    }

    fn waiting(&self) -> usize {
        self.pending.len() - self.written
    }

    /// Writes as much as the socket takes and keeps the rest.
    fn send(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> io::Result<()> {
        if self.unwritable || self.finished {
            return Ok(());
        }
        while self.pending.is_empty() && !bytes.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => bytes = &bytes[n..],
                Poll::Ready(Err(e)) => return Err(e),
                Poll::Pending => break,
            }
        }
        self.flushing = true;
        // What was written makes room before more is added, or a reader that is always behind would cost the whole stream.
        if self.written >= self.waiting() {
            self.pending.drain(..self.written);
            self.written = 0;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what waits. `Ok(true)` when something was taken.
    fn drain(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let before = self.written;
        while self.written < self.pending.len() {
            match Pin::new(&mut self.io).poll_write(cx, &self.pending[self.written..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => self.written += n,
                Poll::Ready(Err(e)) => return Err(e),
                Poll::Pending => return Ok(self.written > before),
            }
        }
        let took = self.written > before;
        // A new Vec, not `clear`: an idle session keeps no room for what once had to wait.
        self.pending = Vec::new();
        self.written = 0;
        if self.flushing {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(result) => {
                    result?;
                    self.flushing = false;
                }
                Poll::Pending => {}
            }
        }
        Ok(took)
    }

    fn give_up_writing(&mut self) {
        self.unwritable = true;
        self.pending = Vec::new();
        self.written = 0;
    }

    fn flushed(&self) -> bool {
        self.unwritable || (self.pending.is_empty() && !self.flushing)
    }
}

/// A session in motion; done when both sockets can be dropped.
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub(crate) struct Drive<S> {
    client: Port<S>,
    app: Port<S>,
    relay: Relay,
    epoch: Instant,
    timer: Pin<Box<Sleep>>,
    /// The timer will wake this task; it need not be polled again until it has rung.
    armed: bool,
    account: Account,
    /// The waker that is rung when something is asked of the session.
    bell: Option<Waker>,
    begun: bool,
    /// Something happened in this pass over both sides after which the other parts of it may go on.
    again: bool,
    /// A deadline was there that may end the session, and the runtime has looked at the sockets since.
    looked: bool,
}

impl<S: Stream> Drive<S> {
    /// `epoch` is the zero of the relay's time. Each side comes with the bytes that were read from it already.
    pub(crate) fn new(
        client: (Transport<S>, Vec<u8>),
        app: (Transport<S>, Vec<u8>),
        relay: Relay,
        epoch: Instant,
        account: Account,
    ) -> Self {
        Self {
            client: Port::new(client.0, client.1),
            app: Port::new(app.0, app.1),
            relay,
            epoch,
            timer: Box::pin(sleep_until(epoch)),
            armed: false,
            account,
            bell: None,
            begun: false,
            again: false,
            looked: false,
        }
    }
}

impl<S: Stream> Future for Drive<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // What a session has told of is nowhere kept: the difference that this turn makes is told.
        let before = this.account.counts_traffic().then(|| Side::BOTH.map(|side| *this.relay.stats(side)));
        let polled = BUFFER.with_borrow_mut(|buffer| this.turn(cx, buffer));
        for (side, before) in before.iter().flat_map(|before| Side::BOTH.into_iter().zip(before)) {
            let after = this.relay.stats(side);
            if before != after {
                this.account.passed(side, &after.since(before));
            }
        }
        this.account.handle().note(&this.relay);
        polled
    }
}

impl<S: Stream> Drive<S> {
    fn now(&self) -> Micros {
        self.micros(Instant::now())
    }

    /// An instant in the relay's time.
    fn micros(&self, at: Instant) -> Micros {
        let elapsed = at.saturating_duration_since(self.epoch);
        Micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    fn turn(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<()> {
        let mut now = self.now();
        if !self.begun {
            self.begin(cx, now);
        }
        self.hear(cx, now);
        let (mut of_client, mut of_app) = (0, 0);
        loop {
            // Each of these goes on until it has to wait and its waker is set. So bytes that merely went through need
            // no second look; whatever may let the other ones go on sets `again`.
            self.again = false;
            let before = of_app;
            let refused = self.pull(cx, Side::Client, buffer, now, &mut of_client);
            self.pull(cx, Side::App, buffer, now, &mut of_app);
            // What the app sent may be why the client is to be read again, its Close for one.
            self.again |= refused && of_app > before;
            // Behind the reads, and before an end behind the writes: what came in time counts, and what could have been taken, also
            // when this process was held up.
            if self.looked {
                for side in Side::BOTH {
                    self.push(cx, side, now);
                }
            }
            let due = self.relay.deadline().is_some_and(|at| at <= now);
            let judged = due && (self.looked || !self.relay.may_end_at(now));
            if judged {
                self.with_events(|relay, events| relay.handle_timeout(now, events));
                self.inject(cx, now);
                self.again = true;
            }
            for side in Side::BOTH {
                self.push(cx, side, now);
            }
            self.account.cut_segment(&self.relay);
            if self.relay.end().is_some() && self.all_out(now) {
                for side in Side::BOTH {
                    self.tell_backpressure(side, false);
                }
                self.account.close(&self.relay);
                return Poll::Ready(());
            }
            self.looked = due && !judged;
            if self.looked {
                wake_behind_the_sockets(cx);
                return Poll::Pending;
            }
            if of_client.max(of_app) >= READS_PER_TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.again {
                if !self.arm(cx) {
                    return Poll::Pending;
                }
                now = self.now();
            }
        }
    }

    /// Whether nothing keeps the sockets open any more, now that the session is over.
    fn all_out(&self, now: Micros) -> bool {
        let sent = |port: &Port<S>| port.unwritable || (port.flushed() && port.finished);
        let late = self.relay.deadline().is_none_or(|at| at <= now);
        late || (sent(&self.client) && sent(&self.app))
    }

    /// What was read before the relay began goes first.
    fn begin(&mut self, cx: &mut Context<'_>, now: Micros) {
        self.begun = true;
        for side in Side::BOTH {
            let early = std::mem::take(&mut self.port(side).held);
            self.relay_bytes(cx, side, &early, now);
        }
    }

    /// Sets the timer to the relay's deadline. `true` when the deadline is already there.
    fn arm(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.relay.deadline().map(|at| self.epoch + Duration::from_micros(at.0));
        let Some(at) = deadline.into_iter().chain(self.account.segment_ends()).min() else { return false };
        // The deadline moves with every message, which a timer need not follow at once. After a pong it moves by what is left of
        // the keepalive, and a timer that stayed would wake each idle session once more for each ping.
        let near = self.timer.deadline()..self.timer.deadline() + EARLY_RING;
        if self.armed && !self.timer.is_elapsed() && near.contains(&at) {
            return false;
        }
        self.timer.as_mut().reset(at);
        // Whatever this turn has used up: a timer that is not polled wakes nobody.
        self.armed = pin!(unconstrained(self.timer.as_mut())).poll(cx).is_pending();
        !self.armed
    }

    /// Does what was asked of the session since the last turn.
    fn hear(&mut self, cx: &mut Context<'_>, now: Micros) {
        if !self.bell.as_ref().is_some_and(|bell| bell.will_wake(cx.waker())) {
            self.account.handle().wake_with(cx.waker());
            self.bell = Some(cx.waker().clone());
        }
        // One look that takes no lock, on every turn.
        if !self.account.handle().is_asked() {
            return;
        }
        if let Some((Closing { cause, code, quiet_until }, wording)) = self.account.handle().hear() {
            if let Some(wording) = wording {
                self.relay.word_close(wording);
            }
            let quiet_until = quiet_until.map(|until| self.micros(until));
            self.with_events(|relay, events| relay.close(cause, code, quiet_until, now, events));
            self.inject(cx, now);
        }
    }

    /// Reads from a side for as long as the relay lets it, and passes on what it says. `true` when it was the relay
    /// that ended it: then nothing wakes this task when there is more to read.
    fn pull(&mut self, cx: &mut Context<'_>, from: Side, buffer: &mut [u8], now: Micros, reads: &mut usize) -> bool {
        while *reads < READS_PER_TURN {
            let waiting = self.port(from.peer()).waiting();
            if self.port(from).unreadable {
                return false;
            }
            let may_read = self.relay.may_read(from, waiting, now);
            self.tell_backpressure(from, !may_read && self.relay.may_read(from, 0, now));
            if !may_read {
                return true;
            }
            let port = self.port(from);
            let held = port.held.len();
            buffer[..held].copy_from_slice(&port.held);
            let mut fresh = ReadBuf::new(&mut buffer[held..]);
            match Pin::new(&mut port.io).poll_read(cx, &mut fresh) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => self.read_failed(cx, from, now),
                Poll::Ready(Ok(())) if fresh.filled().is_empty() => {
                    self.with_events(|relay, events| relay.eof(from, now, events));
                    self.inject(cx, now);
                    self.again = true;
                }
                Poll::Ready(Ok(())) => {
                    let end = held + fresh.filled().len();
                    port.held = Vec::new();
                    self.relay_bytes(cx, from, &buffer[..end], now);
                }
            }
            *reads += 1;
        }
        false
    }

    /// Accounts for a side that is read no further because the other one takes nothing, and for the end of that.
    fn tell_backpressure(&mut self, from: Side, on: bool) {
        let port = self.port(from);
        if port.held_back != on {
            port.held_back = on;
            self.account.event(Event::Backpressure { from, on });
        }
    }

    /// Takes contiguous bytes of a side through the relay; what it wants to see again is held.
    fn relay_bytes(&mut self, cx: &mut Context<'_>, from: Side, mut bytes: &[u8], now: Micros) {
        while !bytes.is_empty() {
            match self.with_events(|relay, events| relay.receive(from, bytes, now, events)) {
                Received::Forward(n) => {
                    self.send(cx, from.peer(), &bytes[..n], now);
                    let waits = self.port(from.peer()).waiting() > 0;
                    self.account.forwarded(waits);
                    bytes = &bytes[n..];
                }
                Received::Discard(n) => bytes = &bytes[n..],
                Received::More => {
                    self.port(from).held = bytes.to_vec();
                    bytes = &[];
                }
            }
            self.inject(cx, now);
        }
    }

    /// Sends whatever the relay has of its own to say.
    fn inject(&mut self, cx: &mut Context<'_>, now: Micros) {
        for to in Side::BOTH {
            while let Some(frame) = self.with_events(|relay, events| relay.poll_transmit(to, now, events)) {
                self.send(cx, to, &frame, now);
                self.again = true;
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>, to: Side, bytes: &[u8], now: Micros) {
        let port = self.port(to);
        match port.send(cx, bytes) {
            Ok(()) if port.waiting() == 0 => {}
            Ok(()) => self.relay.write_blocked(to, now),
            Err(_) => self.write_failed(cx, to, now),
        }
    }

    /// Writes what waits for a side, then shuts its write half down if the relay says so.
    fn push(&mut self, cx: &mut Context<'_>, to: Side, now: Micros) {
        let port = self.port(to);
        if port.unwritable || port.finished {
            return;
        }
        let Ok(took) = port.drain(cx) else {
            return self.write_failed(cx, to, now);
        };
        if took {
            let left = port.waiting();
            self.relay.write_progress(to, now, left);
            self.again = true;
        }
        let port = self.port(to);
        if !port.flushed() || self.relay.write_half(to) == WriteHalf::Open {
            return;
        }
        let port = self.port(to);
        if Pin::new(&mut port.io).poll_shutdown(cx).is_ready() {
            // A failure says that the peer is gone, which reading tells as well, and with its cause.
            port.finished = true;
            self.again = true;
        }
    }

    /// The socket gives no more bytes, and takes none.
    fn read_failed(&mut self, cx: &mut Context<'_>, side: Side, now: Micros) {
        self.port(side).give_up_writing();
        self.port(side).unreadable = true;
        self.with_events(|relay, events| relay.failed(side, now, events));
        self.inject(cx, now);
        self.again = true;
    }

    /// The socket takes no more bytes. What its peer sent before may still be there to be read, its Close among it.
    fn write_failed(&mut self, cx: &mut Context<'_>, to: Side, now: Micros) {
        self.port(to).give_up_writing();
        self.with_events(|relay, events| relay.write_failed(to, now, events));
        self.inject(cx, now);
        self.again = true;
    }

    fn port(&mut self, side: Side) -> &mut Port<S> {
        match side {
            Side::Client => &mut self.client,
            Side::App => &mut self.app,
        }
    }

    fn with_events<T>(&mut self, call: impl FnOnce(&mut Relay, &mut dyn FnMut(Event)) -> T) -> T {
        let account = &mut self.account;
        call(&mut self.relay, &mut |event| account.event(event))
    }
}

/// Wakes the task once the runtime has looked at the sockets. A process that was stopped comes back with its timers due and what has
/// arrived not yet noticed: `epoll_wait` ends with EINTR then (signal(7)).
fn wake_behind_the_sockets(cx: &mut Context<'_>) {
    let ready = pin!(yield_now()).poll(cx).is_ready();
    debug_assert!(!ready, "it yields once");
}
