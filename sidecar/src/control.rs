//! How a running sidecar stops.

use std::sync::Arc;
use std::time::Duration;

use outrigger_shared::close::Cause;
use tokio::time::{Instant, sleep_until, timeout};

use crate::drain::{Drain, Plan};
use crate::http::Proxy;
use crate::lifecycle::{Lifecycle, Stage};
use crate::net::Net;
use crate::registry::Closing;

/// How long sessions have, once they were asked to close, on top of the time that both of their sides may take one after
/// the other: the linger behind the Closes, and a turn to notice.
const CLOSING_MARGIN: Duration = Duration::from_secs(2);

/// Brings a running sidecar to its end.
pub(crate) struct Control<N: Net> {
    proxy: Arc<Proxy<N>>,
}

impl<N: Net> Control<N> {
    pub(crate) fn new(proxy: Arc<Proxy<N>>) -> Self {
        Self { proxy }
    }

    fn lifecycle(&self) -> &Arc<Lifecycle> {
        self.proxy.lifecycle()
    }

    /// Drains, lets what is there finish for the grace period, and closes the rest. `hurry` done ends the grace period
    /// early.
    pub(crate) async fn stop(&self, hurry: impl Future<Output = ()>) {
        let settings = self.proxy.settings();
        let (lifecycle, registry) = (self.lifecycle(), self.proxy.registry());
        let (grace, plan) = (settings.shutdown_grace, settings.drain);
        let over = Instant::now() + grace;
        tracing::info!(live = lifecycle.live(), grace_s = grace.as_secs(), "stopping");
        // A session that waits for a quiet moment has to get its Close before the rest is cut.
        let window = plan.window.map(|window| window.min(grace.saturating_sub(plan.quiet)));
        lifecycle.advance(Stage::Draining);
        Drain::begin(self.proxy.net(), registry, Plan { window, ..plan });
        let patience = async {
            tokio::select! {
                biased;
                () = hurry => {}
                () = sleep_until(over) => {}
            }
        };
        tokio::pin!(patience);
        // As long as there are sessions, their clients may come back to this port: they are told to go elsewhere.
        let in_time = tokio::select! {
            biased;
            () = registry.emptied() => true,
            () = &mut patience => false,
        };
        lifecycle.advance(Stage::Stopping);
        if in_time {
            tokio::select! {
                biased;
                () = lifecycle.emptied() => {}
                () = &mut patience => {}
            }
        }
        lifecycle.advance(Stage::Closing);
        registry.close_all(Closing { cause: Cause::Shutdown, code: settings.shutdown_code, quiet_until: None });
        if timeout(2 * settings.close_timeout + CLOSING_MARGIN, lifecycle.emptied()).await.is_err() {
            tracing::warn!(live = lifecycle.live(), "what is left is cut");
        }
        tracing::info!("stopped");
    }
}
