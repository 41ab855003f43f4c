//! Tasks that belong to a host and end with its process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::engine::{MIN_TASKS_TO_PRUNE, RunError, count_turn, try_with, with};

/// Runs `task` until it is done or the host's process is gone. A panic in it is the end of the run.
pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(host: u16, task: F) {
    #[expect(clippy::disallowed_methods, reason = "this is where tasks get their host")]
    let handle = tokio::spawn(Guarded { task: Box::pin(task), host }).abort_handle();
    with(|s| {
        let host = s.host_mut(host);
        if host.tasks.len() >= host.prune_at {
            host.tasks.retain(|task| !task.is_finished());
            host.prune_at = (2 * host.tasks.len()).max(MIN_TASKS_TO_PRUNE);
        }
        host.tasks.push(handle);
    });
}

struct Guarded<F> {
    task: Pin<Box<F>>,
    host: u16,
}

impl<F> Drop for Guarded<F> {
    /// An aborted task does something too: its sockets close.
    fn drop(&mut self) {
        count_turn();
    }
}

impl<F: Future<Output = ()>> Future for Guarded<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let host = self.host;
        count_turn();
        catch_unwind(AssertUnwindSafe(|| self.task.as_mut().poll(cx))).unwrap_or_else(|panic| {
            try_with(|s| {
                let place = s.host(host).name.to_string();
                s.fail(RunError::panic(&place, &*panic));
            });
            Poll::Ready(())
        })
    }
}
