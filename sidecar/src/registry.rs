//! The sessions that live: who they are, and what can be asked of them from outside their tasks.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use outrigger_shared::close::{Cause, CloseCode, Side};
use outrigger_shared::relay::Relay;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::session::Who;

/// All sessions of the process, by their numbers, and how those that are over have ended.
#[derive(Debug, Default)]
pub struct Registry {
    inner: Mutex<Inner>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: BTreeMap<u64, Arc<Handle>>,
    /// What a session hears that begins from now on.
    closing: Option<Closing>,
    ended: Ended,
}

/// Sessions that are over, counted by their causes.
pub type Ended = BTreeMap<&'static str, u64>;

/// An orderly end that is asked of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// `Drain`, `Shutdown`, `Operator` or `Rebalance`.
    pub cause: Cause,
    pub code: CloseCode,
    /// It waits no longer than this for a quiet moment; `None` does not wait.
    pub quiet_until: Option<Instant>,
}

/// One session, as everybody else has it.
#[derive(Debug)]
pub struct Handle {
    who: Who,
    opened: Instant,
    /// Something was asked; the session looks at this on every turn.
    asked: AtomicBool,
    requests: Mutex<Requests>,
    figures: Figures,
}

/// What was asked of a session and not heard yet.
#[derive(Debug, Default)]
struct Requests {
    waker: Option<Waker>,
    close: Option<Closing>,
    /// The reason in the Close, in place of the usual words.
    wording: Option<Box<str>>,
}

/// What went through a session, as it was when its task last came to rest. Its own writes alone change it, so nothing
/// here waits for anything.
#[derive(Debug, Default)]
struct Figures {
    /// Indexed by [`Side`].
    messages: [AtomicU64; 2],
    bytes: [AtomicU64; 2],
    /// Microseconds; 0 where no ping was answered yet.
    ping_rtt: [AtomicU32; 2],
    closing: AtomicBool,
}

/// What came from one side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    pub messages: u64,
    pub bytes: u64,
    /// Of the last keepalive ping to that side that was answered.
    pub ping_rtt: Option<Duration>,
}

impl Registry {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A session begins. It is asked to close at once if all are.
    pub(crate) fn enter(&self, who: Who, opened: Instant) -> Arc<Handle> {
        let handle = Arc::new(Handle {
            who,
            opened,
            asked: AtomicBool::new(false),
            requests: Mutex::default(),
            figures: Figures::default(),
        });
        let mut inner = self.lock();
        if let Some(closing) = inner.closing {
            handle.close(closing);
        }
        inner.sessions.insert(handle.who.id, Arc::clone(&handle));
        handle
    }

    /// A session is over.
    pub(crate) fn leave(&self, id: u64, cause: Option<Cause>) {
        let mut inner = self.lock();
        let left = inner.sessions.remove(&id);
        if left.is_some() {
            *inner.ended.entry(cause.map_or("cut", Cause::as_str)).or_default() += 1;
        }
        if inner.sessions.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    pub fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, id: u64) -> Option<Arc<Handle>> {
        self.lock().sessions.get(&id).cloned()
    }

    /// The numbers of all sessions.
    pub fn ids(&self) -> Vec<u64> {
        self.lock().sessions.keys().copied().collect()
    }

    /// The sessions with greater numbers than `after`, the least first, at most `limit`.
    pub fn page(&self, after: u64, limit: usize) -> Vec<Arc<Handle>> {
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        self.lock().sessions.range(behind).take(limit).map(|(_, handle)| Arc::clone(handle)).collect()
    }

    /// How all those ended that have.
    pub fn ended(&self) -> Ended {
        self.lock().ended.clone()
    }

    /// Asks every session to close, and each that begins from now on.
    pub fn close_all(&self, closing: Closing) {
        let mut inner = self.lock();
        inner.closing = Some(closing);
        for handle in inner.sessions.values() {
            handle.close(closing);
        }
    }

    /// Done once there is no session.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// How long the session has lived.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// Asks for an orderly end. What is asked last holds, as long as the session has not heard of the first.
    pub fn close(&self, closing: Closing) {
        self.close_with(closing, None);
    }

    /// As [`Handle::close`], with these words as the reason in the Close where the cause is `Operator`.
    pub fn close_with(&self, closing: Closing, wording: Option<Box<str>>) {
        let mut requests = self.lock();
        requests.close = Some(closing);
        requests.wording = wording;
        self.asked.store(true, Ordering::Release);
        if let Some(waker) = &requests.waker {
            waker.wake_by_ref();
        }
    }

    /// Whether something was asked. For the session itself.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Who is to be woken when something is asked. Call when the task's waker is another one than before, and look at
    /// [`Handle::is_asked`] afterwards.
    pub(crate) fn wake_with(&self, waker: &Waker) {
        self.lock().waker = Some(waker.clone());
    }

    /// The end that was asked for since the last call, and its wording.
    pub(crate) fn hear(&self) -> Option<(Closing, Option<Box<str>>)> {
        let mut requests = self.lock();
        self.asked.store(false, Ordering::Release);
        let wording = requests.wording.take();
        requests.close.take().map(|closing| (closing, wording))
    }

    /// What came from `side`, up to the last time that the session came to rest.
    pub fn traffic(&self, side: Side) -> Traffic {
        let (figures, side) = (&self.figures, side as usize);
        let rtt = figures.ping_rtt[side].load(Ordering::Relaxed);
        Traffic {
            messages: figures.messages[side].load(Ordering::Relaxed),
            bytes: figures.bytes[side].load(Ordering::Relaxed),
            ping_rtt: (rtt > 0).then(|| Duration::from_micros(rtt.into())),
        }
    }

    /// Whether the session is on its way to its end.
    pub fn is_closing(&self) -> bool {
        self.is_asked() || self.figures.closing.load(Ordering::Relaxed)
    }

    /// Writes down how far the session is. For the session itself, whenever it comes to rest.
    pub(crate) fn note(&self, relay: &Relay) {
        let figures = &self.figures;
        for side in Side::BOTH {
            let (stats, side) = (relay.stats(side), side as usize);
            figures.messages[side].store(stats.text + stats.binary, Ordering::Relaxed);
            figures.bytes[side].store(stats.bytes, Ordering::Relaxed);
            if let Some(rtt) = stats.ping_rtt {
                let micros = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).max(1);
                figures.ping_rtt[side].store(micros, Ordering::Relaxed);
            }
        }
        figures.closing.store(relay.is_closing(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
