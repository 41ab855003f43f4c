//! From running to stopped: who must hear of it, and who is still there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How far the process is on its way out; it only ever goes down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    Running,
    /// It is not ready any more: new sessions are refused, HTTP connections end with their next answer.
    Draining,
    /// Nothing new is accepted; what is there may finish.
    Stopping,
    /// What is left is asked to close.
    Closing,
    /// Nothing is left.
    Stopped,
}

impl Stage {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Closing => "closing",
            Self::Stopped => "stopped",
        }
    }
}

/// The stage of the process and the number of connections and sessions that live.
#[derive(Debug)]
pub struct Lifecycle {
    /// A [`Stage`] as its number.
    stage: AtomicU8,
    advanced: Notify,
    /// Set once what was bound is also served.
    ready: AtomicBool,
    asked_to_stop: AtomicBool,
    succeeded: AtomicBool,
    handed_over: AtomicBool,
    live: Arc<Count>,
    listening: Arc<Count>,
}

impl Lifecycle {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            stage: AtomicU8::new(Stage::Running as u8),
            advanced: Notify::new(),
            ready: AtomicBool::new(false),
            asked_to_stop: AtomicBool::new(false),
            succeeded: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
            live: Arc::default(),
            listening: Arc::default(),
        })
    }

    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Running,
            1 => Stage::Draining,
            2 => Stage::Stopping,
            3 => Stage::Closing,
            _ => Stage::Stopped,
        }
    }

    /// Moves on to `stage` and wakes whoever waits for it. Going back does nothing.
    pub fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
        self.advanced.notify_waiters();
    }

    /// Done once the stage is reached; at once if it was reached before.
    pub async fn reached(&self, stage: Stage) {
        loop {
            // The waiter is made before the stage is looked at: nothing falls between.
            let advanced = self.advanced.notified();
            if self.stage() >= stage {
                return;
            }
            advanced.await;
        }
    }

    /// What was bound is served from now on.
    pub(crate) fn get_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether all that was bound is served, or has been.
    pub fn has_begun(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Asks for what a signal asks for: an orderly end of the process.
    pub fn ask_to_stop(&self) {
        self.asked_to_stop.store(true, Ordering::Release);
        self.advanced.notify_waiters();
    }

    /// Done once somebody has asked.
    pub(crate) async fn stop_asked(&self) {
        loop {
            let advanced = self.advanced.notified();
            if self.asked_to_stop.load(Ordering::Acquire) {
                return;
            }
            advanced.await;
        }
    }

    /// Another process serves the same ports: nothing new is accepted here.
    pub(crate) fn succeed(&self) {
        self.succeeded.store(true, Ordering::Release);
        self.advance(Stage::Stopping);
    }

    /// As [`Lifecycle::succeed`], and it does so with this process's own sockets: what they have queued is for it.
    pub(crate) fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Release);
        self.succeed();
    }

    /// Whether another process serves the same ports.
    pub(crate) fn has_successor(&self) -> bool {
        self.succeeded.load(Ordering::Acquire)
    }

    pub fn is_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Acquire)
    }

    /// Whether who asks for a session is told to go elsewhere. With a successor elsewhere is here: who had connected to
    /// this process just before gets the session, and its Close with the others.
    pub fn refuses_sessions(&self) -> bool {
        match self.stage() {
            Stage::Running => false,
            Stage::Draining | Stage::Stopping => !self.succeeded.load(Ordering::Acquire),
            Stage::Closing | Stage::Stopped => true,
        }
    }

    /// Counts one more until the token is dropped.
    pub fn enter(&self) -> Live {
        self.live.enter()
    }

    pub fn live(&self) -> usize {
        self.live.now()
    }

    /// Done once nothing lives.
    pub async fn emptied(&self) {
        self.live.emptied().await;
    }

    /// Counts a listener until the token is dropped.
    pub(crate) fn listen(&self) -> Live {
        self.listening.enter()
    }

    /// Done once no listener accepts any more; what they took last has entered before.
    pub(crate) async fn deaf(&self) {
        self.listening.emptied().await;
    }
}

#[derive(Debug, Default)]
struct Count {
    now: AtomicUsize,
    empty: Notify,
}

impl Count {
    fn enter(self: &Arc<Self>) -> Live {
        self.now.fetch_add(1, Ordering::AcqRel);
        Live(Arc::clone(self))
    }

    fn now(&self) -> usize {
        self.now.load(Ordering::Acquire)
    }

    async fn emptied(&self) {
        loop {
            let notified = self.empty.notified();
            if self.now() == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// One connection or session that lives, or a listener that accepts.
#[derive(Debug)]
pub struct Live(Arc<Count>);

impl Drop for Live {
    fn drop(&mut self) {
        if self.0.now.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn empties_when_the_last_one_leaves() {
        let lifecycle = Lifecycle::new();
        let (one, two) = (lifecycle.enter(), lifecycle.enter());
        assert_eq!(lifecycle.live(), 2);
        drop(one);
        let waiting = lifecycle.emptied();
        tokio::pin!(waiting);
        assert!(is_pending(&mut waiting).await);
        drop(two);
        waiting.await;
    }

    #[tokio::test]
    async fn a_stage_reached_before_is_reached() {
        let lifecycle = Lifecycle::new();
        lifecycle.advance(Stage::Closing);
        lifecycle.advance(Stage::Stopping);
        assert_eq!(lifecycle.stage(), Stage::Closing);
        lifecycle.reached(Stage::Stopping).await;
        lifecycle.reached(Stage::Closing).await;
    }

    #[tokio::test]
    async fn whoever_waits_for_a_later_stage_goes_on_waiting() {
        let lifecycle = Lifecycle::new();
        let waiting = lifecycle.reached(Stage::Stopping);
        tokio::pin!(waiting);
        assert!(is_pending(&mut waiting).await);
        lifecycle.advance(Stage::Draining);
        assert!(is_pending(&mut waiting).await);
        lifecycle.advance(Stage::Stopping);
        waiting.await;
    }

    #[tokio::test]
    async fn a_session_is_refused_on_the_way_out_unless_another_process_took_over() {
        let (signalled, handed) = (Lifecycle::new(), Lifecycle::new());
        assert!(!signalled.refuses_sessions());
        signalled.advance(Stage::Draining);
        assert!(signalled.refuses_sessions());
        handed.hand_over();
        assert_eq!((handed.stage(), handed.refuses_sessions()), (Stage::Stopping, false));
        handed.advance(Stage::Closing);
        assert!(handed.refuses_sessions());
    }

    async fn is_pending<F: Future + Unpin>(f: &mut F) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *f).poll(cx).is_pending())).await
    }
}
