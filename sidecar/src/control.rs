//! What can be asked of a running sidecar as a whole: to stop, or to leave its place to another process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use outrigger_shared::close::Cause;
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::Shown;
use crate::drain::{Drain, Plan, Progress};
use crate::http::Proxy;
use crate::lifecycle::{Lifecycle, Stage};
use crate::net::Net;
use crate::registry::Closing;

/// How long sessions have, once they were asked to close, on top of the time that both of their sides may take one after
/// the other: the linger behind the Closes, and a turn to notice.
const CLOSING_MARGIN: Duration = Duration::from_secs(2);

/// The handle of a running sidecar; clones of the `Arc` are the same sidecar.
pub struct Control<N: Net> {
    proxy: Arc<Proxy<N>>,
    /// Whether other processes may be bound to the same ports.
    port_is_shared: bool,
    /// There is one in the life of a process: who asks again hears of the one that is underway.
    drain: Mutex<Option<Arc<Drain>>>,
    /// The configuration in force as people read it.
    shown: ArcSwap<Vec<Shown>>,
}

impl<N: Net> Control<N> {
    pub(crate) fn new(proxy: Arc<Proxy<N>>, port_is_shared: bool) -> Arc<Self> {
        Arc::new(Self { proxy, port_is_shared, drain: Mutex::default(), shown: ArcSwap::default() })
    }

    pub(crate) fn proxy(&self) -> &Arc<Proxy<N>> {
        &self.proxy
    }

    /// Tells the admin API what the configuration in force looks like.
    pub fn show_config(&self, shown: Vec<Shown>) {
        self.shown.store(Arc::new(shown));
    }

    pub(crate) fn shown_config(&self) -> Arc<Vec<Shown>> {
        self.shown.load_full()
    }

    /// Begins to drain without an end of the process, over `window` instead of the configured one if that is given.
    /// Where a drain is underway it goes on as it is. `true` if this call began it.
    pub fn drain(&self, window: Option<Option<Duration>>) -> bool {
        let plan = self.proxy.settings().drain;
        self.begin_drain(Plan { window: window.unwrap_or(plan.window), ..plan }).1
    }

    /// How far the drain is, if one has begun.
    pub fn drain_progress(&self) -> Option<Progress> {
        self.drain.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|drain| drain.progress())
    }

    fn begin_drain(&self, plan: Plan) -> (Arc<Drain>, bool) {
        let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(drain) = &*drain {
            return (Arc::clone(drain), false);
        }
        self.lifecycle().advance(Stage::Draining);
        let begun = drain.insert(Drain::begin(self.proxy.net(), self.proxy.registry(), plan));
        (Arc::clone(begun), true)
    }

    pub fn lifecycle(&self) -> &Arc<Lifecycle> {
        self.proxy.lifecycle()
    }

    /// Another process has the listening sockets: none accepts here any more when this is done, and the process drains
    /// and ends by itself.
    pub async fn hand_over(&self) {
        self.lifecycle().hand_over();
        self.lifecycle().deaf().await;
    }

    /// After a signal: drains, lets what is there finish for the grace period, and closes the rest. `hurry` done ends
    /// the grace period early.
    pub(crate) async fn stop(&self, hurry: impl Future<Output = ()>) {
        let settings = self.proxy.settings();
        let (grace, plan) = (settings.shutdown_grace, settings.drain);
        tracing::info!(live = self.lifecycle().live(), grace_s = grace.as_secs(), "stopping");
        if self.port_is_shared {
            // Another process accepts at the same ports: sessions that it could have must not be refused here.
            self.lifecycle().succeed();
        }
        // A session that waits for a quiet moment has to get its Close before the rest is cut.
        let window = plan.window.map(|window| window.min(grace.saturating_sub(plan.quiet)));
        self.finish(Plan { window, ..plan }, grace, hurry).await;
    }

    /// After a handover: drains as configured, since nobody waits for the end of this process, and closes the rest.
    /// `hurry` as for [`Control::stop`].
    pub(crate) async fn leave(&self, hurry: impl Future<Output = ()>) {
        let settings = self.proxy.settings();
        let plan = settings.drain;
        let patience = settings.shutdown_grace.max(plan.window.unwrap_or_default() + plan.quiet);
        tracing::info!(live = self.lifecycle().live(), patience_s = patience.as_secs(), "handed over; stopping");
        self.finish(plan, patience, hurry).await;
    }

    async fn finish(&self, plan: Plan, patience: Duration, hurry: impl Future<Output = ()>) {
        let settings = self.proxy.settings();
        let (lifecycle, registry) = (self.lifecycle(), self.proxy.registry());
        let over = Instant::now() + patience;
        let (drain, begun) = self.begin_drain(plan);
        if let Some(window) = plan.window.filter(|_| !begun) {
            // It began when nobody waited for the end of the process yet.
            drain.shorten(self.proxy.net(), Instant::now() + window);
        }
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
        lifecycle.deaf().await;
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
