//! From running to stopped: who must hear of it, and who is still there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// How far the process is on its way out; it only ever goes down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    Running,
    /// Nothing new is accepted; what is there may finish.
    Stopping,
    /// What is left is asked to close.
    Closing,
}

/// The stage of the process and the number of connections and sessions that live.
#[derive(Debug)]
pub struct Lifecycle {
    /// A [`Stage`] as its number: sessions look at it on every turn.
    stage: AtomicU8,
    stopping: Arc<Notify>,
    closing: Arc<Notify>,
    live: AtomicUsize,
    empty: Notify,
}

impl Lifecycle {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            stage: AtomicU8::new(Stage::Running as u8),
            stopping: Arc::default(),
            closing: Arc::default(),
            live: AtomicUsize::new(0),
            empty: Notify::new(),
        })
    }

    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Running,
            1 => Stage::Stopping,
            _ => Stage::Closing,
        }
    }

    /// Moves on to `stage` and wakes whoever waits for it. Going back does nothing.
    pub fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
        if stage >= Stage::Stopping {
            self.stopping.notify_waiters();
        }
        if stage >= Stage::Closing {
            self.closing.notify_waiters();
        }
    }

    /// Done once the stage is reached; at once if it was reached before.
    pub async fn reached(&self, stage: Stage) {
        // The waiter is made before the stage is looked at: nothing falls between.
        let notified = match stage {
            Stage::Running => return,
            Stage::Stopping => Arc::clone(&self.stopping).notified_owned(),
            Stage::Closing => self.closing(),
        };
        if self.stage() < stage {
            notified.await;
        }
    }

    /// Done when the stage goes to [`Stage::Closing`] after this call; look at [`Lifecycle::stage`] as well.
    pub fn closing(&self) -> OwnedNotified {
        Arc::clone(&self.closing).notified_owned()
    }

    /// Counts one more until the token is dropped.
    pub fn enter(self: &Arc<Self>) -> Live {
        self.live.fetch_add(1, Ordering::AcqRel);
        Live(Arc::clone(self))
    }

    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// Done once nothing lives.
    pub async fn emptied(&self) {
        loop {
            let notified = self.empty.notified();
            if self.live() == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// One connection or session that lives.
#[derive(Debug)]
pub struct Live(Arc<Lifecycle>);

impl Drop for Live {
    fn drop(&mut self) {
        if self.0.live.fetch_sub(1, Ordering::AcqRel) == 1 {
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
        assert!(futures_pending(&mut waiting).await);
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

    async fn futures_pending<F: Future + Unpin>(f: &mut F) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *f).poll(cx).is_pending())).await
    }
}
