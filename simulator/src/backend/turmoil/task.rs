//! Tasks that belong to a host and end with its process.
//!
//! A runtime that goes drops its tasks in an order that follows from their ids, and those from whatever else the
//! program has going on. What closes first sends its FIN first, so a host keeps its tasks itself, and drops them in
//! the order in which they were made.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::state::{self, try_with, with};
use crate::engine::RunError;

pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
/// A task that its host keeps and its runtime polls; empty when it is over.
pub(super) type Kept = Arc<Mutex<Option<Task>>>;

/// Runs `task` on the host's runtime, from wherever it is called, until it is done or the process is gone. A panic in
/// it is the end of the run.
pub(super) fn spawn(host: u16, process: u32, task: Task) {
    let kept = Arc::new(Mutex::new(Some(task)));
    let spawned = with(|s| {
        let found = s.host_mut(host);
        let lives = found.up && found.process == process;
        lives.then(|| {
            let number = found.keep(Arc::clone(&kept));
            (Guarded { kept, number, host, process }, found.runtime.clone())
        })
    });
    match spawned {
        Some((guarded, Some(runtime))) => drop(runtime.spawn(guarded)),
        // It has been restarted, and turmoil makes the new process when this tick is over.
        Some((guarded, None)) => with(|s| s.host_mut(host).waiting.push(guarded)),
        None => {}
    }
}

/// Called by turmoil on the host's new runtime.
pub(super) fn began(host: u16) {
    let runtime = Handle::current();
    let waiting = with(|s| {
        let host = s.host_mut(host);
        host.runtime = Some(runtime.clone());
        std::mem::take(&mut host.waiting)
    });
    for task in waiting {
        drop(runtime.spawn(task));
    }
}

pub(super) struct Guarded {
    kept: Kept,
    number: u64,
    host: u16,
    process: u32,
}

impl Future for Guarded {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let host = self.host;
        if with(|s| s.host(host).process != self.process) {
            // The process was killed in this very tick, and turmoil drops its tasks when the tick is over.
            return Poll::Pending;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(task) = kept.as_mut() else { return Poll::Ready(()) };
        let before = state::enter(Some(host));
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx)));
        if !matches!(polled, Ok(Poll::Pending)) {
            // Its sockets close here and now, while it is known whose they are.
            *kept = None;
            with(|s| s.host_mut(host).kept.remove(&(self.process, self.number)));
        }
        state::enter(before);
        polled.unwrap_or_else(|panic| {
            with(|s| {
                let place = s.host(host).name.to_string();
                s.fail(RunError::panic(&place, &*panic));
            });
            Poll::Ready(())
        })
    }
}

impl Drop for Guarded {
    /// The first of a runtime's tasks to be dropped takes all others of its process with it, in order.
    fn drop(&mut self) {
        if state::is_ticking() {
            return;
        }
        let all = try_with(|s| s.host_mut(self.host).take_all(self.process)).unwrap_or_default();
        for kept in all {
            let task = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(task);
        }
    }
}
