//! Tasks that belong to a host and end with its process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::state::{self, with};
use crate::engine::RunError;

pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs `task` on the host's runtime, from wherever it is called, until it is done or the process is gone. A panic in
/// it is the end of the run.
pub(super) fn spawn(host: u16, process: u32, task: Task) {
    let runtime = with(|s| {
        let found = s.host(host);
        (found.up && found.process == process).then(|| found.runtime.clone())
    });
    let guarded = Guarded { task: Some(task), host, process };
    match runtime {
        Some(Some(runtime)) => drop(runtime.spawn(guarded)),
        // It has been restarted, and turmoil makes the new process when this tick is over.
        Some(None) => with(|s| s.host_mut(host).waiting.push(guarded)),
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
    /// None when it is done.
    task: Option<Task>,
    host: u16,
    process: u32,
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let host = self.host;
        if with(|s| s.host(host).process != self.process) {
            // The process was killed in this very tick, and turmoil drops its tasks when the tick is over.
            return Poll::Pending;
        }
        let Some(task) = &mut self.task else { return Poll::Ready(()) };
        let before = state::enter(Some(host));
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx)));
        if !matches!(polled, Ok(Poll::Pending)) {
            // Its sockets close here and now, while it is known whose they are.
            self.task = None;
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
